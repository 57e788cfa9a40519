"""A data set as a value: samples, classes and parts, read from a folder, checked, written and read back."""
