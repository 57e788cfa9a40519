"""The files that VGG Image Annotator writes, brought to one form: exports of version 1 and 2, projects, and CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.annotated import load_json, wrong_key
from segbench.data.formats.shared.image_names import choose_file, head, matching
from segbench.data.formats.shared.layout import SPLIT_WORDS, split_of
from segbench.data.formats.shared.tables import Table, read_table
from segbench.data.formats.shared.values import as_kind, need, some_files
from segbench.data.formats.via.records import Record, Region, ViaFile
from segbench.data.formats.via.version3 import is_version_3, read_project
from segbench.errors import ChoiceError, DatasetError, shorten
from segbench.locale import message

WANTED = "a file of VGG Image Annotator (annotations or a project as JSON, or annotations as CSV)"
_PROJECT = '"_via_img_metadata"'
_CSV_COLUMN = "region_shape_attributes"


def via_files(root: Path) -> list[Path]:
    """Returns the files in `root` and directly below that begin like one of VIA's."""
    return [path for path in some_files(root, "*.json", "*.csv") if _is_via(path)]


def choose_via(root: Path, annotations: str | None) -> list[Path]:
    """Returns the files to read: one of a folder.

    Args:
        annotations: name or pattern given by the user.
    Raises:
        DatasetError: none; ChoiceError: several that could be meant.
    """
    if annotations is not None:
        return matching(root, annotations, WANTED)
    found = via_files(root)
    folders = {path.parent for path in found}
    parts = {folder for folder in folders if folder.name.lower() in SPLIT_WORDS}
    if len(found) > 1 and (len(found) > len(folders) or folders != parts):
        names = [path.relative_to(root).as_posix() for path in found]
        patterns = [f"*/{path.name}" if path.parent != root else path.name for path in found]
        text = message(
            "{n} files could be meant ({names}); choose with {option}",
            n=len(found),
            names=shorten(names, 6),
            option=set_option("annotations", yaml_text(patterns[0])),
        )
        raise ChoiceError(text, option="annotations", choices=dict.fromkeys(patterns, ""), path=root)
    return found or [choose_file([], None, root, WANTED)]


def load_via(path: Path, root: Path) -> ViaFile:
    """Returns what a file of VIA holds.

    Raises:
        DatasetError: damaged, or a key that is missing or of another type.
    """
    split = (split_of(path.parent.name) if path.parent != root else None) or split_of(path.stem)
    if path.suffix.lower() == ".csv":
        return ViaFile(path=path, split=split, records=tuple(_csv_records(path)))
    plain = as_kind(load_json(path), dict, path, "the file")
    if "_via_img_metadata" in plain:
        images = need(plain, "_via_img_metadata", dict, path, "")
        choices = _choices(plain.get("_via_attributes"))
        return ViaFile(path=path, split=split, records=tuple(_records(images, path)), choices=choices)
    if {"project", "view", "metadata"} <= set(plain):
        records, options = read_project(plain, path)
        return ViaFile(path=path, split=split, records=tuple(records), choices=options)
    return ViaFile(path=path, split=split, records=tuple(_records(plain, path)))


def _is_via(path: Path) -> bool:
    text = head(path)
    if path.suffix.lower() == ".csv":
        return _CSV_COLUMN in text.partition("\n")[0]
    if _PROJECT in text or '"_via_settings"' in text or is_version_3(text):
        return True
    begins = re.match(r'\s*\{\s*"[^"]*"\s*:\s*\{', text)
    return bool(begins and '"filename"' in text and '"regions"' in text)


def _records(images: Mapping[str, Any], path: Path) -> Iterator[Record]:
    for key, item in images.items():
        plain = as_kind(item, dict, path, key)
        name = need(plain, "filename", str, path, key)
        regions = plain.get("regions", [])
        if isinstance(regions, dict):  # version 1
            regions = list(regions.values())
        if not isinstance(regions, list):
            raise wrong_key(path, f"{key}.regions", "a list (VIA 2) or a mapping (VIA 1)", regions)
        yield Record(name=name, key=key, regions=tuple(_regions(regions, path, key)))


def _regions(regions: Sequence[Any], path: Path, key: str) -> Iterator[Region]:
    for index, item in enumerate(regions):
        where = f"{key}.regions[{index}]"
        try:
            plain = as_kind(item, dict, path, where)
            attributes = as_kind(plain.get("region_attributes") or {}, dict, path, f"{where}.region_attributes")
            yield Region(where=where, shape=need(plain, "shape_attributes", dict, path, where), attributes=attributes)
        except DatasetError as error:
            yield Region(where=where, error=error)


def _csv_records(path: Path) -> Iterator[Record]:
    table = read_table(path)
    name_column, shape_column = table.need("filename", "#filename"), table.need(_CSV_COLUMN)
    attribute_column = table.need("region_attributes")
    regions: dict[str, list[Region]] = {}
    for line, cells in table.rows:
        found = regions.setdefault(cells[name_column], [])
        try:
            shape = _cell(table, line, cells[shape_column])
            attributes = _cell(table, line, cells[attribute_column]) if shape else {}
        except DatasetError as error:
            found.append(Region(where=f"line {line}", error=error))
            continue
        if shape:
            found.append(Region(where=f"line {line}", shape=shape, attributes=attributes))
    for name, found in regions.items():
        yield Record(name=name, key=name, regions=tuple(found))


def _cell(table: Table, line: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise DatasetError(
            f"line {line}: expected a mapping as JSON, got {text[:80]!r}: {error}", path=table.path
        ) from error
    return as_kind(value, dict, table.path, f"line {line}")


def _choices(attributes: Any) -> dict[str, dict[str, str]]:
    """Returns attribute of regions -> the values that may be chosen -> their descriptions, where there is a list."""
    regions = attributes.get("region") if isinstance(attributes, dict) else None
    if not isinstance(regions, dict):
        return {}
    return {
        name: {str(value): str(text) for value, text in plain["options"].items()}
        for name, plain in regions.items()
        if isinstance(plain, dict) and isinstance(plain.get("options"), dict) and plain["options"]
    }
