"""A mask -> polygons: outlines along the edges of the pixels, so that filling them gives the mask back.

The corners of a region lie on whole numbers, with (0, 0) at the upper left corner of the first pixel, as
`drawing` has it. A region is what hangs together over pixel sides (not over corners). A hole is joined to
the outline left of it by a bridge of no width, so that one ring says it all, in formats that know no holes too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segbench.data.shapes.drawing import Ring, Shape, shape_mask

TOLERANCES_PX = (1.0, 0.75, 0.5, 0.25)

# The four pixels around a lattice point as bits: 1 upper left, 2 upper right, 4 lower left, 8 lower right. A corner of
# an outline has one horizontal and one vertical side; a point where two pixels touch diagonally is two corners.
_TO_LEFT = {1: "up", 4: "down", 14: "up", 11: "down", 9: "up", 6: "down"}
_TO_RIGHT = {2: "up", 8: "down", 13: "up", 7: "down", 9: "down", 6: "up"}
_INSIDE = 15
_LOWER_RIGHT = 8


def mask_polygons(mask: NDArray[np.bool_], *, simplify_px: float = 0.0) -> list[Ring]:
    """Returns one ring a region of an (H, W) mask; filled together they are the mask.

    Args:
        mask: bool, or any numbers of which 0 is outside.
        simplify_px: corners nearer than this to the line without them are left out (Douglas and Peucker 1973); the
            rings are then no longer exact.
    """
    return [outline.ring(simplify_px) for outline in _outlines(np.asarray(mask, dtype=bool))]


def polygons_for(mask: NDArray[np.bool_], *, min_iou: float = 0.99) -> tuple[list[Ring], float]:
    """Returns rings with few corners that are true to an (H, W) mask, and their intersection over union with it.

    Every region is simplified as far as its own intersection over union stays at `min_iou`: by `TOLERANCES_PX`, or not
    at all.
    """
    mask = np.asarray(mask, dtype=bool)
    rings = [_true_ring(outline, min_iou) for outline in _outlines(mask)]
    filled = shape_mask(Shape(rings=tuple(rings)), (mask.shape[0], mask.shape[1]))
    return rings, mask_iou(filled, mask)


def mask_iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Returns intersection over union; 1.0 of two empty masks."""
    union = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / union if union else 1.0


def ring_area(ring: Ring) -> float:
    """Returns the area in pixels; holes that are joined to the ring are taken off."""
    xs, ys = np.asarray(ring[0::2], dtype=np.float64), np.asarray(ring[1::2], dtype=np.float64)
    return abs(float(np.dot(xs, np.roll(ys, -1)) - np.dot(ys, np.roll(xs, -1)))) / 2


def ring_box(ring: Ring) -> tuple[int, int, int, int]:
    """Returns (left, top, width, height) of the whole pixels that hold a ring."""
    left, top = math.floor(min(ring[0::2])), math.floor(min(ring[1::2]))
    return left, top, math.ceil(max(ring[0::2])) - left, math.ceil(max(ring[1::2])) - top


