"""Test masks that may be wrong: where networks that are good elsewhere agree with each other, not with the mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segbench.compare.evidence import Evidence
from segbench.explain.error_types import ERROR_TYPES, split_errors
from segbench.explain.masks import read_mask
from segbench.types import ClassMap, Progress, Task

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

MOST_RUNS = 20  # asked, the best first: more of them change no majority, and every mask has to be decoded
# Score, and SDs of the best run's scores over images: a run that is worse by more than both is not asked.
WEAKER, WEAKER_SD = 0.1, 0.5
OUTLIER_MADS = 3.0
_BOUNDARY = 1 + ERROR_TYPES.index("boundary")


@dataclass(frozen=True, kw_only=True)
class LabelCandidate:
    """An image whose mask the runs speak against, and the class on which they do so most.

    Attributes:
        image_id: of it.
        class_name: whose pixels are counted: those that the mask or most runs give to the class.
        score: what candidates are ordered by: `share` minus `unsure`.
        share: how many of these pixels most runs give to another class than the mask, outside the boundary band, over
            the geometric mean of `class_pixels` and `object_pixels`: of a small class alone a few pixels are much, of
            all objects they are nothing. A pixel counts as much as the share of runs for their class exceeds that for
            the mask's.
        unsure: the same of the pixels on which runs do not say what most do, wherever they are: networks that fail on
            an image fail differently.
        pixels: of the class, on which most runs say another class than the mask, outside the band.
        class_pixels: that the mask or most runs give to the class.
        object_pixels: that the mask or most runs give to any class but the background.
        mask_class, runs_class: names of the two classes concerned on most of them, one of which is `class_name`; None:
            the class of a multilabel task is absent there.
    """

    image_id: str
    class_name: str
    score: float
    share: float
    unsure: float
    pixels: int
    class_pixels: int
    object_pixels: int
    mask_class: str | None
    runs_class: str | None


@dataclass(frozen=True, kw_only=True)
class LabelCandidates:
    """Images whose label may be wrong: candidates to look at, not proof.

    Attributes:
        cases: the largest score first.
        compared: names of the entries whose runs were asked.
        weaker: names of entries with masks of which no run was asked: collapsed, or clearly worse than the best run.
        without_masks: names of the entries that keep none.
        runs: how many were asked, at most `MOST_RUNS`.
        n: images looked at.
        min_score, min_pixels: what a candidate needed here.
        reason: why nothing could be looked for; empty where it could.
    """

    cases: tuple[LabelCandidate, ...]
    compared: tuple[str, ...]
    weaker: tuple[str, ...]
    without_masks: tuple[str, ...]
    runs: int
    n: int
    min_score: float
    min_pixels: int
    reason: str = ""


def find_label_candidates(
    evidence: Evidence,
    *,
    count: int = 12,
    min_score: float = 0.15,
    min_pixels: int = 20,
    band_frac: float = 0.02,
    progress: Progress | None = None,
) -> LabelCandidates:
    """Returns images on which most of the good runs agree with each other against the true mask.

    Asked are the `MOST_RUNS` best runs with masks that did not collapse and are not clearly worse than the best one: by
    more than 0.1, more than half the SD of its scores over images, and more than two standard errors of the paired
    difference. Run folders keep no probabilities, so how sure the runs are is how many of them agree. An image counts
    by the class on which they speak against its mask most, background aside. It is a candidate where its score is at
    least `min_score`, and stands out from those of all images (3 MAD above the median): networks that are weak
    everywhere accuse nobody. At least two such runs are needed.

    Args:
        evidence: what is compared.
        count: at most so many candidates.
        min_score, min_pixels: what a candidate needs at least.
        band_frac: half width of the boundary band as a share of the image diagonal; see `split_errors`.
        progress: called after every image.
    """
    asked = choose_runs(evidence)
    names = [evidence.entries[place].name for place in sorted({place for place, _ in asked})]
    with_masks = [entry.name for entry in evidence.entries if entry.masks]
    reason = (
        "" if len(asked) >= 2 else f"two trainings with masks that are good enough are needed, there are {len(asked)}"
    )
    found = []
    for number, image_id in enumerate(evidence.ids if not reason else (), start=1):
        target = evidence.load(image_id)[1]
        masks = [read_mask(evidence.entries[place], seed, image_id, target) for place, seed in asked]
        found.append(_against_mask(image_id, target, masks, evidence.class_map, band_frac, min_pixels))
        if progress is not None:
            progress("looking for label mistakes", number, len(evidence.ids))
    needed = max(min_score, _outlying([0.0 if case is None else case.score for case in found]))
    cases = [case for case in found if case is not None and case.score >= needed]
    return LabelCandidates(
        cases=tuple(sorted(cases, key=lambda case: -case.score)[:count]),
        compared=tuple(names),
        weaker=tuple(name for name in with_masks if name not in names),
        without_masks=tuple(entry.name for entry in evidence.entries if not entry.masks),
        runs=len(asked),
        n=len(found),
        min_score=needed,
        min_pixels=min_pixels,
        reason=reason,
    )


def choose_runs(evidence: Evidence) -> list[tuple[int, int]]:
    """Returns (place, seed position) of the runs that are good enough to be asked, the best first."""
    candidates = [
        (place, seed)
        for place, entry in enumerate(evidence.entries)
        for seed in range(len(entry.masks))
        if not (entry.runs and entry.runs[seed].is_collapsed)
    ]
    if not candidates:
        return []
    sign = 1.0 if evidence.higher_is_better else -1.0
    values = np.array([sign * evidence.entries[place].values[seed] for place, seed in candidates])
    order = np.argsort(-values.mean(axis=1), kind="stable")
    best = values[order[0]]
    lead = best - values
    error = lead.std(axis=1) / np.sqrt(max(len(best) - 1, 1))
    clearly = lead.mean(axis=1) > np.maximum(max(WEAKER, WEAKER_SD * float(best.std())), 2.0 * error)
    return [candidates[position] for position in order if not clearly[position]][:MOST_RUNS]


def _outlying(scores: Sequence[float]) -> float:
    """Returns from where on a score stands out; 0 without scores."""
    if not scores:
        return 0.0
    median = float(np.median(scores))
    return median + OUTLIER_MADS * 1.4826 * float(np.median(np.abs(np.array(scores) - median)))


def _against_mask(
    image_id: str,
    target: UInt8Array,
    masks: Sequence[UInt8Array],
    class_map: ClassMap,
    band_frac: float,
    min_pixels: int,
) -> LabelCandidate | None:
    """Returns the class on which the runs speak most against the mask; None where they do so on too few pixels."""
    majority, sure, lead = _vote(masks, target)
    types = split_errors(target, majority, class_map, band_frac=band_frac).types
    against = (types > 0) & (types != _BOUNDARY)
    counted = target != class_map.ignore_index
    background = 0 if class_map.task is Task.MULTILABEL else class_map.background
    objects = counted if background is None else counted & ((target != background) | (majority != background))
    object_pixels = int(objects.sum())
    found = None
    for index in range(class_map.num_classes):
        if index == class_map.background:
            continue
        where = _held_by(target, majority, index, class_map)
        class_pixels, pixels = int(where.sum()), int((against & where).sum())
        if pixels < min_pixels:
            continue
        scale = math.sqrt(class_pixels * object_pixels)
        share, unsure = float(lead[against & where].sum()) / scale, float((1.0 - sure[where]).sum()) / scale
        if found is None or share - unsure > found.score:
            mask_class, runs_class = _classes_of(target, majority, against & where, class_map, index)
            found = LabelCandidate(
                image_id=image_id,
                class_name=class_map.names[index],
                score=share - unsure,
                share=share,
                unsure=unsure,
                pixels=pixels,
                class_pixels=class_pixels,
                object_pixels=object_pixels,
                mask_class=mask_class,
                runs_class=runs_class,
            )
    return found


def _held_by(target: UInt8Array, majority: UInt8Array, index: int, class_map: ClassMap) -> npt.NDArray[np.bool_]:
    """Returns where the mask, or what most runs say, holds a class; ignored pixels are left out."""
    counted = target != class_map.ignore_index
    if class_map.task is not Task.MULTILABEL:
        there: npt.NDArray[np.bool_] = counted & ((target == index) | (majority == index))
        return there
    where = np.zeros(target.shape, dtype=bool)
    where[index] = counted[index] & ((target[index] == 1) | (majority[index] == 1))
    return where


def _vote(masks: Sequence[UInt8Array], target: UInt8Array) -> tuple[UInt8Array, FloatArray, FloatArray]:
    """Returns what most runs say, the share that says it, and by how much that exceeds the share for the mask's class.

    All of the target's shape; of classes with equally many votes the first.
    """
    stacked = np.stack(masks)
    majority: UInt8Array = np.zeros_like(target)
    most, own = np.zeros(target.shape, dtype=np.uint16), np.zeros(target.shape, dtype=np.uint16)
    for label in np.unique(stacked):
        votes = (stacked == label).sum(axis=0, dtype=np.uint16)
        majority[votes > most] = label
        np.maximum(most, votes, out=most)
        own = np.where(target == label, votes, own)
    return majority, most / len(masks), (most - own.astype(np.float64)) / len(masks)


def _classes_of(
    target: UInt8Array, majority: UInt8Array, against: npt.NDArray[np.bool_], class_map: ClassMap, index: int
) -> tuple[str | None, str | None]:
    """Returns the class of the mask and that of the runs on most of the pixels on which they differ about a class."""
    names = class_map.names
    if class_map.task is Task.MULTILABEL:
        present = 2 * int((target[against] == 1).sum()) > int(against.sum())
        return (names[index], None) if present else (None, names[index])
    pairs, pixels = np.unique(target[against].astype(np.int64) * 256 + majority[against], return_counts=True)
    true, said = divmod(int(pairs[pixels.argmax()]), 256)
    return names[true], names[said]
