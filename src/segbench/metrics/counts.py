"""Confusion counts, one exact integer table an image: what every score is computed from. NumPy only."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from segbench.errors import RunError, shorten
from segbench.metrics._arrays import ROWS_AT_ONCE, stream_csv
from segbench.types import IGNORE_INDEX, ClassMap, Task

IntArray: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """How many pixels of every image have which true and which predicted label.

    Attributes:
        ids: N different image ids.
        confusion: int64. Binary (C = 2) and multiclass: (N, C, C), [image, true, predicted]. Multilabel:
            (N, C, 2, 2), [image, class, true, predicted].
        ignored: (N,) int64, pixels that count nowhere; multilabel: summed over the C planes.
        task: see `segbench.types.Task`.
    """

    ids: tuple[str, ...]
    confusion: IntArray
    ignored: IntArray
    task: Task

    def __post_init__(self) -> None:
        if len(set(self.ids)) < len(self.ids):
            doubled = [name for name, times in Counter(self.ids).items() if times > 1]
            raise ValueError(f"no image may count twice, but these ids occur more than once: {shorten(doubled)}")
        shape, n = self.confusion.shape, len(self.ids)
        square = len(shape) == (4 if self.task is Task.MULTILABEL else 3) and shape[-1] == shape[-2]
        if not square or shape[0] != n or (self.task is not Task.MULTICLASS and shape[-1] != 2):
            raise ValueError(f"{self.task} counts of {n} images cannot have the shape {shape}")
        if self.ignored.shape != (n,):
            raise ValueError(f"expected one number of ignored pixels an image, ({n},), got {self.ignored.shape}")
        for name, array in (("confusion", self.confusion), ("ignored", self.ignored)):
            if array.dtype != np.int64:
                raise ValueError(f"{name} must be int64, got {array.dtype}")
            if array.size and array.min() < 0:
                raise ValueError(f"{name} holds a negative number of pixels: {array.min()}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_classes(self) -> int:
        """C; 2 for a binary task."""
        return int(self.confusion.shape[1])

    @property
    def tp(self) -> IntArray:
        """(N, C): pixels of the class that were predicted as it."""
        if self.task is Task.MULTILABEL:
            return self.confusion[:, :, 1, 1]
        return np.diagonal(self.confusion, axis1=1, axis2=2)

    @property
    def fp(self) -> IntArray:
        """(N, C): pixels of something else that were predicted as the class."""
        if self.task is Task.MULTILABEL:
            return self.confusion[:, :, 0, 1]
        return _int64(self.confusion.sum(axis=1) - self.tp)

    @property
    def fn(self) -> IntArray:
        """(N, C): pixels of the class that were predicted as something else."""
        if self.task is Task.MULTILABEL:
            return self.confusion[:, :, 1, 0]
        return _int64(self.confusion.sum(axis=2) - self.tp)

    @property
    def tn(self) -> IntArray:
        """(N, C): pixels that neither are the class nor were predicted as it."""
        if self.task is Task.MULTILABEL:
            return self.confusion[:, :, 0, 0]
        return _int64(self.confusion.sum(axis=(1, 2))[:, None] - self.tp - self.fp - self.fn)

    def pooled(self) -> IntArray:
        """Returns the counts of all images together: (C, C), or (C, 2, 2) for a multilabel task."""
        return _int64(self.confusion.sum(axis=0))

    @classmethod
    def concatenate(cls, parts: Iterable[Counts]) -> Counts:
        """Returns the images of all parts, in order.

        Raises:
            ValueError: no part, parts of different tasks or numbers of classes, or an image id that occurs twice.
        """
        parts = tuple(parts)
        if not parts:
            raise ValueError("there are no counts to join")
        kinds = {(part.task, part.num_classes) for part in parts}
        if len(kinds) > 1:
            raise ValueError(f"counts of different tasks or classes cannot be joined: {shorten(sorted(kinds))}")
        return cls(
            ids=tuple(chain.from_iterable(part.ids for part in parts)),
            confusion=np.concatenate([part.confusion for part in parts]),
            ignored=np.concatenate([part.ignored for part in parts]),
            task=parts[0].task,
        )

    def write_csv(self, path: str | Path, class_map: ClassMap) -> None:
        """Writes one row an image: id, ignored, and a column `true>predicted` for every pair of classes.

        A multilabel task has four columns a class, `name:0>0` to `name:1>1`. `read_csv` gives back the same counts.
        The file appears whole or not at all.

        Raises:
            ValueError: the class map has another task or other classes, or an id holds a line break.
        """
        header = _header(class_map)
        if class_map.task is not self.task or class_map.num_classes != self.num_classes:
            raise ValueError(
                f"counts of a {self.task} task with {self.num_classes} classes do not fit a class map of a "
                f"{class_map.task} task with {class_map.num_classes}"
            )
        check_ids(self.ids)
        table = np.concatenate([self.ignored[:, None], self.confusion.reshape(len(self), len(header) - 2)], axis=1)
        stream_csv(path, header, ([name, *cells] for name, cells in zip(self.ids, _int_cells(table), strict=True)))

    @classmethod
    def read_csv(cls, path: str | Path, class_map: ClassMap) -> Counts:
        """Returns what `write_csv` wrote.

        Raises:
            RunError: the file cannot be read, has other columns than the class map asks for, or a broken row.
        """
        path = Path(path)
        header = _header(class_map)
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                reader = csv.reader(stream)
                _check_header(path, next(reader, []), header)
                ids, table = _read_rows(path, reader, len(header))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RunError(f"cannot read the counts {path.name}: {error}", run=path.parent) from error
        cells = (class_map.num_classes, 2, 2) if class_map.task is Task.MULTILABEL else (class_map.num_classes,) * 2
        try:
            return cls(
                ids=tuple(ids),
                confusion=table[:, 1:].reshape(len(ids), *cells),
                ignored=table[:, 0],
                task=class_map.task,
            )
        except ValueError as error:
            raise RunError(f"{path.name}: {error}", run=path.parent) from error


def count_masks(
    prediction: npt.NDArray[Any],
    target: npt.NDArray[Any],
    num_classes: int,
    *,
    ignore_index: int = IGNORE_INDEX,
    task: Task = Task.MULTICLASS,
) -> tuple[IntArray, int]:
    """Returns one image's confusion table and its number of ignored pixels.

    A pixel is ignored where the *target* says `ignore_index`; whatever is predicted there counts nowhere.

    Args:
        prediction, target: (H, W) integers or bool in [0, num_classes); multilabel: (C, H, W) in {0, 1}.
        num_classes: C; 2 for a binary task.
        ignore_index: label of pixels that do not count.
        task: see `segbench.types.Task`.
    Returns:
        int64 (C, C), [true, predicted], or (C, 2, 2) for a multilabel task; and the ignored pixels (of all planes).
    Raises:
        ValueError: shapes or dtypes, or a label outside the range (names one and how many pixels hold one).
    Example:
        >>> count_masks(np.array([[0, 1], [1, 1]]), np.array([[0, 0], [1, 255]]), 2)
        (array([[1, 1],
               [0, 1]]), 1)
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    axes = 3 if task is Task.MULTILABEL else 2
    expected = "(C, H, W), a plane a class" if axes == 3 else "(H, W)"
    if target.ndim != axes or (axes == 3 and len(target) != num_classes):
        raise ValueError(f"expected a target {expected} for {num_classes} classes, got {target.shape}")
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {prediction.shape} and target {target.shape} differ in shape")
    for name, array in (("prediction", prediction), ("target", target)):
        if array.dtype != np.bool_ and not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"expected an integer label map as {name}, got {array.dtype}")
    counted = target != ignore_index
    labels = 2 if axes == 3 else num_classes
    true, predicted = target[counted].astype(np.int64), prediction[counted].astype(np.int64)
    _check_range("target", true, labels, ignore_index)
    _check_range("prediction", predicted, labels, None)
    index = true * labels + predicted
    if axes == 3:
        index += 4 * np.nonzero(counted)[0]
    cells = (num_classes, 2, 2) if axes == 3 else (num_classes, num_classes)
    table = np.bincount(index, minlength=int(np.prod(cells))).astype(np.int64)
    return table.reshape(cells), int(target.size - true.size)


