"""The changes that `segbench.doctor.fix.corrected_copy` makes to one image or mask file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.images import image_facts, read_image, read_mask_values, read_palette
from segbench.data.files.resize import resize_values
from segbench.doctor.finding import Fix
from segbench.errors import DatasetError
from segbench.types import RGB

WHAT = {
    "save_upright": "turned upright, EXIF orientation removed",
    "save_as_png": "pixels saved anew, as RGB without alpha",
    "snap_values": "each pixel set to the nearest known value",
    "map_values": "values replaced",
    "map_colors": "colours replaced by class numbers",
    "resize_mask": "resized to its image, nearest neighbour",
}
_LOSSLESS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
_MASK_ONLY = ("snap_values", "map_colors", "map_values", "resize_mask")  # in this order
_QUALITY = 95


def is_mask_fix(fixes: Sequence[Fix]) -> bool:
    """Returns whether the changes are such as only masks have."""
    return any(fix.action in _MASK_ONLY for fix in fixes)


def save_image(source: Path, target: Path, depth_range: tuple[float, float] | None) -> str:
    """Writes an image's upright RGB pixels; returns what was lost on the way, or nothing.

    The kind of file is that of the target's suffix.
    """
    pixels = Image.fromarray(read_image(source, depth_range=depth_range))
    if target.suffix.lower() in (".jpg", ".jpeg"):
        pixels.save(target, format="JPEG", quality=_QUALITY, subsampling=0)
        return f"JPEG of quality {_QUALITY}"
    pixels.save(target, format=_LOSSLESS[target.suffix.lower()])
    return ""


def save_mask(source: Path, target: Path, fixes: Sequence[Fix], image: Path | None) -> None:
    """Writes a mask with changed values or size, upright, without losses; a palette stays.

    Args:
        source: mask file.
        target: with the suffix of a lossless kind of file.
        fixes: what to change.
        image: the mask's image, for its size.
    """
    ordered = sorted((fix for fix in fixes if fix.action in _MASK_ONLY), key=lambda fix: _MASK_ONLY.index(fix.action))
    colors = any(_in_colors(fix) for fix in ordered)
    values: NDArray[Any] = read_mask_values(source, colors=colors)
    palette = [] if colors else read_palette(source)
    for fix in ordered:
        if fix.action == "snap_values":
            values = snap_values(values, fix.arguments["values"])
        elif fix.action == "map_values":
            values = map_values(values, fix.arguments["mapping"])
        elif fix.action == "map_colors":
            values = map_colors(values, fix.arguments["mapping"])
            palette = _palette(fix.arguments["mapping"])
        else:
            values = _resized(values, image, source)
    picture = Image.fromarray(values)
    if palette and values.ndim == 2 and values.dtype == np.uint8:
        picture.putpalette([channel for color in palette for channel in color])
    picture.save(target, format=_LOSSLESS[target.suffix.lower()])


def mask_suffix(source: Path) -> str:
    """Returns the suffix of a changed mask: its own where that kind of file keeps every value."""
    return source.suffix if source.suffix.lower() in (".png", ".tif", ".tiff") else ".png"


def image_suffix(source: Path) -> str:
    """Returns the suffix of an image that is saved without losses: its own where possible."""
    return source.suffix if source.suffix.lower() in _LOSSLESS else ".png"


def snap_values(values: NDArray[Any], anchors: Sequence[int] | Sequence[Sequence[int]]) -> NDArray[Any]:
    """Returns each pixel as the nearest of the known values or colours, the first of equally near ones.

    Example:
        >>> snap_values(np.array([[3, 250]], dtype=np.uint8), [0, 255])
        array([[  0, 255]], dtype=uint8)
    """
    table = np.array(anchors, dtype=np.int64)
    if table.ndim == 1:
        table = table[:, None]
    elif values.ndim == 2:
        values = np.repeat(values[:, :, None], 3, axis=2)
    flat = values.reshape(-1, 1) if values.ndim == 2 else values.reshape(-1, 3)
    if flat.shape[1] != table.shape[1]:
        raise DatasetError("expected a mask of grey values or indices, got colours")
    found, inverse = np.unique(flat, axis=0, return_inverse=True)
    distances = ((found.astype(np.int64)[:, None] - table[None]) ** 2).sum(axis=2)
    nearest = table[distances.argmin(axis=1)].astype(values.dtype)
    return np.asarray(nearest[inverse.ravel()].reshape(values.shape))


def map_values(values: NDArray[Any], mapping: Sequence[Sequence[int]]) -> NDArray[Any]:
    """Returns values replaced all at once; those that are not named stay."""
    if values.ndim != 2:
        raise DatasetError("expected a mask of grey values or indices, got colours")
    table = np.arange(np.iinfo(values.dtype).max + 1)
    for old, new in mapping:
        table[old] = new
    return np.asarray(table[values].astype(values.dtype))


def map_colors(values: NDArray[Any], mapping: Sequence[Sequence[Any]]) -> NDArray[np.uint8]:
    """Returns class numbers for colours; DatasetError where a colour has none."""
    channels = values if values.ndim == 3 else values[:, :, None]  # grey is compared with each channel
    result = np.zeros(values.shape[:2], dtype=np.uint8)
    known = np.zeros(values.shape[:2], dtype=bool)
    for color, index in mapping:
        here = (channels == np.array(color)).all(axis=2)
        result[here] = index
        known |= here
    if not known.all():
        raise DatasetError(f"{int((~known).sum())} pixels have a colour that stands for no class")
    return result


def _in_colors(fix: Fix) -> bool:
    return fix.action == "map_colors" or any(not isinstance(value, int) for value in fix.arguments.get("values", ()))


def _palette(mapping: Sequence[Sequence[Any]]) -> list[RGB]:
    colors: list[RGB] = [(0, 0, 0)] * 256
    for color, index in mapping:
        colors[index] = (color[0], color[1], color[2])
    return colors


def _resized(values: NDArray[Any], image: Path | None, path: Path) -> NDArray[Any]:
    if image is None:
        raise DatasetError("the image that this mask belongs to is not known", path=path)
    facts = image_facts(image)
    return resize_values(values, (facts.height, facts.width))
