"""Pixels out of image, mask and raster files."""
