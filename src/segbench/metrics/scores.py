"""Counts -> numbers: IoU, Dice, precision, recall, accuracy and areas, pooled and per image. NumPy only.

An absent class (no pixel in truth or prediction) has no score: it is NaN, left out of means and counted in
`Scores.absent`. A class absent from the truth but predicted scores IoU 0 and Dice 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from segbench.errors import shorten
from segbench.locale import Message, message
from segbench.metrics._arrays import FloatArray, divide, float_cells, nan_mean, stream_csv, summarise
from segbench.metrics._html import html_table
from segbench.metrics.confusion_matrix import write_confusion_csv
from segbench.metrics.counts import Counts, IntArray, count_masks
from segbench.metrics.definitions import Definition, Setting, define, footnote, write_definitions
from segbench.metrics.families import COUNT_MEASURES, COUNT_SCORES
from segbench.metrics.foreign import as_labels, check_black_and_white
from segbench.metrics.measure import ABSENT, Cells, Measure, Score
from segbench.types import ClassMap, Task

Masks: TypeAlias = Sequence[npt.NDArray[Any]] | Mapping[str, npt.NDArray[Any]]
Empty: TypeAlias = Literal["nan", "one"]

_BY_CLASS = tuple(measure for measure in COUNT_MEASURES if measure.by_class)
_POOLED = tuple(
    score.measure for score in COUNT_SCORES.values() if score.measure.by_class and score.summary == "pooled"
)
_WHOLE = tuple(measure for measure in COUNT_MEASURES if not measure.by_class)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Scores of N images, and where they come from.

    Attributes:
        class_map: names and task.
        ids: N image ids.
        counts: what everything is computed from.
        scored: class indices that means go over.
        empty: what an absent class scores: `nan` (nothing; left out) or `one`.
        threshold: of the probability that the predictions were made with; None: not stated.
        resolution: size at which prediction and truth were compared, in words; empty: not stated.
        ignore_index: label of pixels in the targets that counted nowhere.
        per_image: iou, dice, precision, recall, thresholded_iou -> (N, C) float64 in [0, 1]; area_error, area_bias ->
            (N, C) float64, relative to the true area; NaN where undefined. Every `Measure` by class has its key here.
        pooled: iou, dice, precision, recall -> (C,) float64 of all images' pixels together.
        whole: measures that know no classes, pixel_accuracy -> (N,) float64; NaN where no pixel counts.
        absent: (C,) int64, images in which the class is absent from truth and prediction.
        n_images: N.

    Example:
        >>> import segbench
        >>> scores = segbench.score_masks([[[0, 1]]], [[[0, 1]]], ["skin", "lesion"])
        >>> scores.summary()["iou_per_image"], scores.n_images
        (1.0, 1)
    """

    class_map: ClassMap
    ids: tuple[str, ...]
    counts: Counts = field(repr=False)
    scored: tuple[int, ...]
    empty: Empty
    threshold: float | None
    resolution: str
    ignore_index: int
    per_image: Mapping[str, FloatArray] = field(repr=False)
    pooled: Mapping[str, FloatArray]
    whole: Mapping[str, FloatArray] = field(repr=False)
    absent: IntArray
    n_images: int

    @cached_property
    def definition_of(self) -> Mapping[str, Definition]:
        """Name -> what the number means, for every name in `summary()`."""
        setting = Setting.of(
            self.class_map,
            self.scored,
            threshold=self.threshold,
            resolution=self.resolution,
            ignore_index=self.ignore_index,
            n=self.n_images,
        )
        return {name: self._define(score, setting) for name, score in COUNT_SCORES.items()}

    def _define(self, score: Score, setting: Setting) -> Definition:
        measure, classes = score.measure, self.class_map
        every = message("all classes") if classes.background is None else message("all classes with the background")
        pooled = score.summary == "pooled"
        valued = self.pooled[measure.key][list(self.scored)] if pooled and measure.by_class else None
        planes = classes.task is Task.MULTILABEL
        return define(
            score,
            setting,
            over="" if measure.by_class else every,
            absent=_absent_rule(measure, self.empty),
            values={"pixels": message("labels (every class of every pixel)") if planes else message("pixels")},
            n_valued=None if pooled else _count_valued(self.image_means(measure.key)),
            classes_valued=None if valued is None else _count_valued(valued),
        )

    @property
    def definitions(self) -> dict[str, str]:
        """Name -> one sentence, for every name in `summary()`."""
        return {name: definition.sentence for name, definition in self.definition_of.items()}

    @property
    def footnote(self) -> str:
        """What the scores have in common, and which differ, to print once under a table of them."""
        return footnote(self.definition_of.values())

    @cached_property
    def confusion(self) -> IntArray:
        """Pixels of all images together: (C, C) int64, [true, predicted]; multilabel (C, 2, 2)."""
        return self.counts.pooled()

    @property
    def accuracy(self) -> FloatArray:
        """(N,) float64, share of each image's counted pixels that are right; NaN where none counts."""
        return self.whole["pixel_accuracy"]

    def image_means(self, name: str) -> FloatArray:
        """Returns (N,): the mean of `per_image[name]` over the scored classes that have a value; NaN where none has.

        What knows no classes, such as `pixel_accuracy`, is returned as it is.
        """
        if name in self.whole:
            return self.whole[name]
        return nan_mean(self.per_image[name][:, list(self.scored)], axis=1)

    def summary(self) -> dict[str, float]:
        """Returns name -> value, NaN where nothing could be scored; `definition_of` explains every name."""
        return {name: self._value(score) for name, score in COUNT_SCORES.items()}

    def _value(self, score: Score) -> float:
        measure = score.measure
        if score.summary != "pooled":
            return summarise(score.summary, self.image_means(measure.key))
        if measure.by_class:
            return float(nan_mean(self.pooled[measure.key][list(self.scored)], axis=0))
        return float(divide(*measure.value(_cells(self.counts).pooled())))

    def image_values(self, name: str) -> FloatArray:
        """Returns (N,) values whose mean is `summary()[name]`, so that their spread tells how sure that number is.

        Of a mean over images they are the images' own, NaN where an image has none. Of a pooled score, a mean of ratios
        of sums over images, they are its linearisation (delta method): the score plus N times what each image pulls it.

        Raises:
            ValueError: the score is a median or a mean of the worst images.
        """
        score = COUNT_SCORES[name]
        if score.summary == "mean":
            return self.image_means(score.measure.key)
        if score.summary != "pooled":
            raise ValueError(f"{name} is no mean over images")
        above, below = (np.asarray(part, dtype=np.float64) for part in score.measure.value(_cells(self.counts)))
        if score.measure.by_class:
            above, below = above[:, list(self.scored)], below[:, list(self.scored)]
        else:
            above, below = above[:, None], below[:, None]
        total = below.sum(axis=0)
        ratio = divide(above.sum(axis=0), total)
        pulls = divide(above - np.nan_to_num(ratio) * below, np.broadcast_to(total, below.shape))
        result: FloatArray = self._value(score) + self.n_images * nan_mean(pulls, axis=1)
        return result

    def per_class_table(self) -> list[dict[str, Any]]:
        """Returns one row a class: class, scored, pixels (true), absent (images), and every ratio at both levels."""
        pixels = (self.counts.tp + self.counts.fn).sum(axis=0)
        rows = []
        for index, name in enumerate(self.class_map.names):
            row: dict[str, Any] = {
                "class": name,
                "scored": index in self.scored,
                "pixels": int(pixels[index]),
                "absent": int(self.absent[index]),
            }
            for score in COUNT_SCORES.values():
                key = score.measure.key
                if key in self.pooled and score.summary == "pooled":
                    row[score.name] = float(self.pooled[key][index])
                elif key in self.pooled and score.summary == "mean":
                    row[score.name] = float(nan_mean(self.per_image[key][:, index], axis=0))
            rows.append(row)
        return rows

    def write_csv(self, path: str | Path) -> None:
        """Writes one row an image: means over its scored classes, then every class; empty cells where undefined.

        What the numbers mean goes into `<stem>.definitions.json` beside it, with the summary.
        """
        names = self.class_map.names
        columns = {name: self.image_means(name) for name in (*self.whole, *self.per_image)}
        for key in (measure.key for measure in _BY_CLASS if measure.class_columns):
            columns.update({f"{key}[{label}]": self.per_image[key][:, c] for c, label in enumerate(names)})
        table = np.stack(list(columns.values()), axis=1)
        lines = zip(self.ids, self.counts.ignored.tolist(), float_cells(table), strict=True)
        stream_csv(path, ["id", "ignored", *columns], ([name, ignored, *cells] for name, ignored, cells in lines))
        write_definitions(
            path,
            self.definition_of,
            self.summary(),
            "one row an image: ignored pixels; every score as the mean over the image's scored classes; then "
            "score[class]; an empty cell is no value",
        )

    def write_confusion_csv(self, path: str | Path) -> None:
        """Writes the pooled confusion matrix: one row a true class, or (multilabel) one row a class."""
        write_confusion_csv(path, self.confusion, self.class_map.names)

    def _repr_html_(self) -> str:
        return html_table(self.summary(), self.definitions, self.per_class_table(), self.footnote)


