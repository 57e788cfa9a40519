"""DICOM files: slices, and segmentations of them."""
