"""A search for good settings, on the validation part alone."""
