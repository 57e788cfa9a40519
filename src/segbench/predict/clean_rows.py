"""`Postprocess` of a mask that is never in memory: in a file of its own, some rows at a time, with the same result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.predict.postprocess import Postprocess, smoothed
from segbench.predict.regions import Numbers, RegionNumbers, Regions, RegionTable, labels_in, row_pieces
from segbench.types import ClassMap, Task

_NOWHERE = np.iinfo(np.int32).max // 2  # a row that is farther than any
_NO_DISTANCE = 1 << 60

Labels = NDArray[np.uint8]


class RowFile:
    """A plane of labels (H, W) uint8 in a plain file that is gone afterwards; a context.

    Args:
        path: of the file; what is there is overwritten.
        size: (H, W).
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path, self.size = path, size

    def __enter__(self) -> RowFile:
        self._stream = self.path.open("w+b")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self.path.unlink()

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """See `row_pieces`."""
        return row_pieces(*self.size)

    def read(self, top: int, bottom: int) -> Labels:
        """Returns rows [top, bottom), to be changed at will."""
        width = self.size[1]
        self._stream.seek(top * width, os.SEEK_SET)
        found = np.frombuffer(bytearray(self._stream.read((bottom - top) * width)), dtype=np.uint8)
        return found.reshape(bottom - top, width)

    def write(self, top: int, rows: Labels) -> None:
        """Puts rows in the place of those from row `top` on."""
        self._stream.seek(top * self.size[1], os.SEEK_SET)
        self._stream.write(np.ascontiguousarray(rows).data)


def clean_rows(file: RowFile, postprocess: Postprocess, class_map: ClassMap) -> None:
    """Does to the labels in a file what `Postprocess.apply` does to a mask, to the pixel.

    Args:
        file: class indices; multilabel: a plane of 0 and 1.
        postprocess: the steps.
        class_map: see `Postprocess.apply`.
    Raises:
        PredictionError: the mask falls into too many regions, see `segbench.predict.regions`.
    """
    background = 0 if class_map.task is Task.MULTILABEL else class_map.background
    occurring = sorted({label for piece in file.pieces for label in labels_in(file.read(*piece))})
    classes = [label for label in occurring if label != background]
    if postprocess.fill_holes_px:
        for label in classes if background is None else [background]:
            _fill_holes(file, label, postprocess.fill_holes_px, is_hole=background is not None)
    if postprocess.smallest_px or postprocess.keep_largest:
        _take_away(file, classes, postprocess, background, unused=class_map.ignore_index)
    if postprocess.smooth_px:
        _smooth(file, postprocess.smooth_px)


def _fill_holes(file: RowFile, label: int, largest_px: int, *, is_hole: bool) -> None:
    """Gives holes the label around them.

    A hole that has to be background is a region of it around which there is one label only; without a background it
    is a region of anything but a class.

    Args:
        label: of holes; with `is_hole` false, of what is around them.
        largest_px: of a hole.
        is_hole: which of the two `label` is.
    """
    regions, around = Regions(corners=False), _Around()
    for top, bottom in file.pieces:
        rows = file.read(top, bottom)
        plane = (rows == label) == is_hole
        around.add(rows, plane, regions.add(plane, top), regions.numbers.count)
    table = regions.table()
    least, most = around.of(table)
    fits = (table.area_px <= largest_px) & ~table.touches_edge(*file.size) & (least == most)
    becomes = np.where(fits, least, 0).astype(np.uint8)
    filled = np.concatenate([[False], fits])[table.region]
    value = np.concatenate([np.zeros(1, np.uint8), becomes])[table.region]
    numbering = RegionNumbers(corners=False)
    for top, bottom in file.pieces if fits.any() else ():
        rows = file.read(top, bottom)
        numbers = numbering.of((rows == label) == is_hole)
        here = filled[numbers]
        rows[here] = value[numbers[here]]
        file.write(top, rows)


