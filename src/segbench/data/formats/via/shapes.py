"""A region of VGG Image Annotator -> a shape in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.annotated import wrong_key
from segbench.data.formats.shared.values import finite_of, need, ring_of
from segbench.data.shapes.drawing import Ring, Shape, ellipse_ring, rectangle_ring
from segbench.errors import DatasetError


def read_shape(plain: Mapping[str, Any], label: str, width_px: float, path: Path, where: str) -> Shape:
    """Returns what `shape_attributes` describe; an empty shape for a kind that covers no area.

    Args:
        width_px: of polylines and points.
        where: the mapping's place in the file.
    Raises:
        DatasetError: a key that is missing, or holds no numbers.
    """

    def numbers(*keys: str) -> tuple[float, ...]:
        for key in keys:
            if key not in plain:
                raise wrong_key(path, f"{where}.{key}", f"a number, as a {name} has {', '.join(keys)}", None)
        return tuple(finite_of(plain[key], path, f"{where}.{key}") for key in keys)

    name = need(plain, "name", str, path, where)
    if name == "polygon":
        return Shape(label=label, rings=(_points(plain, path, where),))
    if name == "polyline":
        return Shape(label=label, line=_points(plain, path, where), width_px=width_px)
    if name == "rect":
        left, top, width, height = numbers("x", "y", "width", "height")
        return Shape(label=label, rings=(rectangle_ring(left, top, width, height),))
    if name == "circle":
        x, y, radius = numbers("cx", "cy", "r")
        return Shape(label=label, rings=(ellipse_ring(x, y, radius, radius),))
    if name == "ellipse":
        x, y, across, down = numbers("cx", "cy", "rx", "ry")
        angle = finite_of(plain.get("theta", 0.0), path, f"{where}.theta")
        return Shape(label=label, rings=(ellipse_ring(x, y, across, down, math.degrees(angle)),))
    if name == "point":
        return Shape(label=label, line=numbers("cx", "cy"), width_px=width_px)
    return Shape(label=label)


def _points(plain: Mapping[str, Any], path: Path, where: str) -> Ring:
    xs, ys = (
        ring_of(need(plain, key, list, path, where), path, f"{where}.{key}") for key in ("all_points_x", "all_points_y")
    )
    if len(xs) != len(ys) or not xs:
        raise DatasetError(
            f"{where}: expected as many all_points_x as all_points_y, and some, got {len(xs)} and {len(ys)}", path=path
        )
    return tuple(part for pair in zip(xs, ys, strict=True) for part in pair)
