"""Numbers of every image and class that no confusion table holds, such as surface distances. NumPy only."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np

from segbench.errors import RunError, shorten
from segbench.metrics._arrays import ROWS_AT_ONCE, FloatArray, float_cells, stream_csv
from segbench.metrics.counts import check_ids


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageValues:
    """What was measured in N images.

    Attributes:
        ids: N different image ids.
        values: name -> (N, C) float64; NaN where there is no value.
    """

    ids: tuple[str, ...]
    values: Mapping[str, FloatArray] = field(repr=False)

    def __post_init__(self) -> None:
        if len(set(self.ids)) < len(self.ids):
            raise ValueError("no image may count twice, but at least one id occurs more than once")
        shapes = {array.shape for array in self.values.values()}
        if len(shapes) != 1 or any(len(shape) != 2 or shape[0] != len(self.ids) for shape in shapes):
            raise ValueError(f"expected arrays of one shape ({len(self.ids)}, C), got {shorten(sorted(shapes))}")
        for name, array in self.values.items():
            if array.dtype != np.float64:
                raise ValueError(f"{name} must be float64, got {array.dtype}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_classes(self) -> int:
        """C."""
        return int(next(iter(self.values.values())).shape[1])

    @classmethod
    def concatenate(cls, parts: Iterable[ImageValues]) -> ImageValues:
        """Returns the images of all parts, in order.

        Raises:
            ValueError: no part, parts of other measurements or classes, or an image id that occurs twice.
        """
        parts = tuple(parts)
        if not parts:
            raise ValueError("there are no values to join")
        kinds = {(tuple(part.values), part.num_classes) for part in parts}
        if len(kinds) > 1:
            raise ValueError(f"values of different names or classes cannot be joined: {shorten(sorted(kinds))}")
        return cls(
            ids=tuple(chain.from_iterable(part.ids for part in parts)),
            values={name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        )

    def write_csv(self, path: str | Path, class_names: Sequence[str]) -> None:
        """Writes one row an image with a column `name[class]` each; an empty cell is no value; reads back exactly.

        Raises:
            ValueError: not one name a class, or an id with a line break.
        """
        if len(class_names) != self.num_classes:
            raise ValueError(f"class_names: expected {self.num_classes}, got {len(class_names)}")
        check_ids(self.ids)
        table = np.concatenate(list(self.values.values()), axis=1)
        rows = zip(self.ids, float_cells(table), strict=True)
        stream_csv(path, _header(tuple(self.values), class_names), ([name, *cells] for name, cells in rows))

    @classmethod
    def read_csv(cls, path: str | Path, names: Sequence[str], class_names: Sequence[str]) -> ImageValues:
        """Returns what `write_csv` wrote.

        Args:
            path: of the table.
            names: measurements in the table, in its order.
            class_names: of the C classes.
        Raises:
            RunError: the file cannot be read, has other columns, or a broken row.
        """
        path, header = Path(path), _header(names, class_names)
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                reader = csv.reader(stream)
                found = next(reader, [])
                if found != header:
                    raise RunError(
                        f"{path.name} should have the columns {shorten(header)}, it has {shorten(found)}: it belongs "
                        f"to other measurements or classes",
                        run=path.parent,
                    )
                ids, table = _read_rows(path, reader, len(header))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RunError(f"cannot read the values {path.name}: {error}", run=path.parent) from error
        c = len(class_names)
        values = {name: np.ascontiguousarray(table[:, k * c : (k + 1) * c]) for k, name in enumerate(names)}
        try:
            return cls(ids=tuple(ids), values=values)
        except ValueError as error:
            raise RunError(f"{path.name}: {error}", run=path.parent) from error


def _header(names: Sequence[str], class_names: Sequence[str]) -> list[str]:
    return ["id", *(f"{name}[{label}]" for name in names for label in class_names)]


def _read_rows(path: Path, reader: Iterator[list[str]], columns: int) -> tuple[list[str], FloatArray]:
    ids: list[str] = []
    parts: list[FloatArray] = [np.empty((0, columns - 1))]
    while rows := list(islice(reader, ROWS_AT_ONCE)):
        for number, row in enumerate(rows, start=len(ids) + 2):
            if len(row) != columns:
                raise RunError(f"{path.name} line {number}: expected {columns} cells, got {len(row)}", run=path.parent)
        try:
            numbers = [[float(cell) if cell else math.nan for cell in row[1:]] for row in rows]
        except ValueError as error:
            raise RunError(
                f"{path.name}, after line {len(ids) + 1}: a cell is no number: {error}", run=path.parent
            ) from error
        parts.append(np.array(numbers, dtype=np.float64))
        ids += [row[0] for row in rows]
    return ids, np.concatenate(parts)
