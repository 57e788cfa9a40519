"""The test images that count in a comparison: the same for every run, and what an image without a value counts as."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segbench.compare.image_scores import FloatArray, ImageScores, check_score
from segbench.errors import RunError
from segbench.locale import Message, join, listed, message
from segbench.metrics.definitions import Definition
from segbench.metrics.families import SCORES, label_of
from segbench.types import Sample


@dataclass(frozen=True, kw_only=True, eq=False)
class Common:
    """What all runs are compared on.

    Attributes:
        ids: of the N images that count.
        values: one (N,) float64 a run, without NaN, in the order of `ids`.
        left_out: ids of the others.
        definition: of the score, with the rule for absent classes that was applied.
    """

    ids: tuple[str, ...]
    values: tuple[FloatArray, ...]
    left_out: tuple[str, ...]
    definition: Definition


def common_images(
    scored: Sequence[tuple[str, ImageScores]],
    samples: Sequence[Sample],
    definition: Definition,
    notes: list[Message],
    names: Sequence[str],
) -> Common:
    """Returns the values of the images that count for every run, so that all are compared on the same ones.

    An image without a value in any run counts nowhere. Where one run has a value and another has none, the classes are
    absent from truth and from what the other predicts: it is right there, and counts as perfect. Scores that are
    undefined there, such as precision, leave the image out everywhere.

    Args:
        scored: where it comes from, and the score; one a run.
        samples: the test part.
        definition: of the score.
        notes: what a reader must know is appended.
        names: of the entries that the runs belong to, one a run.
    Raises:
        RunError: scores of other images, or no image has a value.
    """
    expected = [sample.id for sample in samples]
    for place, item in scored:
        if set(item.ids) != set(expected):
            told = "its counts are not of the test images of its manifest; score it again with `segbench evaluate`"
            raise RunError(told, run=place)
    table = np.stack([_in_order(item, expected) for _, item in scored])  # (runs, images)
    lacking = np.isnan(table)
    perfect = SCORES[check_score(definition.name)[0]].measure.perfect
    dropped: npt.NDArray[np.bool_] = np.all(lacking, axis=0) if perfect is not None else np.any(lacking, axis=0)
    if dropped.all():
        some = "any run" if perfect is not None else "every run"
        raise RunError(f"no test image has a value of {label_of(definition.name)} in {some}", run=scored[0][0])
    left_out = tuple(sorted(name for name, gone in zip(expected, dropped, strict=True) if gone))
    if left_out:
        notes.append(_left_out_note(definition.name, left_out, len(expected), anywhere=perfect is not None))
        notes += _told_lost(~lacking[:, dropped], names, label_of(definition.name))
    if perfect is not None and (lacking & ~dropped).any():
        told, definition = _count_as_perfect(table, lacking & ~dropped, perfect, definition)
        notes.append(told)
    ids = tuple(name for name, gone in zip(expected, dropped, strict=True) if not gone)
    return Common(
        ids=ids,
        values=tuple(table[:, ~dropped]),
        left_out=left_out,
        definition=replace(definition, n_valued=len(ids)),
    )


def _count_as_perfect(
    table: FloatArray, absent: npt.NDArray[np.bool_], perfect: float, definition: Definition
) -> tuple[Message, Definition]:
    """Fills the table in place; returns the note, and the definition with the rule in it."""
    table[absent] = perfect
    images = int(absent.any(axis=0).sum())
    rule = message(
        "where they are absent from the truth of an image and only some of the compared approaches predict them, those "
        "that do not count as perfect there ({perfect})",
        perfect=f"{perfect:g}",
    )
    told = message(
        "{n} of {total} test images hold none of the classes of {score}, and only some runs predict one there: the "
        "others are right and count as {perfect} there",
        n=images,
        total=table.shape[1],
        score=label_of(definition.name),
        perfect=f"{perfect:g}",
    )
    return told, replace(definition, absent=join("; ", filter(None, (definition.absent, rule))))


def _left_out_note(score: str, left_out: Sequence[str], total: int, *, anywhere: bool) -> Message:
    values = {"n": len(left_out), "total": total, "score": label_of(score), "ids": listed(left_out, 4)}
    if anywhere:
        return message(
            "{n} of {total} test images have no value of {score} in any run and count nowhere here: {ids}", **values
        )
    return message(
        "{n} of {total} test images have no value of {score} in at least one run and count nowhere here: {ids}",
        **values,
    )


def _told_lost(has_value: npt.NDArray[np.bool_], names: Sequence[str], score: str) -> list[Message]:
    """Returns a note an entry about the images it has a value on that do not count; `has_value` is (runs, images)."""
    by_name: dict[str, list[int]] = {}
    for name, row in zip(names, has_value, strict=True):
        by_name.setdefault(name, []).append(int(row.sum()))
    notes = []
    for name, counts in by_name.items():
        if any(counts):
            shown = str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)}–{max(counts)}"
            notes.append(
                message("{name} has a value of {score} on {n} of the images left out", name=name, score=score, n=shown)
            )
    return notes


def _in_order(scored: ImageScores, ids: Sequence[str]) -> FloatArray:
    place = {image_id: index for index, image_id in enumerate(scored.ids)}
    return scored.values[[place[image_id] for image_id in ids]]


def groups_of(ids: Sequence[str], samples: Iterable[Sample]) -> tuple[str, ...] | None:
    """Returns the group of every image; an image without one stands for itself; None where there are no groups."""
    group_of: Mapping[str, str | None] = {sample.id: sample.group for sample in samples}
    if all(group_of[image_id] is None for image_id in ids):
        return None
    groups = tuple(group_of[image_id] or f"image {image_id}" for image_id in ids)
    return groups if len(set(groups)) < len(groups) else None
