"""Objects (connected regions of one class): how many, how large, and which are too small for the training size."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.images import read_mask_values
from segbench.data.files.masks import encode_mask, encode_plane, has_colors
from segbench.data.shapes.drawing import paint
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading, about, number, percent
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, Progress, Task

SIZES = (64, 96, 128, 192, 256, 320, 384, 512, 768, 1024)  # training sizes that are tried
SPECK_PX = 4  # a region with fewer pixels is rather a slip than an object

_BINS = 4  # of an area an octave
_KEPT = 0.99  # of a class's objects, that a good size keeps
_VANISHING = 0.05  # of a class's objects, from which on a warning is due
_ALL_AROUND = np.ones((3, 3), dtype=bool)


@dataclass
class ClassObjects:
    """The objects of one class in all masks.

    Attributes:
        number: of regions with at least `SPECK_PX` pixels.
        images: with such a region.
        specks: regions with fewer pixels.
        areas: number of regions by logarithm of their area.
        gone: number of regions without any pixel left, a training size.
    """

    number: int = 0
    images: int = 0
    specks: int = 0
    areas: Counter[int] = field(default_factory=Counter)
    gone: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def area(self, share: float) -> float:
        """Returns the area in pixels that this share of the objects does not exceed, rounded down by up to 19 %."""
        places = sorted(self.areas)
        if not places:
            return 0.0
        seen = np.cumsum([self.areas[place] for place in places])
        place = places[int(np.searchsorted(seen, share * seen[-1]))]
        return float(np.ceil(2 ** (place / _BINS)))


@dataclass(kw_only=True)
class Objects:
    """What `measure_objects` found.

    Attributes:
        sizes: (H, W) of training that were tried, the asked one first.
        classes: by class index.
        specks: cases with specks, by id, and how many.
        lost: cases whose objects vanish at the asked size, by id, and how many.
    """

    sizes: tuple[tuple[int, int], ...]
    classes: dict[int, ClassObjects]
    specks: dict[str, int]
    lost: dict[str, int]

    def kept(self, index: int, place: int) -> float:
        """Returns the share of a class's objects that keep a pixel at the size of this number."""
        found = self.classes[index]
        return 1.0 - float(found.gone[place]) / found.number if found.number else 1.0

    def keeps(self, index: int, place: int) -> bool:
        """Returns whether a class loses hardly any object at the size of this number: 1 %, or a single one."""
        found = self.classes[index]
        return bool(found.gone[place] <= max(1.0, (1 - _KEPT) * found.number))

    def smallest_side(self) -> int | None:
        """Returns the smallest tried square side at which no class loses more than a few objects."""
        for place, size in enumerate(self.sizes[1:], 1):
            if all(self.keeps(index, place) for index in self.classes):
                return size[0]
        return None


def measure_objects(reading: Reading, progress: Progress | None = None) -> Objects | None:
    """Returns the objects of all masks, remembered a file; None where the masks have no class map."""
    class_map = reading.class_map
    if class_map is None or not reading.decoded.any():
        return None
    asked = reading.image_size or (SIZES[4], SIZES[4])
    sizes = (asked, *((side, side) for side in SIZES))
    told = json.dumps([class_map.to_dict()["classes"], class_map.background, class_map.ignore_values, sizes])
    kind = f"objects-{hashlib.sha256(f'{told}{reading.tolerance}'.encode()).hexdigest()[:16]}"
    planes = _planes(reading, class_map)
    read = partial(_read_file, class_map=class_map, tolerance=reading.tolerance, planes=planes, sizes=sizes)
    known = [
        path
        for row in np.flatnonzero(reading.decoded)
        for path in reading.cases[row].mask_files
        if path in reading.masks
    ]
    files, _ = reading.store.other(kind, known, read, progress=progress)
    result = Objects(sizes=sizes, classes={}, specks={}, lost={})
    for case in reading.cases:
        for path in case.mask_files:
            _add(result, case, files.pop(path, []))  # once, also where several cases are windows of one file
        if case.id in reading.paintings and case.id in reading.drawn:
            _add(result, case, _drawn_objects(reading, case, class_map, sizes))
    return result


def _drawn_objects(
    reading: Reading, case: Case, class_map: ClassMap, sizes: Sequence[tuple[int, int]]
) -> list[list[Any]]:
    try:
        labels, _ = paint(reading.paintings[case.id], reading.root)
    except DatasetError:
        return []  # what it holds was told before; a file that changed since is not
    if labels.ndim == 2:
        return region_rows(labels, _counted(class_map), sizes)
    return [row for index, plane in enumerate(labels) for row in _renumbered(region_rows(plane, (1,), sizes), index)]


def _planes(reading: Reading, class_map: ClassMap) -> dict[Path, int]:
    """Returns mask file -> class index, of multilabel sets."""
    if class_map.task is not Task.MULTILABEL:
        return {}
    return {path: place for case in reading.cases for place, path in enumerate(case.masks) if path is not None}


def _read_file(
    path: Path,
    *,
    class_map: ClassMap,
    tolerance: int,
    planes: Mapping[Path, int],
    sizes: Sequence[tuple[int, int]],
) -> list[list[Any]]:
    values = read_mask_values(path, colors=has_colors(class_map))
    if path in planes:
        plane = encode_plane(values, class_map, planes[path], path=path, tolerance=tolerance)
        return _renumbered(region_rows(plane, (1,), sizes), planes[path])
    labels = encode_mask(values, class_map, path=path, tolerance=tolerance)
    return region_rows(labels, _counted(class_map), sizes)


def _counted(class_map: ClassMap) -> tuple[int, ...]:
    return tuple(index for index in range(class_map.num_classes) if index != class_map.background)


