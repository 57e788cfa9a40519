"""Arrays saved by NumPy."""
