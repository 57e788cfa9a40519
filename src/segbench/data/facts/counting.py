"""What is remembered of mask files -> pixels a class."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.data.facts.store import MaskFact
from segbench.data.files.masks import class_counts, has_colors
from segbench.types import ClassMap, Task


def mask_pixels(
    fact: MaskFact, class_map: ClassMap, *, tolerance: int = 0, index: int | None = None
) -> dict[int, int] | None:
    """Returns pixels a class index (of a class's own file: 0 and 1), ignored ones under `ignore_index`.

    None where the mask holds values outside the class map. A drawn mask holds class indices already.

    Args:
        tolerance: see `segbench.data.files.masks.encode_mask`.
        index: of the class whose own file it is; None for a file of all classes.
    """
    if fact.is_drawn:
        return {value: pixels for value, pixels in fact.counts.items() if isinstance(value, int)}
    counts = fact.in_colors() if has_colors(class_map) else fact.counts
    counted = class_counts(counts, class_map, tolerance=tolerance, index=index)
    return None if counted is None or fact.distinct > len(fact.counts) else counted[0]


def class_pixels(facts: Sequence[MaskFact | None], class_map: ClassMap, *, tolerance: int = 0) -> dict[int, int] | None:
    """Returns pixels a class index of a sample, ignored ones under `ignore_index`; None where a value means nothing.

    Args:
        facts: of its mask; multilabel one a class in class order, None where a class has no file.
    """
    multilabel = class_map.task is Task.MULTILABEL
    total: dict[int, int] = {}
    for position, fact in enumerate(facts):
        if fact is None:
            continue
        counted = mask_pixels(fact, class_map, tolerance=tolerance, index=position if multilabel else None)
        if counted is None or fact.is_drawn or not multilabel:
            return counted
        total[position] = counted.get(1, 0)
        ignored = counted.get(class_map.ignore_index, 0)
        total[class_map.ignore_index] = total.get(class_map.ignore_index, 0) + ignored
    return total
