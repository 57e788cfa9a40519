"""Samples on their way to a network: decoded once, packed, loaded in batches."""
