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
from segbench.metrics._arrays import (
    FloatArray,
    divide,
    float_cells,
    mean_of_worst,
    nan_mean,
    nan_median,
    stream_csv,
)
from segbench.metrics._definitions import Setting, define_scores, html_table
from segbench.metrics.confusion_matrix import write_confusion_csv
from segbench.metrics.counts import Counts, IntArray, count_masks
from segbench.metrics.definitions import Definition, footnote, write_definitions
from segbench.types import ClassMap, Task

Masks: TypeAlias = Sequence[npt.NDArray[Any]] | Mapping[str, npt.NDArray[Any]]
Empty: TypeAlias = Literal["nan", "one"]

RATIOS = ("iou", "dice", "precision", "recall")
AREAS = ("area_error", "area_bias")


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
            (N, C) float64, relative to the true area; NaN where undefined.
        pooled: iou, dice, precision, recall -> (C,) float64 of all images' pixels together.
        accuracy: (N,) float64, share of each image's counted pixels that are right; NaN where none counts.
        absent: (C,) int64, images in which the class is absent from truth and prediction.
        n_images: N.
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
    accuracy: FloatArray = field(repr=False)
    absent: IntArray
    n_images: int

    @cached_property
    def definition_of(self) -> Mapping[str, Definition]:
        """Name -> what the number means, for every name in `summary()`."""
        valued = {name: _count_valued(self.image_means(name)) for name in self.per_image}
        setting = Setting(
            classes=self.class_map,
            scored=self.scored,
            empty=self.empty,
            threshold=self.threshold,
            resolution=self.resolution,
            ignore_index=self.ignore_index,
            n=self.n_images,
        )
        classes_valued = {name: _count_valued(self.pooled[name][list(self.scored)]) for name in self.pooled}
        return define_scores(setting, {**valued, "pixel_accuracy": _count_valued(self.accuracy)}, classes_valued)

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

    def image_means(self, name: str) -> FloatArray:
        """Returns (N,): the mean of `per_image[name]` over the scored classes that have a value; NaN where none has."""
        return nan_mean(self.per_image[name][:, list(self.scored)], axis=1)

    def summary(self) -> dict[str, float]:
        """Returns name -> value, NaN where nothing could be scored; `definition_of` explains every name."""
        values: dict[str, float] = {}
        means = {name: self.image_means(name) for name in self.per_image}
        for name in RATIOS:
            values[f"{name}_pooled"] = float(nan_mean(self.pooled[name][list(self.scored)], axis=0))
            values[f"{name}_per_image"] = float(nan_mean(means[name], axis=0))
        values["pixel_accuracy"] = float(divide(*(part.sum() for part in _right_and_all(self.counts))))
        values["pixel_accuracy_per_image"] = float(nan_mean(self.accuracy, axis=0))
        values["thresholded_iou"] = float(nan_mean(means["thresholded_iou"], axis=0))
        values.update({f"{name}_per_image_median": nan_median(means[name]) for name in ("iou", "dice")})
        values.update({f"{name}_per_image_worst5": mean_of_worst(means[name]) for name in ("iou", "dice")})
        values.update({f"{name}_per_image": float(nan_mean(means[name], axis=0)) for name in AREAS})
        return values

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
            for ratio in RATIOS:
                row[f"{ratio}_pooled"] = float(self.pooled[ratio][index])
                row[f"{ratio}_per_image"] = float(nan_mean(self.per_image[ratio][:, index], axis=0))
            rows.append(row)
        return rows

    def write_csv(self, path: str | Path) -> None:
        """Writes one row an image: means over its scored classes, then every class; empty cells where undefined.

        What the numbers mean goes into `<stem>.definitions.json` beside it, with the summary.
        """
        names = self.class_map.names
        columns: dict[str, FloatArray] = {"pixel_accuracy": self.accuracy}
        columns.update({name: self.image_means(name) for name in self.per_image})
        for name in (*RATIOS, *AREAS):
            columns.update({f"{name}[{label}]": self.per_image[name][:, c] for c, label in enumerate(names)})
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
    tp, fp, fn = counts.tp, counts.fp, counts.fn
    return Scores(
        class_map=classes,
        ids=counts.ids,
        counts=counts,
        scored=scored_classes(classes, include_background),
        empty=empty,
        threshold=threshold,
        resolution=resolution,
        ignore_index=classes.ignore_index,
        per_image=_per_image(tp, fp, fn, empty),
        pooled={name: _ratio(name, tp.sum(axis=0), fp.sum(axis=0), fn.sum(axis=0), empty) for name in RATIOS},
        accuracy=divide(*_right_and_all(counts)),
        absent=np.asarray((tp + fp + fn == 0).sum(axis=0), dtype=np.int64),
        n_images=len(counts),
    )


def score_masks(
    predictions: Masks,
    targets: Masks,
    class_map: ClassMap | Sequence[str] | int,
    *,
    ids: Sequence[str] | None = None,
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
        ignore_index: label in the *targets* of pixels that do not count; by default the class map's (255).
        include_background, empty, threshold, resolution: see `score_counts`.
    Raises:
        ValueError: no images, images without a partner (names them), shapes that differ, labels out of
            range (names image, label and how many pixels).
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


def _per_image(tp: Any, fp: Any, fn: Any, empty: Empty) -> dict[str, FloatArray]:
    """Returns every ratio and area -> (N, C), from counts of the same shape."""
    values = {name: _ratio(name, tp, fp, fn, empty) for name in (*RATIOS, "thresholded_iou")}
    return {**values, "area_error": divide(np.abs(fp - fn), tp + fn), "area_bias": divide(fp - fn, tp + fn)}


def _ratio(name: str, tp: Any, fp: Any, fn: Any, empty: Empty) -> FloatArray:
    union = tp + fp + fn
    if name == "iou":
        values = divide(tp, union)
    elif name == "dice":
        values = divide(2 * tp, 2 * tp + fp + fn)
    elif name == "precision":
        values = divide(tp, tp + fp)
    elif name == "recall":
        values = divide(tp, tp + fn)
    else:  # ceil(clamp(20 * (tp / union - 0.5), 0, 10)) / 10 in integers: no rounding can lift a score by a step
        steps = -((10 * union - 20 * tp) // np.maximum(union, 1))
        values = divide(np.where(union > 0, np.clip(steps, 0, 10), 0), np.where(union > 0, 10, 0))
    return np.where(union == 0, 1.0, values) if empty == "one" else values


def _right_and_all(counts: Counts) -> tuple[IntArray, IntArray]:
    """Returns (N,) pixels predicted right and (N,) counted pixels; multilabel: of all planes."""
    right = np.trace(counts.confusion, axis1=-2, axis2=-1)
    right = right.sum(axis=1) if counts.task is Task.MULTILABEL else right
    everything = counts.confusion.sum(axis=tuple(range(1, counts.confusion.ndim)))
    return np.asarray(right, dtype=np.int64), np.asarray(everything, dtype=np.int64)


def _count_valued(values: FloatArray) -> int:
    return int((~np.isnan(values)).sum())
