"""Bundles made: a run, or several as one, in one file with everything a person wants to know before they use it.

Reading and applying one lies in `segbench.predict`. Importing this package imports no torch.
"""
