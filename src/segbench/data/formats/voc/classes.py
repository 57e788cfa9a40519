"""Which classes a folder in VOC's layout has, and whether its masks write them as numbers or as colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.formats.shared.listing import read_lines
from segbench.errors import DatasetError
from segbench.types import RGB, ClassMap, MaskValue, Task

OFFICIAL = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
BORDER: RGB = (224, 224, 192)
_BORDER_VALUE = 255
_IGNORED = ("__ignore__", "ignored", "ignore", "void")
_BACKGROUND = ("background", "_background_")


@dataclass(frozen=True, kw_only=True)
class VocClasses:
    """A list of classes; called with the masks' facts it returns the class map.

    Attributes:
        names: class names in the order of the numbers in the masks.
        colors: of each.
        by_color: a palette's colours decide, not its numbers, as the list says which colour is which class.
        ignored: names whose pixels count nowhere.
    """

    root: Path
    names: tuple[str, ...]
    colors: tuple[RGB, ...]
    by_color: bool = False
    ignored: tuple[str, ...] = ()

    def __call__(self, facts: Mapping[Path, MaskFact]) -> ClassMap:
        """Returns the map: in colours where a mask holds any, else in numbers."""
        colored = any(fact.is_rgb or (self.by_color and fact.palette) for fact in facts.values())
        values: list[MaskValue] = list(self.colors) if colored else list(range(len(self.names)))
        border: MaskValue = BORDER if colored else _BORDER_VALUE
        kept = [index for index, name in enumerate(self.names) if name not in self.ignored]
        ignored = [values[index] for index in range(len(values)) if index not in kept]
        names = tuple(self.names[index] for index in kept)
        background = next((index for index, name in enumerate(names) if name in _BACKGROUND), None)
        return ClassMap(
            names=names,
            values=tuple((values[index],) for index in kept),
            task=Task.BINARY if len(names) == 2 and background == 0 else Task.MULTICLASS,
            colors=tuple(self.colors[index] for index in kept),
            background=background,
            ignore_values=(*ignored, *([border] if border not in values else [])),
        )


def read_classes(files: Sequence[Path], root: Path) -> VocClasses:
    """Returns the classes that the first of the files lists, or the official ones where there is none.

    Raises:
        DatasetError: a malformed line, a class twice, or fewer than two.
    """
    if not files:
        return VocClasses(root=root, names=OFFICIAL, colors=tuple(voc_color(index) for index in range(len(OFFICIAL))))
    path = next((path for path in files if path.name == "labelmap.txt"), files[0])
    names: list[str] = []
    colors: list[RGB | None] = []
    for number, line in read_lines(path):
        name, color = _labelmap_line(line, path, number) if path.name == "labelmap.txt" else (line, None)
        if name in names:
            raise DatasetError(f"line {number}: the class {name!r} is listed twice", path=path)
        names.append(name)
        colors.append(color)
    if names[:1] == ["__ignore__"]:  # LabelMe counts it as -1
        names, colors = names[1:], colors[1:]
    if len(names) < 2:
        raise DatasetError(f"expected at least two classes, got {', '.join(names) or 'none'}", path=path)
    shown = tuple(voc_color(index) if color is None else color for index, color in enumerate(colors))
    if len(set(shown)) < len(shown):
        double = next(color for color in shown if shown.count(color) > 1)
        raise DatasetError(f"the colour {double} belongs to two classes; it can mean one", path=path)
    ignored = tuple(name for name in names if name.lower() in _IGNORED)
    return VocClasses(root=root, names=tuple(names), colors=shown, by_color=any(colors), ignored=ignored)


def voc_color(index: int) -> RGB:
    """Returns the colour of a number in VOC's palette: its bits, three at a time, spread over the channels."""
    red = green = blue = 0
    for shift in range(7, -1, -1):
        red |= (index & 1) << shift
        green |= (index >> 1 & 1) << shift
        blue |= (index >> 2 & 1) << shift
        index >>= 3
    return (red, green, blue)


def _labelmap_line(line: str, path: Path, number: int) -> tuple[str, RGB | None]:
    """Returns name and colour of `name:r,g,b:parts:actions`; a class without a colour has VOC's."""
    cells = line.split(":")
    parts = [part.strip() for part in cells[1].split(",")] if len(cells) > 1 and cells[1].strip() else []
    wrong = len(cells) < 2 or len(parts) not in (0, 3) or not all(part.isdigit() and int(part) < 256 for part in parts)
    if wrong or not cells[0].strip():
        raise DatasetError(f"line {number}: expected NAME:R,G,B:PARTS:ACTIONS, got {line!r}", path=path)
    color = (int(parts[0]), int(parts[1]), int(parts[2])) if parts else None
    return cells[0].strip(), color
