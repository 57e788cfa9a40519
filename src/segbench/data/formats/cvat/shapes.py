"""An element of CVAT's XML -> shapes in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from segbench.data.formats.shared.listing import Defect
from segbench.data.formats.shared.run_lengths import counts_of, mask_of_rows
from segbench.data.formats.shared.values import bad_shape
from segbench.data.shapes.drawing import Ring, Shape, ellipse_ring, rectangle_ring
from segbench.errors import DatasetError
from segbench.locale import message, quoted

NUMBERS: dict[str, tuple[str, ...]] = {
    "box": ("xtl", "ytl", "xbr", "ybr"),
    "ellipse": ("cx", "cy", "rx", "ry"),
    "mask": ("left", "top", "width", "height"),
}


def read_shape(tag: str, attributes: Mapping[str, str], label: str, source: Path, width_px: float) -> list[Shape]:
    """Returns the shapes of one element: one, or a point each of <points>; [] for a kind that is not read (cuboid).

    A skeleton, which covers no area, gives an empty shape, to be told about.

    Raises:
        DatasetError: an attribute is missing or holds no numbers.
        ValueError: run lengths that do not add up.
    """
    reader = _Reader(attributes, source)
    z = int(reader.number("z_order", 0.0))
    if tag in ("polygon", "polyline", "points"):
        points = reader.points()
        if tag == "polygon":
            return [Shape(label=label, rings=(points,), z=z)]
        lines = [points] if tag == "polyline" else [points[at : at + 2] for at in range(0, len(points), 2)]
        return [Shape(label=label, line=line, width_px=width_px, z=z) for line in lines]
    if tag not in NUMBERS:
        return [Shape(label=label, z=z)] if tag == "skeleton" else []
    first, second, third, fourth = (reader.number(name) for name in NUMBERS[tag])
    angle = reader.number("rotation", 0.0)
    if tag == "box":
        return [Shape(label=label, rings=(_turned_box(first, second, third, fourth, angle),), z=z)]
    if tag == "ellipse":
        return [Shape(label=label, rings=(ellipse_ring(first, second, third, fourth, angle),), z=z)]
    box = (int(first), int(second), int(third), int(fourth))
    return [Shape(label=label, counts=reader.row_runs((box[3], box[2])), box=box, z=z)]


def shapes_or_defect(
    tag: str,
    attributes: Mapping[str, str],
    label: str,
    source: Path,
    where: str,
    width_px: float,
    image: Path,
    defects: list[Defect],
) -> list[Shape]:
    """Returns the shapes of one element as `read_shape`, or [], and what is wrong with it appended to `defects`.

    Args:
        image: that the element belongs to.
    """
    try:
        shapes = read_shape(tag, attributes, label, source, width_px)
    except DatasetError as error:
        defects.append(bad_shape(error, source, where, image))
        return []
    except ValueError as error:
        text = quoted(str(error))
        defects.append(Defect(code="bad_rle", path=source, where=where, text=text, fatal=True, image=image))
        return []
    if not shapes:
        text = message("a region of the kind {kind!r}, which is not read", kind=tag)
        defects.append(Defect(code="unknown_shape", path=source, where=where, text=text, fatal=True, image=image))
    return shapes


def parse_points(text: str) -> Ring:
    """Returns `x,y;x,y` as x, y, x, y; ValueError where it is no list of pairs."""
    pairs = [pair.split(",") for pair in text.split(";") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs) or not pairs:
        raise ValueError(text)
    return tuple(float(part) for pair in pairs for part in pair)


class _Reader:
    """Numbers out of the attributes of one element."""

    def __init__(self, attributes: Mapping[str, str], source: Path) -> None:
        self.attributes, self.source = attributes, source

    def number(self, name: str, default: float | None = None) -> float:
        text = self.attributes.get(name)
        if text is None and default is not None:
            return default
        try:
            value = float("" if text is None else text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._wrong(name, "a number", text)
        return value

    def points(self) -> Ring:
        text = self.attributes.get("points")
        try:
            return parse_points(text or "")
        except ValueError:
            raise self._wrong("points", "pairs x,y;x,y", text) from None

    def row_runs(self, size: tuple[int, int]) -> tuple[int, ...]:
        text = self.attributes.get("rle")
        try:
            lengths = [int(part) for part in (text or "").split(",")]
        except ValueError:
            raise self._wrong("rle", "whole numbers with commas", text) from None
        return counts_of(mask_of_rows(lengths, size))

    def _wrong(self, name: str, expected: str, got: str | None) -> DatasetError:
        shown = "nothing" if got is None else repr(got[:60])
        return DatasetError(f"expected the attribute {name}, {expected}, got {shown}", path=self.source)


def _turned_box(left: float, top: float, right: float, bottom: float, angle_deg: float) -> Ring:
    """CVAT turns a box clockwise about its middle."""
    width, height = right - left, bottom - top
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    x = (left + right) / 2 - cos * width / 2 + sin * height / 2
    y = (top + bottom) / 2 - sin * width / 2 - cos * height / 2
    return rectangle_ring(x, y, width, height, angle_deg)