def _header(class_map: ClassMap) -> list[str]:
    names = class_map.names
    if class_map.task is Task.MULTILABEL:
        return ["id", "ignored", *(f"{name}:{true}>{guess}" for name in names for true in (0, 1) for guess in (0, 1))]
    return ["id", "ignored", *(f"{true}>{guess}" for true in names for guess in names)]


def check_ids(ids: Iterable[str]) -> None:
    """Raises ValueError when an image id holds a line break: its row of a CSV file would not be one line."""
    broken = [name for name in ids if "\n" in name or "\r" in name]
    if broken:
        raise ValueError(f"image ids must not hold line breaks: {shorten(map(repr, broken))}")


def _int_cells(table: IntArray) -> Iterator[list[int]]:
    for start in range(0, len(table), ROWS_AT_ONCE):
        yield from table[start : start + ROWS_AT_ONCE].tolist()


def _check_header(path: Path, found: Sequence[str], header: Sequence[str]) -> None:
    if list(found) == list(header):
        return
    common = zip(header, found, strict=False)
    at = next((n for n, (ours, theirs) in enumerate(common) if ours != theirs), min(len(header), len(found)))
    ours, theirs = (repr(names[at]) if at < len(names) else "nothing" for names in (header, found))
    raise RunError(
        f"{path.name} has {len(found)} columns and belongs to other classes: this class map needs "
        f"{len(header)}, and column {at + 1} should be {ours}, not {theirs}",
        run=path.parent,
    )


def _read_rows(path: Path, reader: Iterator[list[str]], columns: int) -> tuple[list[str], IntArray]:
    """Returns the ids and (N, columns - 1) numbers; some thousand rows at a time are Python objects."""
    ids: list[str] = []
    parts: list[IntArray] = [np.empty((0, columns - 1), dtype=np.int64)]
    while rows := list(islice(reader, ROWS_AT_ONCE)):
        for number, row in enumerate(rows, start=len(ids) + 2):
            if len(row) != columns or not all(cell.isascii() and cell.isdigit() for cell in row[1:]):
                raise RunError(
                    f"{path.name} line {number}: expected an id and {columns - 1} whole numbers, "
                    f"got {len(row)} cells starting {row[:3]}",
                    run=path.parent,
                )
        parts.append(np.array([[int(cell) for cell in row[1:]] for row in rows], dtype=np.int64))
        ids += [row[0] for row in rows]
    return ids, np.concatenate(parts)


def _check_range(name: str, labels: IntArray, num_labels: int, ignore_index: int | None) -> None:
    wrong = labels[(labels < 0) | (labels >= num_labels)]
    if wrong.size:
        but = "" if ignore_index is None else f" and not the ignored {ignore_index}"
        raise ValueError(
            f"the {name} holds label {wrong[0]}, which is outside 0 to {num_labels - 1}{but}: {wrong.size} of "
            f"{labels.size} counted pixels hold such a label"
        )


def _int64(values: Any) -> IntArray:
    array: IntArray = np.asarray(values, dtype=np.int64)
    return array
