"""Pictures of data, predictions and curves: NumPy arrays in, images out. Reads no run folder and imports no torch.

Public: every function of a file here, imported from that file.

>>> from segbench.plots.upsampling import transposed
>>> transposed(kernels=(4, 3)).savefig("transposed.png")  # doctest: +SKIP
"""
