"""A manifest divided into train, val and test."""
