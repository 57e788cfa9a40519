"""Where in an image the defect of a finding lies, where its mask, or the shapes it is drawn from, can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.images import read_mask_values
from segbench.data.files.masks import FOREIGN, encode_colors, has_colors, value_classes, value_lookup
from segbench.data.files.resize import under_centres
from segbench.data.manifest.manifest import Manifest
from segbench.data.shapes.drawing import Painting, Ring, paint
from segbench.data.shapes.store import DrawingStore
from segbench.data.shapes.trace import ring_area
from segbench.data.sources.load import load_sample
from segbench.doctor.regions import SPECK_PX
from segbench.doctor.rings import TINY_PX, crosses_itself, crossings, leaves
from segbench.types import Sample, Task

MOST = 50  # places that are told of one image, the largest first
_OF_SIZE = ("vanishing_objects", "thin_objects")
_OF_LABELS = ("specks", *_OF_SIZE)
_OF_RINGS = ("self_crossing", "outside_image", "tiny_shapes")
_OF_SHAPES = (*_OF_RINGS, "overlapping_classes")
_OF_VALUES = ("lossy_mask_values", "unknown_values", "stray_colors")
CODES = (*_OF_LABELS, *_OF_SHAPES, *_OF_VALUES)
_ALL_AROUND = np.ones((3, 3), dtype=bool)

Marks: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A rectangle in pixels of the image (of its window). Attributes: x, y of its left upper corner; width, height."""

    x: int
    y: int
    width: int
    height: int


def places(code: str, manifest: Manifest, sample: Sample, size: tuple[int, int] | None = None) -> list[Place]:
    """Returns where the defect lies, the largest place first, at most `MOST`; empty where that cannot be told.

    Args:
        code: of the finding.
        size: (H, W) of training in pixels, at which objects vanish or break.
    Raises:
        DatasetError: the sample's files cannot be read.
    """
    if code in _OF_VALUES:
        return [] if sample.window is not None or sample.mask_key else _boxes(_foreign(manifest, sample))
    if code in _OF_SHAPES:
        return _of_shapes(code, manifest, sample)
    if code not in _OF_LABELS or (code in _OF_SIZE and size is None):
        return []
    labels = load_sample(manifest, sample)[1]
    class_map = manifest.class_map
    if class_map.task is Task.MULTILABEL:
        planes = [plane == 1 for plane in labels]
    else:
        planes = [labels == index for index in range(class_map.num_classes) if index != class_map.background]
    marks = np.zeros(labels.shape[-2:], dtype=bool)
    for plane in planes:
        marks |= _small(plane) if code == "specks" else _changed(plane, size or (0, 0), broken=code == "thin_objects")
    return _boxes(marks)


def _of_shapes(code: str, manifest: Manifest, sample: Sample) -> list[Place]:
    painting = DrawingStore(manifest.root).get(sample.mask_hash) if sample.mask_key else None
    if painting is None:
        return []
    if code in _OF_RINGS:
        return _largest(_around(code, painting))
    planes, _ = paint(replace(painting, planes=painting.planes or manifest.class_map.num_classes), manifest.root)
    return _boxes((planes == 1).sum(axis=0) > 1)


def _around(code: str, painting: Painting) -> Iterator[Place]:
    size = (painting.height, painting.width)
    rings: Iterator[Ring] = (ring for _, shape in painting.shapes for ring in shape.rings if len(ring) >= 6)
    for ring in rings:
        points = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
        if code == "self_crossing":
            for point in crossings(ring):
                yield _place(point[None], size)
        elif leaves(ring, size) if code == "outside_image" else ring_area(ring) < TINY_PX and not crosses_itself(ring):
            yield _place(points, size)


def _place(points: NDArray[np.float64], size: tuple[int, int]) -> Place:
    """Returns what is around points (N, 2) of x and y, inside of an image of (H, W)."""
    last = np.array([size[1] - 1, size[0] - 1])
    low, high = (np.clip(np.floor(each), 0, last).astype(int) for each in (points.min(axis=0), points.max(axis=0)))
    return Place(x=int(low[0]), y=int(low[1]), width=int(high[0] - low[0]) + 1, height=int(high[1] - low[1]) + 1)


def _numbered(plane: Marks) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Returns the number of each pixel's region, 0 where none is, and the pixels of each number."""
    from scipy import ndimage  # type: ignore[import-untyped]

    numbers, count = ndimage.label(plane, structure=_ALL_AROUND)
    return numbers, np.bincount(numbers.ravel(), minlength=count + 1)


def _small(plane: Marks) -> Marks:
    numbers, pixels = _numbered(plane)
    chosen = pixels < SPECK_PX
    chosen[0] = False
    marks: Marks = chosen[numbers]
    return marks


def _changed(plane: Marks, size: tuple[int, int], *, broken: bool) -> Marks:
    """Returns the regions that keep no pixel when the mask is resized to (H, W), or those that break into pieces."""
    from scipy import ndimage

    numbers, pixels = _numbered(plane)
    rows, columns = (under_centres(own, wanted) for own, wanted in zip(plane.shape, size, strict=True))
    small = numbers[np.ix_(rows, columns)]
    pieces = np.zeros(len(pixels), dtype=int)
    for number, box in enumerate(ndimage.find_objects(small, len(pixels) - 1), 1):
        pieces[number] = 0 if box is None else ndimage.label(small[box] == number, structure=_ALL_AROUND)[1]
    chosen = (pixels >= SPECK_PX) & (pieces > 1 if broken else pieces == 0)
    chosen[0] = False
    marks: Marks = chosen[numbers]
    return marks


def _foreign(manifest: Manifest, sample: Sample) -> Marks:
    """Returns which pixels of the mask files do not hold exactly the value of a class."""
    class_map = manifest.class_map
    colors = has_colors(class_map)
    marks = np.zeros((sample.height, sample.width), dtype=bool)
    for place, path in enumerate(manifest.mask_paths(sample)):
        values: NDArray[Any] = read_mask_values(path, colors=colors)
        table = value_classes(class_map, place if class_map.task is Task.MULTILABEL else None)
        if colors:
            found = encode_colors(values, table)
        elif values.ndim == 2:
            found = value_lookup(tuple(table.items()), 0, 65536)[values]
        else:
            continue  # a picture in colours, where grey values are meant: all of it is wrong
        if found.shape == marks.shape:
            marks |= found == FOREIGN
    return marks


def _boxes(marks: Marks) -> list[Place]:
    from scipy import ndimage

    numbers, _ = ndimage.label(marks, structure=_ALL_AROUND)
    found = [
        Place(
            x=columns.start,
            y=rows.start,
            width=columns.stop - columns.start,
            height=rows.stop - rows.start,
        )
        for rows, columns in ndimage.find_objects(numbers)
    ]
    return _largest(found)


def _largest(found: Iterable[Place]) -> list[Place]:
    return sorted(found, key=lambda each: -each.width * each.height)[:MOST]
