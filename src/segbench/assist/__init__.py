"""Help for whoever labels: a first model from a handful of labels, and which images are worth labelling next.

Importing this package imports no torch.
"""
