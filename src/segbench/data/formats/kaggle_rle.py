"""Run lengths in a CSV table, as in Kaggle's competitions (Airbus ships, Severstal steel, TGS salt, ...)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from segbench.data.files.hints import set_option
from segbench.data.files.images import image_facts
from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import (
    ImageIndex,
    choose_file,
    head,
    none_found,
    unlisted_note,
    with_ids,
)
from segbench.data.formats.shared.listing import Defect, Listing
from segbench.data.formats.shared.run_lengths import counts_of, lengths_of_pairs, mask_of_rows
from segbench.data.formats.shared.tables import Table, find_column, read_table
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import DatasetError
from segbench.locale import message, quoted

_KIND = "a table with images and run lengths (ImageId, EncodedPixels)"
_JOINED = ("ImageId_ClassId", "Image_Label")
_IMAGE = ("ImageId", "image_id", "image", "img_id", "filename", "file_name", "img", "id")
_RUNS = ("EncodedPixels", "rle", "rle_mask", "mask_rle", "encoding", "annotation", "segmentation", "mask")
_CLASS = ("ClassId", "class_id", "class", "label", "category", "category_id", "class_name", "cell_type")
_NOTHING = ("", "-1", "nan")


@dataclass(frozen=True, kw_only=True)
class _Row:
    line: int
    image: str
    label: str
    runs: str


def kaggle_rle(
    root: Path,
    *,
    annotations: str | None = None,
    images: str | None = None,
    image_column: str | None = None,
    rle_column: str | None = None,
    class_column: str | None = None,
    row_major: bool = False,
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists a table of run lengths: pairs START LENGTH, the first pixel is 1, column by column; images anywhere below.

    A row is an object, or an image's class; empty or -1 means that there is none. A column ImageId_ClassId is split at
    its last underscore. Without a class column there are a background and a foreground.

    Args:
        annotations: name or pattern of the CSV file; None takes the only one that is no submission.
        images: name of the images' folder; None looks in all of them.
        image_column: column of the images' names; None takes a usual one.
        rle_column: column of the run lengths; None takes a usual one.
        class_column: column of the classes; None takes a usual one where there is any.
        row_major: the pixels are counted row by row.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no table or several, a column missing, damaged rows, no image there.
        ConfigError: an option's value.
    """
    source = choose_file(_candidates(root), annotations, root, _KIND)
    defects: list[Defect] = []
    rows = _rows(read_table(source), image_column, rle_column, class_column, defects)
    if not rows and not defects:
        raise DatasetError("the table has no rows", path=source)
    by_image: dict[str, list[_Row]] = {}
    for row in rows:
        by_image.setdefault(row.image, []).append(row)
    index = ImageIndex(root, images)
    found: dict[Path, Drawing] = {}
    for name, its_rows in by_image.items():
        path = index.place(name, source, name, defects)
        if path is None:
            continue
        if path in found:
            raise DatasetError(f"{name!r} and {found[path].key!r} are the same image {path.name}", path=source)
        found[path] = _drawing(its_rows, path, source, name, row_major, defects)
    if not found:
        raise none_found(root, list(by_image), source, defects)
    notes = unlisted_note(index.unused(found), source.name)
    if not row_major and any(row.runs for row in rows):
        notes.append(
            "the run lengths are read column by column, as most competitions write them; where the masks look "
            f"scrambled, read them row by row with {set_option('row_major', 'true')}"
        )
    return build_listing(
        root,
        with_ids(found, root),
        shared,
        labels=list(dict.fromkeys(sorted((row.label for row in rows if row.label), key=_by_number))),
        notes=notes,
        defects=defects,
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised: a table whose columns and first rows are images and run lengths."""
    found = _candidates(root)
    return message("run lengths in a table ({file})", file=found[0].relative_to(root).as_posix()) if found else None


def _candidates(root: Path) -> list[Path]:
    files = [path for folder in (root, root / "annotations") for path in sorted(folder.glob("*.csv"))]
    return [path for path in files if "submission" not in path.name.lower() and _is_runs(head(path))]


def _is_runs(text: str) -> bool:
    first, _, rest = text.partition("\n")
    columns = [cell.strip().strip('"') for cell in first.split(",")]
    column = find_column(columns, _RUNS)
    if column is None or find_column(columns, (*_JOINED, *_IMAGE)) is None:
        return False
    lines = rest.splitlines()
    rows = [line.split(",") for line in lines[: max(1, len(lines) - 1)]]  # the last one may be cut
    cells = [row[column].strip().strip('"') for row in rows if len(row) > column]
    runs = [cell for cell in cells if cell.lower() not in _NOTHING]
    good = sum(re.fullmatch(r"\d+ \d+[\d ]*", cell) is not None for cell in runs)
    return bool(cells) and 2 * good >= len(runs)  # a bad row is told on reading


def _rows(
    table: Table, image_column: str | None, rle_column: str | None, class_column: str | None, defects: list[Defect]
) -> list[_Row]:
    joined = table.column(*_JOINED) if image_column is None and class_column is None else None
    image = joined if joined is not None else table.need(*((image_column,) if image_column else _IMAGE))
    runs = table.need(*((rle_column,) if rle_column else _RUNS))
    kind = table.need(class_column) if class_column else table.column(*_CLASS)
    rows: list[_Row] = []
    for line, cells in table.rows:
        name, label = cells[image].strip(), "foreground"
        if joined is not None:
            name, _, label = name.rpartition("_")
        elif kind is not None:
            label = cells[kind].strip()
        content = cells[runs].strip()
        if not name:
            text = message("expected an image's name, got {cell!r}", cell=cells[image])
            defects.append(Defect(code="no_image", path=table.path, where=f"line {line}", text=text, fatal=True))
            continue
        if content.lower() in _NOTHING:
            content = ""
        rows.append(_Row(line=line, image=name, label=label, runs=content))
    return rows


def _drawing(rows: list[_Row], image: Path, source: Path, name: str, row_major: bool, defects: list[Defect]) -> Drawing:
    facts = image_facts(image)
    size = (facts.height, facts.width)
    shapes: list[Shape] = []
    for row in rows:
        if not row.runs:
            continue
        try:
            lengths = lengths_of_pairs(_numbers(row.runs), size[0] * size[1])
        except ValueError as error:
            where = f"line {row.line}, {name}"
            defects.append(
                Defect(code="bad_rle", path=source, where=where, text=quoted(str(error)), fatal=True, image=image)
            )
            continue
        counts = counts_of(mask_of_rows(lengths, size)) if row_major else lengths
        shapes.append(Shape(label=row.label, counts=counts))
    return Drawing(source=source, key=name, shapes=tuple(shapes), height=size[0], width=size[1])


def _numbers(runs: str) -> list[int]:
    parts = runs.split()
    wrong = next((part for part in parts if not part.isdecimal()), None)
    if wrong is not None:
        raise ValueError(f"expected whole numbers with blanks between, got {wrong[:20]!r}")
    return [int(part) for part in parts]


def _by_number(label: str) -> tuple[int, str]:
    return (int(label) if label.isdigit() else -1, label)
