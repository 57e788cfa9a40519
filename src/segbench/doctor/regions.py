"""Connected regions of one class: how many, how large, and which are gone at a training size."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.masks import grey_counts
from segbench.data.files.resize import under_centres

SIZES = (64, 96, 128, 192, 256, 320, 384, 512, 768, 1024)  # training sizes that are tried
SPECK_PX = 4  # a region with fewer pixels is rather a slip than an object
KEPT = 0.99  # of a class's objects, that a good size keeps

_THIN_PX, _NARROW_PX, _SAFE_PX = 1.5, 4.0, 2.0  # widths at which lines break, may break, and stay whole
_BREAKS, _CRUMBLES = 1.5, 1.05  # pieces a region, from which on a narrow class breaks, and a thin one
_WIDER = 1.5  # times the width at which a class broke
_SLIPS = 5  # more pieces may be a single frayed region

_BINS = 4  # of an area an octave
_FEW = 8  # classes or regions, that are quicker looked for one by one than all at once
_ALL_AROUND = np.ones((3, 3), dtype=bool)


Box: TypeAlias = tuple[slice, slice]


@dataclass
class ClassObjects:
    """The objects of one class in all masks.

    Attributes:
        number: of regions with at least `SPECK_PX` pixels.
        images: with such a region.
        specks: regions with fewer pixels.
        areas: number of regions by logarithm of their area.
        gone: number of regions without any pixel left, a training size.
        pieces: number of connected pieces that the regions are in at the asked training size.
        widths: pixels of regions by logarithm of the region's width.
        small_widths: the same by the width at the asked training size.
    """

    number: int = 0
    images: int = 0
    specks: int = 0
    areas: Counter[int] = field(default_factory=Counter)
    gone: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    pieces: int = 0
    widths: Counter[int] = field(default_factory=Counter)
    small_widths: Counter[int] = field(default_factory=Counter)

    def area(self, share: float) -> float:
        """Returns the area in pixels that this share of the objects does not exceed, rounded down by up to 19 %."""
        return float(np.ceil(_quantile(self.areas, share)))

    def width(self, *, small: bool = False) -> float:
        """Returns the width in pixels that half of the class's pixels lie in regions no wider than, by up to 19 %.

        Args:
            small: at the asked training size instead of the masks' own.
        """
        return _quantile(self.small_widths if small else self.widths, 0.5) * 2 ** (0.5 / _BINS)


def _quantile(bins: Counter[int], share: float) -> float:
    places = sorted(bins)
    if not places:
        return 0.0
    seen = np.cumsum([bins[place] for place in places])
    return float(2 ** (places[int(np.searchsorted(seen, share * seen[-1]))] / _BINS))


@dataclass(kw_only=True)
class Objects:
    """The objects of a data set.

    Attributes:
        sizes: (H, W) of training that were tried, the asked one first.
        classes: by class index.
        specks: cases with specks, by id, and how many.
        lost: cases whose objects vanish at the asked size, by id, and how many.
        broken: cases whose objects break at the asked size, by id, and how many pieces there are more.
    """

    sizes: tuple[tuple[int, int], ...]
    classes: dict[int, ClassObjects]
    specks: dict[str, int]
    lost: dict[str, int]
    broken: dict[str, int]

    def kept(self, index: int, place: int) -> float:
        """Returns the share of a class's objects that keep a pixel at the size of this number."""
        found = self.classes[index]
        return 1.0 - float(found.gone[place]) / found.number if found.number else 1.0

    def keeps(self, index: int, place: int) -> bool:
        """Returns whether a class loses hardly any object at the size of this number: 1 %, or a single one."""
        found = self.classes[index]
        return bool(found.gone[place] <= max(1.0, (1 - KEPT) * found.number))

    def is_thin(self, index: int) -> bool:
        """Returns whether a class's regions are so thin at the asked size that they break into pieces."""
        found = self.classes[index]
        width, more = found.width(small=True), found.pieces - found.number
        breaks = found.pieces >= _BREAKS * found.number and width < _NARROW_PX
        crumbles = found.pieces >= _CRUMBLES * found.number and width < _THIN_PX
        return more > _SLIPS and (breaks or crumbles)

    def safe_scale(self, index: int) -> float:
        """Returns by which share of their own size masks may be shrunk so that a thin class stays whole, at most 1."""
        found = self.classes[index]
        wanted = max(_SAFE_PX, _WIDER * found.width(small=True))
        return min(1.0, wanted / max(found.width(), 0.1))

    def smallest_side(self) -> int | None:
        """Returns the smallest tried square side at which no class loses more than a few objects."""
        for place, size in enumerate(self.sizes[1:], 1):
            if all(self.keeps(index, place) for index in self.classes):
                return size[0]
        return None


