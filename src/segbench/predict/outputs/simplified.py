"""Outlines with fewer corners that stay polygons: no side crosses or touches another, and holes lie inside, apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segbench.data.shapes.drawing import Shape, shape_mask
from segbench.data.shapes.trace import TOLERANCES_PX, mask_iou, mask_polygons
from segbench.data.writers import MIN_IOU
from segbench.types import Simplify

_AT_ONCE = 512  # sides that are compared with all others

Points = NDArray[np.float64]  # (N, 2) x and y, each once


def part_rings(part: NDArray[np.bool_], filled: NDArray[np.bool_], simplify: Simplify) -> list[Points]:
    """Returns outline and holes of a region that hangs together over sides, with few corners.

    Args:
        part: (H, W) of the region.
        filled: the same without its holes.
        simplify: pixels, tried to a quarter of them; `auto`, as far as an IoU of 0.99 with the region allows; 0: exact.
            Where nothing of that gives a polygon, the outline stays exact.
    """
    holes = filled & ~part
    wanted = TOLERANCES_PX if simplify == "auto" else (simplify, simplify / 2, simplify / 4) if simplify else ()
    for tolerance in sorted(wanted, reverse=True):
        rings = [
            np.reshape(ring, (-1, 2)) for mask in (filled, holes) for ring in mask_polygons(mask, simplify_px=tolerance)
        ]
        if is_polygon(rings) and (simplify != "auto" or mask_iou(_drawn(rings, part.shape), part) >= MIN_IOU):
            return rings
    return _traced((filled, holes), 0.0)


def _traced(masks: Sequence[NDArray[np.bool_]], tolerance: float) -> list[Points]:
    return [np.reshape(ring, (-1, 2)) for mask in masks for ring in mask_polygons(mask, simplify_px=tolerance)]


def is_polygon(rings: Sequence[Points]) -> bool:
    """Tells whether an outline and its holes are a valid polygon, as the simple features of OGC 06-103r4 have it."""
    if not _is_simple(rings):
        return False
    outer, *holes = rings
    firsts = np.array([hole[0] for hole in holes]).reshape(-1, 2)
    if not _inside(firsts, outer).all():
        return False
    return not any(_inside(np.delete(firsts, number, axis=0), hole).any() for number, hole in enumerate(holes))


def _is_simple(rings: Sequence[Points]) -> bool:
    """Tells whether sides meet only where one follows the other, and no side runs back on the one before."""
    starts = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    firsts = np.cumsum([0, *map(len, rings)])
    follows = np.arange(1, len(starts) + 1)
    follows[firsts[1:] - 1] = firsts[:-1]
    along, next_along = ends - starts, (ends - starts)[follows]
    if ((_cross(along, next_along) == 0) & ((along * next_along).sum(axis=1) <= 0)).any():
        return False
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    for begin in range(0, len(starts), _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        a, b = starts[some, None], ends[some, None]
        meet = (low[some, None] <= high).all(axis=2) & (low <= high[some, None]).all(axis=2)
        meet &= _cross(b - a, starts - a) * _cross(b - a, ends - a) <= 0
        meet &= _cross(along, a - starts) * _cross(along, b - starts) <= 0
        rows = np.arange(begin, min(begin + _AT_ONCE, len(starts)))
        meet[rows - begin, rows] = False
        meet[rows - begin, follows[rows]] = False
        before = np.empty_like(follows)
        before[follows] = np.arange(len(follows))
        meet[rows - begin, before[rows]] = False
        if meet.any():
            return False
    return True


def _cross(one: Points, other: Points) -> NDArray[np.float64]:
    return np.asarray(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])


def _inside(points: Points, ring: Points) -> NDArray[np.bool_]:
    """Returns which of (N, 2) points, none of them on it, a ring goes around: one to the right meets it odd times."""
    x, y = points[:, None, 0], points[:, None, 1]
    (x1, y1), (x2, y2) = ring.T, np.roll(ring, -1, axis=0).T
    over = (y1 > y) != (y2 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        to_the_right = x < (x2 - x1) * (y - y1) / (y2 - y1) + x1
    return np.asarray((over & to_the_right).sum(axis=1) % 2 == 1)


def _drawn(rings: Sequence[Points], size: tuple[int, ...]) -> NDArray[np.bool_]:
    outer, *holes = (shape_mask(Shape(rings=(tuple(ring.ravel().tolist()),)), (size[0], size[1])) for ring in rings)
    for hole in holes:
        outer &= ~hole
    return outer
