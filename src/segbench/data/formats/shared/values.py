"""Values of annotation files that come from elsewhere: taken with their type checked, or refused with file and key."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from segbench.data.formats.shared.annotated import wrong_key
from segbench.data.formats.shared.layout import SPLIT_WORDS, split_of
from segbench.data.formats.shared.listing import Defect, subfolders
from segbench.data.shapes.drawing import Drawing, Ring, Shape, far_inside
from segbench.errors import DatasetError, shorten
from segbench.locale import message
from segbench.types import SplitName

Kind = TypeVar("Kind")

_SNIFFED = 50  # files of a kind looked into; a folder with more has one file an image
_TAIL_BYTES = 65536
_SLACK_PX = 1.0  # tools write points on the far border of the last pixel, and round
_CROWD_WORDS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
_WORDS = {dict: "a mapping", list: "a list", str: "text", int: "a whole number"}

_NOT_NAMED = message("no annotation file names it; left out")


def need(plain: Mapping[str, Any], key: str, kind: type[Kind], source: Path, where: str) -> Kind:
    """Returns a mapping's value; DatasetError with file and key where it is missing or of another type."""
    spot = f"{where}.{key}" if where else key
    if key not in plain:
        raise DatasetError(
            f"{spot}: expected {_WORDS[kind]}, but there is no such key, only {shorten(plain) or 'an empty mapping'}",
            path=source,
        )
    return as_kind(plain[key], kind, source, spot)


def as_kind(value: Any, kind: type[Kind], source: Path, where: str) -> Kind:
    """Returns the value; DatasetError with file and key where it is of another type."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise wrong_key(source, where, _WORDS[kind], value)
    return value


def is_crowd(plain: Mapping[str, Any], source: Path, where: str) -> bool:
    """Returns COCO's iscrowd, also where a program wrote it as 0.0 or "0"; DatasetError for what means neither."""
    value = plain.get("iscrowd") or 0
    word = str(value).lower()
    if word not in _CROWD_WORDS:
        raise wrong_key(source, f"{where}.iscrowd", "0 or 1", value)
    return _CROWD_WORDS[word]


def number_of(value: Any, source: Path, where: str) -> float:
    """Returns a number, infinite where it is too large for a float; DatasetError where it is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_key(source, where, "a number", value)
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def finite_of(value: Any, source: Path, where: str) -> float:
    """Returns a finite number; DatasetError where it is none."""
    number = number_of(value, source, where)
    if not math.isfinite(number):
        raise wrong_key(source, where, "a finite number", value)
    return number


def ring_of(values: Any, source: Path, where: str) -> Ring:
    """Returns a flat list of numbers as a ring; whether it can be drawn is asked later, for all shapes alike."""
    listed = as_kind(values, list, source, where)
    if {type(value) for value in listed} <= {int, float}:
        with contextlib.suppress(OverflowError):  # the usual case, quickly
            return tuple(map(float, listed))
    return tuple(number_of(value, source, f"{where}[{index}]") for index, value in enumerate(listed))


def side_of(plain: Mapping[str, Any], key: str, source: Path, where: str) -> int | None:
    """Returns an image's height or width, None where the file does not say; DatasetError where it is not positive."""
    value = plain.get(key)
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal():
        value = int(value[:12])  # as some programs write it
    number = number_of(value, source, f"{where}.{key}")
    if not 1 <= number <= 2**31 or number != int(number):
        raise wrong_key(source, f"{where}.{key}", "a positive whole number of pixels", value)
    return int(number)


def bad_shape(error: DatasetError, source: Path, where: str, image: Path | None) -> Defect:
    """Returns the defect of a shape that could not be read, since a value is missing or of another kind.

    Args:
        where: the shape's place in the file.
        image: that misses it; None where it is not one of the set's.
    """
    return Defect(code="bad_shape", path=source, where=where, text=error.reason, fatal=image is not None, image=image)


def outside(drawing: Drawing) -> list[Defect]:
    """Returns a defect where shapes reach beyond the image; [] where none does, or the image's size is not known."""
    if drawing.height is None or drawing.width is None:
        return []
    size = (drawing.height, drawing.width)
    count = sum(_reaches_out(shape, size) for shape in drawing.shapes)
    if not count:
        return []
    text = message(
        "{count} of {n} shapes reach beyond the image, {height} x {width}; cut at its border",
        count=count,
        n=len(drawing.shapes),
        height=size[0],
        width=size[1],
    )
    return [Defect(code="outside", path=drawing.source, where=drawing.key, text=text)]


def no_annotation(paths: Iterable[Path], text: str = _NOT_NAMED) -> list[Defect]:
    """Returns a defect for each image that was left out because nobody annotated it."""
    return [Defect(code="no_annotation", path=path, where="", text=text) for path in paths]


def part_of(folders: Sequence[str]) -> SplitName | None:
    """Returns the official part that the innermost folder with such a name says."""
    return next((part for folder in reversed(folders) if (part := split_of(folder)) is not None), None)


def split_folder(path: Path, root: Path) -> SplitName | None:
    """Returns the official part that one of the folders between `root` and the file is named after."""
    folders = path.relative_to(root).parts[:-1]
    return next((SPLIT_WORDS[name.lower()] for name in folders if name.lower() in SPLIT_WORDS), None)


def some_files(root: Path, *patterns: str) -> Iterator[Path]:
    """Yields visible files in `root` and in the folders directly below, at most 50 of a pattern in each."""
    for folder in (root, *subfolders(root)):
        for pattern in patterns:
            found = sorted(path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("."))
            yield from found[:_SNIFFED]


def tail(path: Path) -> str:
    """Returns the last 64 kB of a text file; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def _reaches_out(shape: Shape, size: tuple[int, int]) -> bool:
    """What lies farther out than `far_inside` allows is no slip of the hand, and is told as such elsewhere."""
    height, width = size
    return any(
        (min(ring) < -_SLACK_PX or max(ring[0::2]) > width + _SLACK_PX or max(ring[1::2]) > height + _SLACK_PX)
        and far_inside(ring, size)
        for ring in (*shape.rings, shape.line)
        if len(ring) > 1
    )
