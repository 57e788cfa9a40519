"""Scores in tables that other trainers wrote -> the verdict: entry, seed, image, group, score, and the data set.

A table is long (a row for every score) or wide (a row for every image, a column for every entry); or there is one file
for every entry. docs/howto/judging.md shows each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segbench.compare.evidence import FloatArray
from segbench.compare.table_cells import (
    find_marks,
    find_roles,
    is_count,
    is_measure,
    is_summary,
    number_columns,
    plain_name,
    score_column,
    to_number,
    told_columns,
)
from segbench.compare.table_files import Sheet, read_sheet, stem_of_image
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.locale import Message, listed, message
from segbench.speech import argument

_SEED_IN_NAME = re.compile(r"[ ._/-]*seed[ ._-]?(\d+)$", re.I)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreSet:
    """The scores on one data set.

    Attributes:
        name: of the data set; empty where the table names none.
        entries: K names, in the order of the table.
        seeds: of each entry, as the table has them; empty for an entry without any.
        ids: the N images, in the order of the table.
        groups: (N,) group of every image, or None.
        folds: (N,) fold of every image, which was scored by trainings on the others; None: no cross-validation.
        values: K arrays (S_k, N) float64; NaN where the table has no score.
        collapsed: how many trainings of each entry predict one class only; None: nobody looked.
    """

    name: str
    entries: tuple[str, ...]
    seeds: tuple[tuple[str, ...], ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...] | None
    folds: tuple[str, ...] | None
    values: tuple[FloatArray, ...] = field(repr=False)
    collapsed: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreTable:
    """What a table holds.

    Attributes:
        score: name of the column the scores stand in.
        sets: one a data set; one without a name where the table has no such column.
        notes: what was read otherwise than it stands there.
    """

    score: str
    sets: tuple[ScoreSet, ...]
    notes: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One score: what it is of, the cell it stands in, and where."""

    dataset: str
    entry: str
    seed: str
    image: str
    group: str
    fold: str
    cell: str
    where: str


def read_scores(paths: Sequence[str | Path], *, score: str | None = None) -> ScoreTable:
    """Returns the scores in one table, or in one file for every entry.

    Args:
        paths: of the files; entries without a column of their own are called as their files.
        score: name of the column that holds the scores; None: `score`, or the only one that can be it.
    Raises:
        ConfigError: there is no such column, or several could be meant.
        DatasetError: a file cannot be read, lacks a column, has a row twice, or a score that is no number.
    """
    sheets = [read_sheet(Path(path)) for path in paths]
    if not sheets:
        raise ConfigError("expected at least one file", key=argument("table"))
    names = _names_of_files([sheet.path for sheet in sheets])
    notes: list[Message] = []
    rows, used = list[_Row](), list[str]()
    for sheet, name in zip(sheets, names, strict=True):
        found, column = _rows_of(sheet, name if len(sheets) > 1 else "", score, notes)
        rows += found
        used.append(column)
    several = sorted({column for column in used if column})
    if len({plain_name(column) for column in several}) > 1:
        told = f"the files have scores in other columns: {shorten(several)}; name the one that decides"
        raise ConfigError(told, key=argument("score"))
    rows = _without_summaries(rows, notes)
    path = sheets[0].path
    sets: dict[str, list[_Row]] = {}
    for row in rows:
        sets.setdefault(row.dataset, []).append(row)
    found_sets = tuple(_score_set(name, members, path, notes) for name, members in sets.items())
    return ScoreTable(score=several[0] if several else "score", sets=found_sets, notes=tuple(dict.fromkeys(notes)))


def _names_of_files(paths: Sequence[Path]) -> list[str]:
    """Returns a name for every file: its own, or that of its folder where several are called alike."""
    stems = [path.stem for path in paths]
    return [
        path.resolve().parent.name if stems.count(stem) > 1 else stem for path, stem in zip(paths, stems, strict=True)
    ]