class _Around:
    """The least and the largest label beside each region (over sides), of pixels that are not its own."""

    def __init__(self) -> None:
        self._found = np.array([[255], [0]], dtype=np.uint8)  # of each number
        self._above: tuple[Labels, NDArray[np.bool_], Numbers] | None = None

    def add(self, rows: Labels, plane: NDArray[np.bool_], numbers: Numbers, count: int) -> None:
        """Looks at the next rows.

        Args:
            plane: (h, W) which pixels are in a region; the labels of all others count.
            numbers: (h, W) see `RegionNumbers.of`.
            count: numbers so far.
        """
        more = np.repeat(np.array([[255], [0]], dtype=np.uint8), count + 1 - self._found.shape[1], axis=1)
        self._found = np.concatenate([self._found, more], axis=1)
        layers: tuple[NDArray[Any], ...] = (rows, plane, numbers)
        left, right = ([layer[:, part] for layer in layers] for part in (np.s_[:-1], np.s_[1:]))
        self._look(left, right)
        if self._above is not None:
            layers = tuple(np.concatenate([a, b]) for a, b in zip(self._above, layers, strict=True))
        upper, lower = ([layer[part] for layer in layers] for part in (np.s_[:-1], np.s_[1:]))
        self._look(upper, lower)
        self._above = rows[-1:], plane[-1:], numbers[-1:]

    def _look(self, one: Sequence[NDArray[Any]], other: Sequence[NDArray[Any]]) -> None:
        for (_, inside, numbers), (labels, also_inside, _) in ((one, other), (other, one)):
            border = inside & ~also_inside
            np.minimum.at(self._found[0], numbers[border], labels[border])
            np.maximum.at(self._found[1], numbers[border], labels[border])

    def of(self, table: RegionTable) -> tuple[Labels, Labels]:
        """Returns (N,) least and largest label of each region."""
        least, most = np.full(len(table), 255, dtype=np.uint8), np.zeros(len(table), dtype=np.uint8)
        np.minimum.at(least, table.region[1:] - 1, self._found[0, 1:])
        np.maximum.at(most, table.region[1:] - 1, self._found[1, 1:])
        return least, most


def _take_away(
    file: RowFile, classes: Sequence[int], postprocess: Postprocess, background: int | None, *, unused: int
) -> None:
    """Gives small regions, and all but the largest, the label of the nearest pixel that stays."""
    regions = {label: Regions(corners=True) for label in classes}
    for top, bottom in file.pieces:
        rows = file.read(top, bottom)
        for label, each in regions.items():
            each.add(rows == label, top)
    gone, taken_px = {}, 0
    for label, each in regions.items():
        table = each.table()
        leaves = table.area_px < postprocess.smallest_px
        if postprocess.keep_largest and len(table):
            leaves |= np.arange(len(table)) != table.area_px.argmax()
        taken_px += int(table.area_px[leaves].sum())
        gone[label] = np.concatenate([[False], leaves])[table.region]
    everything = taken_px == file.size[0] * file.size[1]
    if not taken_px or (everything and background is None):
        return
    marked = unused if background is None or not everything else background
    numbering = {label: RegionNumbers(corners=True) for label in classes}
    for top, bottom in file.pieces:
        rows = file.read(top, bottom)
        taken = np.zeros(rows.shape, dtype=bool)
        for label, each_numbers in numbering.items():
            plane = rows == label
            if plane.any():
                taken |= gone[label][each_numbers.of(plane)]
        rows[taken] = marked
        file.write(top, rows)
    if not everything:
        _fill_with_nearest(file, unused)


