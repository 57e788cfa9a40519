"""The test images that count in a comparison: decided by their true masks alone, the same for every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from segbench.compare.image_scores import BoolArray, FloatArray, ImageScores, check_score
from segbench.config.study import AbsentRule
from segbench.errors import RunError
from segbench.locale import Message, join, listed, message
from segbench.metrics.definitions import Definition
from segbench.metrics.families import SCORES, label_of
from segbench.types import Sample

_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, kw_only=True, eq=False)
class Common:
    """What all runs are compared on.

    Attributes:
        ids: of the N images that count.
        values: one (N,) float64 a run, without NaN, in the order of `ids`.
        left_out: ids of the others.
        definition: of the score, with the rule for absent classes that was applied.
        notes: what a reader must know.
    """

    ids: tuple[str, ...]
    values: tuple[FloatArray, ...]
    left_out: tuple[str, ...]
    definition: Definition
    notes: tuple[Message, ...]


def common_images(
    scored: Sequence[tuple[str, ImageScores]],
    samples: Sequence[Sample],
    definition: Definition,
    names: Sequence[str],
    absent: AbsentRule = "perfect",
) -> Common:
    """Returns the values of the images that count, decided by the truth alone: no run changes another one's numbers.

    An image whose truth holds none of the score's classes counts by the rule: `perfect`, as the best value where
    nothing is predicted and as the worst where something is; or `left_out`, nowhere. Scores that are undefined there,
    such as precision and recall, always leave it out. Where the truth holds a class and nothing is predicted, precision
    counts as 0.

    Args:
        scored: where it comes from, and the score; one a run.
        samples: the test part.
        definition: of the score.
        names: of the entries that the runs belong to, one a run.
        absent: the rule.
    Raises:
        RunError: scores of other images, runs whose truths differ, or no image has a value.
    """
    expected = [sample.id for sample in samples]
    for place, item in scored:
        if set(item.ids) != set(expected):
            told = "its counts are not of the test images of its manifest; score it again with `segbench evaluate`"
            raise RunError(told, run=place)
    no_truth = _same_truth(scored, expected)
    table = np.stack([_in_order(item, item.values, expected) for _, item in scored])  # (runs, images)
    nothing = np.stack([_in_order(item, item.nothing, expected) for _, item in scored])
    measure = SCORES[check_score(definition.name)[0]].measure
    perfect = measure.perfect if absent == "perfect" else None
    dropped = no_truth if perfect is None else np.zeros_like(no_truth)
    if dropped.all():
        raise RunError(f"no test image has a value of {label_of(definition.name)}: no class of it is in any true mask")
    notes = []
    if perfect is not None:
        table[no_truth & nothing & np.isnan(table)] = perfect
    if no_truth.any():
        told = _absent_note(
            definition.name, [name for name, none in zip(expected, no_truth, strict=True) if none], perfect
        )
        notes.append(
            message("{told} ({n} of {total} test images)", told=told, n=int(no_truth.sum()), total=len(expected))
        )
        # Of one class, the rule takes the place of the measure's own, which would leave the image out.
        own = "" if perfect is not None and len(definition.classes) == 1 else definition.absent
        definition = replace(definition, absent=join("; ", filter(None, (own, told))))
    elif not any(item.lacking.any() for _, item in scored):
        definition = replace(definition, absent="")  # a rule that no image needs only makes people wonder
    unpredicted = np.isnan(table) & ~dropped
    if measure.better == "higher":
        table[unpredicted] = measure.lowest
        notes += _unpredicted_notes(unpredicted, names, label_of(definition.name), measure.lowest)
    for (place, _), row in zip(scored, np.isnan(table[:, ~dropped]), strict=True):
        if row.any():
            raise RunError(
                f"{int(row.sum())} test images have no value of {label_of(definition.name)}: damaged", run=place
            )
    ids = tuple(name for name, gone in zip(expected, dropped, strict=True) if not gone)
    return Common(
        ids=ids,
        values=tuple(table[:, ~dropped]),
        left_out=tuple(sorted(name for name, gone in zip(expected, dropped, strict=True) if gone)),
        definition=replace(definition, n_valued=len(ids)),
        notes=tuple(notes),
    )


def _same_truth(scored: Sequence[tuple[str, ImageScores]], expected: Sequence[str]) -> BoolArray:
    """Returns (N,): whether the truth of an image holds none of the classes; raises where two runs disagree."""
    first_place, first = scored[0]
    result = _in_order(first, first.no_truth, expected)
    for place, item in scored[1:]:
        other = _in_order(item, item.no_truth, expected)
        if (other != result).any():
            name = expected[int(np.argmax(other != result))]
            raise RunError(
                f"its counts say another thing about the true mask of {name} than those of {first_place}: by one it "
                "holds classes of the score, by the other none. The counts, or the true masks, were changed; score it "
                "again with `segbench evaluate`",
                run=place,
            )
    return result


def _absent_note(score: str, ids: Sequence[str], perfect: float | None) -> Message:
    values = {"score": label_of(score), "ids": listed(ids, 4)}
    if perfect is None:
        return message("images whose true mask holds none of the classes of {score} count nowhere: {ids}", **values)
    return message(
        "images whose true mask holds none of the classes of {score} count as {perfect} where nothing is predicted and "
        "as the worst where something is: {ids}",
        perfect=f"{perfect:g}",
        **values,
    )


def _unpredicted_notes(unpredicted: BoolArray, names: Sequence[str], score: str, worst: float) -> list[Message]:
    """Returns a note an entry that predicts nothing where something is; `unpredicted` is (runs, images)."""
    by_name: dict[str, int] = {}
    for name, row in zip(names, unpredicted, strict=True):
        by_name[name] = by_name.get(name, 0) + int(row.sum())
    return [
        message(
            "{name} predicts none of the classes where the true mask holds one, {n} times over its runs: {score} is "
            "{worst} there",
            name=name,
            n=times,
            score=score,
            worst=f"{worst:g}",
        )
        for name, times in by_name.items()
        if times
    ]


def _in_order(scored: ImageScores, values: npt.NDArray[_Value], ids: Sequence[str]) -> npt.NDArray[_Value]:
    place = {image_id: index for index, image_id in enumerate(scored.ids)}
    return values[[place[image_id] for image_id in ids]]


def groups_of(ids: Sequence[str], samples: Iterable[Sample]) -> tuple[str, ...] | None:
    """Returns the group of every image; an image without one stands for itself; None where there are no groups."""
    group_of: Mapping[str, str | None] = {sample.id: sample.group for sample in samples}
    if all(group_of[image_id] is None for image_id in ids):
        return None
    groups = tuple(group_of[image_id] or f"image {image_id}" for image_id in ids)
    return groups if len(set(groups)) < len(groups) else None
