"""Class indices as a GeoTIFF of any size, on the grid of the image that they belong to."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.raster import opened
from segbench.files import replacing
from segbench.types import ClassMap

_CACHE_MB = 128
_TILE_PX = 256  # where the image has none


def write_label_rows(
    path: Path, rows: Callable[[int, int], NDArray[np.uint8]], class_map: ClassMap, like: Path
) -> None:
    """Writes class indices on the grid of another file, a row of tiles at a time.

    What the other file says of its place (coordinate reference system, transform, ground control points), its tile size
    where it has tiles, and its overviews are kept. Files that may exceed 4 GB become BigTIFF.

    Args:
        rows: (top, bottom) -> (bottom - top, W) uint8 class indices, `ignore_index` where there is no data; asked from
            top to bottom.
        class_map: whose display colours become the palette.
        like: file that the indices belong to.
    Raises:
        DatasetError: `like` cannot be read.
        OSError: the disk is full; there is then no file at `path`.
    """
    with opened(like) as source:
        height, width = source.height, source.width
        tile = _tile_of(source)
        overviews = source.overviews(1)
        place = _place_of(source)
        tags = {key: value for key, value in source.tags().items() if key == "AREA_OR_POINT"}
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.windows import Window

    with _told(path), replacing(path) as temporary, rasterio.Env(GDAL_CACHEMAX=_CACHE_MB), warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            height=height,
            width=width,
            count=1,
            dtype="uint8",
            nodata=class_map.ignore_index,
            compress="deflate",
            tiled=True,
            blockysize=tile[0],
            blockxsize=tile[1],
            bigtiff="IF_SAFER",
            **place,
        ) as target:
            for top in range(0, height, tile[0]):
                bottom = min(height, top + tile[0])
                target.write(rows(top, bottom), 1, window=Window(0, top, width, bottom - top))
            target.write_colormap(1, dict(enumerate((*color, 255) for color in class_map.colors)))
            target.update_tags(**tags)
        if overviews:
            with rasterio.open(temporary, "r+") as target:
                target.build_overviews(overviews, Resampling.nearest)


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
