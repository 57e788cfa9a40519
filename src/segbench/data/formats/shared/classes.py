"""The class map of an ordinary folder: from the `classes` option, or from what the masks hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import describe_value, propose_classes, set_option
from segbench.data.files.masks import as_color
from segbench.data.formats.shared.advice import LARGEST_GUESS, no_guess
from segbench.data.formats.shared.class_lists import ClassList
from segbench.data.formats.shared.odd_values import REST, value_question
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.locale import message
from segbench.types import RGB, ClassMap, MaskValue, Task

_PRESENT: tuple[MaskValue, ...] = (1, 255)


@dataclass(frozen=True, kw_only=True)
class ClassOptions:
    """The options of the folder reader that decide the class map; called with the masks' facts it returns the map.

    Attributes:
        listed: the classes that a file of the data set lists, used where the user gives none.
    """

    root: Path
    classes: Sequence[str] | Mapping[str, Any] | None
    task: Task | None
    background: str | bool | None
    ignore: Sequence[Any]
    tolerance: int
    listed: ClassList | None = None

    def __post_init__(self) -> None:
        names = list(self.classes) if self.classes is not None else None
        if names is not None and len(names) < (1 if self.task is Task.MULTILABEL else 2):
            raise ConfigError(f"expected at least two classes, got {names}", key="data.options.classes")
        if names is not None and len(set(names)) != len(names):
            raise ConfigError(f"class names must differ, got {', '.join(names)}", key="data.options.classes")
        if names is None and self.listed is not None:
            names = list(self.listed.names)
        if self.background is True or (isinstance(self.background, str) and self.background not in (names or [])):
            raise ConfigError(
                f"expected the name of a class in `classes`, or false for none, got {self.background!r}; "
                f"{suggest(str(self.background), names or [])}",
                key="data.options.background",
            )
        if isinstance(self.classes, Mapping):
            rest = [name for name, value in self.classes.items() if value == REST]
            if len(rest) > 1 or (rest and self.task is Task.MULTILABEL):
                raise ConfigError(
                    f"all values that no other class has can be one class, of one mask file an image; got {REST} for "
                    f"{', '.join(rest)}",
                    key="data.options.classes",
                )
            for name, value in self.classes.items():
                if value != REST:
                    parse_values(value, False, f"classes.{name}")
        parse_values(list(self.ignore), False, "ignore")

    def __call__(self, facts: Mapping[Path, MaskFact]) -> ClassMap:
        """Returns the class map for these masks; DatasetError where their values fit none, with a proposal."""
        in_colors = any(fact.is_rgb for fact in facts.values())
        ignore = parse_values(list(self.ignore), in_colors, "ignore") if self.ignore else ()
        if self.classes is None and self.listed is not None:
            kept, named, ignore = self.listed.values_for(facts, ignore, self.tolerance)
            return self._build(kept, named, ignore, facts)
        counts: Counter[MaskValue] = Counter()
        for fact in facts.values():
            counts.update(fact.counts)
        if self.classes is None:
            return self._guess(counts, ignore, facts)
        names = list(self.classes)
        if isinstance(self.classes, Mapping):
            values = self._mapped(self.classes, in_colors, ignore, facts)
        else:
            values = [(value,) for value in self._listed_values(counts, ignore, len(names))]
        return self._build(names, values, ignore, facts)

    def multilabel(self, names: Sequence[str]) -> ClassMap:
        """Returns the map of a folder with one mask file a class."""
        values = [_PRESENT] * len(names)
        if isinstance(self.classes, Mapping):
            values = [parse_values(self.classes[name], False, f"classes.{name}") for name in names]
        ignore = parse_values(list(self.ignore), False, "ignore") if self.ignore else ()
        kept = [tuple(value for value in present if value not in ignore) for present in values]
        background = names.index(self.background) if isinstance(self.background, str) else None
        return ClassMap(
            names=tuple(names), values=tuple(kept), task=Task.MULTILABEL, background=background, ignore_values=ignore
        )

    def _mapped(
        self,
        classes: Mapping[str, Any],
        in_colors: bool,
        ignore: tuple[MaskValue, ...],
        facts: Mapping[Path, MaskFact],
    ) -> list[tuple[MaskValue, ...]]:
        """Returns the values of each class; `rest` are those that the masks hold and nobody else has."""
        given = {
            name: parse_values(value, in_colors, f"classes.{name}") if value != REST else None
            for name, value in classes.items()
        }
        if None not in given.values():
            return [values for values in given.values() if values is not None]
        taken = {value for values in given.values() for value in values or ()} | set(ignore)
        if any(isinstance(value, tuple) for value in taken) or (in_colors and not taken):
            found: set[MaskValue] = {as_color(value) for fact in facts.values() for value in fact.in_colors()}
        else:
            found = {value for fact in facts.values() for value in fact.counts}
        rest = tuple(sorted(found - taken, key=lambda value: (str(type(value)), value)))
        if not rest:
            raise DatasetError(
                message("no mask holds another value than those of the other classes and of ignore"), path=self.root
            )
        return [rest if values is None else values for values in given.values()]

    def _listed_values(self, counts: Mapping[MaskValue, int], ignore: Sequence[MaskValue], number: int) -> list[int]:
        found = self._snap({value for value in counts if isinstance(value, int)}) - set(ignore)
        return [0, 255] if number == 2 and 255 in found and found <= {0, 255} else list(range(number))

    def _snap(self, found: set[int]) -> set[int]:
        """Returns {0, 255} in place of values that are within `tolerance` of them."""
        snapped = {0 if value <= self.tolerance else 255 if value >= 255 - self.tolerance else value for value in found}
        return snapped if self.tolerance and snapped <= {0, 255} else found

    def _guess(
        self, counts: Mapping[MaskValue, int], ignore: tuple[MaskValue, ...], facts: Mapping[Path, MaskFact]
    ) -> ClassMap:
        question = value_question(facts, ignore)
        if question is not None:
            raise DatasetError(question, path=self.root)
        if any(isinstance(value, tuple) for value in counts):
            raise DatasetError(_colors_need_names(counts, facts), path=self.root)
        found = self._snap({value for value in counts if isinstance(value, int)}) - set(ignore)
        if found == {0, 255} and self.task is not Task.MULTICLASS:
            return self._build(["background", "foreground"], [(0,), (255,)], ignore, facts)
        if set(counts) == {0, 1, 255} and not ignore and (mixed := mixed_binary(facts)):
            raise DatasetError(mixed, path=self.root)
        if 255 in found and _consecutive(found - {255}):
            found, ignore = found - {255}, (*ignore, 255)
        if found == {0, 255}:
            return self._build(["class_0", "class_1"], [(0,), (255,)], ignore, facts)
        if not _consecutive(found) or (self.task is Task.BINARY and len(found) != 2):
            raise DatasetError(no_guess(facts, ignore, self.task, self.root), path=self.root)
        if len(found) == 2 and self.task is not Task.MULTICLASS:
            return self._build(["background", "foreground"], [(0,), (1,)], ignore, facts)
        return self._build(
            [f"class_{value}" for value in sorted(found)], [(value,) for value in sorted(found)], ignore, facts
        )

    def _build(
        self,
        names: list[str],
        values: list[tuple[MaskValue, ...]],
        ignore: tuple[MaskValue, ...],
        facts: Mapping[Path, MaskFact],
    ) -> ClassMap:
        _check_values(names, values, ignore)
        background = self._background(names, values)
        task = self.task or (Task.BINARY if len(names) == 2 and background is not None else Task.MULTICLASS)
        if task is Task.BINARY:
            if len(names) != 2 or background is None:
                raise ConfigError(
                    f"a binary task has a background and one other class, got {', '.join(names)} with "
                    f"{'no background' if background is None else 'background ' + names[background]}; set `background` "
                    "to one of two classes, or task: multiclass",
                    key="data.options.classes",
                )
            order = [background, 1 - background]
            names, values, background = [names[index] for index in order], [values[index] for index in order], 0
        return ClassMap(
            names=tuple(names),
            values=tuple(values),
            task=task,
            colors=_display_colors(values, facts),
            background=background,
            ignore_values=ignore,
        )

    def _background(self, names: list[str], values: list[tuple[MaskValue, ...]]) -> int | None:
        if isinstance(self.background, str):
            return names.index(self.background)
        if self.background is False:
            return None
        for index, name in enumerate(names):
            if name.lower() in ("background", "_background_", "bg"):
                return index
        for index, known in enumerate(values):
            if 0 in known or (0, 0, 0) in known:
                return index
        return None


def mixed_binary(facts: Mapping[Path, MaskFact]) -> str:
    """Returns what to do where some masks write the foreground as 1 and others as 255; empty where 255 is no class."""
    held = {path: {value for value in fact.counts if isinstance(value, int)} for path, fact in facts.items()}
    ones = sorted(path for path, values in held.items() if 1 in values)
    highs = sorted(path for path, values in held.items() if 255 in values)
    if not ones or not highs or set(ones) & set(highs):
        return ""
    few = highs if len(highs) <= len(ones) else ones
    return (
        f"the masks are written in two ways: {len(ones)} hold 1 and {len(highs)} hold 255 (such as "
        f"{shorten((path.name for path in few), 3)}), and none holds both; if both mean the same, set "
        f"{set_option('classes', '{background: 0, foreground: [1, 255]}')}; if 255 counts nowhere, "
        f"{set_option('ignore', '[255]')}"
    )


def parse_values(given: object, in_colors: bool, option: str) -> tuple[MaskValue, ...]:
    """Returns the mask values an option names: a number, a colour, or a list of either.

    Args:
        in_colors: read a list of three numbers as a colour; else as three values. "#00ff00" and a list inside a list
            are a colour always.
    """
    if isinstance(given, list | tuple) and not (in_colors and _is_color(given)):
        return tuple(_parse_value(item, given, option) for item in given)
    return (_parse_value(given, given, option),)


def _parse_value(item: object, given: object, option: str) -> MaskValue:
    if isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= 65535:
        return item
    if isinstance(item, list | tuple) and _is_color(item):
        return (int(item[0]), int(item[1]), int(item[2]))
    if isinstance(item, str) and len(item) == 7 and item.startswith("#"):
        try:
            red, green, blue = bytes.fromhex(item[1:])
        except ValueError:
            pass
        else:
            return (red, green, blue)
    raise ConfigError(
        f"expected mask values: whole numbers from 0, colours [r, g, b] or '#rrggbb', got {given!r}",
        key=f"data.options.{option}",
    )


def _is_color(item: Sequence[object]) -> bool:
    return len(item) == 3 and all(isinstance(part, int) and 0 <= part <= 255 for part in item)


def _consecutive(found: set[int]) -> bool:
    return 2 <= len(found) <= LARGEST_GUESS and found == set(range(len(found)))


def _check_values(names: list[str], values: list[tuple[MaskValue, ...]], ignore: tuple[MaskValue, ...]) -> None:
    owner: dict[MaskValue, str] = {}
    named = [*zip(names, values, strict=True), ("ignore", ignore)]
    for name, known in named:
        for value in known:
            if value in owner:
                raise ConfigError(
                    f"value {describe_value(value)} belongs to {owner[value]!r} and to {name!r}; it can mean one class",
                    key="data.options.classes",
                )
            owner[value] = name
    if len({isinstance(value, tuple) for value in owner}) > 1:
        raise ConfigError(
            f"expected grey values or colours, got both: {shorten(describe_value(value) for value in owner)}",
            key="data.options.classes",
        )


def _display_colors(values: list[tuple[MaskValue, ...]], facts: Mapping[Path, MaskFact]) -> tuple[RGB, ...]:
    """Returns the colours that the masks themselves give: theirs, or those of their palette; () where there is none."""
    palette: dict[int, RGB] = {}
    for fact in facts.values():
        palette = {**fact.palette, **palette}
    colors: list[RGB] = []
    for known in values:
        first = known[0] if known else None
        if isinstance(first, tuple):
            colors.append(first)
        elif isinstance(first, int) and first in palette:
            colors.append(palette[first])
    return tuple(colors) if len(colors) == len(values) and len(set(colors)) == len(colors) else ()


def _colors_need_names(counts: Mapping[MaskValue, int], facts: Mapping[Path, MaskFact]) -> str:
    colors: dict[MaskValue, int] = {}
    for fact in facts.values():
        for value, pixels in fact.in_colors().items():
            color = (value, value, value) if isinstance(value, int) else value
            colors[color] = colors.get(color, 0) + pixels
    order = sorted(colors, key=lambda value: -colors[value])
    shown = shorten((f"{describe_value(value)} on {colors[value]} pixels" for value in order), 8)
    if len(order) > LARGEST_GUESS:
        return (
            f"RGB mask where an index mask is expected, with more than {LARGEST_GUESS} colours ({shown}): these are "
            "photographs, or masks saved with losses (JPEG); check the folders `images` and `masks`, or save as PNG"
        )
    return f"RGB mask where an index mask is expected; colours: {shown}; name them with {propose_classes(order)}"
