"""Training and scoring: a run config in, a run folder out. Importing this package imports no torch."""
