"""YOLO's segmentation labels."""
