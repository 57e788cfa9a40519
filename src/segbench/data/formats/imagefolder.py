"""The Hub's ImageFolder: `metadata.jsonl` or `metadata.csv` beside the files, with an image and its mask a row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.annotated import wrong_key
from segbench.data.formats.shared.class_lists import find_class_list
from segbench.data.formats.shared.classes import ClassOptions
from segbench.data.formats.shared.image_names import head, short_ids
from segbench.data.formats.shared.listing import (
    IMAGE_SUFFIXES,
    Entry,
    Listing,
    check_depth,
    check_tolerance,
    choose,
    missing_folder,
    read_lines,
    subfolders,
)
from segbench.data.formats.shared.pairs import check_pattern, with_groups
from segbench.data.formats.shared.tables import read_table
from segbench.data.formats.shared.values import split_folder
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import Task

_FILES = ("metadata.jsonl", "metadata.csv")
_IMAGE = ("file_name", "image_file_name", "image", "image_path", "img_file_name", "filename", "pixel_values_file_name")
_DEPTH = 3


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row: `where` it stands, and column -> text of the columns that hold any."""

    source: Path
    where: str
    cells: Mapping[str, str]

    def file(self, column: str) -> Path:
        """Returns the file that a cell names, which lies below the metadata file's folder."""
        return self.source.parent / PurePosixPath(self.cells[column].replace("\\", "/"))


