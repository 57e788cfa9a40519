"""Which classes a folder in VOC's layout has, and whether its masks write them as numbers or as colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import describe_value, propose_classes
from segbench.data.files.masks import as_color
from segbench.data.formats.shared.class_list_files import labelmap_line
from segbench.data.formats.shared.listing import read_lines
from segbench.errors import DatasetError
from segbench.locale import listed, message
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
_FIRST_FEW = 5
_BACKGROUND = ("background", "_background_")


@dataclass(frozen=True, kw_only=True)
class VocClasses:
    """A list of classes; called with the masks' facts it returns the class map.

    Attributes:
        names: class names in the order of the numbers in the masks.
        colors: of each.
        by_color: a palette's colours decide, not its numbers, as the list says which colour is which class.
        ignored: names whose pixels count nowhere.
        sure: the classes are known to be these; else the masks' palette has to be VOC's.
        ignore: further values that count nowhere.
    """

    root: Path
    names: tuple[str, ...]
    colors: tuple[RGB, ...]
    by_color: bool = False
    ignored: tuple[str, ...] = ()
    sure: bool = True
    ignore: tuple[MaskValue, ...] = ()

    def _is_palette(self, facts: Mapping[Path, MaskFact]) -> bool:
        """Returns whether masks hold VOC's palette or colours, of other classes than the first few alone.

        Many tools paint their own classes 1, 2, 3 with VOC's palette.
        """
        places = {color: index for index, color in enumerate(self.colors)}
        colors = {value for fact in facts.values() for value in fact.counts if isinstance(value, tuple)} - {BORDER}
        colors.discard((255, 255, 255))
        pairs = {pair for fact in facts.values() for pair in fact.palette.items() if pair[0] != _BORDER_VALUE}
        if not colors <= places.keys() or any(places.get(color) != value for value, color in pairs):
            return False
        used = {places[color] for color in colors} | {value for value, _ in pairs}
        return len(used) > _FIRST_FEW or (len(used) > 1 and used != set(range(len(used))))

    def __call__(self, facts: Mapping[Path, MaskFact]) -> ClassMap:
        """Returns the map: in colours where a mask holds any, else in numbers.

        Raises:
            DatasetError: nothing says that the masks hold these classes.
        """
        if not self.sure and not self._is_palette(facts):
            raise DatasetError(_not_official(facts), path=self.root)
        colored = any(fact.is_rgb or (self.by_color and fact.palette) for fact in facts.values())
        values: list[MaskValue] = list(self.colors) if colored else list(range(len(self.names)))
        border: MaskValue = BORDER if colored else _BORDER_VALUE
        kept = [
            index
            for index, name in enumerate(self.names)
            if name not in self.ignored and values[index] not in self.ignore
        ]
        ignored = [values[index] for index in range(len(values)) if index not in kept]
        names = tuple(self.names[index] for index in kept)
        background = next((index for index, name in enumerate(names) if name in _BACKGROUND), None)
        return ClassMap(
            names=names,
            values=tuple((values[index],) for index in kept),
            task=Task.BINARY if len(names) == 2 and background == 0 else Task.MULTICLASS,
            colors=tuple(self.colors[index] for index in kept),
            background=background,
            ignore_values=tuple(dict.fromkeys((*ignored, *self.ignore, *([border] if border not in values else [])))),
        )


def read_classes(
    files: Sequence[Path], root: Path, *, official: bool = True, ignore: tuple[MaskValue, ...] = ()
) -> VocClasses:
    """Returns the classes that the first of the files lists, or the official ones where there is none.

    Args:
        official: the images are those of the challenge; else its classes are taken for masks of its palette alone.
        ignore: mask values that count nowhere.
    Raises:
        DatasetError: a malformed line, a class twice, or fewer than two.
    """
    if not files:
        colors = tuple(voc_color(index) for index in range(len(OFFICIAL)))
        return VocClasses(root=root, names=OFFICIAL, colors=colors, sure=official, ignore=ignore)
    path = next((path for path in files if path.name == "labelmap.txt"), files[0])
    names: list[str] = []
    listed: list[RGB | None] = []
    for number, line in read_lines(path):
        name, color = labelmap_line(line, path, number) if path.name == "labelmap.txt" else (line, None)
        if name in names:
            raise DatasetError(f"line {number}: the class {name!r} is listed twice", path=path)
        names.append(name)
        listed.append(color)
    if names[:1] == ["__ignore__"]:  # LabelMe counts it as -1
        names, listed = names[1:], listed[1:]
    if len(names) < 2:
        raise DatasetError(f"expected at least two classes, got {', '.join(names) or 'none'}", path=path)
    shown = tuple(voc_color(index) if color is None else color for index, color in enumerate(listed))
    if len(set(shown)) < len(shown):
        double = next(color for color in shown if shown.count(color) > 1)
        raise DatasetError(f"the colour {double} belongs to two classes; it can mean one", path=path)
    ignored = tuple(name for name in names if name.lower() in _IGNORED)
    return VocClasses(root=root, names=tuple(names), colors=shown, by_color=any(listed), ignored=ignored, ignore=ignore)


def voc_color(index: int) -> RGB:
    """Returns the colour of a number in VOC's palette: its bits, three at a time, spread over the channels."""
    red = green = blue = 0
    for shift in range(7, -1, -1):
        red |= (index & 1) << shift
        green |= (index >> 1 & 1) << shift
        blue |= (index >> 2 & 1) << shift
        index >>= 3
    return (red, green, blue)


def _not_official(facts: Mapping[Path, MaskFact]) -> str:
    """Returns the question which classes masks have that are neither the challenge's nor described by a file."""
    pixels: Counter[MaskValue] = Counter()
    for fact in facts.values():
        pixels.update(fact.counts)
    order = sorted((value for value in pixels if value not in (_BORDER_VALUE, BORDER)), key=as_color)
    return message(
        "the folders are Pascal VOC's, but neither the images' names nor the masks' palette are, and no labelmap.txt "
        "or "
        "class_names.txt lists the classes; the masks hold {values}: name them with {classes}",
        values=listed([describe_value(value) for value in order]),
        classes=propose_classes(order),
    )
