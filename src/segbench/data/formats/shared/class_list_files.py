"""Files that list classes, each parsed as the tools write it: CSV, JSON, YAML and text -> names, numbers and "
"colours."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.annotated import load_json, wrong_key
from segbench.data.formats.shared.image_names import head
from segbench.data.formats.shared.listing import read_lines, read_text
from segbench.data.formats.shared.tables import find_column, read_table
from segbench.errors import DatasetError
from segbench.locale import message
from segbench.types import RGB

_NAME = ("name", "class_name", "class", "classes", "label", "label_name", "category")
_NUMBER = (
    "value",
    "id",
    "index",
    "class_id",
    "label_id",
    "pixel_value",
    "pixel",
    "gray",
    "grey",
    "number",
    "class_idx",
)
_CHANNELS = (("r", "red"), ("g", "green"), ("b", "blue"))
_COLOR = ("color", "colour", "rgb", "hex", "color_rgb")
_NUMBERED = re.compile(r"(\d+)(?:\s*[:,;=\t]\s*|\s+)(\D.*)")  # `1: crack`, `1 crack`
_NAMED = re.compile(r"(\D.*?)\s*[:,;=\t]\s*(\d+)")  # `crack: 1`
_COLORED = re.compile(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\D.*)")  # `64 128 64  Animal`, as CamVid's label_colors.txt
_LONGEST = 80  # characters of a name
_PATH = re.compile(r"[/\\]|\.(png|jpe?g|tiff?|bmp|webp|gif)$", re.IGNORECASE)
_NOT_CLASSES = message("it lists no names with numbers or colours")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The classes that a file lists.

    Attributes:
        names: in the file's order, without a repeated one.
        numbers: the grey value of each; None where the file has none.
        colors: of each; () where the file has none.
        ignored: numbers that the file itself says count nowhere.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...] | None = None
    colors: tuple[RGB, ...] = ()
    ignored: tuple[int, ...] = ()


class NotUnderstoodError(Exception):
    """A file is called like a list of classes and is none that is known; `why` says so in a sentence."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


def parse_list(path: Path) -> Listed | None:
    """Returns the classes of a file; None where it is about something else, as a `data.yaml` without names may be.

    Raises:
        NotUnderstoodError: the file is called like a list of classes, but is none that is known.
        DatasetError: it is one, and damaged.
    """
    if path.suffix == ".csv":
        return _from_csv(path)
    if path.suffix in (".yaml", ".yml"):
        return _from_names(_load_yaml(path), path)
    if path.suffix == ".json":
        plain = load_json(path)
        return (
            _from_meta(plain, path) if path.name in ("dataset_meta.json", "dataset.json") else _from_json(plain, path)
        )
    return _from_labelmap(path) if path.name == "labelmap.txt" else _from_lines(path)


def is_color(value: object) -> bool:
    """Returns whether a value is [r, g, b] of whole numbers from 0 to 255."""
    return isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value)


def labelmap_line(line: str, path: Path, number: int) -> tuple[str, RGB | None]:
    """Returns name and colour of `name:r,g,b:parts:actions`, as CVAT writes it; None where the colour is left out."""
    cells = line.split(":")
    parts = [part.strip() for part in cells[1].split(",")] if len(cells) > 1 and cells[1].strip() else []
    wrong = len(cells) < 2 or len(parts) not in (0, 3) or not all(part.isdigit() and int(part) < 256 for part in parts)
    if wrong or not cells[0].strip():
        raise DatasetError(f"line {number}: expected NAME:R,G,B:PARTS:ACTIONS, got {line!r}", path=path)
    color = (int(parts[0]), int(parts[1]), int(parts[2])) if parts else None
    return cells[0].strip(), color


def _from_csv(path: Path) -> Listed:
    """Reads a table with the columns name and r, g, b, or name and colour, or name and value."""
    delimiter = _delimiter(path)
    columns = [cell.strip() for cell in next(csv.reader([head(path).partition("\n")[0]], delimiter=delimiter), [])]
    name, number, painted = (find_column(columns, known) for known in (_NAME, _NUMBER, _COLOR))
    channels = [column for names in _CHANNELS if (column := find_column(columns, names)) is not None]
    if name is None or (number is None and painted is None and len(channels) < len(_CHANNELS)):
        raise NotUnderstoodError(
            message(
                "expected columns such as name and value, or name, r, g, b; got {columns}", columns=", ".join(columns)
            )
        )
    names: list[str] = []
    numbers: list[int] = []
    colors: list[RGB] = []
    for line, cells in read_table(path, delimiter=delimiter).rows:
        wanted = [cells[column].strip() for column in (*([number] if number is not None else []), *channels)]
        if not all(cell.isdecimal() for cell in wanted):
            raise DatasetError(f"line {line}: expected whole numbers, got {', '.join(wanted)}", path=path)
        names.append(cells[name].strip().strip('"'))
        numbers += [int(cells[number])] if number is not None else []
        if len(channels) == len(_CHANNELS):
            colors.append(_color([int(cells[column]) for column in channels], line, path))
        elif painted is not None:
            colors.append(_color(_color_text(cells[painted]), line, path))
    return Listed(names=tuple(names), numbers=tuple(numbers) if number is not None else None, colors=tuple(colors))


