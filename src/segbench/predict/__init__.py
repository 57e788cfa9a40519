"""A trained network applied to images of any size. Importing this package imports no torch."""
