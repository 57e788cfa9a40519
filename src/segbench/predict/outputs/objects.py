"""The objects of a mask: each connected region with its class, area, box and centre."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from segbench.files import replacing, write_csv
from segbench.predict.outputs.areas import PixelScale
from segbench.types import ClassMap

_EIGHT = np.ones((3, 3), dtype=bool)  # neighbours over sides and corners
_HEADER = ("id", "object", "class", "area_px", "left", "top", "width", "height", "centre_x", "centre_y")


class ObjectFacts(Protocol):
    """What the table tells of an object; see `MaskObject`."""

    @property
    def number(self) -> int:
        """From 1."""

    @property
    def label(self) -> int:
        """Index of its class."""

    @property
    def left(self) -> int:
        """Of its box, in pixels, as the next three."""

    @property
    def top(self) -> int:
        """See `left`."""

    @property
    def width(self) -> int:
        """See `left`."""

    @property
    def height(self) -> int:
        """See `left`."""

    @property
    def area_px(self) -> int:
        """How many pixels it has."""

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of its centre of mass, in pixels."""


@dataclass(frozen=True, kw_only=True)
class MaskObject:
    """A connected region (8 neighbours) of one class.

    Attributes:
        number: from 1, in the order class by class, from the top down.
        label: index of its class.
        left, top: of its box, in pixels.
        pixels: (height, width) bool: which pixels of the box are the object's.
    """

    number: int
    label: int
    left: int
    top: int
    pixels: NDArray[np.bool_]

    @property
    def height(self) -> int:
        """Of its box, in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Of its box, in pixels."""
        return int(self.pixels.shape[1])

    @property
    def area_px(self) -> int:
        """How many pixels it has."""
        return int(np.count_nonzero(self.pixels))

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of its centre of mass, in pixels; (0, 0) is the upper left corner of the first pixel."""
        ys, xs = np.nonzero(self.pixels)
        return self.left + float(xs.mean()) + 0.5, self.top + float(ys.mean()) + 0.5


def mask_objects(
    mask: NDArray[np.uint8], class_map: ClassMap, nodata: NDArray[np.bool_] | None = None
) -> Iterator[MaskObject]:
    """Yields the objects of every class but the background.

    Args:
        mask: (H, W) class indices, multilabel (C, H, W) of 0 and 1.
        class_map: names the background.
        nodata: (H, W) pixels without data, which belong to no object.
    """
    multilabel = mask.ndim == 3
    present = range(len(mask)) if multilabel else np.unique(mask).tolist()
    number = 0
    for label in present:
        if not multilabel and label == class_map.background:
            continue
        plane = mask[label] == 1 if multilabel else mask == label
        regions, _ = ndimage.label(plane if nodata is None else plane & ~nodata, structure=_EIGHT)
        for index, (rows, columns) in enumerate(ndimage.find_objects(regions), start=1):
            number += 1
            yield MaskObject(
                number=number,
                label=label,
                left=columns.start,
                top=rows.start,
                pixels=regions[rows, columns] == index,
            )


def object_counts(objects: Iterable[ObjectFacts], class_map: ClassMap) -> dict[str, int]:
    """Returns the columns NAME_objects of areas.csv, for each class but the background."""
    counts = Counter(each.label for each in objects)
    return {
        f"{name}_objects": counts[index] for index, name in enumerate(class_map.names) if index != class_map.background
    }


def write_objects(
    path: Path, image_id: str, objects: Iterable[ObjectFacts], class_map: ClassMap, scale: PixelScale | None
) -> None:
    """Writes the table of one image's objects."""

    def row_of(each: ObjectFacts) -> list[Any]:
        x, y = each.centre
        row: list[Any] = [image_id, each.number, class_map.names[each.label], each.area_px]
        row += [each.left, each.top, each.width, each.height, f"{x:.2f}", f"{y:.2f}"]
        return row if scale is None else [*row, f"{each.area_px * scale.area:.6g}"]

    write_csv(path, [*_HEADER, *([] if scale is None else [f"area_{scale.unit}"])], map(row_of, objects))


def join_objects(path: Path, tables: Sequence[Path]) -> None:
    """Writes the tables of all images as one, a row at a time; a column that an image has not stays empty."""
    columns = dict.fromkeys(_HEADER)
    for table in tables:
        with table.open(newline="", encoding="utf-8") as stream:
            columns |= dict.fromkeys(next(csv.reader(stream)))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        for table in tables:
            with table.open(newline="", encoding="utf-8") as stream:
                writer.writerows(csv.DictReader(stream))
