"""Images to look at: worst, typical and best; where entries disagree; where the label may be wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segbench.compare.evidence import Entry, Evidence
from segbench.errors import RunError
from segbench.explain.error_types import split_errors
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
        entry, score: names.
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


@dataclass(frozen=True, kw_only=True)
class LabelCandidate:
    """An image on which all predictions agree with each other against the mask.

    Attributes:
        image_id: of it.
        share: pixels / object_pixels.
        pixels: on which all predictions say the same class and the mask another, outside the boundary band.
        object_pixels: not background in the mask or in what all predict.
    """

    image_id: str
    share: float
    pixels: int
    object_pixels: int


@dataclass(frozen=True, kw_only=True)
class LabelCandidates:
    """Images whose label may be wrong: candidates to look at, not proof.

    Attributes:
        cases: the largest share first.
        compared: names of the entries whose masks were used, at least two.
        without_masks: names of the others.
        masks_per_image: predictions that had to agree.
        n: images looked at.
        min_share, min_pixels: what a candidate needs at least.
        reason: why nothing could be looked for; empty where it could.
    """

    cases: tuple[LabelCandidate, ...]
    compared: tuple[str, ...]
    without_masks: tuple[str, ...]
    masks_per_image: int
    n: int
    min_share: float
    min_pixels: int
    reason: str = ""


def pick_cases(evidence: Evidence, entry: Entry, *, count: int = 3) -> Cases:
    """Returns the `count` worst, median and best images of an entry by its mean score over seeds.

    Equal scores stay in the order of the images. Of fewer images than 3 x `count` some are in two lists.
    """
    scores = evidence.seed_means(entry)
    order = np.argsort(scores if evidence.higher_is_better else -scores, kind="stable")
    count = min(count, len(order))
    start = (len(order) - count) // 2

    def cases(positions: npt.NDArray[np.intp]) -> tuple[Case, ...]:
        return tuple(
            Case(
                image_id=evidence.ids[position],
                score=float(scores[position]),
                seed_scores=tuple(entry.values[:, position].tolist()),
            )
            for position in positions
        )

    return Cases(
        entry=entry.name,
        score=evidence.score,
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
            _pairwise([_mask(entry, seed, image_id, target) for entry in kept], target, evidence.class_map)
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


def find_label_candidates(
    evidence: Evidence,
    *,
    count: int = 12,
    min_share: float = 0.05,
    min_pixels: int = 20,
    band_frac: float = 0.02,
    progress: Progress | None = None,
) -> LabelCandidates:
    """Returns images on which the masks of all entries and seeds agree with each other against the true mask.

    Such pixels count outside the boundary band of `segbench.explain.error_types`, where people disagree too, and
    relative to the object: the pixels that are not background in the mask or in what all predict. Multilabel: pairs of
    pixel and class. At least two entries must keep masks; `reason` says where they do not.

    Args:
        evidence: what is compared.
        count: at most so many candidates.
        min_share, min_pixels: what a candidate needs.
        band_frac: half width of the band as a share of the image diagonal.
        progress: called after every image.
    """
    kept, without = _with_masks(evidence)
    reason = "" if len(kept) >= 2 else f"two approaches with masks are needed, {len(kept)} keep masks"
    found: list[LabelCandidate] = []
    for number, image_id in enumerate(evidence.ids if not reason else (), start=1):
        target = evidence.load(image_id)[1]
        masks = (_mask(entry, seed, image_id, target) for entry in kept for seed in range(len(entry.masks)))
        candidate = _against_mask(image_id, target, masks, evidence.class_map, band_frac)
        if candidate.share >= min_share and candidate.pixels >= min_pixels:
            found.append(candidate)
        if progress is not None:
            progress("looking for label mistakes", number, len(evidence.ids))
    return LabelCandidates(
        cases=tuple(sorted(found, key=lambda case: -case.share)[:count]),
        compared=_names(kept),
        without_masks=_names(without),
        masks_per_image=sum(len(entry.masks) for entry in kept),
        n=0 if reason else len(evidence.ids),
        min_share=min_share,
        min_pixels=min_pixels,
        reason=reason,
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


def _mask(entry: Entry, seed: int, image_id: str, target: UInt8Array) -> UInt8Array:
    mask = entry.masks[seed].read(image_id)
    if mask.shape != target.shape:
        message = f"{entry.name!r} has a mask of the shape {mask.shape} for the image {image_id!r}, expected"
        raise RunError(f"{message} {target.shape}; score it again with `segbench evaluate`")
    return mask


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


def _against_mask(
    image_id: str, target: UInt8Array, masks: Iterable[UInt8Array], class_map: ClassMap, band_frac: float
) -> LabelCandidate:
    """Returns on how much of the object all masks say the same and the target something else."""
    common: UInt8Array | None = None
    agreed = np.ones(target.shape, dtype=bool)
    for mask in masks:
        if common is None:
            common = mask
        agreed &= mask == common
    assert common is not None  # the caller made sure of two entries with masks
    consensus = np.where(agreed, common, target)  # where they differ nothing is held against the target
    split = split_errors(target, consensus, class_map, band_frac=band_frac)
    pixels = split.wrong - split.pixels["boundary"]
    background = 0 if class_map.task is Task.MULTILABEL else class_map.background
    counted = target != class_map.ignore_index
    objects = counted if background is None else counted & ((target != background) | (consensus != background))
    object_pixels = int(objects.sum())
    return LabelCandidate(
        image_id=image_id,
        share=pixels / object_pixels if object_pixels else 0.0,
        pixels=pixels,
        object_pixels=object_pixels,
    )
