"""The objects of masks in files that are read some rows at a time, equal to those of `mask_objects`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from segbench.data.files.raster import RasterReader
from segbench.errors import PredictionError
from segbench.locale import message
from segbench.predict.outputs.objects import MaskObject
from segbench.predict.regions import Regions, RegionTable, row_pieces
from segbench.types import ClassMap, Task

LARGEST_BOX_PX = 25_000_000  # of an object that is outlined
_EIGHT = np.ones((3, 3), dtype=bool)  # neighbours over sides and corners


@dataclass(frozen=True, kw_only=True)
class FileObject:
    """A connected region of a mask in a file; the attributes of `MaskObject` without its pixels.

    Attributes:
        file: the mask.
        value: of the object's pixels there.
        first_x: column of its first pixel, which lies in the row `top`.
    """

    number: int
    label: int
    left: int
    top: int
    width: int
    height: int
    area_px: int
    centre: tuple[float, float]
    file: Path
    value: int
    first_x: int


class FileObjects:
    """The objects of every class but the background, in the order of `mask_objects`; an iterable of `FileObject`.

    Args:
        files: a GeoTIFF of class indices; multilabel one a class. Pixels without data belong to no object.
        class_map: names the background.
    Raises:
        PredictionError: there are too many, see `segbench.predict.regions`.
    """

    def __init__(self, files: Sequence[Path], class_map: ClassMap) -> None:
        self._several = class_map.task is Task.MULTILABEL
        labels = [label for label in range(class_map.num_classes) if label != class_map.background]
        self._tables = [(file, _tables(file, [1] if self._several else labels)) for file in files]

    def __iter__(self) -> Iterator[FileObject]:
        number = 0
        for plane, (file, tables) in enumerate(self._tables):
            for value, table in tables.items():
                for index in range(len(table)):
                    number += 1
                    yield _object(table, index, number, plane if self._several else value, file, value)


def _tables(file: Path, values: Sequence[int]) -> dict[int, RegionTable]:
    """Returns the regions of each of these values."""
    regions = {value: Regions(corners=True) for value in values}
    with RasterReader(file) as reader:
        height, width = reader.size
        for top, bottom in row_pieces(height, width):
            labels = reader.labels((top, 0, bottom - top, width))
            for value, each in regions.items():
                each.add(labels == value, top)
    return {value: each.table() for value, each in regions.items()}


def _object(table: RegionTable, index: int, number: int, label: int, file: Path, value: int) -> FileObject:
    area, left, top = (int(column[index]) for column in (table.area_px, table.left, table.top))
    inside_x, inside_y = int(table.sum_x[index]) - left * area, int(table.sum_y[index]) - top * area
    return FileObject(
        number=number,
        label=label,
        left=left,
        top=top,
        width=int(table.right[index]) - left,
        height=int(table.bottom[index]) - top,
        area_px=area,
        centre=(left + inside_x / area + 0.5, top + inside_y / area + 0.5),
        file=file,
        value=value,
        first_x=int(table.first_x[index]),
    )


def with_pixels(objects: Iterable[FileObject]) -> Iterator[MaskObject]:
    """Yields the same objects with their pixels, read from the file one by one.

    Raises:
        PredictionError: a box has more than `LARGEST_BOX_PX` pixels.
    """
    reader: RasterReader | None = None
    try:
        for each in objects:
            if each.width * each.height > LARGEST_BOX_PX:
                text = message(
                    "an object of {height:,} x {width:,} pixels is too large to be outlined here; leave off "
                    "--polygons, and outline the finished mask: gdal_polygonize.py -8 {mask} polygons.gpkg",
                    height=each.height,
                    width=each.width,
                    mask=each.file.name,
                )
                raise PredictionError(text, path=each.file)
            if reader is None or reader.path != each.file:
                if reader is not None:
                    reader.__exit__(None, None, None)
                reader = RasterReader(each.file).__enter__()
            labels = reader.labels((each.top, each.left, each.height, each.width))
            yield MaskObject(
                number=each.number,
                label=each.label,
                left=each.left,
                top=each.top,
                pixels=_region_of(labels == each.value, each.first_x - each.left),
            )
    finally:
        if reader is not None:
            reader.__exit__(None, None, None)


def _region_of(plane: NDArray[np.bool_], first_x: int) -> NDArray[np.bool_]:
    """Returns (h, w): the region to which the pixel in the first row and this column belongs."""
    regions, number = ndimage.label(plane, structure=_EIGHT)
    pixels: NDArray[np.bool_] = plane if number == 1 else regions == regions[0, first_x]
    return pixels
