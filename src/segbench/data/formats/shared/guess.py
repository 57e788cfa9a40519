"""Which options make a class map of masks whose values do not say it by themselves: a guess that is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import LOSSY_DISTANCE, NEAREST, lossy_tolerance
from segbench.data.formats.shared.advice import are_no_classes
from segbench.data.formats.shared.classes import ClassOptions, mixed_binary, parse_values
from segbench.data.formats.shared.odd_values import value_question
from segbench.locale import message
from segbench.types import MaskValue

_MOST_CLASSES = 64
_FEW_VALUES = 6
_WIDTH, _PEAK_SHARE = 8, 0.5  # grey values around one that hold more of those in the middle than edges do: a class
_STEEP = 3  # times as many as beside it
_FEW_PIXELS = 16  # in the middle, that tell nothing
_BORDER_SHARE = 0.1  # of the pixels, at most, where smoothing left values in the middle


def guess_classes(
    facts: Mapping[Path, MaskFact], ignored: Sequence[Any] = (), *, rule: object = None
) -> tuple[dict[str, Any], list[str]]:
    """Returns options of the folder reader that make a class map of these masks, and what was guessed; or nothing.

    Args:
        facts: of the masks.
        ignored: mask values that the user lets count nowhere.
        rule: what made no class map of them; where a file lists the classes, nothing is guessed beside it.
    """
    ignored = parse_values(ignored, any(fact.is_rgb for fact in facts.values()), "ignore")
    if (isinstance(rule, ClassOptions) and rule.listed is not None) or value_question(facts, ignored) is not None:
        return {}, []
    counts: Counter[MaskValue] = Counter()
    for fact in facts.values():
        counts.update(fact.in_colors() if fact.is_rgb else fact.counts)
    colors = any(isinstance(value, tuple) for value in counts)
    if colors:
        lifted = {value if isinstance(value, tuple) else (value,) * 3: pixels for value, pixels in counts.items()}
        if not 2 <= len(lifted) <= _MOST_CLASSES:
            return {}, []
        order = sorted(lifted, key=lambda value: -lifted[value])
        return {"classes": _named(order)}, [
            message("{n} colours, each taken as a class: rename them in `classes`", n=len(lifted))
        ]
    values = sorted(value for value in counts if isinstance(value, int))
    if values == [0, 1, 255] and mixed_binary(facts):
        return {"classes": {"background": 0, "foreground": [1, 255]}}, [
            message("some masks write the foreground as 1, others as 255: both are read as the same class")
        ]
    tolerance = lossy_tolerance(values, {0, 255})
    if tolerance is None and all(map(_smoothed, facts.values())) and not _has_middle_class(counts):
        tolerance = 127
    if tolerance is not None:
        return {"tolerance": tolerance if tolerance <= LOSSY_DISTANCE else NEAREST}, [
            message(
                "{n} grey values near 0 and 255, as in masks saved as JPEG or smoothed: each is taken as "
                "the nearer of the two",
                n=len(values),
            )
        ]
    if max(values) > 255 and not any(value % 257 for value in values):
        named = _named([value // 257 for value in values if value != 65535 or len(values) == 2])
        options: dict[str, Any] = {"classes": {name: 257 * value for name, value in named.items()}}
        return {**options, **({"ignore": [65535]} if len(named) < len(values) else {})}, [
            message("16-bit masks whose {n} values are 8-bit ones times 257, each taken as a class", n=len(values))
        ]
    if set(values) == {1, 2, 3} and _is_trimap(facts):
        border = {} if 3 in ignored else {"border": 3}
        return {"classes": {"foreground": 1, "background": 2, **border}}, [message("1, 2, 3 is read as a trimap")]
    if are_no_classes(facts, ignored):
        return {}, []
    values = [value for value in values if value not in ignored]
    rest = [value for value in values if value != 255]
    ignore = [255] if 255 in values and rest and max(rest) <= _MOST_CLASSES else []
    kept = [value for value in values if value not in ignore]
    if not 2 <= len(kept) <= _MOST_CLASSES:
        return {}, []
    options = {"classes": _named(kept)}
    if ignore:
        options["ignore"] = ignore
    return options, [message("{n} values, each taken as a class: rename them in `classes`", n=len(kept))]


def _is_trimap(facts: Mapping[Path, MaskFact]) -> bool:
    """Returns whether 2 is most of what lies along the borders of images, as around a pet."""
    along: Counter[MaskValue] = Counter()
    for fact in facts.values():
        along.update(fact.border)
    return 2 * along[2] > sum(along.values())


def _smoothed(fact: MaskFact) -> bool:
    """Returns whether a mask is two-valued but for its borders, as after JPEG or resizing."""
    counts = {value: pixels for value, pixels in fact.counts.items() if isinstance(value, int)}
    if not counts or max(counts) > 255:
        return False
    if len(counts) <= _FEW_VALUES and fact.kind not in ("JPEG", "MPO"):
        return set(counts) <= {0, 255}  # few values, and another among them: that is a class
    far = [pixels for value, pixels in counts.items() if _is_far(value)]
    return sum(far) <= _BORDER_SHARE * sum(counts.values())


def _has_middle_class(counts: Mapping[MaskValue, int]) -> bool:
    """Returns whether values in the middle crowd around one, as a class does that was blurred; edges spread evenly."""

    def crowd(middle: int) -> int:
        return sum(counts.get(value, 0) for value in range(middle - _WIDTH, middle + _WIDTH + 1))

    far = {value: pixels for value, pixels in counts.items() if isinstance(value, int) and _is_far(value)}
    top = max(far, key=crowd, default=0)
    beside = max(crowd(top - 2 * _WIDTH - 1), crowd(top + 2 * _WIDTH + 1))
    return crowd(top) > max(_FEW_PIXELS, _PEAK_SHARE * sum(far.values()), _STEEP * beside)


def _is_far(value: int) -> bool:
    return LOSSY_DISTANCE < value < 255 - LOSSY_DISTANCE


def _named(values: Sequence[MaskValue]) -> dict[str, Any]:
    """Returns class name -> value, the black or zero one called background, in the order given."""
    names: dict[str, Any] = {}
    for index, value in enumerate(values):
        zero = value in (0, (0, 0, 0))
        names["background" if zero else f"class_{index}"] = list(value) if isinstance(value, tuple) else value
    return names
