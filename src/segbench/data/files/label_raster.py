"""Class indices and probabilities as GeoTIFFs of any size, on the grid of the image that they belong to."""

from __future__ import annotations

import errno
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.raster import opened
from segbench.files import replacing
from segbench.types import ClassMap

_CACHE_BYTES = 16 << 20  # a row of tiles is written at once, so that none has to wait
_TILE_PX = 256  # where the image has none
_COLUMNS_PX = 2048


@dataclass(frozen=True, kw_only=True)
class RowGrid:
    """What a file of rows is like: (H, W) in pixels, its tiles, its place as rasterio's profile has it, overviews and
    tags."""

    size: tuple[int, int]
    tile: tuple[int, int] = (_TILE_PX, _TILE_PX)
    place: Mapping[str, Any] = field(default_factory=dict)
    overviews: Sequence[int] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> RowGrid:
        """Returns that of a file: its place (coordinate reference system, transform, ground control points), its tile
        size where it has tiles, and its overviews.

        Raises:
            DatasetError: it cannot be read.
        """
        with opened(path) as source:
            return cls(
                size=(source.height, source.width),
                tile=_tile_of(source),
                place=_place_of(source),
                overviews=source.overviews(1),
                tags={key: value for key, value in source.tags().items() if key == "AREA_OR_POINT"},
            )


def write_label_rows(
    path: Path, rows: Callable[[int, int], NDArray[np.uint8]], class_map: ClassMap, grid: RowGrid
) -> None:
    """Writes class indices, a row of tiles at a time. Files that may exceed 4 GB become BigTIFF.

    Args:
        rows: (top, bottom) -> (bottom - top, W) uint8 class indices, `ignore_index` where there is no data; asked from
            top to bottom.
        class_map: whose display colours become the palette.
        grid: of the image that they belong to.
    Raises:
        OSError: the disk is full; there is then no file at `path`.
    """
    profile = {"count": 1, "dtype": "uint8", "nodata": class_map.ignore_index}
    with _new_raster(path, grid, profile) as target:
        height, width = grid.size
        for top in range(0, height, grid.tile[0]):
            bottom = min(height, top + grid.tile[0])
            target.write(rows(top, bottom), 1, window=_window(top, 0, bottom - top, width))
        target.write_colormap(1, dict(enumerate((*color, 255) for color in class_map.colors)))


def write_half_float_rows(
    path: Path, rows: Callable[[int, int], NDArray[np.float16]], names: Sequence[str], grid: RowGrid
) -> None:
    """Writes values as a GeoTIFF of 16-bit floats, a row of tiles at a time; without overviews.

    Args:
        rows: (top, bottom) -> (C, bottom - top, W), NaN where there is no data; asked from top to bottom.
        names: of the C bands.
        grid: see `write_label_rows`, also for the errors.
    """
    profile = {"count": len(names), "dtype": "float32", "nbits": 16, "nodata": math.nan}
    plain = replace(grid, tile=(_TILE_PX, _TILE_PX), overviews=())
    with _new_raster(path, plain, profile) as target:
        height, width = grid.size
        for top in range(0, height, _TILE_PX):
            bottom = min(height, top + _TILE_PX)
            values = rows(top, bottom)
            for left in range(0, width, _COLUMNS_PX):  # as 32-bit floats they are twice as large
                part = values[..., left : left + _COLUMNS_PX].astype(np.float32)
                target.write(part, window=_window(top, left, bottom - top, part.shape[2]))
        target.descriptions = tuple(names)


@contextmanager
def _new_raster(path: Path, grid: RowGrid, profile: Mapping[str, Any]) -> Iterator[Any]:
    """Yields a new GeoTIFF in tiles to be filled; written all or nothing."""
    import rasterio
    from rasterio.enums import Resampling

    with _told(path), replacing(path) as temporary, rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES), warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            height=grid.size[0],
            width=grid.size[1],
            compress="deflate",
            tiled=True,
            blockysize=grid.tile[0],
            blockxsize=grid.tile[1],
            bigtiff="IF_SAFER",
            **profile,
            **grid.place,
        ) as target:
            yield target
            target.update_tags(**grid.tags)
        if grid.overviews:
            with rasterio.open(temporary, "r+") as target:
                target.build_overviews(list(grid.overviews), Resampling.nearest)


def _window(top: int, left: int, height: int, width: int) -> Any:
    from rasterio.windows import Window

    return Window(left, top, width, height)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns GDAL's errors while writing into the system's, which they are: what it could not write, it cannot name."""
    import rasterio

    try:
        yield
    except rasterio.errors.RasterioError as error:
        raise OSError(errno.EIO, f"{error.__cause__ or error}", str(path)) from error


def _place_of(source: Any) -> dict[str, Any]:
    points, crs = source.gcps
    if points:
        return {"gcps": points, "crs": crs}
    return {} if source.transform.is_identity else {"crs": source.crs, "transform": source.transform}


def _tile_of(source: Any) -> tuple[int, int]:
    """Returns (height, width) of the tiles to write."""
    height, width = source.block_shapes[0]
    tiled = width != source.width or height == width  # strips are as wide as the image
    fits = height % 16 == 0 and width % 16 == 0  # as TIFF demands
    return (height, width) if tiled and fits else (_TILE_PX, _TILE_PX)
