"""How many pixels of a mask each class covers."""

from __future__ import annotations

import numpy as np

from segbench.types import ClassMap


def class_pixels(mask: np.ndarray, class_map: ClassMap, nodata: np.ndarray | None = None) -> tuple[list[int], int]:
    """Returns how many pixels each class covers, and how many have data.

    Args:
        mask: (H, W) class indices, multilabel (C, H, W) of 0 and 1.
        nodata: (H, W) pixels without data, which count nowhere; None where all have some.
    """
    labels = mask.reshape(*mask.shape[:-2], -1) if nodata is None else mask[..., ~nodata]
    if labels.ndim == 2:
        return [int(np.count_nonzero(plane)) for plane in labels], labels.shape[-1]
    return np.bincount(labels, minlength=class_map.num_classes).tolist(), labels.shape[-1]