def _rows_of(sheet: Sheet, name: str, score: str | None, notes: list[Message]) -> tuple[list[_Row], str]:
    """Returns the scores of one file, and the column they stand in (empty: a column an entry)."""
    roles = find_roles(sheet.columns)
    chosen = _chosen_column(sheet, score)
    free = [column for column in sheet.columns if column not in roles.values()]
    numbers = number_columns([(column, sheet.column(column)) for column in free])
    if chosen is None:
        chosen = score_column(sheet.columns) or _only_score(numbers, has_entry="entry" in roles or bool(name))
    image = roles.get("image") or _unnamed_index(sheet, roles) or _group_as_image(sheet, roles)
    if chosen is None and "entry" not in roles and not name:
        return _wide_rows(sheet, roles, image, numbers), ""
    if chosen is None:
        _refuse_score(sheet, numbers)
    assert chosen is not None, "refused above"
    if "entry" not in roles and not name:
        told = f"expected a column entry, or one file or one column for every entry; {told_columns(sheet.columns)}"
        raise DatasetError(told, path=sheet.path)
    if image is None:
        told = f"expected a column image, so that scores of one image can be paired; {told_columns(sheet.columns)}"
        raise DatasetError(told, path=sheet.path)
    unused = [column for column in free if column not in (chosen, image) and not column.startswith("Unnamed")]
    if unused:
        notes.append(message("columns that are not used: {columns}", columns=listed(unused)))
    places = {role: sheet.columns.index(column) for role, column in {**roles, "image": image}.items()}
    if places.get("group") == places["image"]:
        del places["group"]
    at = sheet.columns.index(chosen)
    rows = []
    for where, cells in sheet.rows:
        given = {role: cells[place] for role, place in places.items()}
        entry, seed = given.get("entry", ""), given.get("seed", "")
        if "entry" not in places:
            entry, seed = _split_seed(name, seed)
        for role, value in (("entry", entry), ("image", given["image"])):
            if not value:
                raise DatasetError(f"{where}: the cell of the column {role} is empty", path=sheet.path)
        rows.append(_row(given, entry, seed, cells[at], f"{where} of {sheet.path.name}"))
    return rows, chosen


def _row(given: Mapping[str, str], entry: str, seed: str, cell: str, where: str) -> _Row:
    return _Row(
        dataset=given.get("dataset", ""),
        entry=entry,
        seed=re.sub(r"^(\d+)\.0$", r"\1", seed),  # what a data frame makes of whole numbers
        image=given.get("image", where),
        group=given.get("group", ""),
        fold=given.get("fold", ""),
        cell=cell,
        where=where,
    )


def _chosen_column(sheet: Sheet, score: str | None) -> str | None:
    if score is None:
        return None
    found = next((column for column in sheet.columns if column == score), None)
    found = found or next((column for column in sheet.columns if plain_name(column) == plain_name(score)), None)
    if found is None:
        told = f"{sheet.path} has no column {score!r}; {suggest(score, sheet.columns)}"
        raise ConfigError(told, key=argument("score"))
    return found


def _only_score(numbers: Sequence[str], *, has_entry: bool) -> str | None:
    """Returns the column that must hold the scores; None where there is none, or several could."""
    measures = [column for column in numbers if is_measure(column) and not is_count(column)]
    if len(measures) == 1:
        return measures[0]
    return numbers[0] if has_entry and len(numbers) == 1 else None


def _refuse_score(sheet: Sheet, numbers: Sequence[str]) -> None:
    if numbers:
        told = f"{shorten(numbers)} of {sheet.path} may hold the scores; say which decides"
        raise ConfigError(told, key=argument("score"))
    raise DatasetError(f"expected a column score with numbers; {told_columns(sheet.columns)}", path=sheet.path)


def _unnamed_index(sheet: Sheet, roles: Mapping[str, str]) -> str | None:
    """Returns the first column where it has no name of its own: the index of a data frame."""
    first = sheet.columns[0]
    return first if first not in roles.values() and re.match(r"(Unnamed: 0|column 1|index)$", first) else None


def _group_as_image(sheet: Sheet, roles: Mapping[str, str]) -> str | None:
    """Returns the column of patients where there is none of images: every patient then is one image."""
    return roles.get("group")


