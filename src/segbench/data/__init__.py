"""Labelled images: reading files, listing data sets, the manifest, and dividing it into train, val and test.

Nothing is imported here, so that `import segbench.data` costs nothing. Begin at `segbench.data.index.read_dataset` and
`segbench.data.split.split_manifest`; no module of this package that reads files imports torch.
"""
