"""Connected regions of one class: how many, how large, and which are gone at a training size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.resize import under_centres

SIZES = (64, 96, 128, 192, 256, 320, 384, 512, 768, 1024)  # training sizes that are tried
SPECK_PX = 4  # a region with fewer pixels is rather a slip than an object
KEPT = 0.99  # of a class's objects, that a good size keeps

_BINS = 4  # of an area an octave
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
    """The objects of a data set.

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
        return bool(found.gone[place] <= max(1.0, (1 - KEPT) * found.number))

    def smallest_side(self) -> int | None:
        """Returns the smallest tried square side at which no class loses more than a few objects."""
        for place, size in enumerate(self.sizes[1:], 1):
            if all(self.keeps(index, place) for index in self.classes):
                return size[0]
        return None


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
    taken = (under_centres(side, min(side, wanted)) for side, wanted in zip(regions.shape, size, strict=True))
    found: NDArray[np.int64] = np.bincount(regions[np.ix_(*taken)].ravel(), minlength=len(areas) + 1)[1:]
    return found
