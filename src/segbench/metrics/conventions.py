"""The same predictions' IoU as other libraries compute it, side by side, from per-image counts. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segbench.errors import shorten
from segbench.metrics._arrays import FloatArray, divide, nan_mean
from segbench.metrics.counts import Counts
from segbench.metrics.scores import as_class_map, score_counts
from segbench.types import ClassMap, Task


@dataclass(frozen=True, kw_only=True)
class Convention:
    """What one library's call gives for the predictions.

    Attributes:
        library: whose convention.
        call: how the number is had there.
        value: NaN where the library would give none.
        why: one sentence: what it averages, and what that does to the number.
    """

    library: str
    call: str
    value: float
    why: str


def explain_conventions(counts: Counts, class_map: ClassMap | Sequence[str] | int) -> list[Convention]:
    """Returns the IoU of the same predictions in the conventions of several libraries, ours first.

    Ignored pixels count nowhere in any row. Every library is given the masks in the form its documentation uses: a
    binary task as one foreground plane where it has a binary mode, as two classes otherwise.

    Args:
        counts: of N images.
        class_map: or C class names, or their number.
    Raises:
        ValueError: the class map does not fit the counts, or there is no image.

    Example:
        >>> import segbench
        >>> scores = segbench.score_masks([[[0, 1]]], [[[0, 1]]], ["skin", "lesion"])
        >>> segbench.explain_conventions(scores.counts, scores.class_map)[0].value
        1.0
    """
    classes = as_class_map(class_map, counts.task)
    if not len(counts):
        raise ValueError("expected counts of at least one image, got none: there is nothing to compare")
    return [row for library in _LIBRARIES for row in library(counts, classes)]


def _ours(counts: Counts, classes: ClassMap) -> list[Convention]:
    scores = score_counts(counts, classes)
    summary = scores.summary()
    names = [classes.names[index] for index in scores.scored]
    alone = f"IoU of the class {names[0]}"
    each = f"{alone} in each image" if len(names) == 1 else f"mean over its classes ({shorten(names)})"
    pooled = alone if len(names) == 1 else f"then mean over {len(names)} classes"
    return [
        Convention(
            library="segbench",
            call="iou_per_image",
            value=summary["iou_per_image"],
            why=f"Each image counts alike: {each}, absent from both left out, then mean over images.",
        ),
        Convention(
            library="segbench",
            call="iou_pooled",
            value=summary["iou_pooled"],
            why=f"Each pixel counts alike, so large objects decide: pixels of all images together, {pooled}.",
        ),
        Convention(
            library="Kaggle-style competition",
            call="thresholded_iou",
            value=summary["thresholded_iou"],
            why="IoU of each image rounded up to steps of 0.05 and stretched from 0.5-1 to 0-1: below 0.5 is worth "
            "nothing, and the mean is not an IoU.",
        ),
    ]


def _smp(counts: Counts, classes: ClassMap) -> list[Convention]:
    """segmentation-models-pytorch `iou_score`; a binary task has one plane there, the foreground."""
    tp, union = _overlaps(counts, foreground_only=True)
    image, micro = _divide_or_one(tp.sum(1), union.sum(1)), divide(tp.sum(), union.sum())
    plane = "one plane, the foreground" if counts.task is Task.BINARY else f"all classes{_too(classes)}"
    rows: list[tuple[str, Any, str]] = [
        ("micro", micro, f"Pixels of all images and classes in one fraction ({plane}): large classes decide."),
        (
            "macro",
            _divide_or_one(tp.sum(0), union.sum(0)).mean(),
            f"Pooled, then mean over {plane}; a class that is nowhere counts as 1 (zero_division=1.0), a bonus.",
        ),
        (
            "micro-imagewise",
            image.mean(),
            "All classes of an image in one fraction, then mean over images; an empty image without a prediction is 1.",
        ),
        (
            "macro-imagewise",
            _divide_or_one(tp, union).mean(),
            "Mean over images and classes; every class absent from an image counts as 1 there, so rare ones lift it.",
        ),
    ]
    return [
        Convention(
            library="segmentation-models-pytorch", call=f'iou_score(reduction="{name}")', value=float(value), why=why
        )
        for name, value, why in rows
    ]


def _torchmetrics(counts: Counts, classes: ClassMap) -> list[Convention]:
    tp, union = _overlaps(counts)
    each = divide(tp, union)
    pooled_tp, pooled_union = _overlaps(counts, foreground_only=True)
    pooled = divide(pooled_tp.sum(0), pooled_union.sum(0))
    if counts.task is Task.MULTICLASS:
        jaccard, rule = nan_mean(pooled, axis=0), "classes that are nowhere are left out of the mean"
    else:
        jaccard, rule = np.nan_to_num(pooled, nan=0.0).mean(), "a class that is nowhere counts as 0"
    return [
        Convention(
            library="torchmetrics",
            call="segmentation.MeanIoU",
            value=float(nan_mean(each.ravel(), axis=0)),
            why=f"Mean over all pairs of an image and a class in it{_too(classes, ',')} so an image with more classes "
            "weighs more.",
        ),
        Convention(
            library="torchmetrics",
            call="functional.segmentation.mean_iou, then nanmean",
            value=float(nan_mean(nan_mean(each, axis=1), axis=0)),
            why=f"Each image's mean over the classes in it{_too(classes, ',')} then mean over images.",
        ),
        Convention(
            library="torchmetrics",
            call=f'JaccardIndex(task="{counts.task}")',
            value=float(jaccard),
            why="Pooled foreground IoU." if counts.task is Task.BINARY else f"Pooled, mean over all classes; {rule}.",
        ),
    ]


def _pooled(counts: Counts, classes: ClassMap) -> list[Convention]:
    tp, union = _overlaps(counts)
    background = "" if classes.background is None else " with the background"
    background += " (of a binary task, too, where it is easy and lifts the mean)" * (counts.task is Task.BINARY)
    return [
        Convention(
            library="MMSegmentation, Hugging Face evaluate",
            call="mIoU, mean_iou",
            value=float(nan_mean(divide(tp.sum(0), union.sum(0)), axis=0)),
            why=f"Pooled, mean over all classes{background}; absent ones are left out.",
        )
    ]


def _nnunet(counts: Counts, classes: ClassMap) -> list[Convention]:
    background = None if counts.task is Task.MULTILABEL else classes.background
    kept = [index for index in range(counts.num_classes) if index != background]
    tp, union = _overlaps(counts)
    averaged = "the classes" if background is None else "the classes but the background"
    rows = []
    for name, table in (("Dice", divide(2 * tp, union + tp)), ("IoU", divide(tp, union))):
        means: FloatArray = nan_mean(table[:, kept], axis=0)  # images first, then classes; no value stays no value
        rows.append(
            Convention(
                library="nnU-Net",
                call=f"foreground_mean {name}",
                value=float(means.mean()) if kept else float("nan"),
                why=f"{name} of each image, mean over the images that have the class, then over {averaged}; "
                "one class that is nowhere makes it undefined.",
            )
        )
    return rows


_LIBRARIES = (_ours, _smp, _torchmetrics, _pooled, _nnunet)


def _too(classes: ClassMap, after: str = "") -> str:
    """Returns the words for a background that is averaged as well; nothing but `after` where there is none."""
    return after if classes.background is None else f", the background too{after}"


def _overlaps(counts: Counts, *, foreground_only: bool = False) -> tuple[Any, Any]:
    """Returns intersections and unions (N, C); on request of a binary task's foreground alone, (N, 1)."""
    keep = slice(1, 2) if foreground_only and counts.task is Task.BINARY else slice(None)
    tp = counts.tp[:, keep]
    return tp, tp + counts.fp[:, keep] + counts.fn[:, keep]


def _divide_or_one(numerator: Any, denominator: Any) -> FloatArray:
    values = divide(numerator, denominator)
    return np.where(np.isnan(values), 1.0, values)
