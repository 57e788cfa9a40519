"""A corrected copy of a data set, every change listed."""
