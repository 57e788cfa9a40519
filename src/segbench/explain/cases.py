"""Images to look at: worst, typical and best, of all classes and of each; where entries disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segbench.compare.evidence import Entry, Evidence
from segbench.explain.classes import class_values
from segbench.explain.masks import read_mask
from segbench.types import ClassMap, Progress, Task

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image of an entry.

    Attributes:
        image_id: of it.
        score: mean over seeds.
        seed_scores: of every seed.
    """

    image_id: str
    score: float
    seed_scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Worst, typical and best images of an entry.

    Attributes:
        entry, score: names; `iou_per_image[car]` is that of one class.
        worst: the worst first.
        median: around the median score, the worse first.
        best: the best first.
    """

    entry: str
    score: str
    worst: tuple[Case, ...]
    median: tuple[Case, ...]
    best: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """An image that entries segment differently.

    Attributes:
        image_id: of it.
        disagreement: mean over all pairs of entries, 0-1.
        pair: names of the two entries that differ most on it; pair_disagreement: by how much.
        scores: entry -> mean score over seeds.
    """

    image_id: str
    disagreement: float
    pair: tuple[str, str]
    pair_disagreement: float
    scores: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Disagreements:
    """Where entries disagree most.

    Attributes:
        cases: the largest disagreement first.
        compared: names of the entries with masks.
        without_masks: names of the others.
        definition: what the number is, one sentence.
        mean: of all N images.
    """

    cases: tuple[Disagreement, ...]
    compared: tuple[str, ...]
    without_masks: tuple[str, ...]
    definition: str
    mean: float


def pick_cases(evidence: Evidence, entry: Entry, *, count: int = 3) -> Cases:
    """Returns the `count` worst, median and best images of an entry by its mean score over seeds.

    Equal scores stay in the order of the images. Of fewer images than 3 x `count` some are in two lists.
    """
    return _pick(entry, evidence.score, evidence.ids, entry.values, evidence.higher_is_better, count)


def pick_class_cases(evidence: Evidence, entry: Entry, *, count: int = 3) -> dict[str, Cases]:
    """Returns class name -> worst, median and best images of an entry by its IoU of that class, mean over seeds.

    Only images whose truth holds the class are looked at; scored classes that no truth holds are not there.

    Raises:
        RunError: counts of a run are damaged.
    """
    values = class_values(evidence, entry)
    found = {}
    for index in evidence.class_map.scored_classes:
        has = ~np.isnan(values[0, :, index])
        if has.any():
            name = evidence.class_map.names[index]
            ids = [image_id for image_id, there in zip(evidence.ids, has, strict=True) if there]
            found[name] = _pick(entry, f"iou_per_image[{name}]", ids, values[:, has, index], True, count)
    return found


def _pick(
    entry: Entry, score: str, ids: Sequence[str], values: npt.NDArray[np.float64], higher_is_better: bool, count: int
) -> Cases:
    """Returns the cases of (S, N) values."""
    scores = values.mean(axis=0)
    order = np.argsort(scores if higher_is_better else -scores, kind="stable")
    count = min(count, len(order))
    start = (len(order) - count) // 2

    def cases(positions: npt.NDArray[np.intp]) -> tuple[Case, ...]:
        return tuple(
            Case(
                image_id=ids[position],
                score=float(scores[position]),
                seed_scores=tuple(values[:, position].tolist()),
            )
            for position in positions
        )

    return Cases(
        entry=entry.name,
        score=score,
        worst=cases(order[:count]),
        median=cases(order[start : start + count]),
        best=cases(order[::-1][:count]),
    )


def find_disagreements(evidence: Evidence, *, count: int = 6, progress: Progress | None = None) -> Disagreements:
    """Returns the images on which the masks of different entries differ most.

    Entries without masks are left out and named; the first seed of each is compared with the first of every other, the
    second with the second, as far as all have one. With fewer than two entries that keep masks there are no cases.
    """
    kept, without = _with_masks(evidence)
    definition = _DISAGREEMENT[evidence.class_map.task]
    if len(kept) < 2:
        return Disagreements(
            cases=(), compared=_names(kept), without_masks=_names(without), definition=definition, mean=np.nan
        )
    seeds = min(len(entry.masks) for entry in kept)
    found: list[tuple[float, float, int, int]] = []
    rows, columns = np.triu_indices(len(kept), k=1)
    for number, image_id in enumerate(evidence.ids, start=1):
        target = evidence.load(image_id)[1]
        tables = [
            _pairwise([read_mask(entry, seed, image_id, target) for entry in kept], target, evidence.class_map)
            for seed in range(seeds)
        ]
        pairs = np.mean(tables, axis=0)[rows, columns]
        most = int(np.argmax(pairs))
        found.append((float(pairs.mean()), float(pairs[most]), int(rows[most]), int(columns[most])))
        if progress is not None:
            progress("comparing masks", number, len(evidence.ids))
    means = np.array([row[0] for row in found])
    scores = {entry.name: evidence.seed_means(entry) for entry in evidence.entries}
    cases = [
        Disagreement(
            image_id=evidence.ids[position],
            disagreement=found[position][0],
            pair=(kept[found[position][2]].name, kept[found[position][3]].name),
            pair_disagreement=found[position][1],
            scores={name: float(values[position]) for name, values in scores.items()},
        )
        for position in np.argsort(-means, kind="stable")[:count]
    ]
    return Disagreements(
        cases=tuple(cases),
        compared=_names(kept),
        without_masks=_names(without),
        definition=definition,
        mean=float(means.mean()),
    )


_DISAGREEMENT = {
    Task.BINARY: "1 - IoU of two foregrounds (0 where both are empty), mean over pairs of approaches and over seeds",
    Task.MULTICLASS: "the share of counted pixels with different classes, mean over pairs of approaches and over seeds",
    Task.MULTILABEL: "the share of pairs of pixel and class that differ, mean over pairs of approaches and over seeds",
}


def _with_masks(evidence: Evidence) -> tuple[list[Entry], list[Entry]]:
    kept = [entry for entry in evidence.entries if entry.masks]
    return kept, [entry for entry in evidence.entries if not entry.masks]


def _names(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(entry.name for entry in entries)


def _pairwise(masks: Sequence[UInt8Array], target: UInt8Array, class_map: ClassMap) -> npt.NDArray[np.float64]:
    """Returns (K, K): how much every two masks differ on the counted pixels."""
    labels = np.stack([mask[target != class_map.ignore_index] for mask in masks])
    count = labels.shape[1]
    if class_map.task is Task.BINARY:
        planes = (labels == 1).astype(np.float32)  # float32 counts exactly up to 2 ** 24 pixels
        both = (planes @ planes.T).astype(np.float64)
        sizes = np.diag(both)
        either = sizes[:, None] + sizes - both
        iou = np.divide(both, either, out=np.ones_like(both), where=either > 0)
        differs: npt.NDArray[np.float64] = 1.0 - iou
        return differs
    same = np.zeros((len(masks), len(masks)))
    for label in np.unique(labels):
        planes = (labels == label).astype(np.float32)
        same += planes @ planes.T
    return 1.0 - same / count if count else np.zeros_like(same)
