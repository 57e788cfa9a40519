"""Differences between approaches with intervals that hold images and seeds. NumPy and SciPy only."""