def imagefolder(
    root: Path,
    *,
    image_column: str | None = None,
    mask_column: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    task: str | None = None,
    background: str | bool | None = None,
    ignore: Sequence[Any] = (),
    group: str | None = None,
    tolerance: int = 0,
    depth_range: Sequence[float] | None = None,
    unpaired: str = "error",
) -> Listing:
    """Lists an ImageFolder: each row of `metadata.jsonl` or `metadata.csv` names an image file and its mask file.

    Args:
        root: the folder of the metadata file, or of parts (`train/metadata.jsonl`). `id2label.json` in one of these
            names the classes.
        image_column: column of the images; None takes a usual one (`file_name`, `image_file_name`, `image`, ...).
        mask_column: column of the masks; None takes the only other one that names image files.
        classes: names in the order of the mask values, or name -> values or colour; as in the format `folder`.
        task: `binary` or `multiclass`; None decides by the classes.
        background: name of the background class, false for none; None takes the class named so, or the one of value 0.
        ignore: mask values that count nowhere.
        group: regular expression with one group, searched in each id; what it captures is the sample's group.
        tolerance: mask values at most this far from a known one become it, for masks saved as JPEG.
        depth_range: grey values (low, high) of images with more than 8 bit that become 0 and 255.
        unpaired: `error`, or `skip` to leave out the rows that name no mask, with a note.
    Returns:
        Entries with the official part that a folder is named after. A part none of whose rows has a mask is left out.
    Raises:
        DatasetError: no metadata file, damaged rows, several columns that could be meant, listed files that are not
            there, or an image listed twice.
        ConfigError: an option's value.
    """
    choose(unpaired, ("error", "skip"), "unpaired")
    check_tolerance(tolerance)
    check_pattern(group)
    chosen_task = Task(choose(task, ("binary", "multiclass"), "task")) if task is not None else None
    sources = _sources(root)
    if not sources:
        raise missing_folder(root, _FILES[0], "the file metadata.jsonl or metadata.csv")
    rows = {source: list(_rows(source)) for source in sources}
    everything = [row for its_rows in rows.values() for row in its_rows]
    image, mask = _columns(everything, image_column, mask_column, root)
    notes: list[str] = []
    paired: list[_Row] = []
    bare: list[_Row] = []
    for source, its_rows in rows.items():
        labelled = [row for row in its_rows if mask in row.cells]
        paired += labelled
        if labelled:
            bare += [row for row in its_rows if mask not in row.cells]
        else:
            notes.append(_unlabelled(source, root, len(its_rows)))
    if bare:
        notes.append(_without_mask(bare, len(everything), image, mask, unpaired, root))
    entries = _entries(paired, image, mask, root)
    folders = list(dict.fromkeys(row.source.parent for row in paired))
    listed = find_class_list(root, folders, notes) if classes is None else None
    rule = ClassOptions(
        root=root,
        classes=classes,
        task=chosen_task,
        background=background,
        ignore=ignore,
        tolerance=tolerance,
        listed=listed,
    )
    return Listing(
        class_map=rule,
        entries=with_groups(entries, group, root),
        notes=tuple(notes),
        depth_range=check_depth(depth_range),
        tolerance=tolerance,
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised: a metadata file whose first row names two image files; or None."""
    for source in _sources(root):
        names = _first_files(source)
        if len(names) > 1:
            return message(
                "an ImageFolder of the Hub ({file}, with {names})",
                file=source.relative_to(root).as_posix(),
                names=", ".join(names),
            )
    return None


def _sources(root: Path) -> list[Path]:
    """Returns the metadata files here and a few folders below; of one folder the first form alone."""

    def below(folder: Path, depth: int) -> Iterator[Path]:
        found = [folder / name for name in _FILES if (folder / name).is_file()]
        if found:
            yield found[0]  # what lies below is its own
            return
        for inner in subfolders(folder) if depth else []:
            yield from below(inner, depth - 1)

    return list(below(root, _DEPTH)) if root.is_dir() else []


def _first_files(source: Path) -> list[str]:
    """Returns the columns of the first row that name image files."""
    lines = head(source).splitlines()
    cells: dict[str, Any] = {}
    try:
        if source.suffix == ".jsonl":
            found = json.loads(lines[0]) if lines else {}
            cells = found if isinstance(found, dict) else {}
        elif len(lines) > 1:
            cells = dict(zip(lines[0].split(","), lines[1].split(","), strict=False))
    except ValueError:
        return []  # some other file of this name
    return [name.strip() for name, cell in cells.items() if isinstance(cell, str) and _is_image(cell.strip('" '))]


def _is_image(cell: str) -> bool:
    return PurePosixPath(cell.replace("\\", "/")).suffix.lower() in IMAGE_SUFFIXES


def _rows(source: Path) -> Iterator[_Row]:
    """Yields the rows of a metadata file; columns that hold no text are left out."""
    if source.suffix == ".csv":
        table = read_table(source)
        for line, cells in table.rows:
            named = dict(zip(table.columns, (cell.strip() for cell in cells), strict=True))
            yield _Row(source=source, where=f"line {line}", cells={key: cell for key, cell in named.items() if cell})
        return
    for line, text in read_lines(source, comments=False):
        try:
            plain = json.loads(text)
        except ValueError as error:
            raise DatasetError(
                message("line {line}: damaged JSON ({error})", line=line, error=str(error)), path=source
            ) from error
        if not isinstance(plain, dict):
            raise wrong_key(source, f"line {line}", "a mapping from column to value", plain)
        yield _Row(
            source=source,
            where=f"line {line}",
            cells={str(key): cell for key, cell in plain.items() if isinstance(cell, str) and cell},
        )


def _columns(rows: Sequence[_Row], image: str | None, mask: str | None, root: Path) -> tuple[str, str]:
    """Returns the columns of images and masks."""
    files = dict.fromkeys(name for row in rows for name, cell in row.cells.items() if _is_image(cell))
    for option, name in (("image_column", image), ("mask_column", mask)):
        if name is not None and name not in files:
            raise ConfigError(
                message(
                    "no row names an image file in the column {name!r}; such columns are {known}",
                    name=name,
                    known=shorten(files) or "none",
                ),
                key=f"data.options.{option}",
            )
    chosen = image or next((name for name in _IMAGE if name in files and name != mask), None)
    others = [name for name in files if name not in (chosen, mask)]
    if chosen is None:
        raise DatasetError(
            message(
                "{n} columns name image files ({names}); say which is the image with {option}",
                n=len(files),
                names=shorten(files) or "none",
                option=set_option("image_column", others[0] if others else ""),
            ),
            path=root,
        )
    if mask is None and len(others) != 1:
        raise DatasetError(
            message(
                "{n} columns beside {image} could name the masks ({names}); choose with {option}",
                n=len(others),
                image=chosen,
                names=shorten(others) or "none",
                option=set_option("mask_column", others[0] if others else ""),
            ),
            path=root,
        )
    return chosen, mask or others[0]


def _unlabelled(source: Path, root: Path, number: int) -> str:
    return plural(
        "{file} names {n} image without a mask: it is left out here, for `predict`",
        "{file} names {n} images without masks: they are left out here, for `predict`",
        n=number,
        file=source.relative_to(root).as_posix(),
    )


def _without_mask(bare: Sequence[_Row], total: int, image: str, mask: str, unpaired: str, root: Path) -> str:
    """Returns the note on rows that name no mask; DatasetError unless they are to be skipped."""
    names = shorten((row.cells.get(image, row.where) for row in bare), 4)
    if unpaired == "error":
        raise DatasetError(
            message(
                "{n} of {total} rows name no mask in the column {mask}: {names}; add them, or leave the rows out with "
                "{option}",
                n=len(bare),
                total=total,
                mask=mask,
                names=names,
                option=set_option("unpaired", "skip"),
            ),
            path=root,
        )
    return message("{n} of {total} rows name no mask and were left out: {names}", n=len(bare), total=total, names=names)


def _entries(rows: Sequence[_Row], image: str, mask: str, root: Path) -> list[Entry]:
    pairs: dict[Path, tuple[Path, _Row]] = {}
    lost: list[str] = []
    for row in rows:
        if image not in row.cells:
            raise DatasetError(
                message("{where}: the row names no image in the column {image}", where=row.where, image=image),
                path=row.source,
            )
        files = (row.file(image), row.file(mask))
        lost += [path.name for path in files if not _is_below(path, root)]
        if files[0] in pairs:
            raise DatasetError(
                message("{where}: {name} is listed twice; an image has one mask", where=row.where, name=files[0].name),
                path=row.source,
            )
        pairs[files[0]] = (files[1], row)
    if lost:
        raise DatasetError(
            plural(
                "{n} listed file is not there: {names}",
                "{n} listed files are not there: {names}",
                n=len(lost),
                names=shorten(lost, 6),
            ),
            path=root,
        )
    ids = short_ids(list(pairs), root)
    return [
        Entry(id=ids[path], image=path, mask=label, split=split_folder(row.source, root))
        for path, (label, row) in pairs.items()
    ]


def _is_below(path: Path, root: Path) -> bool:
    """Returns whether there is such a file, and it is one of the data set."""
    return path.is_file() and path.is_relative_to(root) and ".." not in path.parts
