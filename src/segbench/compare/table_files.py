"""Tables of scores as other programs write them -> columns and rows of text: CSV, TSV, JSON, nnU-Net's summary.json."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from segbench.errors import DatasetError, shorten

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
OTHER_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers", ".parquet", ".feather", ".pkl", ".npy", ".npz")
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # how .xlsx and .ods, and .xls begin
_SUFFIX_OF_IMAGE = re.compile(
    r"(\.nii\.gz|\.nii|\.nrrd|\.mha|\.png|\.jpe?g|\.tiff?|\.bmp|\.npy|\.npz|\.gif|\.webp)$", re.I
)
_NNUNET = ("Dice", "IoU")


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One file of a table.

    Attributes:
        path: of the file.
        columns: names, without blanks around them; unique.
        rows: where each row stands, for people, and its cells as text, one a column.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]

    def column(self, name: str) -> list[str]:
        """Returns the cells of a column."""
        place = self.columns.index(name)
        return [cells[place] for _, cells in self.rows]


def read_sheet(path: Path) -> Sheet:
    """Returns what a file holds, as text.

    Read are the separators `,` `;` and tab, UTF-8 with or without a byte order mark, UTF-16 and Windows' own encoding,
    as Excel writes them; JSON as a list of objects (one a row), an object of columns, or entry -> image -> score; a
    JSON object a line; and nnU-Net's summary.json. Empty rows and columns are left out.

    Raises:
        DatasetError: unreadable, another kind of file, or rows that do not fit the line of column names.
    """
    suffix = path.suffix.lower()
    if suffix in OTHER_SHEETS or suffix not in SUFFIXES:
        told = f"expected a table that ends in {', '.join(SUFFIXES)}, got {path.name!r}"
        raise DatasetError(f"{told}; save it as CSV and give that" if suffix in OTHER_SHEETS else told, path=path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read the table: {error.strerror or error}", path=path) from error
    if data.startswith(_SPREADSHEETS):
        raise DatasetError("this is a spreadsheet (Excel, Calc), whatever its name says; save it as CSV", path=path)
    text = _decoded(data)
    if not text.strip():
        raise DatasetError("expected a table with a line of column names, got an empty file", path=path)
    header, rows = _read_json(text, path) if suffix in (".json", ".jsonl", ".ndjson") else _read_csv(text, path)
    kept = [place for place, name in enumerate(header) if name or any(cells[place] for _, cells in rows)]
    columns = tuple(header[place] or f"column {place + 1}" for place in kept)
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DatasetError(f"expected a column of every name, got {shorten(twice)} more than once", path=path)
    if not rows:
        raise DatasetError(f"there is no row below the column names {shorten(columns)}", path=path)
    return Sheet(
        path=path,
        columns=columns,
        rows=tuple((where, tuple(cells[place] for place in kept)) for where, cells in rows),
    )


def stem_of_image(name: str) -> str:
    """Returns the name of an image without folders and without what its file ends in."""
    return _SUFFIX_OF_IMAGE.sub("", PurePosixPath(name.replace("\\", "/")).name)


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:  # Excel's CSV on Windows; every byte means something there, so nothing is refused
        return data.decode("cp1252", errors="replace")


_Rows = list[tuple[str, tuple[str, ...]]]


def _read_csv(text: str, path: Path) -> tuple[list[str], _Rows]:
    lines = text.splitlines(keepends=True)
    told = re.fullmatch(r"\"?sep=(.)\"?\s*", lines[0])  # what Excel reads and hides
    skipped = 1 if told else 0
    head = next((line for line in lines[skipped:] if line.strip()), "")
    separator = told[1] if told else max(("\t", ";", ","), key=head.count)
    reader = csv.reader(io.StringIO("".join(lines[skipped:]), newline=""), delimiter=separator, strict=True)
    found: _Rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found.append((f"line {reader.line_num + skipped}", tuple(cell.strip() for cell in cells)))
    except csv.Error as error:
        raise DatasetError(f"line {reader.line_num + skipped}: damaged CSV ({error})", path=path) from error
    header, rows = list(found[0][1]), found[1:]
    if any(_is_number(cell) for cell in header):
        told_head = f"the first line holds numbers ({shorten(header, 4)}); it has to hold the names of the columns"
        raise DatasetError(f"{told_head}, such as entry,seed,image,score", path=path)
    return header, [(where, _fitted(cells, header, where, separator, path)) for where, cells in rows]


def _fitted(cells: tuple[str, ...], header: Sequence[str], where: str, separator: str, path: Path) -> tuple[str, ...]:
    if len(cells) > len(header) and not any(cells[len(header) :]):
        return cells[: len(header)]
    if len(cells) != len(header):
        told = f"{where}: expected {len(header)} cells ({shorten(header)}), got {len(cells)}"
        if separator == "," and len(cells) > len(header):
            told += "; a number with a decimal comma needs quotes, or ; between the columns"
        raise DatasetError(told, path=path)
    return cells


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_json(text: str, path: Path) -> tuple[list[str], _Rows]:
    try:
        if path.suffix.lower() == ".json":
            value = json.loads(text)
        else:
            value = [json.loads(line) for line in text.splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise DatasetError(f"damaged JSON: {error}", path=path) from error
    records = _records(value, path)
    header = list(dict.fromkeys(str(key) for record in records for key in record))
    rows = [
        (f"record {number}", tuple(_text(record.get(key)) for key in header))
        for number, record in enumerate(records, 1)
    ]
    return header, rows


def _records(value: Any, path: Path) -> list[dict[str, Any]]:
    if isinstance(value, dict) and isinstance(value.get("metric_per_case"), list):
        return [_nnunet_row(case, path) for case in value["metric_per_case"]]
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return [{str(key): item for key, item in row.items()} for row in value]
    if isinstance(value, dict) and value:
        columns = list(value.values())
        if all(isinstance(column, list) for column in columns) and len({len(column) for column in columns}) == 1:
            return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
        if all(isinstance(column, dict) for column in columns):
            if "score" in value or "image" in value or "entry" in value:  # columns of a data frame
                keys = list(dict.fromkeys(key for column in columns for key in column))
                return [{name: column.get(key) for name, column in value.items()} for key in keys]
            return [
                {"entry": name, "image": image, "score": score}
                for name, column in value.items()
                for image, score in column.items()
            ]
    told = 'expected a list of objects such as [{"entry": "unet", "seed": 0, "image": "a", "score": 0.9}], or'
    raise DatasetError(f"{told} an object of columns, or entry -> image -> score", path=path)


def _nnunet_row(case: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Returns Dice and IoU of a case, by class and as the mean over the classes that have a value."""
    try:
        image, metrics = stem_of_image(str(case["prediction_file"])), case["metrics"]
        row: dict[str, Any] = {"image": image}
        for name in _NNUNET:
            by_class = {str(label): float(found[name]) for label, found in metrics.items() if name in found}
            valued = [number for number in by_class.values() if not math.isnan(number)]
            row[name] = float(np.mean(valued)) if valued else math.nan
            if len(by_class) > 1:
                row |= {f"{name}[{label}]": number for label, number in by_class.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"looks like nnU-Net's summary.json, but a case lacks {error}"
        raise DatasetError(f"{told}; expected prediction_file and metrics in every case", path=path) from error
    return row


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
