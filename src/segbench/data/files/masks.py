"""Mask files' values -> class indices. A value the class map does not know is an error, never a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.hints import describe_value, hint_for, propose_classes
from segbench.errors import DatasetError, shorten
from segbench.types import RGB, ClassMap, MaskValue, Task

MAX_COLORS = 256  # a mask file with more colours than this is a photograph, or was saved with losses

FOREIGN = -1


def has_colors(class_map: ClassMap) -> bool:
    """Returns whether the class map is written in RGB colours; ValueError where grey values and colours are mixed."""
    kinds = {isinstance(value, tuple) for values in (*class_map.values, class_map.ignore_values) for value in values}
    if len(kinds) == 2:
        raise ValueError(f"a class map holds grey values or RGB colours, not both, got {class_map.values}")
    return kinds == {True}


def encode_mask(
    values: NDArray[Any], class_map: ClassMap, *, path: str | Path = "", tolerance: int = 0
) -> NDArray[np.uint8]:
    """Returns the class index of each pixel, (H, W) uint8, with `class_map.ignore_index` where it counts nowhere.

    Args:
        values: (H, W) uint8 or uint16 or (H, W, 3) uint8, as `read_mask_values` gives them.
        path: of the file, for messages.
        tolerance: grey values at most this far from a known value become the nearest known one (masks saved as JPEG).
    Raises:
        DatasetError: a value outside the class map: which, how many pixels, where, and what to do about it.
    """
    if class_map.task is Task.MULTILABEL:
        raise ValueError("a multilabel data set has one mask file a class; use encode_plane for each")
    return _encode(values, class_map, value_classes(class_map), path, tolerance)


def encode_plane(
    values: NDArray[Any], class_map: ClassMap, index: int, *, path: str | Path = "", tolerance: int = 0
) -> NDArray[np.uint8]:
    """Returns (H, W) uint8 with 1 where class `index` of a multilabel data set is present, 0 where not, or ignored.

    Absent is written as 0 in that class's mask file, or as 255 where 0 is the value that means "present".
    """
    return _encode(values, class_map, value_classes(class_map, index), path, tolerance)


def count_values(values: NDArray[Any]) -> tuple[dict[MaskValue, int], int]:
    """Returns pixels a value, at most `MAX_COLORS` colours (the most frequent), and how many distinct values exist."""
    if values.ndim == 2:
        counts = grey_counts(values)
        found = np.flatnonzero(counts)
        return {int(value): int(counts[value]) for value in found}, len(found)
    runs, lengths = _runs(values)
    packed, places = np.unique(runs, return_inverse=True)
    pixels = np.bincount(places, weights=lengths).astype(np.int64)  # exact: sums of whole numbers below 2 ** 53
    order = np.argsort(-pixels, kind="stable")[:MAX_COLORS]
    return {_unpack(int(packed[place])): int(pixels[place]) for place in order}, len(packed)


def grey_counts(values: NDArray[Any]) -> NDArray[np.int64]:
    """Returns how often each value from 0 on occurs in an (H, W) array of whole numbers."""
    if values.dtype == np.uint8 and values.ndim == 2 and values.size:
        return np.array(Image.fromarray(np.ascontiguousarray(values)).histogram(), dtype=np.int64)  # 4 x as fast
    return np.bincount(values.ravel())


def class_counts(
    counts: Mapping[MaskValue, int], class_map: ClassMap, *, tolerance: int = 0, index: int | None = None
) -> tuple[dict[int, int], int] | None:
    """Returns pixels a class index (ignored ones under `ignore_index`) and how many pixels `tolerance` moved.

    Args:
        counts: pixels a file value, as `count_values` gives them.
        index: class of the mask file, multilabel only; the class indices are then 0 (absent) and 1 (present).
    Returns:
        None when a value is outside the class map.
    """
    table = value_classes(class_map, index)
    lifted = has_colors(class_map)
    result: dict[int, int] = {}
    moved = 0
    for value, pixels in counts.items():
        key = as_color(value) if lifted else value
        found = table.get(key)
        if found is None and isinstance(key, int):
            found = _snapped(key, table, tolerance)
            moved += pixels
        if found is None:
            return None
        result[found] = result.get(found, 0) + pixels
    return result, moved


def _encode(
    values: NDArray[Any], class_map: ClassMap, table: Mapping[MaskValue, int], path: str | Path, tolerance: int
) -> NDArray[np.uint8]:
    if has_colors(class_map):
        encoded = encode_colors(values, table)
        foreign = encoded == FOREIGN
        if foreign.any():
            raise DatasetError(_foreign_values(values, foreign, class_map, table), path=path)
        return encoded.astype(np.uint8)
    if values.ndim == 3:
        raise DatasetError(_colors_refused(values), path=path)
    if values.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected mask values as uint8 or uint16, got {values.dtype}")
    lookup = value_lookup(tuple(table.items()), tolerance, 256 if values.dtype == np.uint8 else 65536)
    foreign = lookup == FOREIGN
    labels = _looked_up(values, lookup.astype(np.uint8), foreign)
    if labels is None:
        raise DatasetError(_foreign_values(values, foreign[values], class_map, table), path=path)
    return labels


def _looked_up(values: NDArray[Any], lookup: NDArray[np.uint8], foreign: NDArray[np.bool_]) -> NDArray[np.uint8] | None:
    """Returns `lookup[values]`; None where a value is foreign."""
    if values.dtype != np.uint8:
        return None if foreign[values].any() else lookup[values]
    known = bytearray(values.tobytes()).translate(lookup.tobytes(), bytes(np.flatnonzero(foreign).tolist()))
    return np.frombuffer(known, dtype=np.uint8).reshape(values.shape) if len(known) == values.size else None


def value_classes(class_map: ClassMap, index: int | None = None) -> dict[MaskValue, int]:
    """Returns value -> class index of what a mask file may hold; `index` is the class of a multilabel file."""
    ignored = dict.fromkeys(class_map.ignore_values, class_map.ignore_index)
    if index is None:
        return {value: position for position, values in enumerate(class_map.values) for value in values} | ignored
    present = class_map.values[index]
    return {255 if 0 in present else 0: 0, **dict.fromkeys(present, 1), **ignored}


def _snapped(value: int, table: Mapping[MaskValue, int], tolerance: int) -> int | None:
    near = [(abs(value - known), known) for known in table if isinstance(known, int)]
    distance, nearest = min(near)
    return table[nearest] if distance <= tolerance else None


@lru_cache(maxsize=32)
def value_lookup(items: tuple[tuple[MaskValue, int], ...], tolerance: int, size: int) -> NDArray[np.int16]:
    """Returns (size,) int16: grey value -> class index, `FOREIGN` for a value that is unknown; read-only."""
    table = dict(items)
    lookup = np.full(size, FOREIGN, dtype=np.int16)
    for known in sorted((value for value in table if isinstance(value, int)), reverse=True):
        for value in range(max(0, known - tolerance), min(size, known + tolerance + 1)):
            snapped = _snapped(value, table, tolerance)
            lookup[value] = FOREIGN if snapped is None else snapped
    lookup.flags.writeable = False
    return lookup


def encode_colors(values: NDArray[Any], table: Mapping[MaskValue, int]) -> NDArray[np.int16]:
    """Returns (H, W) int16: the class index of each pixel's colour, `FOREIGN` where it is unknown."""
    if values.ndim == 2:  # a colour mask that happens to hold only greys, for example one without any plant
        lookup = np.full(65536, FOREIGN, dtype=np.int16)
        for value, position in table.items():
            if isinstance(value, tuple) and len(set(value)) == 1:
                lookup[value[0]] = position
        found: NDArray[np.int16] = lookup[values]
        return found
    runs, lengths = _runs(values)
    packed, places = np.unique(runs, return_inverse=True)
    positions = np.array([table.get(_unpack(int(color)), FOREIGN) for color in packed], dtype=np.int16)
    placed: NDArray[np.int16] = np.repeat(positions[places], lengths).reshape(values.shape[:2])
    return placed