def score_counts(
    counts: Counts,
    class_map: ClassMap | Sequence[str] | int,
    *,
    include_background: bool | None = None,
    empty: Empty = "nan",
    threshold: float | None = None,
    resolution: str = "",
) -> Scores:
    """Returns the scores of counts.

    Args:
        counts: of N images.
        class_map: or C class names, or their number.
        include_background: whether means go over the background class. None: not in a binary task, where only the
            foreground is scored; as any other class otherwise (`ClassMap.scored_classes`).
        empty: what a class absent from truth and prediction scores: `nan`, it is left out; or `one`, a correct "nothing
            there" counts as perfect in iou, dice, precision, recall and thresholded_iou.
        threshold: of the probability that the counted predictions were made with; counts do not know it, definitions
            state it. None: they say "not stated".
        resolution: size at which prediction and truth were compared, such as `128x128 pixels, the training size`.
    Raises:
        ValueError: the counts belong to another task or number of classes; nothing would be left to average over.
    """
    classes = as_class_map(class_map, counts.task)
    _check_fit(counts, classes)
    if empty not in ("nan", "one"):
        raise ValueError(f'empty must be "nan" or "one", got {empty!r}')
    cells = _cells(counts)
    pooled = cells.pooled()
    return Scores(
        class_map=classes,
        ids=counts.ids,
        counts=counts,
        scored=scored_classes(classes, include_background),
        empty=empty,
        threshold=threshold,
        resolution=resolution,
        ignore_index=classes.ignore_index,
        per_image={measure.key: _measure(measure, cells, empty) for measure in _BY_CLASS},
        pooled={measure.key: _measure(measure, pooled, empty) for measure in _POOLED},
        whole={measure.key: divide(*measure.value(cells)) for measure in _WHOLE},
        absent=np.asarray(_absent(cells).sum(axis=0), dtype=np.int64),
        n_images=len(counts),
    )


