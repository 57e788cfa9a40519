"""Scores from confusion counts, outlines and probabilities; every name says at which level it was averaged.

`Counts` are exact integers for every image, and what follows from them can be recomputed later from what a run wrote.
Outlines (`SurfaceCollector`) and confidences (`CalibrationCollector`) are measured while masks and probabilities are
at hand. Importing this package imports neither NumPy nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench.metrics.calibration import Calibration
    from segbench.metrics.confidence import CalibrationCollector
    from segbench.metrics.confusion import confusion_from_logits
    from segbench.metrics.confusion_matrix import confusion_rows, normalize_confusion
    from segbench.metrics.conventions import Convention, explain_conventions
    from segbench.metrics.counts import Counts, count_masks
    from segbench.metrics.definitions import Definition
    from segbench.metrics.image_values import ImageValues
    from segbench.metrics.scores import Scores, score_counts, score_masks
    from segbench.metrics.surface import SurfaceCollector, SurfaceSettings, measure_surfaces
    from segbench.metrics.surface_scores import SurfaceScores, read_surfaces, score_surfaces
    from segbench.metrics.threshold import ThresholdChoice, ThresholdSweep

__all__ = [
    "CALIBRATION_SCORES",
    "COUNT_SCORES",
    "SCORES",
    "SURFACE_SCORES",
    "Calibration",
    "CalibrationCollector",
    "Convention",
    "Counts",
    "Definition",
    "ImageValues",
    "Scores",
    "SurfaceCollector",
    "SurfaceScores",
    "SurfaceSettings",
    "ThresholdChoice",
    "ThresholdSweep",
    "confusion_from_logits",
    "confusion_rows",
    "count_masks",
    "explain_conventions",
    "measure_surfaces",
    "normalize_confusion",
    "read_surfaces",
    "score_counts",
    "score_masks",
    "score_surfaces",
]

COUNT_SCORES: dict[str, str] = {
    "iou_pooled": "intersection over union, counts summed over all images, then the mean over classes",
    "iou_per_image": "intersection over union of every image, mean over its classes, then over images",
    "dice_pooled": "Dice (F1), counts summed over all images, then the mean over classes",
    "dice_per_image": "Dice (F1) of every image, mean over its classes, then over images",
    "precision_pooled": "share of the predicted pixels that are right, counts summed over all images",
    "precision_per_image": "share of the predicted pixels that are right in every image, then the mean over images",
    "recall_pooled": "share of the true pixels that were found, counts summed over all images",
    "recall_per_image": "share of the true pixels that were found in every image, then the mean over images",
    "pixel_accuracy": "share of all counted pixels that are right, all images together, all classes",
    "pixel_accuracy_per_image": "share of the counted pixels that are right in every image, then the mean over images",
    "thresholded_iou": "competition score of every image, ceil(clamp(20 * (IoU - 0.5), 0, 10)) / 10, then the mean",
    "iou_per_image_median": "intersection over union of every image, then the median over images",
    "dice_per_image_median": "Dice (F1) of every image, then the median over images",
    "iou_per_image_worst5": "intersection over union of every image, then the mean over the worst 5 % of the images",
    "dice_per_image_worst5": "Dice (F1) of every image, then the mean over the worst 5 % of the images",
    "area_error_per_image": "|predicted - true| / true pixels of every image, then the mean; lower is better",
    "area_bias_per_image": "(predicted - true) / true pixels of every image, then the mean; nearer 0 is better",
}
"""Computed from `Counts` alone, by `score_counts`."""

SURFACE_SCORES: dict[str, str] = {
    "boundary_iou_per_image": "IoU of the bands along both contours in every image, then the mean (from masks)",
    "hd95_per_image_px": "95th percentile of the distance between contours, px, then the mean; lower is better "
    "(from masks)",
    "assd_per_image_px": "mean distance between the contours, px, then the mean; lower is better (from masks)",
    "nsd_per_image": "share of both contours within a tolerance of the other one, then the mean (from masks)",
}
"""Computed from masks, by `SurfaceCollector` and `score_surfaces`."""

CALIBRATION_SCORES: dict[str, str] = {
    "expected_calibration_error": "how far confidence and share of right pixels are apart, all images together; "
    "lower is better (from probabilities)",
}
"""Computed from probabilities, by `CalibrationCollector`."""

SCORES: dict[str, str] = {**COUNT_SCORES, **SURFACE_SCORES, **CALIBRATION_SCORES}

_HOMES = {
    "Calibration": "calibration",
    "CalibrationCollector": "confidence",
    "Convention": "conventions",
    "Counts": "counts",
    "Definition": "definitions",
    "ImageValues": "image_values",
    "Scores": "scores",
    "SurfaceCollector": "surface",
    "SurfaceScores": "surface_scores",
    "SurfaceSettings": "surface",
    "ThresholdChoice": "threshold",
    "ThresholdSweep": "threshold",
    "confusion_from_logits": "confusion",
    "confusion_rows": "confusion_matrix",
    "count_masks": "counts",
    "explain_conventions": "conventions",
    "measure_surfaces": "surface",
    "normalize_confusion": "confusion_matrix",
    "read_surfaces": "surface_scores",
    "score_counts": "scores",
    "score_masks": "scores",
    "score_surfaces": "surface_scores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