def _runs(values: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Returns colour, packed into one number, and length of the runs of equal pixels in (H, W, 3), in reading order."""
    wide = values.astype(np.int32)
    packed = (wide[:, :, 0] << 16 | wide[:, :, 1] << 8 | wide[:, :, 2]).ravel()
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(packed)), dtype=bool), packed[1:] != packed[:-1]]))
    return packed[starts], np.diff(np.append(starts, len(packed)))


def _unpack(packed: int) -> RGB:
    return (packed >> 16, packed >> 8 & 0xFF, packed & 0xFF)


def as_color(value: MaskValue) -> RGB:
    """Returns a grey value as the colour that looks like it; a colour as it is."""
    return value if isinstance(value, tuple) else (value, value, value)


def _colors_refused(values: NDArray[Any]) -> str:
    counts, distinct = count_values(values)
    if distinct > MAX_COLORS:
        return (
            f"RGB mask where an index mask is expected, with {distinct} different colours: this is a photograph, or a "
            "mask saved with losses (JPEG); save the labels as PNG"
        )
    shown = shorten(
        f"{describe_value(value)} on {pixels} pixel{'s' * (pixels != 1)}" for value, pixels in counts.items()
    )
    return (
        f"RGB mask where an index mask is expected; colours: {shown}; name the colours with "
        f"{propose_classes(list(counts)[:6])}"
    )


def _foreign_values(
    values: NDArray[Any], foreign: NDArray[np.bool_], class_map: ClassMap, table: Mapping[MaskValue, int]
) -> str:
    counts, _ = count_values(values)
    inside, _ = count_values(values[foreign][:, None])  # (n, 1) values or (n, 1, 3) colours
    parts = []
    for value, pixels in sorted(inside.items(), key=lambda item: -item[1])[:8]:
        match = (values == value) if values.ndim == 2 else (values == np.array(value)).all(axis=2)
        row, column = (int(place) for place in np.argwhere(match)[0])
        parts.append(
            f"{describe_value(value)} ({pixels} pixel{'s' * (pixels != 1)}, first at row {row}, column {column})"
        )
    more = f" and {len(inside) - 8} more" if len(inside) > 8 else ""
    return (
        f"the mask holds values outside the class map: {', '.join(parts)}{more}; the class map knows "
        f"{_known(class_map, table)}; {hint_for(counts, table, class_map.task)}"
    )


def _known(class_map: ClassMap, table: Mapping[MaskValue, int]) -> str:
    def name(position: int) -> str:
        if position == class_map.ignore_index:
            return "ignored"
        if class_map.task is Task.MULTILABEL:
            return ("absent", "present")[position]
        return class_map.names[position]

    parts: Iterable[str] = (f"{describe_value(value)} = {name(position)}" for value, position in table.items())
    return shorten(parts, 16)
