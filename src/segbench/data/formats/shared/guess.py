"""Which options make a class map of masks whose values do not say it by themselves: a guess that is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import LOSSY_DISTANCE, lossy_tolerance
from segbench.data.formats.shared.classes import mixed_binary
from segbench.locale import message
from segbench.types import MaskValue

_MOST_CLASSES = 64
_FEW_VALUES = 6
_BORDER_SHARE = 0.1  # of the pixels, at most, where smoothing left values in the middle


def guess_classes(facts: Mapping[Path, MaskFact], ignored: Sequence[Any] = ()) -> tuple[dict[str, Any], list[str]]:
    """Returns options of the folder reader that make a class map of these masks, and what was guessed; or nothing.

    Args:
        facts: of the masks.
        ignored: mask values that the user lets count nowhere.
    """
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
    if tolerance is None and all(_smoothed(fact) for fact in facts.values()):
        tolerance = 127
    if tolerance is not None:
        return {"tolerance": max(tolerance, 1)}, [
            message(
                "{n} grey values near 0 and 255, as in masks saved as JPEG or smoothed: each is taken as "
                "the nearer of the two",
                n=len(values),
            )
        ]
    if set(values) == {1, 2, 3}:
        border = {} if 3 in ignored else {"border": 3}
        return {"classes": {"foreground": 1, "background": 2, **border}}, [message("1, 2, 3 is read as a trimap")]
    values = [value for value in values if value not in ignored]
    rest = [value for value in values if value != 255]
    ignore = [255] if 255 in values and rest and max(rest) <= _MOST_CLASSES else []
    kept = [value for value in values if value not in ignore]
    if not 2 <= len(kept) <= _MOST_CLASSES:
        return {}, []
    options: dict[str, Any] = {"classes": _named(kept)}
    if ignore:
        options["ignore"] = ignore
    return options, [message("{n} values, each taken as a class: rename them in `classes`", n=len(kept))]


def _smoothed(fact: MaskFact) -> bool:
    """Returns whether a mask is two-valued but for its borders, as after JPEG or resizing."""
    counts = {value: pixels for value, pixels in fact.counts.items() if isinstance(value, int)}
    if not counts or max(counts) > 255:
        return False
    if len(counts) <= _FEW_VALUES and fact.kind not in ("JPEG", "MPO"):
        return set(counts) <= {0, 255}  # few values, and another among them: that is a class
    far = [pixels for value, pixels in counts.items() if LOSSY_DISTANCE < value < 255 - LOSSY_DISTANCE]
    return sum(far) <= _BORDER_SHARE * sum(counts.values())


def _named(values: Sequence[MaskValue]) -> dict[str, Any]:
    """Returns class name -> value, the black or zero one called background, in the order given."""
    names: dict[str, Any] = {}
    for index, value in enumerate(values):
        zero = value in (0, (0, 0, 0))
        names["background" if zero else f"class_{index}"] = list(value) if isinstance(value, tuple) else value
    return names
