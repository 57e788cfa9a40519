"""Pictures of data, predictions and curves: NumPy arrays in, images out. Reads no run folder and imports no torch."""
