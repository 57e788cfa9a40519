"""Colour PNG files of 16 bit a channel, of which the imaging library keeps the upper 8."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.images import read_bytes, read_mask_values

_UPPER, _LOWER = "RGB;16B", "RGB;16L"  # how a decoder takes the first, or the second, byte of each pair


def read_first_channel(path: Path) -> NDArray[Any]:
    """Returns (H, W) uint8 or uint16: the only channel of a grey file, the first of a colour file, whatever its depth.

    Raises:
        DatasetError: as `read_mask_values`.
    """
    data = read_bytes(path)
    upper = read_mask_values(path, data=data)  # complains of whatever is no image
    first: NDArray[Any] = upper if upper.ndim == 2 else np.ascontiguousarray(upper[:, :, 0])
    with Image.open(io.BytesIO(data)) as image:
        tile = image.tile[0] if image.format == "PNG" and image.tile else None
        if tile is not None and tile[3] == _UPPER:
            image.tile = [tile._replace(args=_LOWER)]
            lower = np.asarray(image)[:, :, 0]
            first = first.astype(np.uint16) * np.uint16(256) + lower
    return first