def region_rows(labels: NDArray[np.uint8], classes: Sequence[int], sizes: Sequence[tuple[int, int]]) -> list[list[Any]]:
    """Returns a row for each class present, of plain values.

    Args:
        labels: (H, W) class indices.
        classes: to look at.
        sizes: (H, W) that the mask is resized to, as for training; the first one is the asked size.
    Returns:
        [class, number, specks, [[area bin, number], ...], [gone at each size, ...], pieces at the asked size,
        [[width bin, pixels], ...], [[width bin at the asked size, pixels], ...]]
    """
    from scipy import ndimage  # type: ignore[import-untyped]

    found: list[tuple[int, int, Box, NDArray[np.int32]]] = []
    for index in _present(labels, classes):
        of_class = labels == index
        box = _box(of_class)
        if box is not None:
            numbered, count = ndimage.label(of_class[box], structure=_ALL_AROUND)
            found.append((index, count, box, numbered))
    numbers = [(index, count) for index, count, _, _ in found]
    if not numbers:
        return []
    regions = _numbered_through(labels.shape, found)
    areas = _pixels(regions, sum(count for _, count in numbers))
    gone = np.stack([_left(regions, areas, size) == 0 for size in sizes])
    widths = _widths(regions, areas)
    pieces = _pieces(_resized(regions, sizes[0]), numbers, areas >= SPECK_PX)
    factor = math.sqrt(math.prod(min(1.0, wanted / side) for side, wanted in zip(labels.shape, sizes[0], strict=True)))
    rows: list[list[Any]] = []
    start = 0
    for (index, count), left in zip(numbers, pieces, strict=True):
        own = slice(start, start + count)
        real = areas[own] >= SPECK_PX
        area, width = areas[own][real], widths[own][real]
        bins = (_binned(area), _binned(width, area), _binned(width * factor, area))
        found_bins, wide, narrow = ([list(item) for item in one.items()] for one in bins)
        lost = gone[:, own][:, real].sum(axis=1).tolist()
        rows.append([index, len(area), count - len(area), found_bins, lost, left, wide, narrow])
        start += count
    return rows


def _present(labels: NDArray[np.uint8], classes: Sequence[int]) -> Sequence[int]:
    """Returns the classes to look for: where they are many, only those that occur, which costs a pass to know."""
    if len(classes) <= _FEW:
        return classes
    pixels = grey_counts(labels)
    return [index for index in classes if index < len(pixels) and pixels[index]]


def _box(mask: NDArray[np.bool_]) -> Box | None:
    """Returns the smallest box that holds what is True in (H, W); None where nothing is."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    tall = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(mask[tall].any(axis=0))
    return tall, slice(int(columns[0]), int(columns[-1]) + 1)


def _numbered_through(shape: tuple[int, ...], found: Sequence[tuple[int, int, Box, NDArray[np.int32]]]) -> NDArray[Any]:
    """Returns (H, W) number of the region from 1, through all classes, 0 where none is; of the smallest type."""
    total = sum(count for _, count, _, _ in found)
    regions = np.zeros(shape, dtype=np.min_scalar_type(total))
    start = 0
    for _, count, box, numbered in found:
        if start:
            np.add(numbered, start, out=numbered, where=numbered > 0)
        regions[box] += numbered.astype(regions.dtype)  # classes do not overlap
        start += count
    return regions


def _pixels(regions: NDArray[Any], total: int) -> NDArray[np.int64]:
    """Returns how many pixels each of the regions 1 to `total` has."""
    if total <= _FEW:
        return np.array([np.count_nonzero(regions == number) for number in range(1, total + 1)], dtype=np.int64)
    counts = grey_counts(regions)
    return np.pad(counts, (0, max(0, total + 1 - len(counts))))[1 : total + 1]


def _binned(values: NDArray[Any], weights: NDArray[np.int64] | None = None) -> Counter[int]:
    """Returns how often each bin occurs, or the sum of its weights."""
    bins = Counter[int]()
    places = np.floor(_BINS * np.log2(values)).astype(int).tolist()
    for place, weight in zip(places, [1] * len(places) if weights is None else weights.tolist(), strict=True):
        bins[place] += weight
    return bins


def _widths(regions: NDArray[Any], areas: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the width of each region: the shorter side of the rectangle of its area and outline.

    The outline's length is that of Crofton: the edges between pixels, times pi / 4, since most outlines are slanted. A
    line along the rows comes out up to a quarter too wide, a disc as 0.8 of its diameter.
    """
    frame = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    sides = [frame]
    for one, other in ((regions[:, 1:], regions[:, :-1]), (regions[1:], regions[:-1])):
        places = np.flatnonzero((one != other).ravel())
        sides += [np.take(one, places), np.take(other, places)]
    edges = np.bincount(np.concatenate(sides), minlength=len(areas) + 1)
    half = edges[1:] * (np.pi / 8)
    root = np.sqrt(np.maximum(half**2 - 4 * areas, 0.0))
    return np.asarray((half - root) / 2)


def _pieces(small: NDArray[Any] | None, numbers: Sequence[tuple[int, int]], real: NDArray[np.bool_]) -> list[int]:
    """Returns for each (class, number of regions) the connected pieces that its `real` regions are left in.

    Args:
        small: numbered regions at the training size; None where that is no smaller than the mask.
    """
    from scipy import ndimage

    counts = [count for _, count in numbers]
    if small is None:
        return [int(own.sum()) for own in np.split(real, np.cumsum(counts)[:-1])]
    places = np.repeat(np.arange(1, len(counts) + 1, dtype=np.uint8), counts)
    classes = np.concatenate([np.zeros(1, dtype=np.uint8), np.where(real, places, 0).astype(np.uint8)])[small]
    boxes = ndimage.find_objects(classes, len(counts))
    return [
        0 if box is None else int(ndimage.label(classes[box] == place, structure=_ALL_AROUND)[1])
        for place, box in enumerate(boxes, 1)
    ]


def _resized(regions: NDArray[Any], size: tuple[int, int]) -> NDArray[Any] | None:
    """Returns the regions resized as `resize_mask` does, never enlarged; None where the size is no smaller."""
    if size[0] >= regions.shape[0] and size[1] >= regions.shape[1]:
        return None
    rows, columns = (under_centres(side, min(side, wanted)) for side, wanted in zip(regions.shape, size, strict=True))
    return regions[rows].take(columns, axis=1)


def _left(regions: NDArray[Any], areas: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.int64]:
    """Returns the pixels each region keeps when the mask is resized, as `resize_mask` does."""
    small = _resized(regions, size)
    return areas if small is None else _pixels(small, len(areas))
