"""Connected regions of a mask that is read from the top down, some rows at a time.

In memory are these rows and a few numbers a region, never the mask: each piece of rows is labelled by itself, and what
hangs together across the line between two pieces is joined afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.errors import PredictionError
from segbench.locale import message

MOST_REGIONS = 5_000_000  # of a mask, or their pieces: 300 MB of numbers
_EIGHT = np.ones((3, 3), dtype=bool)  # neighbours over sides and corners
_FOUR = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)
_PIECE_PX = 1 << 21
_FEWEST_ROWS = 64

Numbers = NDArray[np.int32]


def row_pieces(height: int, width: int) -> list[tuple[int, int]]:
    """Returns rows [top, bottom) of a mask that are read at a time, from the top down."""
    step = max(_FEWEST_ROWS, _PIECE_PX // width)
    return [(top, min(height, top + step)) for top in range(0, height, step)]


class RegionNumbers:
    """Numbers what hangs together in each piece of rows; the same pieces again get the same numbers.

    Args:
        corners: pixels that touch at a corner hang together, too.

    Attributes:
        count: numbers so far.
    """

    def __init__(self, *, corners: bool) -> None:
        self.count = 0
        self._structure = _EIGHT if corners else _FOUR
        self._shifts = (-1, 0, 1) if corners else (0,)
        self._above: Numbers | None = None  # the last row so far
        self._joined: list[NDArray[np.int32]] = []

    def of(self, plane: NDArray[np.bool_]) -> Numbers:
        """Returns (h, W): the number of each pixel of the next rows, from 1; 0 outside.

        Raises:
            PredictionError: there are more than `MOST_REGIONS`.
        """
        from scipy import ndimage  # type: ignore[import-untyped]  # slow to import, and only needed here

        numbers: Numbers
        numbers, found = ndimage.label(plane, structure=self._structure)
        np.add(numbers, self.count, out=numbers, where=numbers > 0)
        self.count += found
        if self.count > MOST_REGIONS:
            text = message(
                "the mask falls into more than {n:,} regions, which is noise; leave off what looks at regions: "
                "objects, polygons, small regions and holes",
                n=MOST_REGIONS,
            )
            raise PredictionError(text)
        if self._above is not None:
            self._joined.append(_touching(self._above, numbers[0], self._shifts))
        self._above = numbers[-1].copy()
        return numbers

    def skip(self) -> None:
        """Notes that the next rows hold no pixel of the plane."""
        self._above = None

    def first_numbers(self) -> Numbers:
        """Returns (count + 1,): for each number the least one of its region; 0 for 0."""
        from scipy.sparse import coo_array  # type: ignore[import-untyped]
        from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

        first = np.arange(self.count + 1, dtype=np.int32)
        pairs = np.concatenate([*self._joined, np.empty((0, 2), dtype=np.int32)])
        if not len(pairs):
            return first
        numbers, places = np.unique(pairs, return_inverse=True)
        one, other = places.reshape(pairs.shape).T
        graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(len(numbers), len(numbers)))
        groups, group = connected_components(graph, directed=False)
        least = np.full(groups, self.count, dtype=np.int32)
        np.minimum.at(least, group, numbers)
        first[numbers] = least[group]
        return first


def _touching(above: Numbers, below: Numbers, shifts: tuple[int, ...]) -> NDArray[np.int32]:
    """Returns (N, 2) pairs of numbers in two rows, the one under the other, that belong to one region."""
    pairs = []
    for shift in shifts:
        upper = above[max(0, shift) : len(above) + min(0, shift)]
        lower = below[max(0, -shift) : len(below) + min(0, -shift)]
        both = (upper > 0) & (lower > 0)
        pairs.append(np.stack([upper[both], lower[both]], axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


@dataclass(frozen=True, kw_only=True)
class RegionTable:
    """The regions of a plane, in the order of their first pixels (row by row), as `scipy.ndimage.label` counts them.

    Attributes:
        region: (count + 1,) region, from 1, of each number that `RegionNumbers` gave; 0 for 0.
        area_px: pixels; this and all others (N,).
        top, bottom, left, right: of the box, [top, bottom) and [left, right).
        first_x: column of the first pixel, which lies in the row `top`.
        sum_x, sum_y: of the columns and rows of all pixels.
    """

    region: Numbers
    area_px: NDArray[np.int64]
    top: NDArray[np.int32]
    bottom: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    first_x: NDArray[np.int32]
    sum_x: NDArray[np.int64]
    sum_y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.area_px)

    def touches_edge(self, height: int, width: int) -> NDArray[np.bool_]:
        """Returns (N,): which regions reach the edge of the mask."""
        touches: NDArray[np.bool_] = (
            (self.top == 0) | (self.left == 0) | (self.bottom == height) | (self.right == width)
        )
        return touches


class Regions:
    """Measures the regions of a plane, rows after rows.

    Args:
        corners: see `RegionNumbers`.
    """

    def __init__(self, *, corners: bool) -> None:
        self.numbers = RegionNumbers(corners=corners)
        self._parts: list[tuple[NDArray[np.int64], ...]] = []

    def add(self, plane: NDArray[np.bool_], top: int) -> Numbers:
        """Measures the next rows, whose first is row `top`; returns their numbers (h, W), see `RegionNumbers.of`."""
        if not plane.any():
            self.numbers.skip()
            return np.zeros(plane.shape, dtype=np.int32)
        before = self.numbers.count
        numbers = self.numbers.of(plane)
        self._parts.append(_measured(numbers, before, self.numbers.count, top))
        return numbers

    def table(self) -> RegionTable:
        """Returns the regions of all rows."""
        first = self.numbers.first_numbers()
        is_first = first == np.arange(len(first))
        is_first[0] = False
        region = np.cumsum(is_first, dtype=np.int32)[first]
        region[0] = 0
        count, of = int(is_first.sum()), region[1:] - 1
        empty = np.empty(0, dtype=np.int64)
        columns = [np.concatenate([empty, *(part[index] for part in self._parts)]) for index in range(8)]
        self._parts.clear()
        area, sum_x, sum_y = (_total(values, of, count) for values in columns[:3])
        top, left = (_extreme(np.minimum, values, of, count) for values in columns[3:5])
        bottom, right = (_extreme(np.maximum, values, of, count) for values in columns[5:7])
        return RegionTable(
            region=region, area_px=area, sum_x=sum_x, sum_y=sum_y,
            top=top, left=left, bottom=bottom, right=right,
            first_x=columns[7][is_first[1:]].astype(np.int32),
        )  # fmt: skip


def _measured(numbers: Numbers, before: int, count: int, top: int) -> tuple[NDArray[np.int64], ...]:
    """Returns area, sums of x and y, top, left, bottom, right and first x of the numbers above `before`.

    Looks at runs of pixels in a row instead of pixels.
    """
    width = numbers.shape[1]
    begins = np.ones(numbers.shape, dtype=bool)
    begins[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    starts = np.flatnonzero(begins)
    which = numbers.ravel()[starts].astype(np.int64) - 1 - before
    lengths = np.diff(starts, append=numbers.size)
    inside = which >= 0
    starts, which, lengths = starts[inside], which[inside], lengths[inside]
    y, x = np.divmod(starts, width)
    y += top
    number = count - before
    first = np.full(number, len(starts), dtype=np.int64)
    np.minimum.at(first, which, np.arange(len(starts)))
    return (
        _total(lengths, which, number),
        _total((2 * x + lengths - 1) * lengths // 2, which, number),
        _total(y * lengths, which, number),
        y[first],
        _extreme(np.minimum, x, which, number).astype(np.int64),
        _extreme(np.maximum, y + 1, which, number).astype(np.int64),
        _extreme(np.maximum, x + lengths, which, number).astype(np.int64),
        x[first],
    )


def _total(values: NDArray[np.int64], of: NDArray[np.signedinteger], count: int) -> NDArray[np.int64]:
    total = np.zeros(count, dtype=np.int64)
    np.add.at(total, of, values)
    return total


def _extreme(choose: np.ufunc, values: NDArray[np.int64], of: NDArray[np.signedinteger], count: int) -> Numbers:
    worst = np.iinfo(np.int32).max if choose is np.minimum else -1
    found = np.full(count, worst, dtype=np.int32)
    choose.at(found, of, values.astype(np.int32))
    return found


def labels_in(rows: NDArray[np.uint8]) -> Iterator[int]:
    """Yields which labels occur."""
    yield from np.flatnonzero(np.bincount(rows.ravel(), minlength=256)).tolist()