def _delimiter(path: Path) -> str:
    """Returns the sign that stands most often in the first line."""
    first = head(path).partition("\n")[0]
    return max(",;\t", key=first.count)


def _color(parts: list[int] | None, line: int, path: Path) -> RGB:
    if parts is None or not is_color(parts):
        raise DatasetError(f"line {line}: expected a colour of three numbers from 0 to 255, got {parts}", path=path)
    return (parts[0], parts[1], parts[2])


def _color_text(text: str) -> list[int] | None:
    """Returns the numbers of `#00ff00`, `0,255,0`, `(0 255 0)` or `[0, 255, 0]`."""
    bare = text.strip().lstrip("#")
    if re.fullmatch(r"[0-9a-fA-F]{6}", bare) and (text.strip().startswith("#") or not bare.isdecimal()):
        return list(bytes.fromhex(bare))
    parts = re.findall(r"\d+", bare)
    return [int(part) for part in parts] if len(parts) == 3 else None


def _from_meta(plain: Any, path: Path) -> Listed | None:
    """Reads `{"label_map": {"0": "sky"}, "segmentation_colors": [[0, 0, 0]]}`, and nnU-Net's `{"labels": {...}}`."""
    if not isinstance(plain, dict):
        return None
    if isinstance(plain.get("labels"), dict) and "label_map" not in plain:
        return _from_nnunet(plain["labels"])
    labels = plain.get("label_map")
    if not isinstance(labels, dict):
        return None  # some other file of this name
    if not all(key.isdecimal() and isinstance(name, str) for key, name in labels.items()):
        raise wrong_key(path, "label_map", "numbers and names", labels)
    given = plain.get("segmentation_colors")
    if given is not None and not (isinstance(given, list) and len(given) == len(labels) and all(map(is_color, given))):
        raise wrong_key(path, "segmentation_colors", f"{len(labels)} colours [r, g, b]", given)
    order = sorted(labels, key=int)
    return Listed(
        names=tuple(labels[key] for key in order),
        numbers=tuple(int(key) for key in order),
        colors=tuple((color[0], color[1], color[2]) for color in given or ()),
    )


def _from_nnunet(labels: Mapping[str, Any]) -> Listed:
    """Reads names and numbers, in either order; `ignore` is the label that counts nowhere."""
    found = _from_mapping(labels)
    if found is None:
        raise NotUnderstoodError(
            message("labels: expected a number for each name; regions of several numbers are not read")
        )
    pairs = list(zip(found.names, found.numbers or (), strict=True))
    kept = [pair for pair in pairs if pair[0] != "ignore"]
    return Listed(
        names=tuple(name for name, _ in kept),
        numbers=tuple(number for _, number in kept),
        ignored=tuple(number for name, number in pairs if name == "ignore"),
    )


def _from_json(plain: Any, path: Path) -> Listed:
    """Reads a list of names, a mapping of names and numbers or colours, or a list of {id, name, color}."""
    for key in ("classes", "categories", "labels", "names", "id2label", "label_map", "class_names"):
        if isinstance(plain, dict) and isinstance(plain.get(key), list | dict):
            plain = plain[key]
            break
    found = _from_names({"names": plain}, path) if not isinstance(plain, dict) else _from_mapping(plain)
    found = found or _from_items(plain)
    if found is None:
        raise NotUnderstoodError(_NOT_CLASSES)
    return found


