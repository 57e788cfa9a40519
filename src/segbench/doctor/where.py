"""Where in an image the defect of a finding lies, for the kinds of findings whose place can be told from its mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.images import read_mask_values
from segbench.data.files.masks import FOREIGN, encode_colors, has_colors, value_classes, value_lookup
from segbench.data.files.resize import under_centres
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.doctor.regions import SPECK_PX
from segbench.types import Sample, Task

MOST = 50  # places that are told of one image, the largest first
_OF_LABELS = ("specks", "vanishing_objects")
_OF_VALUES = ("lossy_mask_values", "unknown_values", "stray_colors")
CODES = (*_OF_LABELS, *_OF_VALUES)
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
        size: (H, W) of training in pixels, at which objects vanish.
    Raises:
        DatasetError: the sample's files cannot be read.
    """
    if code in _OF_VALUES:
        return [] if sample.window is not None or sample.mask_key else _boxes(_foreign(manifest, sample))
    if code not in _OF_LABELS or (code == "vanishing_objects" and size is None):
        return []
    labels = load_sample(manifest, sample)[1]
    class_map = manifest.class_map
    if class_map.task is Task.MULTILABEL:
        planes = [plane == 1 for plane in labels]
    else:
        planes = [labels == index for index in range(class_map.num_classes) if index != class_map.background]
    marks = np.zeros(labels.shape[-2:], dtype=bool)
    for plane in planes:
        marks |= _small(plane) if code == "specks" else _lost(plane, size or (0, 0))
    return _boxes(marks)


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


def _lost(plane: Marks, size: tuple[int, int]) -> Marks:
    """Returns the regions that keep no pixel when the mask is resized to (H, W)."""
    numbers, pixels = _numbered(plane)
    rows, columns = (under_centres(own, wanted) for own, wanted in zip(plane.shape, size, strict=True))
    chosen = pixels >= SPECK_PX
    chosen[np.unique(numbers[np.ix_(rows, columns)])] = chosen[0] = False
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
    return sorted(found, key=lambda each: -each.width * each.height)[:MOST]
