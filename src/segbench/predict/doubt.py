"""How unsure a network is: of each pixel, of a whole image, and of images unlike those it learnt from."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segbench.types import Task

_TINY = 1e-7  # probabilities nearer to 0 or 1 are taken for it: 0 * log(0)


def pixel_doubt(probs: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Returns (H, W) float32: the entropy of each pixel's probabilities, 0 where sure and 1 where all are alike.

    Of C exclusive classes in units of log C; of a multilabel mask the largest over its planes.

    Args:
        probs: (C, H, W) float32 in [0, 1]; C is 1 for binary.
        task: see `segbench.types`.
    """
    clipped = np.clip(probs, _TINY, 1.0 - _TINY)
    if task is Task.MULTICLASS:
        doubt = -(clipped * np.log(clipped)).sum(axis=0) / math.log(len(probs))
    else:
        doubt = -(clipped * np.log2(clipped) + (1.0 - clipped) * np.log2(1.0 - clipped)).min(axis=0)
    found: NDArray[np.float32] = np.clip(doubt, 0.0, 1.0)
    return found
