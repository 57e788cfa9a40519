"""Masks whose values are probably no classes: transparency, numbers of objects, slips of the hand. They are asked "
"about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import describe_value, set_option
from segbench.data.files.masks import as_color
from segbench.data.formats.shared.label_names import write_classes
from segbench.data.formats.shared.written_values import written_question
from segbench.locale import Message, listed, message, plural
from segbench.types import IGNORE_INDEX, MaskValue

REST = "rest"  # in the option `classes`: all values that no other class has

_FEWEST_OBJECTS = 5  # in one of the masks, from which on 1, 2, 3, ... may count objects
_FEWEST_VALUES = 10  # that occur in one mask each
_MOST_KINDS = 64  # values of a mask, more of which, of a handful of pixels each, are those of a photograph
_FEWEST_PX = 4  # that an object has
_MOST = 0.9  # of the masks or of the values, for which a rule has to hold
_HANDFUL, _HANDFUL_SHARE = 16, 1e-4  # pixels, and share of all pixels, up to which a value is rather a slip
_MOST_GREYS = 8  # more come from smoothing
_FEWEST_MASKS, _FEW_MASKS = 5, 0.05  # masks from which on a colour in few of them, or in one, is told


def value_question(facts: Mapping[Path, MaskFact], ignore: Iterable[MaskValue] = ()) -> Message | None:
    """Returns what has to be asked before each value of these masks becomes a class; None where nothing has to.

    Args:
        ignore: values that the user lets count nowhere.
    """
    colors = any(fact.is_rgb for fact in facts.values())
    left = set(map(as_color, ignore)) if colors else set(ignore)
    held: list[dict[MaskValue, int]] = []
    for fact in facts.values():
        counts = {as_color(value): pixels for value, pixels in fact.in_colors().items()} if colors else fact.counts
        held.append({value: pixels for value, pixels in counts.items() if value not in left})
    lossy = any(fact.kind in ("JPEG", "MPO") for fact in facts.values())
    return (
        _transparency(facts)
        or written_question(facts, left)
        or _objects(held)
        or (None if lossy else _colored_few(held) or _handful(held))
    )


def _transparency(facts: Mapping[Path, MaskFact]) -> Message | None:
    clear = [path for path, fact in facts.items() if fact.alpha]
    if not clear:
        return None
    pixels = sum(fact.height * fact.width for path, fact in facts.items() if fact.alpha)
    opaque = sum(facts[path].counts.get(255, 0) for path in clear)
    return message(
        "in {n} of {total} masks all that can be seen is black, and pixels differ in transparency (alpha) alone: "
        "{share:.0%} "
        "are opaque (255), the others not (0); if what is opaque is the object, set {opaque}; if what is transparent "
        "is it, "
        "{clear}",
        n=len(clear),
        total=len(facts),
        share=opaque / pixels,
        opaque=set_option("classes", "{background: 0, foreground: 255}"),
        clear=set_option("classes", "{background: 255, foreground: 0}"),
    )


def _objects(held: Sequence[Mapping[MaskValue, int]]) -> Message | None:
    """Finds masks that number objects: 1 to as many as each image has, or numbers that no two images share."""
    ground: MaskValue = (0, 0, 0) if any(isinstance(value, tuple) for counts in held for value in counts) else 0
    pixels = [{value: number for value, number in counts.items() if value != ground} for counts in held]
    inside = [{*counts} for counts in pixels if counts]
    uses = Counter(value for values in inside for value in values)
    if len(inside) < 2 or not (_count_up(inside) or _are_apart(uses, pixels)):
        return None
    sizes = [len(values) for values in inside]
    merged = write_classes({"background": _written(ground), "object": REST})
    return message(
        "the masks seem to number objects, not classes: {low} to {high} values besides {ground} in a mask, {n} in "
        "all, {how}; "
        "if each value is an object of one class, set {merge}; if the values are classes, name them with {classes}",
        low=min(sizes),
        high=max(sizes),
        ground=describe_value(ground),
        n=len(uses),
        how=message("counted from 1 in each")
        if _count_up(inside)
        else message("nearly each of them in one mask alone"),
        merge=set_option("classes", merged),
        classes=set_option("classes"),
    )


def _count_up(inside: Sequence[set[MaskValue]]) -> bool:
    sizes = [len(values) for values in inside]
    up = sum(values == set(range(1, len(values) + 1)) for values in inside)
    return max(sizes) >= _FEWEST_OBJECTS and len(set(sizes)) > min(2, len(sizes) - 1) and up >= _MOST * len(inside)


def _are_apart(uses: Mapping[MaskValue, int], held: Sequence[Mapping[MaskValue, int]]) -> bool:
    """Returns whether most values, and with them most of what is drawn, occur in one mask alone."""
    once = {value for value, count in uses.items() if count == 1}
    drawn = sum(pixels for counts in held for pixels in counts.values())
    if len(uses) > _MOST_KINDS and drawn < _FEWEST_PX * sum(map(len, held)):
        return False  # a photograph, or edges that were smoothed
    apart = sum(pixels for counts in held for value, pixels in counts.items() if value in once)
    return len(uses) >= _FEWEST_VALUES and len(once) >= _MOST * len(uses) and 2 * apart > drawn


def _colored_few(held: Sequence[Mapping[MaskValue, int]]) -> Message | None:
    """Finds colours in a few masks, where all others hold greys alone."""
    colored = [counts for counts in held if any(isinstance(value, tuple) and len(set(value)) > 1 for value in counts)]
    if len(held) < _FEWEST_MASKS or not colored or len(colored) > max(1, _FEW_MASKS * len(held)):
        return None
    odd = Counter[MaskValue]()
    for counts in colored:
        odd.update({value: pixels for value, pixels in counts.items() if len(set(as_color(value))) > 1})
    grey = sorted({value for counts in held for value in counts} - odd.keys(), key=as_color)
    if len(grey) > _MOST_GREYS:
        return None
    return message(
        "{n} of {total} masks hold colours, {colors}, the others greys alone: rather slips than classes; let them "
        "count "
        "nowhere with {classes} and {ignore}, or name them as classes, too: {all}",
        n=len(colored),
        total=len(held),
        colors=_pixels(odd),
        classes=set_option("classes", write_classes(_named(grey))),
        ignore=set_option("ignore", f"[{', '.join(map(_written, odd))}]"),
        all=set_option("classes", write_classes(_named([*grey, *odd]))),
    )


def _handful(held: Sequence[Mapping[MaskValue, int]]) -> Message | None:
    """Finds values in a handful of pixels beside at least two that are no slips."""
    pixels: Counter[MaskValue] = Counter()
    for counts in held:
        pixels.update(counts)
    most = min(_HANDFUL, _HANDFUL_SHARE * sum(pixels.values()))
    odd = Counter({value: number for value, number in pixels.items() if number <= most})
    main = sorted(pixels.keys() - odd.keys(), key=as_color)
    if not odd or len(main) < 2 or len(odd) > len(main) or len(pixels) > _MOST_KINDS:
        return None
    numbers = {value for value in pixels if isinstance(value, int) and value != IGNORE_INDEX}
    if numbers and numbers != set(range(len(numbers))):
        return None  # they are asked about in any case
    first = sum(any(value in odd for value in counts) for counts in held)
    return message(
        "{values} in {files} of {total}: rather a slip than a class; let it count nowhere with {classes} and "
        "{ignore}, or "
        "name it as a class, too: {all}",
        values=_pixels(odd),
        files=plural("{n} mask", "{n} masks", n=first),
        total=len(held),
        classes=set_option("classes", write_classes(_named(main))),
        ignore=set_option("ignore", f"[{', '.join(map(_written, odd))}]"),
        all=set_option("classes", write_classes(_named([*main, *odd]))),
    )


def _pixels(found: Counter[MaskValue]) -> str:
    return listed(
        [
            plural("{value} on {n:,} pixel", "{value} on {n:,} pixels", value=describe_value(value), n=pixels)
            for value, pixels in found.most_common()
        ],
        6,
    )


def _named(values: Sequence[MaskValue]) -> dict[str, str]:
    """Returns name -> value as an option writes it: background for black or zero, foreground for the only other one."""
    two = len(values) == 2 and as_color(values[0]) == (0, 0, 0)
    return {
        "background" if as_color(value) == (0, 0, 0) else "foreground" if two else f"class_{place}": _written(value)
        for place, value in enumerate(values)
    }


def _written(value: MaskValue) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
