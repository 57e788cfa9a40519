"""Tables in CSV files: columns by name, and errors that say the line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.data.formats.shared.listing import read_text
from segbench.errors import DatasetError

_LARGEST_CELL = 2**31 - 1  # run lengths of a large image are longer than csv's 128 kB


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a CSV file holds: column names, and for each row its line and cells."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def column(self, *names: str) -> int | None:
        """Returns the position of the first of these columns that is there; capitals, `_`, `-`, blanks do not count."""
        return find_column(self.columns, names)

    def need(self, *names: str) -> int:
        """Returns as `column` does; DatasetError with the columns there are where none is."""
        index = self.column(*names)
        if index is None:
            others = f" (or {', '.join(names[1:])})" if len(names) > 1 else ""
            raise DatasetError(
                f"expected a column {names[0]}{others}, got the columns {', '.join(self.columns)}", path=self.path
            )
        return index


def read_table(path: Path, *, delimiter: str = ",") -> Table:
    """Returns a CSV file with a line of column names; blank lines are left out.

    Raises:
        DatasetError: unreadable, empty, or a line with another number of cells than there are columns.
    """
    rows = read_rows(path, delimiter=delimiter)
    if not rows:
        raise DatasetError("expected a table with a line of column names, got an empty file", path=path)
    columns = tuple(cell.strip() for cell in rows[0][1])
    for line, cells in rows[1:]:
        if len(cells) != len(columns):
            raise DatasetError(
                f"line {line}: expected {len(columns)} cells ({', '.join(columns)}), got {len(cells)}", path=path
            )
    return Table(path=path, columns=columns, rows=tuple(rows[1:]))


def read_rows(path: Path, *, delimiter: str = ",") -> list[tuple[int, tuple[str, ...]]]:
    """Returns (line, cells) of each row that is not blank."""
    csv.field_size_limit(_LARGEST_CELL)
    reader = csv.reader(io.StringIO(read_text(path, "the table"), newline=""), strict=True, delimiter=delimiter)
    rows: list[tuple[int, tuple[str, ...]]] = []
    try:
        rows.extend((reader.line_num, tuple(cells)) for cells in reader if any(cell.strip() for cell in cells))
    except csv.Error as error:
        raise DatasetError(f"line {reader.line_num}: damaged CSV ({error})", path=path) from error
    return rows


def find_column(columns: Sequence[str], names: Sequence[str]) -> int | None:
    """Returns the position of the first of `names` among the columns, or None."""
    plain = [_plain(column) for column in columns]
    return next((plain.index(_plain(name)) for name in names if _plain(name) in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
