"""KITTI's semantic labels and its road benchmark."""
