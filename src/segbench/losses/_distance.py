"""How far every pixel is from the boundary of a region. Computed on the CPU, without gradients."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt  # type: ignore[import-untyped]
from torch import Tensor

_BoolPlane = np.ndarray[tuple[int, int], np.dtype[np.bool_]]
_FloatPlane = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def boundary_distances(masks: Tensor, counted: Tensor, *, unit: str, dtype: torch.dtype) -> Tensor:
    """Returns the distance (B, C, H, W) of every pixel from the boundary of the mask of its plane, 0 or more.

    The Euclidean distance from the centre of the pixel to the centre of the nearest counted pixel on the other side of
    the boundary, less half a pixel, as the boundary runs between the two; so never below half a pixel. Ignored pixels
    are on neither side and nobody's nearest pixel; their own distance is 0. A plane whose counted pixels are all on one
    side has no boundary; there the distance is the one to the frame of the image, as if the other side began there.

    Args:
        masks: (B, C, H, W) bool, what is inside.
        counted: (B, C, H, W) bool, not ignored.
        unit: "pixel", or "diagonal": shares of the diagonal of the image, sqrt(H^2 + W^2) pixels.
        dtype: of the result; its device is that of `masks`.
    """
    inside = (masks & counted).cpu().numpy()
    outside = (~masks & counted).cpu().numpy()
    height, width = inside.shape[2:]
    scale = math.hypot(height, width) if unit == "diagonal" else 1.0
    distances = np.empty(inside.shape)
    for image, channel in np.ndindex(*inside.shape[:2]):
        distances[image, channel] = _plane_distances(inside[image, channel], outside[image, channel])
    return torch.from_numpy(distances / scale).to(dtype).to(masks.device)


def _plane_distances(inside: _BoolPlane, outside: _BoolPlane) -> _FloatPlane:
    if inside.any() and outside.any():
        distances = np.where(inside, distance_transform_edt(~outside), distance_transform_edt(~inside))
    else:
        distances = _frame_distances(*inside.shape)
    nearest: _FloatPlane = np.where(inside | outside, distances - 0.5, 0.0)
    return nearest


def _frame_distances(height: int, width: int) -> _FloatPlane:
    """Returns the distance to the nearest pixel of a ring around the image."""
    row, column = np.arange(height), np.arange(width)
    vertical = np.minimum(row + 1, height - row)
    horizontal = np.minimum(column + 1, width - column)
    return np.minimum(vertical[:, None], horizontal[None, :]).astype(np.float64)