def _fill_with_nearest(file: RowFile, unused: int) -> None:
    """Gives pixels labelled `unused` the label of the nearest other pixel, of equally near ones the leftmost, of these
    the uppermost: what `scipy.ndimage.distance_transform_edt` takes.

    The nearest pixel of each column first, for which each piece of rows must know what lies above and below it, then
    the nearest of these along the row.
    """
    pieces, width = file.pieces, file.size[1]
    below: list[tuple[NDArray[np.int32], Labels]] = []  # of each piece, from the last one up: row and label of columns
    row, label = np.full(width, _NOWHERE, dtype=np.int32), np.zeros(width, dtype=np.uint8)
    for top, bottom in reversed(pieces):
        below.append((row, label))
        rows = file.read(top, bottom)
        stays = rows != unused
        first, any_stays = stays.argmax(axis=0), stays.any(axis=0)
        row = np.where(any_stays, top + first, row).astype(np.int32)
        label = np.where(any_stays, rows[first, np.arange(width)], label)
    row, label = np.full(width, -_NOWHERE, dtype=np.int32), np.zeros(width, dtype=np.uint8)
    for (top, bottom), under in zip(pieces, reversed(below), strict=True):
        rows = file.read(top, bottom)
        stays = rows != unused
        filled = rows if stays.all() else _nearest(rows, stays, top, (row, label), under)
        last, any_stays = len(rows) - 1 - stays[::-1].argmax(axis=0), stays.any(axis=0)
        row = np.where(any_stays, top + last, row).astype(np.int32)
        label = np.where(any_stays, rows[last, np.arange(width)], label)
        if filled is not rows:
            file.write(top, filled)


def _nearest(
    rows: Labels,
    stays: NDArray[np.bool_],
    top: int,
    over: tuple[NDArray[np.int32], Labels],
    under: tuple[NDArray[np.int32], Labels],
) -> Labels:
    """Returns rows, whose first is row `top`, without pixels that do not stay.

    Args:
        over, under: row and label of the nearest pixel that stays above and below, of each column.
    """
    own = np.arange(top, top + len(rows), dtype=np.int32)[:, None]
    upper = np.maximum.accumulate(np.where(stays, own, -_NOWHERE), axis=0)
    upper = np.where(upper == -_NOWHERE, over[0], upper)
    lower = np.minimum.accumulate(np.where(stays, own, _NOWHERE)[::-1], axis=0)[::-1]
    lower = np.where(lower == _NOWHERE, under[0], lower)
    found = np.where(own - upper <= lower - own, upper, lower)  # of two at the same distance the upper one
    away = np.abs(found.astype(np.int64) - own)
    squares = np.where(away >= _NOWHERE // 2, _NO_DISTANCE, away**2)
    y, x = np.nonzero(~stays)
    column = _nearest_columns(squares, y, x)
    row = found[y, column]
    inside = np.clip(row - top, 0, len(rows) - 1)
    result = rows.copy()
    result[y, x] = np.where(
        row < top, over[1][column], np.where(row >= top + len(rows), under[1][column], rows[inside, column])
    )
    return result


def _nearest_columns(squares: NDArray[np.int64], y: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns (N,): the column in which the pixel that is nearest to each point lies; the leftmost of several.

    Args:
        squares: (h, W) squared distance of each pixel to the nearest one in its column.
        y, x: (N,) the points.
    """
    best, column = squares[y, x], x.copy()
    open_ = np.arange(len(x))
    step = 0
    while len(open_):
        step += 1
        open_ = open_[best[open_] >= step * step]
        for aside in (-step, step):
            there = x[open_] + aside
            some = open_[(there >= 0) & (there < squares.shape[1])]
            distance = squares[y[some], x[some] + aside] + step * step
            nearer = distance <= best[some] if aside < 0 else distance < best[some]
            best[some[nearer]] = distance[nearer]
            column[some[nearer]] = x[some[nearer]] + aside
        if step > squares.shape[1]:
            break
    return column


def _smooth(file: RowFile, radius_px: int) -> None:
    height = file.size[0]
    above = file.read(0, 0)  # rows before the piece, as they were
    for top, bottom in file.pieces:
        rows = np.concatenate([above, file.read(top, min(height, bottom + radius_px))])
        begin = len(above)
        file.write(top, smoothed(rows, radius_px)[begin : begin + bottom - top])
        above = rows[max(0, begin + bottom - top - radius_px) : begin + bottom - top]
