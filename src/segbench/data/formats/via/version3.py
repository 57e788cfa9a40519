"""Projects of VGG Image Annotator 3, whose regions are numbers in a row, brought to the form of version 2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.annotated import wrong_key
from segbench.data.formats.shared.values import as_kind, need
from segbench.data.formats.via.records import Record, Region
from segbench.errors import DatasetError, shorten
from segbench.locale import message

_SIGN = re.compile(r'"vid_list"\s*:|"fid_list"\s*:')
_CHECKBOX = 2  # of the types of attributes: several numbers of options, with commas
_SHAPES: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("point", ("cx", "cy")),
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
    5: ("polyline", ()),  # a line of two points
    6: ("polyline", ()),
    7: ("polygon", ()),
}


def is_version_3(text: str) -> bool:
    """Returns whether a file begins like a project of version 3."""
    return bool(_SIGN.search(text))


def read_project(plain: Mapping[str, Any], path: Path) -> tuple[list[Record], dict[str, dict[str, str]]]:
    """Returns the images of a project, and for each attribute that is chosen from a list: number -> option.

    Raises:
        DatasetError: a key missing or of another type.
    """
    attributes = {
        number: as_kind(item, dict, path, f"attribute.{number}")
        for number, item in need(plain, "attribute", dict, path, "").items()
    }
    regions: dict[str, list[Region]] = {}
    for key, item in need(plain, "metadata", dict, path, "").items():
        where = f"metadata.{key}"
        entry = as_kind(item, dict, path, where)
        numbers = need(entry, "xy", list, path, where)
        if not numbers:
            continue  # says something of the whole file
        try:
            values = as_kind(entry.get("av") or {}, dict, path, f"{where}.av")
            shape = _shape(numbers, path, f"{where}.xy")
            region = Region(where=where, shape=shape, attributes=dict(_attributes(values, attributes)))
        except DatasetError as error:
            region = Region(where=where, error=error)
        regions.setdefault(str(entry.get("vid")), []).append(region)
    files = need(plain, "file", dict, path, "")
    records = list(_records(files, need(plain, "view", dict, path, ""), regions, path))
    choices = {
        str(attribute.get("aname", number)): {str(key): str(value) for key, value in attribute["options"].items()}
        for number, attribute in attributes.items()
        if isinstance(attribute.get("options"), dict) and attribute["options"]
    }
    return records, choices


def _attributes(values: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for number, value in values.items():
        attribute = attributes.get(number, {})
        name = str(attribute.get("aname", number))
        if attribute.get("type") == _CHECKBOX:
            yield name, {part: True for part in str(value).split(",") if part.strip()}
        else:
            yield name, value


def _shape(numbers: Sequence[Any], path: Path, where: str) -> dict[str, Any]:
    """Returns `[7, x, y, ...]` as version 2 writes it; the first number is the kind."""
    kind, *values = numbers
    name, keys = _SHAPES.get(kind, (f"number {kind}", ())) if isinstance(kind, int) else (str(kind), ())
    if not keys:
        return {"name": name, "all_points_x": values[0::2], "all_points_y": values[1::2]}
    if len(values) != len(keys):
        raise wrong_key(path, where, f"{len(keys)} numbers of a {name}", values)
    return {"name": name, **dict(zip(keys, values, strict=True))}


def _records(
    files: Mapping[str, Any], views: Mapping[str, Any], regions: Mapping[str, Sequence[Region]], path: Path
) -> Iterator[Record]:
    for number, item in views.items():
        where = f"view.{number}"
        shown = [str(one) for one in need(as_kind(item, dict, path, where), "fid_list", list, path, where)]
        names = [need(need(files, one, dict, path, "file"), "fname", str, path, f"file.{one}") for one in shown]
        found = tuple(regions.get(number, ()))
        if len(names) > 1 and found:
            raise DatasetError(
                message(
                    "{where} shows {n} images side by side ({names}), and its regions do not say on which of them they "
                    "are; annotate each in a view of its own",
                    where=where,
                    n=len(names),
                    names=shorten(names, 4),
                ),
                path=path,
            )
        for name in names:
            yield Record(name=name, key=name, regions=found)
