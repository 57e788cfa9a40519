"""Every class of every entry: IoU and Dice with intervals, what it is taken for, and whether it is predicted at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from segbench.compare.evidence import Entry, Evidence
from segbench.compare.gather import scored_part
from segbench.metrics.confusion_matrix import normalize_confusion
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.scores import score_counts
from segbench.statistics.decide import bounded_means
from segbench.statistics.variance import prepare
from segbench.types import Progress, Task

FloatArray = npt.NDArray[np.float64]

SHOWN_CONFUSION = 0.01  # of a true class: a pair that is confused less often has no images named
SHOWN_IMAGES = 6


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class of one entry.

    Attributes:
        iou, dice: mean over the images whose truth holds the class, and over seeds; NaN where no image does.
        iou_low, iou_high, dice_low, dice_high: interval of that mean over images (groups) and seeds, inside [0, 1], as
            the verdict makes it; NaN below two images (groups).
        iou_pooled, dice_pooled: of all images' pixels together, so that the class predicted on images without it costs,
            too; mean over seeds; NaN where the class is neither true nor predicted.
        runs: of the entry; 1 for another tool's masks.
        runs_without: how many of them never predict the class, on any test image.
    """

    iou: float
    iou_low: float
    iou_high: float
    dice: float
    dice_low: float
    dice_high: float
    iou_pooled: float
    dice_pooled: float
    runs: int
    runs_without: int


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class over all entries.

    Attributes:
        index, name: of the class.
        scored: the study's score goes over it; False for the background of a binary task.
        n_images: test images whose truth holds it; the same for every entry.
        pixel_share: its share of the counted true pixels of all test images, 0-1; NaN where none counts.
        scores: place in `evidence.entries` -> its scores.
    """

    index: int
    name: str
    scored: bool
    n_images: int
    pixel_share: float
    scores: Mapping[int, ClassScore]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassTable:
    """What every entry reaches on every class; entries are named by their place in `evidence.entries`.

    Attributes:
        rows: one a class, in the order of the class map.
        confusion: place -> (C, C) float64, [true, predicted], all runs together: every row adds up to 1, or is NaN
            where the class is nowhere in the truth. Empty for a multilabel task: its classes do not exclude each other.
        confused: place -> (true, predicted) -> ids of at most `SHOWN_IMAGES` images with most such pixels, for pairs of
            classes where at least `SHOWN_CONFUSION` of the true class is taken for the other; only entries with such.
        never_predicted: place -> names of classes that the truth holds and no run of the entry ever predicts; only
            entries with such classes are there.
        without: names of entries that keep neither counts nor masks, so that they are not there.
        n_images: of the test part.
        level: of the intervals.
    """

    rows: tuple[ClassRow, ...]
    confusion: Mapping[int, FloatArray] = field(repr=False)
    confused: Mapping[int, Mapping[tuple[int, int], tuple[str, ...]]] = field(repr=False)
    never_predicted: Mapping[int, tuple[str, ...]]
    without: tuple[str, ...]
    n_images: int
    level: float

    def heat(self, order: Sequence[int]) -> FloatArray:
        """Returns (C, K) mean IoU of every class (row) and every entry of `order` (column); NaN where it has none."""
        return np.array([[row.scores[place].iou for place in order] for row in self.rows], dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Counted:
    """One entry: S runs on N images with C classes.

    `has`: (N, C) bool, the truth holds the class. `share`: (C,) of the true pixels. `image`: iou and dice -> (S, N, C).
    `pooled`: the same -> (C,), mean over runs. `predicted`: (S, C) pixels. `table`: (C, C), or (C, 2, 2), of all runs.
    """

    has: npt.NDArray[np.bool_]
    share: FloatArray
    image: Mapping[str, FloatArray]
    pooled: Mapping[str, FloatArray]
    predicted: npt.NDArray[np.int64]
    table: npt.NDArray[np.int64]
    confused: Mapping[tuple[int, int], tuple[str, ...]]


def class_table(evidence: Evidence, *, level: float = 0.95, progress: Progress | None = None) -> ClassTable:
    """Returns every class of every entry, from the counts in run folders; other tools' masks are counted now.

    Args:
        evidence: what is compared; means go over its images.
        level: of the intervals, in (0, 1).
        progress: called while masks are counted.
    Raises:
        RunError: counts of a run are missing or damaged.
    """
    class_map = evidence.class_map
    known = {place: entry for place, entry in enumerate(evidence.entries) if entry.runs or entry.masks}
    counted = {place: _count_entry(evidence, entry, progress) for place, entry in known.items()}
    exclusive = class_map.task is not Task.MULTILABEL
    absent = {place: _absent_classes(found, class_map.names) for place, found in counted.items()}
    return ClassTable(
        rows=tuple(_row(evidence, index, counted, level) for index in range(class_map.num_classes)),
        confusion={place: normalize_confusion(found.table) for place, found in counted.items()} if exclusive else {},
        confused={place: found.confused for place, found in counted.items() if found.confused},
        never_predicted={place: names for place, names in absent.items() if names},
        without=tuple(entry.name for place, entry in enumerate(evidence.entries) if place not in known),
        n_images=len(evidence.ids),
        level=level,
    )


def class_values(evidence: Evidence, entry: Entry, key: str = "iou") -> FloatArray:
    """Returns (S, N, C) IoU or Dice of every run, image and class; NaN where the truth does not hold the class.

    Args:
        evidence: what is compared; the N images are its.
        entry: with runs or masks.
        key: `iou` or `dice`.
    Raises:
        RunError: counts of a run are missing or damaged.
    """
    found = _count_entry(evidence, entry, None)
    return np.where(found.has, found.image[key], np.nan)


def _count_entry(evidence: Evidence, entry: Entry, progress: Progress | None) -> _Counted:
    image: dict[str, list[FloatArray]] = {"iou": [], "dice": []}
    pooled: dict[str, list[FloatArray]] = {"iou": [], "dice": []}
    predicted = []
    confusion: npt.NDArray[np.int64] | None = None
    for counts in _counts_of(evidence, entry, progress):
        scores = score_counts(counts, evidence.class_map)
        for key in image:
            image[key].append(scores.per_image[key])
            pooled[key].append(scores.pooled[key])
        predicted.append((counts.tp + counts.fp).sum(axis=0))
        confusion = counts.confusion if confusion is None else confusion + counts.confusion
    assert confusion is not None  # an entry has a run or masks
    true = counts.tp + counts.fn  # the same for every run
    return _Counted(
        has=true > 0,
        share=_shares(true.sum(axis=0), (true + counts.fp + counts.tn).sum(axis=0)),
        image={key: np.stack(values) for key, values in image.items()},
        pooled={key: np.mean(values, axis=0) for key, values in pooled.items()},
        predicted=np.stack(predicted),
        table=confusion.sum(axis=0),
        confused={} if evidence.class_map.task is Task.MULTILABEL else _confused_images(confusion, evidence.ids),
    )


def _shares(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> FloatArray:
    shares: FloatArray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return shares


def _counts_of(evidence: Evidence, entry: Entry, progress: Progress | None) -> Iterator[Counts]:
    """Gives the counts of every run on the images of the evidence, in their order."""
    class_map = evidence.class_map
    for run in entry.runs:
        counts = Counts.read_csv(run.table_file("counts", scored_part(run, evidence.size)), class_map)
        row_of = {image_id: row for row, image_id in enumerate(counts.ids)}
        rows = [row_of[image_id] for image_id in evidence.ids]
        yield replace(counts, ids=evidence.ids, confusion=counts.confusion[rows], ignored=counts.ignored[rows])
    for masks in entry.masks if not entry.runs else ():
        tables, ignored = [], []
        for number, image_id in enumerate(evidence.ids, start=1):
            target = evidence.load(image_id)[1]
            table, skipped = count_masks(
                masks.read(image_id),
                target,
                class_map.num_classes,
                ignore_index=class_map.ignore_index,
                task=class_map.task,
            )
            tables.append(table)
            ignored.append(skipped)
            if progress is not None:
                progress(f"classes of {entry.name}", number, len(evidence.ids))
        yield Counts(
            ids=evidence.ids,
            confusion=np.stack(tables),
            ignored=np.array(ignored, dtype=np.int64),
            task=class_map.task,
        )


def _confused_images(confusion: npt.NDArray[np.int64], ids: tuple[str, ...]) -> dict[tuple[int, int], tuple[str, ...]]:
    """Returns (true, predicted) -> images with most such pixels, for what is confused often enough; (N, C, C)."""
    shares = normalize_confusion(confusion.sum(axis=0))
    np.fill_diagonal(shares, 0.0)
    found = {}
    for true, predicted in np.argwhere(shares >= SHOWN_CONFUSION).tolist():
        pixels = confusion[:, true, predicted]
        most = np.argsort(-pixels, kind="stable")[:SHOWN_IMAGES]
        found[true, predicted] = tuple(ids[position] for position in most if pixels[position])
    return found


def _absent_classes(found: _Counted, names: tuple[str, ...]) -> tuple[str, ...]:
    never = found.has.any(axis=0) & ~found.predicted.any(axis=0)
    return tuple(names[index] for index in np.flatnonzero(never))


def _row(evidence: Evidence, index: int, counted: Mapping[int, _Counted], level: float) -> ClassRow:
    class_map = evidence.class_map
    one = next(iter(counted.values()), None)
    has = np.zeros(len(evidence.ids), dtype=bool) if one is None else one.has[:, index]
    means = {key: _means(evidence, index, key, counted, has, level) for key in ("iou", "dice")}
    scores = {}
    for number, (place, found) in enumerate(counted.items()):
        (iou, iou_low, iou_high), (dice, dice_low, dice_high) = means["iou"][number], means["dice"][number]
        scores[place] = ClassScore(
            iou=iou,
            iou_low=iou_low,
            iou_high=iou_high,
            dice=dice,
            dice_low=dice_low,
            dice_high=dice_high,
            iou_pooled=float(found.pooled["iou"][index]),
            dice_pooled=float(found.pooled["dice"][index]),
            runs=len(found.predicted),
            runs_without=int((found.predicted[:, index] == 0).sum()),
        )
    return ClassRow(
        index=index,
        name=class_map.names[index],
        scored=index in class_map.scored_classes,
        n_images=int(has.sum()),
        pixel_share=math.nan if one is None else float(one.share[index]),
        scores=scores,
    )


def _means(
    evidence: Evidence,
    index: int,
    key: str,
    counted: Mapping[int, _Counted],
    has: npt.NDArray[np.bool_],
    level: float,
) -> list[tuple[float, float, float]]:
    """Returns mean, low and high of one class for every entry, over the images that hold it."""
    values = [found.image[key][:, has, index] for found in counted.values()]
    groups = None if evidence.groups is None else np.asarray(evidence.groups)[has]
    units = int(has.sum()) if groups is None else len(np.unique(groups))
    if units < 2:
        return [(float(each.mean()) if units else math.nan, math.nan, math.nan) for each in values]
    fixed = [not evidence.entries[place].runs for place in counted]
    alone = [flag and len(each) == 1 for flag, each in zip(fixed, values, strict=True)]
    found = bounded_means(prepare(values, groups, alone), (0.0, 1.0), level)
    return [(each.value, each.low, each.high) for each in found]
