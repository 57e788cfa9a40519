"""Polygons on the map or in pixels -> rings in the pixels of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.raster import RasterLook
from segbench.data.shapes.drawing import Ring
from segbench.errors import ConfigError

Points = NDArray[np.float64]  # (N, 2), x and y

PIXELS, RASTER = "pixels", "raster"  # values of the option `crs` beside names like EPSG:4326
_MOST_DEGREES = 360.0
_MARGIN_PX = 2.0  # beyond the border at which polygons are cut


class Polygons:
    """Polygons of a file, each a list of rings (N, 2); they are moved to another coordinate reference system once."""

    def __init__(self, polygons: Sequence[Sequence[Points]]) -> None:
        self._held = [number for number, polygon in enumerate(polygons) if sum(map(len, polygon))]
        self._sides = [[len(ring) for ring in polygons[number]] for number in self._held]
        self._starts = np.cumsum([0, *(sum(sides) for sides in self._sides)])
        rings = [ring for number in self._held for ring in polygons[number]]
        self.points: Points = np.concatenate(rings) if rings else np.empty((0, 2))
        self._moved: dict[tuple[str, str], Points] = {}

    def __len__(self) -> int:
        return len(self._held)

    def on(self, look: RasterLook, crs: str) -> Iterator[tuple[int, list[Points]]]:
        """Yields number and rings, in pixels of a raster, of the polygons whose box reaches into it.

        Pixels count to the right and down from the upper left corner.

        Args:
            crs: of the polygons: `pixels`, `raster` for the raster's own, or the name of a coordinate reference system.
        Raises:
            ConfigError: no such coordinate reference system.
        """
        if not self._held:
            return
        grid = None if crs == PIXELS else look.transform
        points = self._in(crs, look.crs) if grid is not None else self.points
        first = self._starts[:-1]
        low, high = np.minimum.reduceat(points, first), np.maximum.reduceat(points, first)
        corners = [np.stack([x[:, 0], y[:, 1]], axis=1) for x in (low, high) for y in (low, high)]
        boxes = np.stack([_in_pixels(corner, grid) for corner in corners])
        low, high = boxes.min(axis=0), boxes.max(axis=0)
        near = (high > 0).all(axis=1) & (low < (look.width, look.height)).all(axis=1)  # not a number is not near
        for place in np.flatnonzero(near):
            ring = _in_pixels(points[self._starts[place] : self._starts[place + 1]], grid)
            yield self._held[place], np.split(ring, np.cumsum(self._sides[place])[:-1])

    def _in(self, crs: str, target: str) -> Points:
        """Returns all points in the system `target` (well-known text)."""
        if crs == RASTER:
            return self.points
        if (crs, target) not in self._moved:
            self._moved[crs, target] = _moved(self.points, crs, target)
        return self._moved[crs, target]


def _moved(points: Points, crs: str, target: str) -> Points:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.warp import transform

    try:
        source, goal = CRS.from_user_input(crs), CRS.from_wkt(target)
    except CRSError as error:
        raise ConfigError(
            f"expected {PIXELS}, {RASTER}, or a name like EPSG:4326, got {crs!r} ({error})", key="data.options.crs"
        ) from error
    if source == goal:
        return points
    xs, ys = points[:, 0], points[:, 1]
    if source.is_geographic and (np.abs(xs).max() > _MOST_DEGREES or np.abs(ys).max() > _MOST_DEGREES / 4):
        return np.full_like(points, np.nan)  # no degrees
    return np.stack([np.asarray(part) for part in transform(source, goal, xs, ys)], axis=1)


def _in_pixels(points: Points, grid: tuple[float, ...] | None) -> Points:
    """Returns map coordinates as pixels of a raster with the six numbers `grid`; unchanged without."""
    if grid is None:
        return points
    a, b, left, d, e, top = grid
    xs, ys, scale = points[:, 0] - left, points[:, 1] - top, a * e - b * d
    return np.stack([(e * xs - b * ys) / scale, (a * ys - d * xs) / scale], axis=1)


def cut(ring: Points, size: tuple[int, int]) -> Points:
    """Returns the part of a ring inside an image of (H, W) pixels, and little beyond (Sutherland and Hodgman 1974)."""
    for axis, bound, sign in (
        (0, -_MARGIN_PX, 1),
        (0, size[1] + _MARGIN_PX, -1),
        (1, -_MARGIN_PX, 1),
        (1, size[0] + _MARGIN_PX, -1),
    ):
        kept: list[Points] = []
        inside = sign * (ring[:, axis] - bound) >= 0
        if inside.all():
            continue
        for place, point in enumerate(ring):
            before = ring[place - 1]
            if inside[place] != inside[place - 1]:
                share = (bound - before[axis]) / (point[axis] - before[axis])
                kept.append(before + share * (point - before))
            if inside[place]:
                kept.append(point)
        ring = np.array(kept).reshape(-1, 2)
        if not len(ring):
            return ring
    return ring


def with_holes(outline: Points, holes: Sequence[Points]) -> Ring:
    """Returns one ring that goes along the outline and, over a cut of no width, around each hole.

    What lies inside twice is outside, by the even-odd rule of drawing; the cut is passed in both directions and changes
    nothing.
    """
    path = [outline]
    for hole in holes:
        if len(hole) > 2:
            path += [outline[:1], hole, hole[:1], outline[:1]]
    return tuple(float(part) for part in np.concatenate(path).ravel())
