"""nnU-Net's raw data sets."""
