"""Test masks that may be wrong: where networks that are good elsewhere agree with each other, not with the mask."""

from __future__ import annotations

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
WEAKER, WEAKER_SD = (
    0.1,
    0.5,
)  # score, and SDs of the best run's over images: who is worse by more than both is not asked
OUTLIER_MADS = 3.0
_BOUNDARY = 1 + ERROR_TYPES.index("boundary")


@dataclass(frozen=True, kw_only=True)
class LabelCandidate:
    """An image whose mask the runs speak against.

    Attributes:
        image_id: of it.
        score: what candidates are ordered by: `share` minus `unsure`.
        share: of the object, on which most runs say another class than the mask, outside the boundary band; a pixel
            counts as much as the share of runs for their class exceeds that for the mask's.
        unsure: of the object, on which runs do not say what most do, wherever it is: networks that fail on an image
            fail differently.
        pixels: on which most runs say another class than the mask, outside the band.
        object_pixels: not background in the mask or for most runs.
        mask_class, runs_class: names of the two classes concerned on most of these pixels; None: a class of a
            multilabel task is absent there.
    """

    image_id: str
    score: float
    share: float
    unsure: float
    pixels: int
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
    min_score: float = 0.05,
    min_pixels: int = 20,
    band_frac: float = 0.02,
    progress: Progress | None = None,
) -> LabelCandidates:
    """Returns images on which most of the good runs agree with each other against the true mask.

    Asked are the `MOST_RUNS` best runs with masks that did not collapse and are not clearly worse than the best one: by
    more than 0.1, more than half the SD of its scores over images, and more than two standard errors of the paired
    difference. Run folders keep no probabilities, so how sure the runs are is how many of them agree. An image is a
    candidate where its score is at least `min_score`, and stands out from those of all images (3 MAD above the median):
    networks that are weak everywhere accuse nobody. At least two such runs are needed.

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
        found.append(_against_mask(image_id, target, masks, evidence.class_map, band_frac))
        if progress is not None:
            progress("looking for label mistakes", number, len(evidence.ids))
    needed = max(min_score, _outlying([case.score for case in found])) if found else min_score
    cases = [case for case in found if case.score >= needed and case.pixels >= min_pixels]
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
    median = float(np.median(scores))
    return median + OUTLIER_MADS * 1.4826 * float(np.median(np.abs(np.array(scores) - median)))


def _against_mask(
    image_id: str, target: UInt8Array, masks: Sequence[UInt8Array], class_map: ClassMap, band_frac: float
) -> LabelCandidate:
    """Returns on how much of the object the runs speak against the mask, and on how much against each other."""
    majority, sure, lead = _vote(masks, target)
    counted = target != class_map.ignore_index
    types = split_errors(target, majority, class_map, band_frac=band_frac).types
    against = (types > 0) & (types != _BOUNDARY)
    background = 0 if class_map.task is Task.MULTILABEL else class_map.background
    objects = counted if background is None else counted & ((target != background) | (majority != background))
    size = int(objects.sum())
    share = float(lead[against].sum()) / size if size else 0.0
    unsure = float((1.0 - sure[counted]).sum()) / size if size else 0.0
    mask_class, runs_class = _classes_of(target, majority, against, class_map)
    return LabelCandidate(
        image_id=image_id,
        score=share - unsure,
        share=share,
        unsure=unsure,
        pixels=int(against.sum()),
        object_pixels=size,
        mask_class=mask_class,
        runs_class=runs_class,
    )


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
    target: UInt8Array, majority: UInt8Array, against: npt.NDArray[np.bool_], class_map: ClassMap
) -> tuple[str | None, str | None]:
    """Returns the class of the mask and that of the runs on most of the pixels on which they differ."""
    if not against.any():
        return None, None
    if class_map.task is Task.MULTILABEL:
        plane = int(against.sum(axis=(1, 2)).argmax())
        present = bool(np.median(target[plane][against[plane]]) == 1)
        return (class_map.names[plane], None) if present else (None, class_map.names[plane])
    pairs, pixels = np.unique(target[against].astype(np.int64) * 256 + majority[against], return_counts=True)
    true, said = divmod(int(pairs[pixels.argmax()]), 256)
    return class_map.names[true], class_map.names[said]
