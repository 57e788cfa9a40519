"""Slices of one stack or frames of one video: neighbours are near copies, and must not lie in different parts."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.resize import resize_mask
from segbench.doctor.checks.parts import suggest_group
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading, Remembered, percent
from segbench.doctor.sampled import each, labels_of, readable
from segbench.doctor.sequences import Order, find_order
from segbench.locale import Message, join, listed, message
from segbench.types import SPLITS

_NEAR = 2  # places in the order; images of different parts no further apart are neighbours
_COMPARED = 40  # masks, which bounds the time
_SIDE = 48  # pixels, at which masks are compared
_MATTERS = 0.1  # by which the IoU of a neighbour's mask has to exceed that of any other
_TOGETHER = 0.9  # of the neighbours are in one group: groups keep them together
_FEW = 0.05  # of the images that are scored; so few hardly change a score
_GROUPS = 6  # from which on a set can be divided by groups

_MEANS = message(
    "Neighbouring slices or frames are near copies: who has seen one scores well on the next without having learnt "
    "anything for another stack or video."
)

NEIGHBOURS_ACROSS = Code(
    "neighbours_across_parts",
    Severity.WARNING,
    Title(
        "{n} image of those that are scored has a neighbour in training that looks nearly the same: {parts}",
        "{n} images of those that are scored have a neighbour in training that looks nearly the same: {parts}",
    ),
    means=_MEANS,
    advice=message("divide by whole stacks or videos, or say so beside the scores of published parts"),
    otherwise=Severity.INFO,
    when=message("where it is less than 5 % of them, or the neighbour's mask agrees hardly better than any other"),
    before_training=True,
)
NEIGHBOURS = Code(
    "neighbours",
    Severity.WARNING,
    Title("the {n} images look like slices of a stack or frames of a video, in the order of their names"),
    means=_MEANS,
    advice=message("do not draw the parts image by image"),
    otherwise=Severity.INFO,
    when=message("where the neighbour's mask agrees hardly better than any other"),
)
CODES = (NEIGHBOURS_ACROSS, NEIGHBOURS)


@dataclass(frozen=True)
class _Agreement:
    """How well masks fit another image: share of the pixels and mean IoU, of neighbours and of any two images."""

    images: int
    pixels: float
    iou: float
    other_pixels: float
    other_iou: float


def check(reading: Reading) -> list[Finding]:
    """Returns whether near copies by their place in a stack or video are, or would be, in different parts."""
    order = find_order(reading.cases, reading.images)
    if order is None:
        return []
    return list(_across(reading, order) if reading.has_parts else _undivided(reading, order))


def _across(reading: Reading, order: Order) -> Iterator[Finding]:
    pairs = _neighbours_in_train(order)
    if not pairs:
        return
    sizes = Counter(case.split for case in order.cases)
    found = Counter(case.split for case, _ in pairs)
    agreement = _agreement(reading, pairs, [case for case in order.cases if case.split == "train"])
    few = len(pairs) < _FEW * sum(sizes[part] for part in ("val", "test"))
    yield NEIGHBOURS_ACROSS.about(
        reading,
        (case.image for case, _ in pairs),
        count=len(pairs),
        parts=listed(
            [
                message("{part} {n} of {total}", part=part, n=found[part], total=sizes[part])
                for part in SPLITS
                if found[part]
            ],
            3,
        ),
        otherwise=few or not _matters(agreement),
        detail=_detail(order, agreement),
        advice=message("{divide}; beside the scores of published parts, say so", divide=_divide(reading, order)),
        pictures=reading.pairs(
            (one.image, other.image, message("{one} and {other}", one=one.id, other=other.id)) for one, other in pairs
        ),
    )


def _undivided(reading: Reading, order: Order) -> Iterator[Finding]:
    pairs = list(pairwise(order.cases))
    together = sum(one.group is not None and one.group == other.group for one, other in pairs)
    groups = len({case.group for case in order.cases if case.group is not None})
    if groups > 1 and together >= _TOGETHER * (len(pairs) - groups + 1):  # between two groups nothing is torn
        return
    agreement = _agreement(reading, pairs, order.cases)
    yield NEIGHBOURS.finding(
        count=len(order.cases),
        otherwise=not _matters(agreement),
        detail=_detail(order, agreement),
        advice=_divide(reading, order),
        pictures=reading.pairs(
            (one.image, other.image, message("{one} and {other}", one=one.id, other=other.id)) for one, other in pairs
        ),
    )


def _matters(agreement: _Agreement | None) -> bool:
    return agreement is None or agreement.iou - agreement.other_iou >= _MATTERS


def _neighbours_in_train(order: Order) -> list[tuple[Case, Case]]:
    """Returns (case, most alike case of the training part near it) of each case for scoring that has one."""
    number = len(order.cases)
    parts = np.array([case.split or "" for case in order.cases])
    scored = np.flatnonzero((parts == "val") | (parts == "test"))
    best = np.full(number, -np.inf)
    partner = np.zeros(number, dtype=np.int64)
    for step in (*range(-_NEAR, 0), *range(1, _NEAR + 1)):
        places = scored[(scored + step >= 0) & (scored + step < number)]
        places = places[parts[places + step] == "train"]
        alike = order.alike(places, places + step)
        better = alike > best[places]
        best[places[better]] = alike[better]
        partner[places[better]] = places[better] + step
    return [(order.cases[place], order.cases[partner[place]]) for place in scored if best[place] >= order.least]


def _detail(order: Order, agreement: _Agreement | None) -> Message:
    told = [
        message(
            "Small versions of each image and the next correlate by {likeness}, those of any two by about 0.",
            likeness=f"{order.likeness:.2f}",
        )
    ]
    if agreement is not None:
        told.append(
            message(
                "The neighbour's mask, copied, gets {pixels} of the pixels right (mean IoU {iou}), that of any other "
                "image {other_pixels} (mean IoU {other_iou}); compared were {n}.",
                pixels=percent(agreement.pixels),
                iou=f"{agreement.iou:.2f}",
                other_pixels=percent(agreement.other_pixels),
                other_iou=f"{agreement.other_iou:.2f}",
                n=agreement.images,
            )
        )
    return join(" ", told)


def _divide(reading: Reading, order: Order) -> Message:
    """Returns the settings that keep neighbours in one part: by groups where names tell some, else by blocks."""
    grouped = sum(case.group is not None for case in order.cases)
    if grouped == len(order.cases) and len({case.group for case in order.cases}) >= _GROUPS:
        return message("divide by groups: data.split: {split}", split="{method: ratios}")
    found = suggest_group([case.id for case in reading.cases])
    if found is not None and len(found[2]) >= _GROUPS:
        split = f"{{method: ratios, group: '{found[0]}'}}"
        return message("divide by stacks or videos: data.split: {split}", split=split)
    if not order.by_id:
        return message(
            "name the stack or video of each image in a table with the columns id and group: data.split.group_file"
        )
    number = len(order.cases)
    gap = max(_NEAR, min(order.reach, number // 40))
    block = max(gap + 1, round(number / 12))
    forget = ", group: ''" if grouped else ""
    return message(
        "divide by blocks of neighbours, with a gap between them: data.split: {split}",
        split=f"{{method: blocks, block: {block}, gap: {gap}{forget}}}",
    )


def _agreement(reading: Reading, pairs: Sequence[tuple[Case, Case]], others: Sequence[Case]) -> _Agreement | None:
    """Returns how well the second mask of a pair, or any of `others`, fits the first; None where none is known."""
    known = {case.id for case in readable(reading)}
    usable = [pair for pair in pairs if pair[0].id in known and pair[1].id in known]
    if not usable:
        return None
    rng = np.random.default_rng(0)
    chosen = [usable[place] for place in sorted(rng.permutation(len(usable))[:_COMPARED].tolist())]
    pool = [case for case in others if case.id in known]
    random = [pool[place] for place in rng.integers(len(pool), size=len(chosen))]
    labels = _small_labels(reading, [*(case for pair in chosen for case in pair), *random])
    rows = [
        (*_fit(labels[one.id], labels[other.id], reading), *_fit(labels[one.id], labels[third.id], reading))
        for (one, other), third in zip(chosen, random, strict=True)
        if {one.id, other.id, third.id} <= labels.keys() and third.id != one.id
    ]
    if not rows:
        return None
    mean = np.nanmean(np.array(rows), axis=0)
    return _Agreement(len(rows), *(float(value) for value in mean))


def _fit(truth: NDArray[np.uint8], copied: NDArray[np.uint8], reading: Reading) -> tuple[float, float]:
    """Returns the share of equal pixels and the mean IoU over the classes of either; what is ignored counts nowhere."""
    ignored = reading.known_map.ignore_index
    counted = (truth != ignored) & (copied != ignored)
    if not counted.any():
        return 1.0, 1.0
    one, other = truth[counted], copied[counted]
    ious = [
        float(((one == label) & (other == label)).sum() / ((one == label) | (other == label)).sum())
        for label in np.union1d(one, other)
    ]
    return float((one == other).mean()), float(np.mean(ious))


def _small_labels(reading: Reading, cases: Sequence[Case]) -> dict[str, NDArray[np.uint8]]:
    """Returns id -> labels of 48 x 48 pixels, remembered where each mask is one file."""
    unique = list({case.id: case for case in cases}.values())
    files = {case.mask_files[0]: case for case in unique if case.source is None and len(case.mask_files) == 1}
    if len(files) == len(unique):
        told = json.dumps([reading.known_map.to_dict(), reading.tolerance])
        kind = f"labels-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
        found, _ = reading.store.other(kind, files, lambda path: _small(reading, files[path]).tobytes().hex())
        return {
            files[path].id: np.frombuffer(bytes.fromhex(text), dtype=np.uint8).reshape(_SIDE, _SIDE)
            for path, text in found.items()
        }
    if isinstance(reading.store, Remembered):
        return {}  # before a training no file is opened
    return {case.id: labels for case, labels in each(unique, lambda case: _small(reading, case))}


def _small(reading: Reading, case: Case) -> NDArray[np.uint8]:
    return np.ascontiguousarray(resize_mask(labels_of(reading, case), (_SIDE, _SIDE)))