def ring_pixels(ring: Ring, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Returns the pixels inside a ring, (height, width) bool of a box as `ring_box` gives it."""
    left, top, width, height = box
    moved = tuple(value - (top if index % 2 else left) for index, value in enumerate(ring))
    return shape_mask(Shape(rings=(moved,)), (height, width))


@dataclass(frozen=True)
class _Outline:
    """Attributes: points, (N, 2) whole x and y in order; fixed, (N,) which of them hold a bridge and must stay."""

    points: NDArray[np.int64]
    fixed: NDArray[np.bool_]

    def ring(self, simplify_px: float = 0.0) -> Ring:
        points = self._simplified(simplify_px) if simplify_px > 0 else self.points
        return tuple(points.ravel().astype(np.float64).tolist())

    def _simplified(self, tolerance: float) -> NDArray[np.int64]:
        if len(self.points) <= 4:
            return self.points
        start = int(self.fixed.argmax())
        points = np.roll(self.points, -start, axis=0).astype(np.float64)
        stops = np.flatnonzero(np.roll(self.fixed, -start)).tolist() or [0]
        if len(stops) == 1:
            stops.append(int(((points - points[0]) ** 2).sum(axis=1).argmax()))
        kept = _douglas_peucker(np.concatenate([points, points[:1]]), [*stops, len(points)], tolerance)
        return points[kept[:-1]].astype(np.int64) if len(kept) > 3 else self.points


def _douglas_peucker(points: NDArray[np.float64], stops: Sequence[int], tolerance: float) -> list[int]:
    """Returns the positions that stay of an open line; those in `stops` always do."""
    kept = set(stops)
    todo = list(pairwise(stops))
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        between = points[first + 1 : last] - points[first]
        along_x, along_y = points[last] - points[first]
        length = math.hypot(along_x, along_y)
        if length:
            distances = np.abs(between[:, 0] * along_y - between[:, 1] * along_x) / length
        else:
            distances = np.hypot(between[:, 0], between[:, 1])
        farthest = int(distances.argmax())
        if distances[farthest] > tolerance:
            middle = first + 1 + farthest
            kept.add(middle)
            todo += [(first, middle), (middle, last)]
    return sorted(kept)


def _true_ring(outline: _Outline, min_iou: float) -> Ring:
    exact = outline.ring()
    if len(outline.points) <= 4:
        return exact
    box = ring_box(exact)
    pixels = ring_pixels(exact, box)
    for tolerance in TOLERANCES_PX:
        ring = outline.ring(tolerance)
        if len(ring) < len(exact) and mask_iou(ring_pixels(ring, box), pixels) >= min_iou:
            return ring
    return exact


def _outlines(mask: NDArray[np.bool_]) -> list[_Outline]:
    """Returns the outline of each region, from the top down."""
    codes = _codes(mask)
    corners = _Corners(codes)
    follow = [-1] * len(corners)
    outer: list[int] = []
    holes: list[int] = []
    for start in range(len(corners)):
        if follow[start] >= 0:
            continue
        # The first corner of a ring in reading order; its sides go right and down.
        is_outer = corners.is_outer[start]
        (outer if is_outer else holes).append(start)
        steps = (corners.across, corners.along) if is_outer else (corners.along, corners.across)
        here, turn = start, 0
        while follow[here] < 0:
            follow[here] = there = steps[turn][here]
            here, turn = there, 1 - turn
    xs, ys, fixed = _bridge(codes, corners, follow, holes)
    return _cut(xs, ys, follow, outer, fixed)


class _Corners:
    """The corners of all outlines in reading order, and the corner at the other end of each one's two sides.

    Attributes:
        xs, ys: whole numbers, in pixels.
        is_outer: whether an outline whose first corner it is goes around a region, not around a hole.
        across, along: corner -> corner at the other end of its horizontal and its vertical side.
        columns: (x, y) of the upper ends of all vertical sides as one sorted number each, x * stride + y.
        sides: upper and lower corner of each of them.
    """

    def __init__(self, codes: NDArray[np.uint8]) -> None:
        ends = np.stack([_lookup(_TO_LEFT) > 0, _lookup(_TO_RIGHT) > 0], axis=1)[codes]
        ys, xs, to_right = np.nonzero(ends)
        found = codes[ys, xs]
        downward = np.where(to_right == 1, _lookup(_TO_RIGHT)[found], _lookup(_TO_LEFT)[found]) == 2
        self.stride = codes.shape[0] + 1
        order = np.lexsort((downward, ys, xs))
        self.sides = order.reshape(-1, 2)
        along = np.empty(len(xs), dtype=np.int64)
        along[order[0::2]], along[order[1::2]] = order[1::2], order[0::2]
        self.columns = xs[self.sides[:, 0]] * self.stride + ys[self.sides[:, 0]]
        self.is_outer: list[bool] = (found & _LOWER_RIGHT > 0).tolist()
        self.xs: list[int] = xs.tolist()
        self.ys: list[int] = ys.tolist()
        self.along: list[int] = along.tolist()
        self.across: list[int] = (np.arange(len(xs)) ^ 1).tolist()

    def __len__(self) -> int:
        return len(self.xs)

    def side_at(self, x: int, y: int) -> tuple[int, int]:
        """Returns upper and lower corner of the vertical side that the point lies on."""
        index = int(np.searchsorted(self.columns, x * self.stride + y, side="right")) - 1
        upper, lower = self.sides[index]
        return int(upper), int(lower)


def _bridge(
    codes: NDArray[np.uint8], corners: _Corners, follow: list[int], holes: list[int]
) -> tuple[list[int], list[int], set[int]]:
    """Joins every hole to the outline left of its first corner; returns x and y of all corners, and who holds bridges.

    Args:
        follow: corner -> the next of its outline; is changed.
    """
    xs, ys = corners.xs, corners.ys
    fixed = set(holes)
    if not holes:
        return xs, ys, fixed
    places = np.where(codes != _INSIDE, np.arange(codes.shape[1], dtype=np.int32), np.int32(-1))
    nearest = np.maximum.accumulate(places, axis=1)
    bridges: dict[int, list[tuple[int, int, int]]] = {}  # corner before the bridge -> (distance from it, x, hole)
    for hole in holes:
        y = ys[hole]
        x = int(nearest[y, xs[hole] - 1])
        upper, lower = corners.side_at(x, y)
        before = upper if follow[upper] == lower else lower
        bridges.setdefault(before, []).append((abs(y - ys[before]), x, hole))
    for before, found in bridges.items():
        here = before
        for _, x, hole in sorted(found):
            leave, back, after = len(xs), len(xs) + 1, len(xs) + 2
            xs += [x, xs[hole], x]
            ys += [ys[hole]] * 3
            fixed |= {leave, back, after}
            follow += [hole, after, follow[here]]
            follow[here] = leave
            follow[corners.across[hole]] = back  # holes are followed downward first, so this corner comes last
            here = after
    return xs, ys, fixed


def _cut(xs: list[int], ys: list[int], follow: list[int], starts: list[int], fixed: set[int]) -> list[_Outline]:
    """Returns the outlines that begin at `starts`, without repeated points: a bridge may begin or end at a corner."""
    nodes: list[int] = []
    ends: list[int] = []
    for start in starts:
        nodes.append(start)
        here = follow[start]
        while here != start:
            nodes.append(here)
            here = follow[here]
        ends.append(len(nodes))
    points = np.stack([np.asarray(xs, dtype=np.int64)[nodes], np.asarray(ys, dtype=np.int64)[nodes]], axis=1)
    holds = np.zeros(len(xs), dtype=bool)
    holds[list(fixed)] = True
    stay = holds[nodes]
    repeated = np.zeros(len(nodes), dtype=bool)
    repeated[1:] = (points[1:] == points[:-1]).all(axis=1)
    repeated[ends[:-1]] = False  # the next outline
    stay[:-1] |= repeated[1:]
    kept = ~repeated
    bounds = np.concatenate([[0], np.cumsum(kept)[np.asarray(ends, dtype=np.int64) - 1]]).tolist()
    points, stay = points[kept], stay[kept]
    return [_Outline(points[low:high], stay[low:high]) for low, high in pairwise(bounds)]


def _codes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), dtype=np.uint8)
    padded[1:-1, 1:-1] = mask
    codes: NDArray[np.uint8] = padded[:-1, :-1] | padded[:-1, 1:] << 1 | padded[1:, :-1] << 2 | padded[1:, 1:] << 3
    return codes


def _lookup(table: dict[int, str]) -> NDArray[np.uint8]:
    """Returns 0 for codes without such a corner, 1 where its vertical side goes up, 2 where down."""
    result = np.zeros(16, dtype=np.uint8)
    for code, side in table.items():
        result[code] = 1 if side == "up" else 2
    return result
