"""Masks that stand inside of an annotation file: pictures in base64, and outlines with holes."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.images import ALPHA_MODES, FORMATS, read_mask_values
from segbench.data.formats.shared.run_lengths import counts_of
from segbench.data.shapes.drawing import Ring, Shape
from segbench.errors import DatasetError

_MOST_BYTES = 2**28  # of a packed picture; more is no mask of an image that can be read


def picture_shape(text: str, label: str, corner: tuple[int, int], *, packed: bool = False) -> Shape:
    """Returns the shape of a mask that is written as a picture in base64, by itself or as a data address.

    Inside is what is not transparent; where nothing is transparent, what is not black.

    Args:
        corner: (left, top) of the picture in the image, in pixels.
        packed: the picture's bytes went through zlib before.
    Raises:
        ValueError: no such picture.
    """
    inside = picture_mask(text, packed=packed)
    height, width = inside.shape
    return Shape(label=label, counts=counts_of(inside), box=(*corner, width, height))


def picture_mask(text: str, *, packed: bool = False) -> NDArray[np.bool_]:
    """Returns the (H, W) mask of a picture in base64; see `picture_shape`."""
    try:
        data = base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
        if packed:
            data = zlib.decompressobj().decompress(data, _MOST_BYTES)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"expected a PNG as base64 text: {error}") from error
    try:
        values = read_mask_values(Path("mask.png"), data=data)
    except DatasetError as error:
        raise ValueError(error.reason) from error
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.mode in ALPHA_MODES or "transparency" in image.info:
            alpha = np.asarray(image.convert("RGBA").getchannel("A"))
            if alpha.min() < 255:
                return np.asarray(alpha > 0, dtype=bool)
    return np.asarray(values.any(axis=2) if values.ndim == 3 else values > 0, dtype=bool)


def even_odd_ring(rings: Sequence[Ring]) -> Ring:
    """Returns one ring that covers what an odd number of `rings` covers: an outline and its holes, islands in these.

    Each ring is joined to the first by a line there and back, which covers nothing.
    """
    first, *others = rings
    start = first[:2]
    joined = first + start if others else first
    for ring in others:
        joined += ring + ring[:2] + start
    return joined
