"""Parquet tables of the Hugging Face Hub: a row holds an image and its mask, as files of bytes."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.listing import Entry, Listing, choose
from segbench.data.formats.shared.pairs import check_pattern, check_unpaired, with_groups
from segbench.data.formats.shared.scan import files_of, mostly, needed
from segbench.data.formats.shared.unpacked import Unpacked, unpack_once
from segbench.data.formats.shared.values import part_of
from segbench.data.formats.shared.volumes import class_rule
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.locale import message, plural, quoted
from segbench.types import SplitName

SUFFIXES = (".parquet",)

_VERSION = 1
_ROWS = 16  # in memory at once
_MASK_COLUMN = re.compile(r"label|mask|annotation|segment|semantic|ground.?truth|(^|_)(gt|seg)(_|$)", re.IGNORECASE)
_BEGINNINGS = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"BM": ".bmp",
    b"GIF8": ".gif",
    b"RIFF": ".webp",
}


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A file, its columns of pictures, and the official part it is."""

    path: Path
    columns: tuple[str, ...]
    split: SplitName | None


def looks_like(root: Path) -> str | None:
    """Returns "Parquet tables (...)" where there are .parquet files, and not more pictures than them."""
    number = mostly(root, SUFFIXES)
    return plural("{n} Parquet table", "{n} Parquet tables", n=number) if number else None


def hf_parquet(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    background: str | bool | None = None,
    ignore: Sequence[Any] = (),
    unpaired: str = "error",
    group: str | None = None,
) -> Listing:
    """Lists the rows of Parquet tables as the Hugging Face Hub keeps them: a column of images and one of masks.

    They are unpacked once into the cache, byte by byte as they are. Needs pyarrow (extra `segbench[hf]`). The parts are
    those in the files' names (`train-00000-of-00002.parquet`).

    Args:
        images: the images' column; None takes the only one whose name does not say mask or label.
        masks: the masks' column; None takes the only one whose name does.
        classes: names in the order of the mask values 0, 1, ...; or a mapping from name to value or colour. None
            takes them from `id2label.json`, or from the masks.
        background: name of the background class, false for none.
        ignore: mask values that count nowhere.
        unpaired: `error`, or `skip` to leave out rows without a mask, with a note.
        group: pattern whose group in the id says what belongs together.
    Raises:
        DatasetError: pyarrow is missing, a table is damaged, or has no such columns, or several.
        ConfigError: an option's value.
    """
    choose(unpaired, ("error", "skip"), "unpaired")
    check_pattern(group)
    files = files_of(root, SUFFIXES)
    needed("pyarrow", "hf", plural("{n} Parquet table", "{n} Parquet tables", n=len(files)), root)
    tables = [
        _Table(
            path=path, columns=_picture_columns(path), split=part_of((*path.relative_to(root).parts[:-1], path.stem))
        )
        for path in files
    ]
    _check_folders(tables, root)
    image, mask = _chosen(tables, images, masks, root)
    made = unpack_once(
        root,
        tables,
        lambda folder, table: _write(folder, table, image, mask, root),
        sources=files,
        recipe={"hf_parquet": _VERSION, "columns": [image, mask]},
    )
    notes: list[str] = [
        message("{n} tables, images from the column {image}, masks from {mask}", n=len(tables), image=image, mask=mask)
    ]
    entries = _entries(made, tables, unpaired, root, notes)
    names = _names(root) if classes is None else classes
    if classes is None and names is not None:
        notes.append(message("the classes are those of {file}", file="id2label.json"))
    return Listing(
        class_map=class_rule(root, names, background, ignore),
        entries=with_groups(entries, group, root),
        notes=tuple(notes),
        root=made.folder,
    )


def _arrow() -> Any:
    return importlib.import_module("pyarrow.parquet")


def _opened(path: Path) -> Any:
    arrow = importlib.import_module("pyarrow")
    try:
        return _arrow().ParquetFile(path)
    except (OSError, arrow.ArrowException) as error:
        raise DatasetError(
            message(
                "not a Parquet table that can be read ({reason}); copy it again", reason=quoted(str(error).strip())
            ),
            path=path,
        ) from error


