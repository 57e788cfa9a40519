"""What the pixels of another tool's masks mean: decided over a whole folder, and asked where two readings fit.

A 1 may be the class of index 1, the value 1 of the data set's own masks, or the second colour of a palette. A wrong
guess gives a score that looks like a bad network, so nothing is guessed where readings that fit differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from segbench.data.files.images import read_bytes, read_mask_values, read_palette
from segbench.data.files.masks import class_counts, count_values, encode_mask, encode_plane, has_colors
from segbench.data.manifest.manifest import Manifest
from segbench.errors import DatasetError, shorten
from segbench.locale import Message, message
from segbench.speech import argument
from segbench.types import ClassMap, MaskValue, Task

MaskMeaning: TypeAlias = Literal["auto", "values", "indices"]
Reading: TypeAlias = Literal["values", "indices", "palette"]
UInt8Array = npt.NDArray[np.uint8]

_READINGS: tuple[Reading, ...] = ("values", "indices", "palette")


@dataclass(frozen=True)
class Look:
    """What one mask file holds.

    Attributes:
        file: looked at.
        index: class of a multilabel mask; else None.
        keys: distinct grey values, palette indices, or RGB colours.
        colors: of the keys of a palette file; empty for any other.
    """

    file: Path
    index: int | None
    keys: tuple[MaskValue, ...]
    colors: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class MaskReader:
    """Reads mask files by one meaning of their pixels.

    Attributes:
        manifest: of the data set.
        reading: `values`: as the data set's own masks are read; `indices`: class indices, multilabel 0 and any other
            value; `palette`: by the colours of palette files.
    """

    manifest: Manifest
    reading: Reading

    @property
    def class_map(self) -> ClassMap:
        """The classes."""
        return self.manifest.class_map

    def read(self, file: Path, index: int | None) -> UInt8Array:
        """Returns (H, W) uint8: class indices; 0 and 1 for class `index` of a multilabel data set.

        Raises:
            DatasetError: the file cannot be read, or holds values that mean no class.
        """
        tolerance, class_map = self.manifest.tolerance, self.class_map
        if self.reading == "values":
            values = read_mask_values(file, colors=has_colors(class_map))
            if index is None:
                mask = encode_mask(values, class_map, path=file, tolerance=tolerance)
            else:
                mask = encode_plane(values, class_map, index, path=file, tolerance=tolerance)
        else:
            values = read_mask_values(file)
            look = _look(file, index, values, colors=read_palette(file))
            table = np.zeros(65536, dtype=np.uint8)
            for place, key in enumerate(look.keys):
                meaning = self.meaning(look, place)
                if meaning is None or not isinstance(key, int):
                    raise DatasetError(f"holds {key}, which means no class; write the mask again", path=file)
                table[key] = meaning
            mask = table[values]
        return _require_classes(mask, class_map, file)

    def meaning(self, look: Look, place: int) -> int | None:
        """Returns the class index (multilabel: 0 or 1) of one key of a file; None where it means nothing."""
        key = look.keys[place]
        if self.reading == "values":
            color_set = has_colors(self.class_map)
            return self._own(look.colors[place] if look.colors and color_set else key, look.index)
        if self.reading == "indices":
            if not isinstance(key, int):
                return None
            if look.index is not None:
                return int(key > 0)
            return key if key < self.class_map.num_classes else None
        return self._by_color(look, place)

    def _own(self, value: MaskValue, index: int | None) -> int | None:
        known = class_counts({value: 1}, self.class_map, tolerance=self.manifest.tolerance, index=index)
        return None if known is None else next(iter(known[0]))

    def _by_color(self, look: Look, place: int) -> int | None:
        """Returns what a colour of a palette means: shown like the data set's own masks, or in the display colours."""
        if not look.colors or len(set(look.colors)) < len(look.colors):
            return None  # no palette, or one that shows different indices alike
        color, key = look.colors[place], look.keys[place]
        shown = self._shown_colors
        if all(each in shown for each in look.colors):
            # A plane of a multilabel mask shows its 0 and 1 in the colours of the first two classes.
            meaning = shown.index(color)
            return meaning if look.index is None else int(key != 0)
        if has_colors(self.class_map):
            return self._own(color, look.index)
        grey = color[0] if len(set(color)) == 1 else None
        if grey is None:
            return None
        if look.index is not None:
            return int(grey > 0)
        return self._own(grey, None)

    @cached_property
    def _shown_colors(self) -> list[tuple[int, int, int]]:
        colors = list(self.class_map.colors)
        return colors if len(set(colors)) == len(colors) else []

    def shows_display_colors(self, looks: Sequence[Look]) -> bool:
        """Tells whether every file is a palette file in the class map's display colours, as segbench writes them."""
        return all(look.colors and set(look.colors) <= set(self._shown_colors) for look in looks)


def look_at(file: Path, index: int | None, class_map: ClassMap) -> Look:
    """Returns what a mask file holds.

    Raises:
        DatasetError: it cannot be read.
    """
    data = read_bytes(file)
    colors = read_palette(file, data=data)
    values = read_mask_values(file, colors=has_colors(class_map) and not colors, data=data)
    return _look(file, index, values, colors)


