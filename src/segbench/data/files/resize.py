"""Images and labels at another size."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

U8: TypeAlias = npt.NDArray[np.uint8]


def resize_image(image: U8, size: tuple[int, int]) -> U8:
    """Returns (H, W, C) uint8 resized with antialiasing.

    Bilinear whose support grows with the reduction: no aliasing, and unlike bicubic no overshoot, which would draw
    bright rims along hairs and borders. It is torchvision's default too, so networks from elsewhere see what they know.
    """
    if image.shape[:2] == tuple(size):
        return image
    if image.shape[2] != 3:
        planes = (Image.fromarray(np.ascontiguousarray(plane)) for plane in image.transpose(2, 0, 1))
        return np.stack([_resized(plane, size) for plane in planes], axis=2)
    return _resized(Image.fromarray(image), size)


def _resized(image: Image.Image, size: tuple[int, int]) -> U8:
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_mask(mask: U8, size: tuple[int, int]) -> U8:
    """Returns (..., H, W) labels resized to `size`: each takes the label under its pixel's centre, none is invented."""
    height, width = mask.shape[-2:]
    return mask[..., under_centres(height, size[0])[:, None], under_centres(width, size[1])[None, :]]


def resize_values(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Returns the values of a mask file, (H, W) or (H, W, 3) of any type, resized as `resize_mask` does."""
    return values[under_centres(values.shape[0], size[0])[:, None], under_centres(values.shape[1], size[1])[None, :]]


@lru_cache(maxsize=64)
def under_centres(side: int, wanted: int) -> npt.NDArray[np.int64]:
    """Returns which of `side` rows (or columns) lie under the centres of `wanted` new ones; read-only."""
    taken: npt.NDArray[np.int64] = (
        (2 * np.arange(wanted) + 1) * side // (2 * wanted)
    )  # floor((i + 0.5) * side / wanted)
    taken.flags.writeable = False
    return taken
