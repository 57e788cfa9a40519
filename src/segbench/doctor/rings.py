"""What is strange about a polygon, from its corners alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segbench.data.shapes.drawing import Ring

_OUTSIDE_PX = 1.0  # beyond the border; tools write coordinates up to it
TINY_PX = 4.0  # area, below which a polygon is rather a slip
_LONGEST = 2048  # points of a ring whose edges are all compared with each other


def crosses_itself(ring: Ring) -> bool:
    """Returns whether two edges of a polygon cross; edges that only touch do not."""
    return len(crossings(ring)) > 0


def crossings(ring: Ring) -> np.ndarray:
    """Returns (N, 2) float64, x and y of the places where two edges of a polygon cross."""
    points = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    count = len(points)
    if count < 4 or count > _LONGEST:
        return np.zeros((0, 2))
    ends = np.roll(points, -1, axis=0)
    first, second = np.triu_indices(count, 2)
    apart = ~((first == 0) & (second == count - 1))  # the last edge and the first share a point
    first, second = first[apart], second[apart]
    a, b, c, d = points[first], ends[first], points[second], ends[second]
    sides = _side(a, b, c) * _side(a, b, d) < 0
    cross = sides & (_side(c, d, a) * _side(c, d, b) < 0)
    a, c, along, other = a[cross], c[cross], (b - a)[cross], (d - c)[cross]
    share = _cross(c - a, other) / _cross(along, other)
    return np.asarray(a + share[:, None] * along)


def _side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Returns on which side of a directed edge a point lies: -1, 0 or 1."""
    return np.asarray(np.sign(_cross(end - start, point - start)))


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])


def leaves(ring: Sequence[float], size: tuple[int, int]) -> bool:
    """Returns whether a polygon reaches beyond an image of (H, W) pixels."""
    xs, ys = ring[0::2], ring[1::2]
    return (
        min(xs) < -_OUTSIDE_PX
        or min(ys) < -_OUTSIDE_PX
        or max(xs) > size[1] + _OUTSIDE_PX
        or max(ys) > size[0] + _OUTSIDE_PX
    )