def decide_reading(
    looks: Sequence[Look], manifest: Manifest, asked: MaskMeaning, root: Path
) -> tuple[MaskReader, Message | None]:
    """Returns how a folder's masks are to be read, and what a reader must know about it.

    Decided over all masks together: a mask that is 0 everywhere fits everything.

    Args:
        looks: at every file.
        manifest: of the data set.
        asked: what somebody said about them; `auto`: nothing.
        root: folder of the masks, for messages.
    Raises:
        DatasetError: no reading fits, or readings that fit differ.
    """
    readers = {reading: MaskReader(manifest, reading) for reading in _READINGS}
    meanings = {reading: [_meanings(readers[reading], look) for look in looks] for reading in _READINGS}
    if manifest.class_map.task is Task.MULTILABEL and not _one_value_a_class(looks):
        del meanings["indices"], meanings["palette"]  # not 0 and one other value: a soft map, or a lossy file
    fitting = [reading for reading, found in meanings.items() if all(None not in each for each in found)]
    if asked != "auto":
        wanted: tuple[Reading, ...] = ("indices",) if asked == "indices" else ("values", "palette")
        fitting = [reading for reading in wanted if reading in fitting][:1]
    if not fitting:
        raise DatasetError(_told_unknown(looks, manifest, asked), path=root)
    if all(meanings[reading] == meanings[fitting[0]] for reading in fitting):
        chosen = fitting[0]
    else:
        chosen = _by_palette(fitting, looks, readers["palette"], meanings, root)
    return readers[chosen], _note(chosen, manifest.class_map)


def _by_palette(
    fitting: Sequence[Reading], looks: Sequence[Look], palette: MaskReader, meanings: dict[Reading, Any], root: Path
) -> Reading:
    """Returns the reading that the colours of palette files decide for; raises where they do not."""
    class_map = palette.class_map
    if has_colors(class_map) and "values" in fitting and any(look.colors for look in looks):
        return "values"
    if "palette" in fitting:
        agreed = "values" not in fitting or meanings["values"] == meanings["palette"]
        if agreed or palette.shows_display_colors(looks):
            return "palette"
    found = sorted({key for look in looks for key in look.keys}, key=_order)
    if all(meanings[reading] == meanings[fitting[0]] for reading in fitting if reading != "palette"):
        raise DatasetError(
            f"the masks hold {shorten(found)}, which mean one thing and show another: their palettes have the colours "
            f"of other classes; write them without palettes, or say {_either()}",
            path=root,
        )
    raise DatasetError(
        f"the masks hold {shorten(found)}, which mean one thing as the values of the data set's own masks and another "
        f"as class indices 0 to {_highest(class_map)}; say which with {_either()}",
        path=root,
    )


def _either() -> str:
    return f"{argument('masks', 'values')} or {argument('masks', 'indices')}"


def _meanings(reader: MaskReader, look: Look) -> list[int | None]:
    return [reader.meaning(look, place) for place in range(len(look.keys))]


def _look(file: Path, index: int | None, values: npt.NDArray[Any], colors: Sequence[tuple[int, int, int]]) -> Look:
    keys = tuple(sorted(count_values(values)[0], key=_order))
    shown = tuple(colors[key] for key in keys if isinstance(key, int)) if colors else ()
    return Look(file=file, index=index, keys=keys, colors=shown)


def _one_value_a_class(looks: Sequence[Look]) -> bool:
    """Tells whether every class of a multilabel data set is written as 0 and one other value."""
    found: dict[int | None, set[MaskValue]] = {}
    for look in looks:
        found.setdefault(look.index, set()).update(key for key in look.keys if key != 0)
    return all(len(values) <= 1 for values in found.values())


def _highest(class_map: ClassMap) -> int:
    return 1 if class_map.task is Task.MULTILABEL else class_map.num_classes - 1


def _note(reading: Reading, class_map: ClassMap) -> Message | None:
    if reading == "palette":
        return message("the masks were read by the colours of their palettes")
    if reading == "values":
        return None
    if class_map.task is Task.MULTILABEL:
        return message("the masks were read as 0 for absent and any other value for present")
    return message("the masks were read as class indices 0 to {n}", n=_highest(class_map))


def _told_unknown(looks: Sequence[Look], manifest: Manifest, asked: MaskMeaning) -> str:
    """Returns what the masks hold and what was expected, where no reading fits."""
    class_map = manifest.class_map
    index = None
    if class_map.task is Task.MULTILABEL:
        own_values = MaskReader(manifest, "values")
        index = next((look.index for look in looks if None in _meanings(own_values, look)), looks[0].index)
    found = sorted({key for look in looks if look.index == index for key in look.keys}, key=_order)
    own = class_map.values if index is None else (class_map.values[index],)
    expected_values: list[MaskValue] = sorted({value for values in own for value in values}, key=_order)
    known = shorten(expected_values)
    kind = "colours" if any(isinstance(key, tuple) for key in found) else "values"
    holds = f"the masks hold the {kind} {shorten(found)}"
    if index is not None:
        holds = f"the masks of class {class_map.names[index]} hold the {kind} {shorten(found)}"
        other = "0 and one other value, in one channel"
    else:
        other = f"class indices 0 to {_highest(class_map)}"
    if asked == "indices":
        return f"{holds}; expected {other}, as {argument('masks', 'indices')} says"
    expected = f"{holds}; expected those of the data set's own masks ({known})"
    return f"{expected}, as {argument('masks', 'values')} says" if asked == "values" else f"{expected} or {other}"


def _order(key: MaskValue) -> tuple[int, ...]:
    return (1, *key) if isinstance(key, tuple) else (0, key)


def _require_classes(mask: UInt8Array, class_map: ClassMap, file: Path) -> UInt8Array:
    limit = _highest(class_map)
    if mask.size and int(mask.max()) > limit:
        pixels = int((mask > limit).sum())
        raise DatasetError(
            f"{pixels} pixels are marked to be ignored; a prediction names a class everywhere", path=file
        )
    return mask