def _from_mapping(plain: Mapping[Any, Any]) -> Listed | None:
    """Reads number -> name, name -> number, or name -> colour."""
    keys, values = [str(key).strip() for key in plain], list(plain.values())
    if not keys:
        return None
    if all(key.isdecimal() for key in keys) and all(isinstance(value, str) for value in values):
        pairs = sorted((int(key), value.strip()) for key, value in zip(keys, values, strict=True))
        return Listed(names=tuple(name for _, name in pairs), numbers=tuple(number for number, _ in pairs))
    numbers = [int(value) for value in values if type(value) is int or (isinstance(value, str) and value.isdecimal())]
    if len(numbers) == len(values) and min(numbers) >= 0:
        pairs = sorted(zip(numbers, keys, strict=True))
        return Listed(names=tuple(name for _, name in pairs), numbers=tuple(number for number, _ in pairs))
    colors = _all_colors(values)
    return Listed(names=tuple(keys), colors=colors) if colors is not None else None


def _from_items(plain: Any) -> Listed | None:
    """Reads a list of mappings with the keys name (or the like), and id or color."""
    if not isinstance(plain, list) or not plain or not all(isinstance(item, dict) for item in plain):
        return None
    numbers = _values(plain, _NUMBER)
    if numbers is not None and all(type(number) is int for number in numbers):
        plain = [item for _, item in sorted(zip(numbers, plain, strict=True), key=lambda pair: pair[0])]
    names, numbers, colors = (_values(plain, known) for known in (_NAME, _NUMBER, _COLOR))
    if names is None or not all(isinstance(name, str) for name in names):
        return None
    numbered = numbers is not None and all(type(number) is int and number >= 0 for number in numbers)
    painted = _all_colors(colors) if colors is not None else None
    if not numbered and painted is None:
        return None
    return Listed(
        names=tuple(name.strip() for name in names),
        numbers=tuple(numbers) if numbered and numbers is not None else None,
        colors=painted or (),
    )


def _values(items: Sequence[Mapping[str, Any]], known: Sequence[str]) -> list[Any] | None:
    """Returns the value of each item under the first of the known keys that all of them have."""
    keys = list(items[0])
    place = find_column(keys, known)
    if place is None or not all(keys[place] in item for item in items):
        return None
    return [item[keys[place]] for item in items]


def _all_colors(values: Sequence[Any]) -> tuple[RGB, ...] | None:
    found = [_color_text(value) if isinstance(value, str) else value for value in values]
    colors = [(color[0], color[1], color[2]) for color in found if isinstance(color, list) and is_color(color)]
    return tuple(colors) if len(colors) == len(values) else None


def _load_yaml(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(read_text(path, "the list of classes"))
    except YAMLError as error:
        raise NotUnderstoodError(message("it is no YAML that can be read")) from error


def _from_names(plain: Any, path: Path) -> Listed | None:
    """Reads the `names` of YOLO's data.yaml: a list, or number -> name."""
    names = plain.get("names") if isinstance(plain, dict) else None
    if isinstance(names, dict):
        return _from_mapping(names)
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return Listed(names=tuple(name.strip() for name in names))
    if names is not None and path.suffix != ".json":
        raise NotUnderstoodError(message("names: expected a list of names, or a name for each number"))
    return None


def _from_labelmap(path: Path) -> Listed:
    """Reads CVAT's labelmap.txt, or one name a line where the file is called so."""
    lines = read_lines(path)
    if not any(":" in line for _, line in lines):
        return _from_lines(path)
    pairs = [labelmap_line(line, path, number) for number, line in lines]
    colors = tuple(color for _, color in pairs if color is not None)
    return Listed(names=tuple(name for name, _ in pairs), colors=colors if len(colors) == len(pairs) else ())


def _from_lines(path: Path) -> Listed:
    """Reads one name a line, with a number or a colour before or a number behind each, or none."""
    lines = [line for _, line in read_lines(path)]
    colored = [_COLORED.fullmatch(line) for line in lines]
    if lines and all(colored):
        parts = [
            (match[4].strip(), _color([int(match[place]) for place in (1, 2, 3)], 1, path))
            for match in colored
            if match
        ]
        return Listed(names=tuple(name for name, _ in parts), colors=tuple(color for _, color in parts))
    for pattern, name, number in ((_NUMBERED, 2, 1), (_NAMED, 1, 2)):
        matches = [pattern.fullmatch(line) for line in lines]
        if lines and all(matches):
            pairs = sorted((int(match[number]), match[name].strip()) for match in matches if match)
            return Listed(names=tuple(text for _, text in pairs), numbers=tuple(place for place, _ in pairs))
    if not lines or any(len(line) > _LONGEST or line.isdecimal() or _PATH.search(line) for line in lines):
        raise NotUnderstoodError(_NOT_CLASSES)
    names = lines[1:] if lines[0] == "__ignore__" else lines  # LabelMe counts it as -1
    return Listed(names=tuple(names))