def _wide_rows(sheet: Sheet, roles: Mapping[str, str], image: str | None, numbers: Sequence[str]) -> list[_Row]:
    """Returns the scores of a table with a column for every entry."""
    numbers = [column for column in numbers if column != image]
    measures = [column for column in numbers if is_measure(column)]
    if measures:
        told = f"{shorten(measures)} are scores, not entries: which approach are they of? Add a column entry, or give "
        raise DatasetError(
            f"{told}one file for every entry ({argument('table')} a.csv {argument('table')} b.csv)", path=sheet.path
        )
    if len(numbers) < 2:
        told = "expected the columns entry, image and score, or an image a row and an entry a column"
        raise DatasetError(f"{told}; {told_columns(sheet.columns)}", path=sheet.path)
    whole = [column for column in numbers if all(re.fullmatch(r"\d+", cell) for cell in sheet.column(column) if cell)]
    if whole and len(whole) < len(numbers):
        told = f"{shorten(whole)} hold whole numbers, {shorten(c for c in numbers if c not in whole)} do not: which are"
        raise DatasetError(f"{told} scores of entries? Leave the others out, or give a column entry", path=sheet.path)
    rows = []
    for where, cells in sheet.rows:
        given = {role: cells[sheet.columns.index(column)] for role, column in roles.items()}
        if image is not None:
            given["image"] = cells[sheet.columns.index(image)]
        if roles.get("group") == image:
            given.pop("group", None)
        for column in numbers:
            entry, seed = _split_seed(column, given.get("seed", ""))
            cell = cells[sheet.columns.index(column)]
            rows.append(_row(given, entry, seed, cell, f"{where} of {sheet.path.name}, column {column}"))
    return rows if image is not None else _numbered(rows, len(numbers))


def _numbered(rows: Sequence[_Row], entries: int) -> list[_Row]:
    """Returns rows of a table without a column of images: a row is an image."""
    return [
        _Row(**{**vars(row), "image": f"row {number // entries + 1}"})  # one image a line, an entry a column
        for number, row in enumerate(rows)
    ]


def _split_seed(name: str, seed: str) -> tuple[str, str]:
    """Returns entry and seed of a name such as `unet_seed0`."""
    found = _SEED_IN_NAME.search(name)
    if found is None or seed or found.start() == 0:
        return name, seed
    return name[: found.start()], found[1]


def _without_summaries(rows: Sequence[_Row], notes: list[Message]) -> list[_Row]:
    summaries = sorted({row.image for row in rows if is_summary(row.image)})
    if summaries:
        notes.append(
            message("rows that sum up ({names}) are no images and count nowhere here", names=listed(summaries))
        )
    return [row for row in rows if row.image not in summaries]


def _score_set(name: str, rows: Sequence[_Row], path: Path, notes: list[Message]) -> ScoreSet:
    rows = _with_paired_images(rows, path, notes)
    ids = {row.image: place for place, row in enumerate({row.image: row for row in rows}.values())}
    seeds: dict[str, dict[str, int]] = {}
    for row in rows:
        of_entry = seeds.setdefault(row.entry, {})
        of_entry.setdefault(row.seed, len(of_entry))
    for entry, found in seeds.items():
        if "" in found and len(found) > 1:
            told = f"some rows of {entry} have a seed and others have none; name the seed in every row of an entry"
            raise DatasetError(told, path=path)
    values = {entry: np.full((len(found), len(ids)), np.nan) for entry, found in seeds.items()}
    _fill(values, seeds, ids, rows, path, notes)
    for entry, array in values.items():
        _refuse_copies(entry, array, list(seeds[entry]), path)
    return ScoreSet(
        name=name,
        entries=tuple(seeds),
        seeds=tuple(tuple(seed for seed in found if seed) for found in seeds.values()),
        ids=tuple(ids),
        groups=_groups(rows, ids, path),
        folds=_folds(rows, ids, path),
        values=tuple(values.values()),
    )