def _picture_columns(path: Path) -> tuple[str, ...]:
    """Returns the columns that hold files: bytes, or structs of bytes and a path."""
    types = importlib.import_module("pyarrow").types

    def is_bytes(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    with _opened(path) as table:
        return tuple(
            field.name
            for field in table.schema_arrow
            if is_bytes(field.type)
            or (
                types.is_struct(field.type) and any(part.name == "bytes" and is_bytes(part.type) for part in field.type)
            )
        )


def _check_folders(tables: Sequence[_Table], root: Path) -> None:
    """Raises DatasetError where tables lie in several folders that are no parts: configurations of one data set."""
    places = {table.path.parent for table in tables}
    beside = {place for place in places if part_of(place.relative_to(root).parts) is None}
    if len(beside) > 1:
        raise DatasetError(
            message(
                "Parquet tables lie in {n} folders ({names}), which may be several forms of the same images; give one "
                "of these folders",
                n=len(beside),
                names=shorten((place.relative_to(root).as_posix() for place in sorted(beside)), 6),
            ),
            path=root,
        )


def _chosen(tables: Sequence[_Table], images: str | None, masks: str | None, root: Path) -> tuple[str, str]:
    """Returns the columns of images and masks; DatasetError where nobody said which of several."""
    columns = list(dict.fromkeys(name for table in tables for name in table.columns))
    if len(columns) < 2:
        raise DatasetError(
            message(
                "expected a column of images and one of masks, each with files of bytes; of these there are: {columns}",
                columns=shorten(columns) or "none",
            ),
            path=root,
        )
    for option, name in (("images", images), ("masks", masks)):
        if name is not None and name not in columns:
            raise ConfigError(
                message("there is no column of pictures {name!r}; {near}", name=name, near=suggest(name, columns)),
                key=f"data.options.{option}",
            )
    labels = [name for name in columns if _MASK_COLUMN.search(name) and name != images]
    pictures = [name for name in columns if not _MASK_COLUMN.search(name) and name != masks]
    image = images or (pictures[0] if len(pictures) == 1 else None)
    mask = masks or (labels[0] if len(labels) == 1 else None)
    if image is None and mask is not None and len(columns) == 2:
        image = next(name for name in columns if name != mask)
    if mask is None and image is not None and len(columns) == 2:
        mask = next(name for name in columns if name != image)
    if image is None or mask is None or image == mask:
        ask = [*([set_option("images", yaml_text((pictures or columns)[0]))] if image is None else [])]
        ask += [set_option("masks", yaml_text((labels or columns)[-1]))] if mask is None or image == mask else []
        raise DatasetError(
            message(
                "{n} columns hold pictures ({columns}); choose with {options}",
                n=len(columns),
                columns=shorten(columns, 12),
                options=ask[0] if len(ask) == 1 else message("{one} and {other}", one=ask[0], other=ask[1]),
            ),
            path=root,
        )
    return image, mask


def _write(folder: Path, table: _Table, image: str, mask: str, root: Path) -> list[list[str | None]]:
    """Writes a table's files; returns (name, image file, mask file or None) of each row that has an image."""
    rows: list[list[str | None]] = []
    start = table.path.relative_to(root).with_suffix("").as_posix()
    for number, (picture, labels) in enumerate(_rows(table.path, image, mask)):
        data, told = _content(picture, table.path, root)
        if data is None:
            continue
        name = f"{start}/{number:06d}"
        answer = _content(labels, table.path, root)[0]
        saved = [_save(folder / kind / name, data) for kind, data in (("images", data), ("masks", answer)) if data]
        files = [path.relative_to(folder).as_posix() for path in saved]
        rows.append([Path(told).stem if told else None, files[0], files[1] if len(files) > 1 else None])
    return rows


def _rows(path: Path, image: str, mask: str) -> Iterator[tuple[Any, Any]]:
    with _opened(path) as table:
        columns = [name for name in (image, mask) if name in table.schema_arrow.names]
        for batch in table.iter_batches(batch_size=_ROWS, columns=columns):
            for row in batch.to_pylist():
                yield row.get(image), row.get(mask)


def _content(cell: Any, path: Path, root: Path) -> tuple[bytes | None, str | None]:
    """Returns a cell's bytes and the name it had as a file; a name alone means a file beside the table."""
    if cell is None or isinstance(cell, bytes):
        return cell, None
    data, name = cell.get("bytes"), cell.get("path")
    if data is None and name:
        beside = next((place / name for place in (path.parent, root) if (place / name).is_file()), None)
        if beside is None:
            raise DatasetError(
                message("a row names the file {name}, which is neither in the table nor beside it", name=name),
                path=path,
            )
        data = beside.read_bytes()
    return data, name


def _save(path: Path, data: bytes) -> Path:
    suffix = next((suffix for start, suffix in _BEGINNINGS.items() if data.startswith(start)), ".bin")
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.with_name(path.name + suffix)
    target.write_bytes(data)
    return target


def _entries(made: Unpacked, tables: Sequence[_Table], unpaired: str, root: Path, notes: list[str]) -> list[Entry]:
    """Returns an entry a row with a mask; a part of which no row has one is told as such."""
    rows = [(table, *row) for table, found in zip(tables, made.facts, strict=True) for row in found]
    labelled = {table.split for table, _, _, mask in rows if mask is not None}
    bare_parts = Counter(table.split for table, _, _, mask in rows if mask is None and table.split not in labelled)
    for part, number in bare_parts.items():
        notes.append(
            plural(
                "{n} image without a mask in {part}, for predictions, is not read",
                "{n} images without a mask in {part}, for predictions, are not read",
                n=number,
                part=str(part),
            )
        )
    rows = [row for row in rows if row[0].split in labelled]
    names = Counter((table.split, name) for table, name, _, _ in rows)
    told = all(name and names[table.split, name] == 1 for table, name, _, _ in rows)
    found: dict[str, Entry] = {}
    keys: dict[str, str] = {}
    for table, name, image, mask in rows:
        place = image.removeprefix("images/").rpartition(".")[0]
        key = f"{table.split}/{name}" if told and table.split else str(name) if told else place
        keys[key] = place
        if mask is not None:
            found[key] = Entry(id=key, image=made.folder / image, mask=made.folder / mask, split=table.split)
    check_unpaired(keys, found, root, unpaired, notes)
    return [found[key] for key in sorted(found)]


def _names(root: Path) -> dict[str, Any] | None:
    """Returns class name -> value, or values, of `id2label.json`; None where there is none."""
    path = next(iter(sorted(root.glob("*id2label*.json"))), None)
    if path is None:
        return None
    try:
        plain = json.loads(path.read_text(encoding="utf-8-sig"))
        values: dict[str, list[int]] = {}
        for value, name in plain.items():
            values.setdefault(str(name), []).append(int(value))
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(
            message(
                "cannot read the classes in it ({reason}); mend it, or move it away", reason=quoted(str(error).strip())
            ),
            path=path,
        ) from error
    return {name: known[0] if len(known) == 1 else known for name, known in values.items()}
