"""Pages about runs, made from run folders alone. Importing this package imports no torch."""