def _fill(
    values: Mapping[str, FloatArray],
    seeds: Mapping[str, Mapping[str, int]],
    ids: Mapping[str, int],
    rows: Sequence[_Row],
    path: Path,
    notes: list[Message],
) -> None:
    """Writes the numbers in the rows into the arrays."""
    try:
        marks = find_marks([row.cell for row in rows])
    except ValueError as error:
        raise DatasetError(f"two ways to write numbers: {error}", path=path) from error
    if marks.percent:
        notes.append(message("{n} scores are in percent and were divided by 100", n=marks.percent))
        if any(abs(to_number(row.cell, marks)) > 1.0 for row in rows if not row.cell.endswith("%")):
            told = "some scores have a percent sign, and others are larger than 1 without one"
            raise DatasetError(f"{told}; write all in one unit", path=path)
    first: dict[tuple[str, str, str], _Row] = {}
    for row in rows:
        other = first.setdefault((row.entry, row.seed, row.image), row)
        if other is not row:
            told = f"{other.where} and {row.where} both hold the score of {row.image} by {_called(row)}"
            raise DatasetError(f"{told}; remove one, or tell them apart by a column seed or dataset", path=path)
        try:
            values[row.entry][seeds[row.entry][row.seed], ids[row.image]] = to_number(row.cell, marks)
        except ValueError as error:
            raise DatasetError(f"{row.where}: {error}", path=path) from error


def _called(row: _Row) -> str:
    return f"{row.entry}, seed {row.seed}" if row.seed else row.entry


def _refuse_copies(entry: str, values: FloatArray, seeds: Sequence[str], path: Path) -> None:
    """Raises where an entry has no score, or two seeds of it have the same: one training is no second seed."""
    if np.isnan(values).all():
        raise DatasetError(f"{entry} has no score on any image", path=path)
    seen: dict[bytes, str] = {}
    for seed, row in zip(seeds, values, strict=True):
        if np.isnan(row).all() or np.nanmax(row) == np.nanmin(row):  # no copy: without scores, or collapsed
            continue
        other = seen.setdefault(row.tobytes(), seed)
        if other != seed:
            told = f"seeds {other} and {seed} of {entry} have the same score on every image: a copy, or a method that"
            raise DatasetError(f"{told} knows no chance. Keep one of them", path=path)


def _with_paired_images(rows: Sequence[_Row], path: Path, notes: list[Message]) -> list[_Row]:
    """Returns rows whose images have the same names for every entry, without folders and suffixes if that needs it.

    Raises:
        DatasetError: no image has a score of every entry.
    """
    if _common(rows):
        return list(rows)
    short = [_Row(**{**vars(row), "image": stem_of_image(row.image)}) for row in rows]
    if _common(short):
        notes.append(message("images are told apart by their names without folders and suffixes"))
        return short
    by_entry: dict[str, str] = {}
    for row in rows:
        by_entry.setdefault(row.entry, row.image)
    examples = listed([f"{image} ({entry})" for entry, image in by_entry.items()], 4)
    told = "no image has a score of every entry, and a comparison is made image by image"
    raise DatasetError(f"{told}; the images are called {examples}", path=path)


def _common(rows: Iterable[_Row]) -> set[str]:
    by_entry: dict[str, set[str]] = {}
    for row in rows:
        by_entry.setdefault(row.entry, set()).add(row.image)
    return set.intersection(*by_entry.values())


def _groups(rows: Sequence[_Row], ids: Mapping[str, int], path: Path) -> tuple[str, ...] | None:
    """Returns the group of every image; an image without one stands for itself; None where each has one of its own."""
    found = _of_images(rows, "group", path)
    groups = tuple(found.get(image, f"image {image}") for image in ids)
    return groups if found and len(set(groups)) < len(groups) else None


def _folds(rows: Sequence[_Row], ids: Mapping[str, int], path: Path) -> tuple[str, ...] | None:
    """Returns the fold of every image; a column with one fold, such as `test`, is no cross-validation."""
    found = _of_images(rows, "fold", path)
    if len(set(found.values())) < 2:
        return None
    lacking = [image for image in ids if image not in found]
    if lacking:
        raise DatasetError(f"expected a fold of every image, got none for {shorten(lacking)}", path=path)
    return tuple(found[image] for image in ids)


def _of_images(rows: Sequence[_Row], what: str, path: Path) -> dict[str, str]:
    """Returns image -> its group or fold; a file for an entry need not repeat what another one says."""
    found: dict[str, _Row] = {}
    for row in rows:
        here = getattr(row, what)
        if not here:
            continue
        known = found.setdefault(row.image, row)
        there = getattr(known, what)
        if there != here:
            told = f"{row.image} is in the {what} {there!r} in {known.where}, and in {here!r} in {row.where}"
            raise DatasetError(told, path=path)
    return {image: getattr(row, what) for image, row in found.items()}
