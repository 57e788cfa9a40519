"""A shape of LabelMe's JSON -> a shape in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from segbench.data.formats.shared.annotated import wrong_key
from segbench.data.formats.shared.encoded import picture_shape
from segbench.data.formats.shared.values import as_kind, finite_of, need, number_of
from segbench.data.shapes.drawing import Shape, ellipse_ring, rectangle_ring
from segbench.errors import DatasetError

Point: TypeAlias = tuple[float, float]

_POLYGONS = ("polygon", "rotation", "oriented_rectangle")  # the latter two by programs that grew out of LabelMe


def read_shapes(plain: Mapping[str, Any], label: str, width_px: float, path: Path, where: str) -> list[Shape]:
    """Returns the shapes of an entry of `shapes`: one, or a point each of the kind `points`; [] for unknown kinds.

    Args:
        width_px: of lines and points.
        where: the entry's place in the file.
    Raises:
        DatasetError: a key that is missing or of another type, or another number of points than the kind has.
    """
    kind = plain.get("shape_type") or "polygon"  # the first versions knew nothing else
    points = _points(plain, path, where)
    flat = tuple(part for point in points for part in point)
    if kind in _POLYGONS or (kind == "rectangle" and len(points) == 4):
        return [Shape(label=label, rings=(flat,))]
    if kind == "rectangle":
        _expect(points, 2, kind, path, where)
        (left, top), (right, bottom) = points
        return [Shape(label=label, rings=(rectangle_ring(left, top, right - left, bottom - top),))]
    if kind == "circle":
        _expect(points, 2, kind, path, where)
        (x, y), (edge_x, edge_y) = points
        radius = finite_of(math.hypot(edge_x - x, edge_y - y), path, f"{where}.points")
        return [Shape(label=label, rings=(ellipse_ring(x, y, radius, radius),))]
    if kind in ("line", "linestrip"):
        return [Shape(label=label, line=flat, width_px=width_px)]
    if kind in ("point", "points"):
        return [Shape(label=label, line=point, width_px=width_px) for point in points]
    return [_mask(plain, label, points, path, where)] if kind == "mask" else []


def _points(plain: Mapping[str, Any], path: Path, where: str) -> list[Point]:
    points: list[Point] = []
    for index, item in enumerate(need(plain, "points", list, path, where)):
        spot = f"{where}.points[{index}]"
        pair = as_kind(item, list, path, spot)
        if len(pair) != 2:
            raise wrong_key(path, spot, "[x, y]", pair)
        points.append((number_of(pair[0], path, f"{spot}[0]"), number_of(pair[1], path, f"{spot}[1]")))
    if not points:
        raise wrong_key(path, f"{where}.points", "at least one point", [])
    return points


def _expect(points: Sequence[Point], number: int, kind: str, path: Path, where: str) -> None:
    if len(points) != number:
        raise DatasetError(f"{where}.points: a {kind} has {number} points, got {len(points)}", path=path)


def _mask(plain: Mapping[str, Any], label: str, points: Sequence[Point], path: Path, where: str) -> Shape:
    """Returns a mask that is written as a PNG in base64, cut out between two corners."""
    _expect(points, 2, "mask", path, where)
    text = need(plain, "mask", str, path, where)
    if not all(math.isfinite(part) for point in points for part in point):
        raise wrong_key(path, f"{where}.points", "finite numbers", points)
    left, top = (int(part) for part in points[0])  # LabelMe cuts it off, too
    try:
        return picture_shape(text, label, (left, top))
    except ValueError as error:
        raise DatasetError(f"{where}.mask: {error}", path=path) from error
