"""Predicted masks of an entry, checked against the truth they are compared with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segbench.compare.evidence import Entry
from segbench.errors import RunError

UInt8Array = npt.NDArray[np.uint8]


def read_mask(entry: Entry, seed: int, image_id: str, target: UInt8Array) -> UInt8Array:
    """Returns the mask that the run at a position in the entry's seeds predicts, of the target's shape.

    Raises:
        RunError: it has another shape.
    """
    mask = entry.masks[seed].read(image_id)
    if mask.shape != target.shape:
        message = f"{entry.name!r} has a mask of the shape {mask.shape} for the image {image_id!r}, expected"
        raise RunError(f"{message} {target.shape}; score it again with `segbench evaluate`")
    return mask