def _renumbered(rows: list[list[Any]], index: int) -> list[list[Any]]:
    return [[index, *row[1:]] for row in rows]


def region_rows(labels: NDArray[np.uint8], classes: Sequence[int], sizes: Sequence[tuple[int, int]]) -> list[list[Any]]:
    """Returns for each class present [class, number, specks, [[area bin, number], ...], [gone at each size, ...]].

    Args:
        labels: (H, W) class indices.
        classes: to look at.
        sizes: (H, W) that the mask is resized to, as for training.
    """
    from scipy import ndimage  # type: ignore[import-untyped]

    regions = np.zeros(labels.shape, dtype=np.int32)  # numbered through all classes
    numbers: list[tuple[int, int]] = []
    total = 0
    boxes = ndimage.find_objects(labels.astype(np.int32) + 1)
    for index in classes:
        box = boxes[index] if index < len(boxes) else None
        if box is None:
            continue
        found, count = ndimage.label(labels[box] == index, structure=_ALL_AROUND)
        regions[box] += np.where(found > 0, found + total, 0)
        numbers.append((index, count))
        total += count
    areas = np.bincount(regions.ravel(), minlength=total + 1)[1:]
    gone = np.stack([_left(regions, areas, size) == 0 for size in sizes])
    rows: list[list[Any]] = []
    start = 0
    for index, count in numbers:
        own = areas[start : start + count]
        real = own >= SPECK_PX
        bins = Counter(np.floor(_BINS * np.log2(own[real])).astype(int).tolist())
        lost = gone[:, start : start + count][:, real].sum(axis=1)
        rows.append([index, int(real.sum()), int((~real).sum()), [list(item) for item in bins.items()], lost.tolist()])
        start += count
    return rows


def _left(regions: NDArray[np.int32], areas: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.int64]:
    """Returns the pixels each region keeps when the mask is resized, as `resize_mask` does."""
    if size[0] >= regions.shape[0] and size[1] >= regions.shape[1]:
        return areas
    taken = (_taken(side, wanted) for side, wanted in zip(regions.shape, size, strict=True))
    found: NDArray[np.int64] = np.bincount(regions[np.ix_(*taken)].ravel(), minlength=len(areas) + 1)[1:]
    return found


def _taken(side: int, wanted: int) -> NDArray[np.int64]:
    """Returns which rows (or columns) resizing takes; each once at most."""
    if wanted >= side:
        return np.arange(side)
    return (2 * np.arange(wanted) + 1) * side // (2 * wanted)


def _add(result: Objects, case: Case, rows: Sequence[Sequence[Any]]) -> None:
    for index, count, specks, areas, gone in rows:
        found = result.classes.setdefault(index, ClassObjects(gone=np.zeros(len(result.sizes), dtype=np.int64)))
        found.number += count
        found.images += count > 0
        found.specks += specks
        found.areas.update(dict(areas))
        found.gone += np.asarray(gone)
        if specks:
            result.specks[case.id] = result.specks.get(case.id, 0) + specks
        if gone[0]:
            result.lost[case.id] = result.lost.get(case.id, 0) + gone[0]


def object_findings(reading: Reading, objects: Objects) -> list[Finding]:
    """Returns which objects training would not see, and which are too small to be meant."""
    return [*_vanishing(reading, objects), *_specks(reading, objects)]


def _vanishing(reading: Reading, objects: Objects) -> Iterator[Finding]:
    class_map = reading.class_map
    assert class_map is not None, "objects have classes"
    lost = {index: 1 - objects.kept(index, 0) for index in objects.classes if not objects.keeps(index, 0)}
    if not lost:
        return
    height, width = objects.sizes[0]
    worst = max(lost, key=lambda index: lost[index])
    side = objects.smallest_side()
    remedy = f"data.size: {side} keeps {percent(_KEPT)} of every class" if side else "train on crops of large images"
    cases = sorted((case for case in reading.cases if case.id in objects.lost), key=lambda one: -objects.lost[one.id])
    told = (
        f"{class_map.names[index]} {percent(share)} of {objects.classes[index].number}"
        for index, share in sorted(lost.items(), key=lambda item: -item[1])
    )
    yield about(
        reading,
        "vanishing_objects",
        Severity.WARNING if lost[worst] >= _VANISHING else Severity.INFO,
        f"at {height} x {width} pixels {percent(lost[worst])} of the {class_map.names[worst]!r} objects vanish",
        (reading.label_file(case) for case in cases),
        count=sum(objects.lost.values()),
        detail=f"Connected regions of {SPECK_PX} pixels and more that keep no pixel when masks are resized: "
        f"{shorten(told, 12)}.",
        advice=remedy,
        pictures=reading.overlays(cases),
    )


def _specks(reading: Reading, objects: Objects) -> Iterator[Finding]:
    class_map = reading.class_map
    assert class_map is not None, "objects have classes"
    total = sum(objects.specks.values())
    if not total:
        return
    cases = sorted((one for one in reading.cases if one.id in objects.specks), key=lambda one: -objects.specks[one.id])
    told = (
        f"{class_map.names[index]} {found.specks} beside {number(found.number, 'object')}"
        for index, found in sorted(objects.classes.items(), key=lambda item: -item[1].specks)
        if found.specks
    )
    yield about(
        reading,
        "specks",
        Severity.INFO,
        f"{number(total, 'region')} of fewer than {SPECK_PX} pixels in {number(len(cases), 'mask')}",
        (reading.label_file(case) for case in cases),
        count=total,
        detail=f"{shorten(told, 12)}. Most in {shorten((f'{one.id} ({objects.specks[one.id]})' for one in cases), 4)}.",
        advice="usually slips of the brush, or traces of resizing; they hardly matter for training, but they count as "
        "objects where objects are counted",
        pictures=reading.overlays(cases),
    )
