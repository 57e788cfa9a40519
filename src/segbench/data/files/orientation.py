"""Which way up a picture is, as its file says by EXIF or TIFF, without decoding it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

_KINDS = (JpegImageFile, TiffImageFile, PngImageFile, WebPImageFile)  # opened so, their size does not matter
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error)


def oriented(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Returns the pixels (H, W, ...) of a file the right way up, as a view.

    Args:
        orientation: 1-8 as EXIF counts; 1 is upright.
    """
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def as_stored(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Returns pixels that are the right way up as the file holds them, as a view: what `oriented` undoes."""
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.swapaxes(pixels, 0, 1) if orientation in (5, 6, 7, 8) else pixels


def file_orientation(path: Path) -> int:
    """Returns the orientation 1-8 that a file of any size tells; 1 where it tells none, or is no picture."""
    for kind in _KINDS:
        try:
            with kind(path) as image:
                value = image.tag_v2.get(274, 1) if isinstance(image, TiffImageFile) else _exif_orientation(image, path)
        except _DAMAGE:  # of another kind, or damaged: that says nothing about the pixels
            continue
        return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1
    return 1


def _exif_orientation(image: Image.Image, path: Path) -> Any:
    if isinstance(image, PngImageFile) and "exif" not in image.info:
        late = _png_exif(path)
        if late:
            image.info["exif"] = late
    # PngImageFile.getexif decodes the whole image to look for what may stand behind the pixels.
    return Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)


def _png_exif(path: Path) -> bytes:
    """Returns the chunk of a PNG file that holds EXIF, wherever it stands; empty where there is none."""
    with path.open("rb") as stream:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf":
                return stream.read(length)
            stream.seek(length + 4, 1)
    return b""