def score_masks(
    predictions: Masks,
    targets: Masks,
    class_map: ClassMap | Sequence[str] | int,
    *,
    ids: Sequence[str] | None = None,
    values: Sequence[int | Sequence[int]] | None = None,
    ignore_index: int | None = None,
    include_background: bool | None = None,
    empty: Empty = "nan",
    threshold: float | None = None,
    resolution: str = "the size of the masks",
) -> Scores:
    """Returns the scores of predicted label maps against true ones.

    Args:
        predictions, targets: sequences in the same order, or mappings id -> array, matched by id. Arrays are (H, W)
            integers, or (C, H, W) in {0, 1} for a multilabel task; images may differ in size.
        class_map: a ClassMap, or C class names, or their number. Names or a number mean a binary task (index 1 is the
            foreground, the only class in the means) if there are 2, a multilabel one if the arrays have three axes,
            else a multiclass one.
        ids: names of the images, for sequences; by default "0", "1", ...
        values: what stands in the arrays for each class, where that is not its index: `(0, 255)` for black and white
            masks, `(0, (1, 255))` where some hold 1 and others 255.
        ignore_index: label in the *targets* of pixels that do not count; by default the class map's (255).
        include_background, empty, threshold, resolution: see `score_counts`.
    Raises:
        ValueError: no images, images without a partner (names them), shapes that differ, labels out of
            range (names image, label and how many pixels), targets without any other label than 0 and the ignored one:
            what was meant as an object would count nowhere.
    Example:
        >>> scores = score_masks([np.array([[0, 1, 0, 1]])], [np.array([[0, 1, 0, 0]])], 3)
        >>> round(scores.summary()["iou_pooled"], 3)  # class 2 is nowhere: the mean of 2/3 and 1/2
        0.583
    """
    pairs = _pair(predictions, targets, ids)
    if not pairs:
        raise ValueError("expected at least one prediction and its target, got none: there is nothing to score")
    multilabel = np.ndim(pairs[0][2]) == 3
    classes = as_class_map(class_map, Task.MULTILABEL if multilabel else None)
    ignored_label = classes.ignore_index if ignore_index is None else ignore_index
    if values is not None:
        pairs = [
            (name, as_labels(prediction, values, None, classes), as_labels(target, values, ignored_label, classes))
            for name, prediction, target in pairs
        ]
    elif ignore_index is None:
        check_black_and_white(pairs, ignored_label, classes)
    scores = score_counts(
        _count_pairs(pairs, classes, ignored_label),
        classes,
        include_background=include_background,
        empty=empty,
        threshold=threshold,
        resolution=resolution,
    )
    return replace(scores, ignore_index=ignored_label)


