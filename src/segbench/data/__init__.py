"""Labelled images: reading files, listing data sets, the manifest, and dividing it into train, val and test.

Nothing is imported here, so that `import segbench.data` costs nothing. Begin at `manifest.read.read_dataset` and
`split.divide.split_manifest`; no module of this package that reads files imports torch.
"""
