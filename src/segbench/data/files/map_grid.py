"""Where on a map the pixels of a raster lie, and how large they are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.raster import raster_look

_WGS84 = 4326


@dataclass(frozen=True, kw_only=True)
class MapGrid:
    """The map grid of a raster that has one.

    Attributes:
        transform: six numbers from pixels to map coordinates.
        epsg: number of the coordinate reference system in which `on_map` gives points; None: longitude and latitude of
            WGS 84, which is also what a system without a number is brought to.
        pixel_m2: area of a pixel on the ground in square metres; None where the system counts in degrees.
    """

    transform: tuple[float, ...]
    epsg: int | None
    pixel_m2: float | None
    _system: Any = field(default=None, repr=False, compare=False)  # to be brought to WGS 84; None: stays

    @classmethod
    def of(cls, path: Path) -> MapGrid | None:
        """Returns the grid of a raster; None where it has no coordinate reference system or no place.

        Raises:
            DatasetError: the file cannot be opened.
        """
        look = raster_look(path)
        if not look.crs or look.transform is None:
            return None
        from rasterio.crs import CRS

        system = CRS.from_wkt(look.crs)
        across, row_x, _, column_y, down, _ = look.transform
        square_metres = None
        if system.is_projected:
            square_metres = abs(across * down - row_x * column_y) * system.linear_units_factor[1] ** 2
        epsg = system.to_epsg()
        return cls(
            transform=look.transform,
            epsg=None if epsg == _WGS84 else epsg,
            pixel_m2=square_metres,
            _system=system if epsg is None else None,
        )

    def on_map(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns (N, 2) pixels x and y as map coordinates x and y, or longitude and latitude."""
        matrix = np.reshape(self.transform, (2, 3))
        found: NDArray[np.float64] = points @ matrix[:, :2].T + matrix[:, 2]
        if self._system is None:
            return found
        from rasterio.warp import transform

        return np.stack(transform(self._system, f"EPSG:{_WGS84}", *found.T), axis=1)