def as_class_map(class_map: ClassMap | Sequence[str] | int, task: Task | None = None) -> ClassMap:
    """Returns a ClassMap as it is; of C names, or of a number, one whose mask values are the class indices."""
    if isinstance(class_map, ClassMap):
        return class_map
    if isinstance(class_map, int):
        if isinstance(class_map, bool) or class_map < 1:
            raise ValueError(f"expected a class map, class names or a number of classes, got {class_map!r}")
        class_map = [f"class {index}" for index in range(class_map)]
    if isinstance(class_map, str):
        raise ValueError(f"expected a list of class names, got the single text {class_map!r}")
    names = tuple(class_map)
    task = task or (Task.BINARY if len(names) == 2 else Task.MULTICLASS)
    if task is Task.MULTILABEL:
        return ClassMap(names=names, values=((1,),) * len(names), task=task, background=None)
    return ClassMap(names=names, values=tuple((index,) for index in range(len(names))), task=task)


def _check_fit(counts: Counts, classes: ClassMap) -> None:
    if classes.task is not counts.task or classes.num_classes != counts.num_classes:
        raise ValueError(
            f"counts of a {counts.task} task with {counts.num_classes} classes do not fit a class map of a "
            f"{classes.task} task with {classes.num_classes}"
        )


def _count_pairs(pairs: Sequence[tuple[str, Any, Any]], classes: ClassMap, ignored_label: int) -> Counts:
    """Returns the counts of (id, prediction, target); a mistake names its image."""
    tables, ignored = [], []
    for name, prediction, target in pairs:
        try:
            table, skipped = count_masks(
                prediction, target, classes.num_classes, ignore_index=ignored_label, task=classes.task
            )
        except ValueError as error:
            raise ValueError(f"image {name!r}: {error}") from error
        tables.append(table)
        ignored.append(skipped)
    cells = (classes.num_classes, 2, 2) if classes.task is Task.MULTILABEL else (classes.num_classes,) * 2
    return Counts(
        ids=tuple(name for name, _, _ in pairs),
        confusion=np.array(tables, dtype=np.int64).reshape(len(pairs), *cells),
        ignored=np.array(ignored, dtype=np.int64),
        task=classes.task,
    )


def _pair(predictions: Masks, targets: Masks, ids: Sequence[str] | None) -> list[tuple[str, Any, Any]]:
    if isinstance(predictions, Mapping) and isinstance(targets, Mapping):
        if ids is not None:
            raise ValueError("ids are for sequences; mappings bring their own")
        missing, extra = [k for k in targets if k not in predictions], [k for k in predictions if k not in targets]
        if missing or extra:
            problems = [f"no prediction for {shorten(missing)}"] * bool(missing)
            problems += [f"no target for {shorten(extra)}"] * bool(extra)
            raise ValueError(f"predictions and targets do not match: {'; '.join(problems)}")
        return [(name, predictions[name], target) for name, target in targets.items()]
    if isinstance(predictions, Mapping) or isinstance(targets, Mapping):
        raise ValueError("give predictions and targets both as sequences or both as mappings id -> array")
    names = [str(index) for index in range(len(targets))] if ids is None else list(ids)
    if not len(predictions) == len(targets) == len(names):
        raise ValueError(f"got {len(predictions)} predictions, {len(targets)} targets and {len(names)} ids")
    return list(zip(names, predictions, targets, strict=True))


def scored_classes(classes: ClassMap, include_background: bool | None) -> tuple[int, ...]:
    """Returns the indices of the classes that means go over; see `score_counts`."""
    if include_background is None:
        return classes.scored_classes
    scored = tuple(c for c in range(classes.num_classes) if include_background or c != classes.background)
    if not scored:
        raise ValueError("without the background there is no class left to score")
    return scored


def _cells(counts: Counts) -> Cells:
    return Cells(counts.tp, counts.fp, counts.fn, counts.tn, planes=counts.task is Task.MULTILABEL)


def _absent(cells: Cells) -> Any:
    return cells.tp + cells.fp + cells.fn == 0


def _is_share(measure: Measure) -> bool:
    """Tells whether a correct "nothing there" can count as 1."""
    return measure.by_class and measure.unit == "share"


def _measure(measure: Measure, cells: Cells, empty: Empty) -> FloatArray:
    """Returns a measure by class, of the shape of the cells; NaN where it is undefined."""
    values = divide(*measure.value(cells))
    return np.where(_absent(cells), 1.0, values) if empty == "one" and _is_share(measure) else values


def _absent_rule(measure: Measure, empty: Empty) -> Message:
    rule = Message(measure.absent, {})
    if empty != "one" or not _is_share(measure):
        return rule
    if measure.absent == ABSENT:
        return message("a class absent from truth and prediction scores 1")
    return message("a class absent from truth and prediction scores 1 and {rule} otherwise", rule=rule)


def _count_valued(values: FloatArray) -> int:
    return int((~np.isnan(values)).sum())
