"""How much of prediction and truth agrees, from pixel counts: IoU, Dice, precision, recall, accuracy."""

from __future__ import annotations

from typing import Any

from segbench.locale import message, template
from segbench.metrics.measure import Cells, Measure, Score

IOU = Measure(
    key="iou",
    about="intersection over union",
    formula=template("IoU = TP / (TP + FP + FN)"),
    value=lambda cells: (cells.tp, cells.tp + cells.fp + cells.fn),
    perfect=1.0,
)
DICE = Measure(
    key="dice",
    about="Dice (F1)",
    formula=template("Dice = 2 TP / (2 TP + FP + FN)"),
    value=lambda cells: (2 * cells.tp, 2 * cells.tp + cells.fp + cells.fn),
    perfect=1.0,
)
PRECISION = Measure(
    key="precision",
    about="share of the predicted pixels that are right",
    formula=template("Precision = TP / (TP + FP)"),
    value=lambda cells: (cells.tp, cells.tp + cells.fp),
    absent=template("a class that was not predicted is left out"),
)
RECALL = Measure(
    key="recall",
    about="share of the true pixels that were found",
    formula=template("Recall = TP / (TP + FN)"),
    value=lambda cells: (cells.tp, cells.tp + cells.fn),
    absent=template("a class absent from the truth is left out"),
)


def _right(cells: Cells) -> tuple[Any, Any]:
    """Returns pixels predicted right and counted pixels of all classes; multilabel: of all planes."""
    right, every = cells.tp, cells.tp + cells.fn
    if cells.planes:
        right, every = right + cells.tn, every + cells.fp + cells.tn
    return right.sum(axis=-1), every.sum(axis=-1)


ACCURACY = Measure(
    key="pixel_accuracy",
    about="share of the counted pixels that are right",
    formula=template("Pixel accuracy: share of counted {pixels} predicted right"),
    value=_right,
    absent="",
    by_class=False,
)


def _steps(cells: Cells) -> tuple[Any, Any]:
    """Returns ceil(clamp(20 (IoU - 0.5), 0, 10)) and 10, in integers: no rounding can lift a score by a step."""
    union = cells.tp + cells.fp + cells.fn
    steps = -((10 * union - 20 * cells.tp) // union.clip(min=1))
    return steps.clip(0, 10), 10 * (union > 0)


THRESHOLDED = Measure(
    key="thresholded_iou",
    about="competition score, ceil(clamp(20 * (IoU - 0.5), 0, 10)) / 10,",
    formula=template("Thresholded IoU = ceil(clamp(20 (IoU - 0.5), 0, 10)) / 10"),
    value=_steps,
    class_columns=False,
    perfect=1.0,
)

SCORES = (
    Score(name="iou_pooled", label=message("IoU pooled"), measure=IOU, summary="pooled", monitored=True),
    Score(name="iou_per_image", label=message("IoU per image"), measure=IOU, summary="mean", monitored=True),
    Score(name="dice_pooled", label=message("Dice pooled"), measure=DICE, summary="pooled", monitored=True),
    Score(name="dice_per_image", label=message("Dice per image"), measure=DICE, summary="mean", monitored=True),
    Score(name="precision_pooled", label=message("precision pooled"), measure=PRECISION, summary="pooled"),
    Score(name="precision_per_image", label=message("precision per image"), measure=PRECISION, summary="mean"),
    Score(name="recall_pooled", label=message("recall pooled"), measure=RECALL, summary="pooled"),
    Score(name="recall_per_image", label=message("recall per image"), measure=RECALL, summary="mean"),
    Score(name="pixel_accuracy", label=message("pixel accuracy"), measure=ACCURACY, summary="pooled", monitored=True),
    Score(name="pixel_accuracy_per_image", label=message("pixel accuracy per image"), measure=ACCURACY, summary="mean"),
    Score(name="thresholded_iou", label=message("thresholded IoU"), measure=THRESHOLDED, summary="mean"),
    Score(name="iou_per_image_median", label=message("IoU per image, median"), measure=IOU, summary="median"),
    Score(name="dice_per_image_median", label=message("Dice per image, median"), measure=DICE, summary="median"),
    Score(name="iou_per_image_worst5", label=message("IoU per image, worst 5 %"), measure=IOU, summary="worst5"),
    Score(name="dice_per_image_worst5", label=message("Dice per image, worst 5 %"), measure=DICE, summary="worst5"),
)
