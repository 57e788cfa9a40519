"""Masks whose values changed while they were written: values beside each other that mean one class, palettes that give
one number different colours, and numbers of classes saved with losses. They are asked about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import describe_value, lossy_tolerance, set_option
from segbench.data.files.masks import as_color
from segbench.data.formats.shared.label_names import write_classes
from segbench.locale import Message, listed, message
from segbench.types import RGB, MaskValue

_STEP = 3  # grey values this close are one class, where classes lie far apart
_APART = 16  # at least, between classes whose values are spread over all greys
_MOST_VALUES = 32  # more are asked about as smoothed
_FEW_PIXELS = 16  # of a colour, up to which it is a slip of the hand
_LOSSY = ("JPEG", "MPO")
_SMALL = 64  # below it, numbers of classes; losses change each by a few


def written_question(facts: Mapping[Path, MaskFact], left: Collection[MaskValue] = ()) -> Message | None:
    """Returns what has to be asked about how the values of these masks were written; None where nothing has to.

    Args:
        left: values that count nowhere.
    """
    counts: Counter[MaskValue] = Counter()
    for fact in facts.values():
        counts.update({value: pixels for value, pixels in fact.counts.items() if value not in left})
    lossy = any(fact.kind in _LOSSY for fact in facts.values())
    numbers = sorted(value for value in counts if isinstance(value, int))
    if len(numbers) < len(counts):
        return None if lossy else _near_colors(facts, left)
    question = _palettes(facts) or _lossy_numbers(facts, numbers)
    return question if question is not None or lossy else _neighbours(counts, numbers)


def _palettes(facts: Mapping[Path, MaskFact]) -> Message | None:
    """Finds files whose palettes give one number different colours, and one colour different numbers."""
    owner: dict[int, tuple[RGB, Path]] = {}
    place: dict[RGB, int] = {}
    for path in sorted(facts):
        for number, color in facts[path].palette.items():
            first, where = owner.setdefault(number, (color, path))
            if place.setdefault(color, number) == number or first == color:
                continue
            colors: Counter[MaskValue] = Counter()
            for fact in facts.values():
                colors.update(fact.in_colors())
            return message(
                "the palettes of the masks differ: number {number} is {first} in {where}, {other} in {path}, so that "
                "colours and not numbers seem to be the classes; if so, set {classes}, else save the masks without "
                "palette",
                number=number,
                first=describe_value(first),
                where=where.name,
                other=describe_value(color),
                path=path.name,
                classes=set_option("classes", write_classes(_named([value for value, _ in colors.most_common()]))),
            )
    return None


def _lossy_numbers(facts: Mapping[Path, MaskFact], numbers: list[int]) -> Message | None:
    """Finds numbers of classes in JPEG files, which keep no such numbers."""
    lossy = sorted(path for path, fact in facts.items() if fact.kind in _LOSSY)
    if not lossy or len(numbers) < 2 or numbers[-1] >= _SMALL:
        return None
    return message(
        "{n} of {total} masks are JPEG files with the values {values}: JPEG mixes numbers that close at every border, "
        "so that pixels get wrong classes; save the masks as PNG again from where they come. If the values are "
        "right, name them with {classes}",
        n=len(lossy),
        total=len(facts),
        values=listed([str(value) for value in numbers], 8),
        classes=set_option("classes", write_classes(_named(numbers))),
    )


def _neighbours(counts: Mapping[MaskValue, int], numbers: list[int]) -> Message | None:
    """Finds values beside each other among values that lie far apart: 254 and 255, 127 and 128."""
    if not 3 <= len(numbers) <= _MOST_VALUES or numbers[-1] < _SMALL or lossy_tolerance(numbers, {0, 255}):
        return None
    groups = [[numbers[0]]]
    for before, value in pairwise(numbers):
        if value - before <= _STEP:
            groups[-1].append(value)
        else:
            groups.append([value])
    apart = all(after[0] - before[-1] >= _APART for before, after in pairwise(groups) if len(before) + len(after) > 2)
    if len(groups) < 2 or not apart or all(group[0] < _APART for group in groups if len(group) > 1):
        return None  # 0, 1, 2 and 255 are classes and what counts nowhere
    tops = [max(group, key=lambda value: counts[value]) for group in groups]
    merged = {
        name: str(group) if len(group) > 1 else str(group[0]) for name, group in zip(_named(tops), groups, strict=True)
    }
    return _beside([f"{value} ({counts[value]} px)" for value in numbers], merged, _named(numbers))


def _near_colors(facts: Mapping[Path, MaskFact], left: Collection[MaskValue]) -> Message | None:
    """Finds colours that differ by a few levels among colours that lie far apart: (254, 0, 0) and (255, 0, 0)."""
    counts: Counter[MaskValue] = Counter()
    for fact in facts.values():
        counts.update({as_color(value): pixels for value, pixels in fact.in_colors().items()})
    colors = [as_color(value) for value, _ in counts.most_common() if value not in left]
    if not 3 <= len(colors) <= _MOST_VALUES:
        return None
    groups: list[list[RGB]] = []
    for color in colors:  # the most frequent first, so that it leads its group
        distances = [_distance(color, group[0]) for group in groups]
        near = [group for group, distance in zip(groups, distances, strict=True) if distance <= _STEP]
        if not near and any(distance < _APART for distance in distances):
            return None
        if near:
            near[0].append(color)
        else:
            groups.append([color])
    odd = min((counts[color] for group in groups for color in group[1:]), default=0)
    if len(groups) == len(colors) or len(groups) < 2 or odd <= _FEW_PIXELS:
        return None
    tops = [group[0] for group in groups]
    written = dict(zip(colors, _named(colors).values(), strict=True))
    merged = {
        name: f"[{', '.join(written[color] for color in group)}]" if len(group) > 1 else written[group[0]]
        for name, group in zip(_named(tops), groups, strict=True)
    }
    values = [f"{describe_value(color)} ({counts[color]} px)" for color in colors]
    return _beside(values, merged, _named(colors))


def _distance(one: RGB, other: RGB) -> int:
    return max(abs(first - second) for first, second in zip(one, other, strict=True))


def _beside(values: list[str], merged: Mapping[str, str], apart: Mapping[str, str]) -> Message:
    return message(
        "the masks hold {values}, of which some lie beside each other, as after a slip in writing, or where numbers "
        "count objects: if neighbours mean one class, set {merged}; if each is a class, set {apart}",
        values=listed(values, 12),
        merged=set_option("classes", write_classes(merged)),
        apart=set_option("classes", write_classes(apart)),
    )


def _named(values: Sequence[MaskValue]) -> dict[str, str]:
    """Returns name -> value as an option writes it; a colour as '#rrggbb', since palette files hold numbers."""
    grounds = [value for value in values if value in (0, (0, 0, 0))]
    two = len(values) == 2 and len(grounds) == 1
    return {
        "background" if value in grounds else "foreground" if two else f"class_{place}": f'"#{bytes(value).hex()}"'
        if isinstance(value, tuple)
        else str(value)
        for place, value in enumerate(values)
    }
