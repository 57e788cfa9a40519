"""Names, numbers and colours of classes in a file beside the images: `dataset_meta.json`, `class_dict.csv`, ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import set_option
from segbench.data.formats.shared.annotated import load_json, wrong_key
from segbench.data.formats.shared.image_names import head
from segbench.data.formats.shared.tables import find_column, read_table
from segbench.errors import DatasetError, shorten
from segbench.types import RGB, MaskValue

_FILES = (
    "dataset_meta.json",
    "class_dict.csv",
    "class_dict_seg.csv",
    "classes.csv",
    "labelmap.csv",
    "label_map.csv",
    "label_colors.csv",
)
_NAME = ("name", "class_name", "class", "label", "label_name", "category")
_NUMBER = ("value", "id", "index", "class_id", "label_id", "pixel_value", "number")
_CHANNELS = (("r", "red"), ("g", "green"), ("b", "blue"))
_IGNORED = 255


@dataclass(frozen=True, kw_only=True)
class ClassList:
    """The classes a file lists.

    Attributes:
        numbers: the grey value of each; its place in the list where the file has no numbers.
        colors: of each; () where the file has none.
    """

    path: Path
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    colors: tuple[RGB, ...]

    def values_for(
        self, facts: Mapping[Path, MaskFact], ignore: tuple[MaskValue, ...]
    ) -> tuple[list[tuple[MaskValue, ...]], tuple[MaskValue, ...]]:
        """Returns the mask values of each class and those to ignore: colours where masks hold any, else numbers.

        255 counts nowhere where no class has it. Grey masks that hold other values than the numbers, all of them grey
        colours of classes (black and white), are taken as colours.
        """
        found = {value for fact in facts.values() for value in fact.counts}
        grey = found - set(ignore)
        black_and_white = {color[0] for color in self.colors if len(set(color)) == 1}
        in_colors = any(isinstance(value, tuple) for value in found)
        if self.colors and (in_colors or (grey <= black_and_white and not grey <= set(self.numbers))):
            return [(color,) for color in self.colors], ignore
        if _IGNORED in found and _IGNORED not in (*self.numbers, *ignore):
            ignore = (*ignore, _IGNORED)
        return [(number,) for number in self.numbers], ignore

    def note(self, root: Path) -> str:
        """Returns what the user is told."""
        return (
            f"the classes are those of {self.path.relative_to(root).as_posix()}: {shorten(self.names, 6)} (others: "
            f"{set_option('classes')})"
        )


def find_class_list(root: Path, images: Path) -> ClassList | None:
    """Returns the classes of the first such file in the images' folder or above it, up to `root`; or None.

    Raises:
        DatasetError: the file is damaged, or lists a name, number or colour twice.
    """
    above = [folder for folder in (images, *images.parents) if folder.is_relative_to(root)]
    for folder in above:
        for name in _FILES:
            path = folder / name
            if path.is_file():
                found = _from_json(path) if path.suffix == ".json" else _from_csv(path)
                if found is not None:
                    return _checked(found)
    return None


def _from_json(path: Path) -> ClassList | None:
    """Reads `{"label_map": {"0": "sky"}, "segmentation_colors": [[0, 0, 0]]}`."""
    plain = load_json(path)
    labels = plain.get("label_map") if isinstance(plain, dict) else None
    if not isinstance(labels, dict):
        return None  # some other file of this name
    if not all(key.isdecimal() and isinstance(name, str) for key, name in labels.items()):
        raise wrong_key(path, "label_map", "numbers and names", labels)
    given = plain.get("segmentation_colors")
    if given is not None and not (isinstance(given, list) and len(given) == len(labels) and all(map(is_color, given))):
        raise wrong_key(path, "segmentation_colors", f"{len(labels)} colours [r, g, b]", given)
    order = sorted(labels, key=int)
    return ClassList(
        path=path,
        names=tuple(labels[key] for key in order),
        numbers=tuple(int(key) for key in order),
        colors=tuple((color[0], color[1], color[2]) for color in given or ()),
    )


def _from_csv(path: Path) -> ClassList | None:
    """Reads a table with the columns name and r, g, b, or name and value; None where it is some other table."""
    columns = head(path).partition("\n")[0].replace('"', "").split(",")
    name, number = find_column(columns, _NAME), find_column(columns, _NUMBER)
    channels = [column for names in _CHANNELS if (column := find_column(columns, names)) is not None]
    if name is None or (number is None and len(channels) < len(_CHANNELS)):
        return None
    table = read_table(path)
    names: list[str] = []
    numbers: list[int] = []
    colors: list[RGB] = []
    for line, cells in table.rows:
        wanted = [cells[column].strip() for column in (*([number] if number is not None else []), *channels)]
        if not all(cell.isdecimal() for cell in wanted):
            raise DatasetError(f"line {line}: expected whole numbers, got {', '.join(wanted)}", path=path)
        color = [int(cells[column]) for column in channels]
        if color and not is_color(color):
            raise DatasetError(f"line {line}: expected a colour of three numbers from 0 to 255, got {color}", path=path)
        names.append(cells[name].strip())
        numbers.append(int(cells[number]) if number is not None else len(numbers))
        colors += [(color[0], color[1], color[2])] if color else []
    return ClassList(path=path, names=tuple(names), numbers=tuple(numbers), colors=tuple(colors))


def _checked(found: ClassList) -> ClassList:
    if len(found.names) < 2:
        raise DatasetError(f"expected at least two classes, got {', '.join(found.names) or 'none'}", path=found.path)
    for kind, items in (("name", found.names), ("number", found.numbers), ("colour", found.colors)):
        double = next((item for index, item in enumerate(items) if item in items[:index]), None)
        if double is not None:
            raise DatasetError(f"the {kind} {double!r} is listed for two classes; it can mean one", path=found.path)
    return found


def is_color(value: object) -> bool:
    """Returns whether a value is [r, g, b] of whole numbers from 0 to 255."""
    return isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value)
