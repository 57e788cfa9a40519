"""Images and labels at another size."""

from __future__ import annotations

from typing import TypeAlias

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
    rows = (2 * np.arange(size[0]) + 1) * height // (2 * size[0])  # floor((i + 0.5) * height / H), in whole numbers
    columns = (2 * np.arange(size[1]) + 1) * width // (2 * size[1])
    return mask[..., rows[:, None], columns[None, :]]
