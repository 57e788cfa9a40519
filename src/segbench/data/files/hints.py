"""What a person probably meant by a mask whose values do not fit: the second half of the error messages."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from itertools import pairwise

from segbench.locale import Message, message
from segbench.types import MaskValue, Task

_LONG = 160  # an option's value with more characters is not written out twice
NEAREST = "nearest"  # the option `tolerance`: every value is taken for the nearest known one
LOSSY_DISTANCE = 24  # JPEG and resizing leave values this near to the ones that were drawn


def describe_value(value: MaskValue) -> str:
    """Returns `7` or `(0, 255, 0)`."""
    return str(value) if isinstance(value, int) else f"({', '.join(str(part) for part in value)})"


def set_option(name: str, value: str = "") -> Message:
    """Returns `the option tolerance: 8 (--option tolerance=8)`: what a config says, and what the command line."""
    if not value:
        return message("the option {name} (--option {name}=...)", name=name)
    given = shlex.quote(f"{name}={value}") if len(value) <= _LONG else f"'{name}={value[0]}...{value[-1]}'"
    return message("the option {name}: {value} (--option {given})", name=name, value=value, given=given)


def propose_blocks(number: int) -> str:
    """Returns the value of `data.split` that divides so many neighbouring slices or frames into blocks."""
    block = min(10, max(2, number // 9))
    return f'{{method: blocks, block: {block}, gap: {min(3, block // 3)}, group: ""}}'


def options_in(text: str) -> list[tuple[str, str]]:
    """Returns the options (name, value as YAML) that a message tells to set, those in its values too."""
    if not isinstance(text, Message):
        return []
    if {"name", "value", "given"} <= text.values.keys():  # as `set_option` makes it
        return [(text.values["name"], text.values["value"])]
    return [option for value in text.values.values() for option in options_in(value)]


def tolerance_option(distance: int) -> Message:
    """Returns the option `tolerance` that takes values so far from a known one for it."""
    return set_option("tolerance", str(distance) if distance <= LOSSY_DISTANCE else NEAREST)


_IGNORE_255 = set_option("ignore", "[255]")
_BOTH = set_option("classes", "{background: 0, foreground: [1, 255]}")
_BINARY = set_option("classes", "{background: 0, foreground: 255}")


def lossy_tolerance(found: Iterable[int], known: Iterable[int]) -> int | None:
    """Returns the `tolerance` that would snap all found values to known ones, or None if that explains nothing."""
    anchors = sorted(known)
    foreign = sorted(set(found) - set(anchors))
    if not anchors or not foreign:
        return None
    nearest = [min((abs(value - anchor), anchor) for anchor in anchors) for value in foreign]
    if len({anchor for _, anchor in nearest}) < 2:
        return None  # losses blur every class; a lone crowd of values is rather labels
    farthest = max(distance for distance, _ in nearest)
    gaps = [after - before for before, after in pairwise(anchors)]
    return farthest if farthest <= LOSSY_DISTANCE and all(gap > 2 * farthest + 1 for gap in gaps) else None


def propose_classes(values: Iterable[MaskValue]) -> Message:
    """Returns the option `classes` that names every value, ready to be edited; 0 and black are the background."""
    entries = [
        f"{'background' if value in (0, (0, 0, 0)) else f'class_{place}'}: "
        f"{list(value) if isinstance(value, tuple) else value}"
        for place, value in enumerate(values)
    ]
    more = ", ..." if len(entries) > 12 else ""
    return set_option("classes", f"{{{', '.join(entries[:12])}{more}}}")


def hint_for(counts: Mapping[MaskValue, int], table: Mapping[MaskValue, int], task: Task) -> Message:
    """Returns what to do about a mask with values outside `table` (value -> class index)."""
    if any(isinstance(value, tuple) for value in (*counts, *table)):
        return message("add these colours to `classes`, or to `ignore`")
    found = {value for value in counts if isinstance(value, int)}
    known = {value for value in table if isinstance(value, int)}
    if task is Task.MULTILABEL and len(found) > 2:
        return message("a multilabel mask file holds one class, as 0 and 255 or 0 and 1")
    return _binary_hint(found, known) or _grey_hint(found, known)


def _binary_hint(found: set[int], known: set[int]) -> Message | None:
    """Returns what to do where 0 and 255 or 0 and 1 explain the values."""
    if found <= {0, 255}:
        if known >= {0, 1} and len(known) == 2:
            return message(
                "the values 0 and 255 fit a binary class map: {binary}; or, where other masks hold 0 and 1, {both}",
                binary=_BINARY,
                both=_BOTH,
            )
        return message(
            "255 often marks pixels to ignore: {ignore}; or the mask is binary: {binary}",
            ignore=_IGNORE_255,
            binary=_BINARY,
        )
    if found - known == {255}:
        return message("255 often marks pixels that count nowhere: {ignore}", ignore=_IGNORE_255)
    if found == {0, 1} and known == {0, 255}:
        option = set_option("classes", "{background: 0, foreground: 1}")
        return message("the values 0 and 1 fit a binary class map: {option}", option=option)
    return None


def _grey_hint(found: set[int], known: set[int]) -> Message:
    foreign = found - known
    if found <= {1, 2, 3} and 3 in found and 0 in known:
        return message(
            "1, 2, 3 without 0 is a trimap as in Oxford pets: data.format: oxford_pets (--format oxford_pets), or "
            "{option}",
            option=set_option("classes", "{pet: 1, background: 2, border: 3}"),
        )
    if 0 not in found and 0 in known and {value - 1 for value in found} <= known:
        return message(
            "every value is one too high (off by one): count the classes in `classes` from 1, or lower the masks by 1"
        )
    tolerance = lossy_tolerance(found, known)
    if tolerance is None and known < {0, 1, 255}:
        tolerance = lossy_tolerance(found, {0, 255})
    if tolerance is not None and len(foreign) > 1:
        return message(
            "all are near known values, as after lossy compression (JPEG) or resizing: set {option} to take the "
            "nearest, or save the masks as PNG",
            option=tolerance_option(tolerance),
        )
    if found == set(range(len(found))) and len(found) > len(known):
        return message(
            "the mask has {n} classes, the class map {known}: {option}",
            n=len(found),
            known=len(known),
            option=propose_classes(sorted(found)),
        )
    return message("add the values to `classes`, or to `ignore`")
