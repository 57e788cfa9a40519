"""A trained model for other runtimes, and the proof that it gives the same masks. Imports no torch."""
