"""Scores from confusion counts: pooled over the data set, and averaged over images; every name says which.

`Counts` are exact integers for every image; everything else is computed from them, so any score can be recomputed
later from what a run wrote. Importing this package imports neither NumPy nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench.metrics.confusion import confusion_from_logits
    from segbench.metrics.counts import Counts, count_masks
    from segbench.metrics.scores import Scores, score_counts, score_masks

__all__ = ["SCORES", "Counts", "Scores", "confusion_from_logits", "count_masks", "score_counts", "score_masks"]

SCORES: dict[str, str] = {
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
}

_HOMES = {
    "Counts": "segbench.metrics.counts",
    "count_masks": "segbench.metrics.counts",
    "Scores": "segbench.metrics.scores",
    "score_counts": "segbench.metrics.scores",
    "score_masks": "segbench.metrics.scores",
    "confusion_from_logits": "segbench.metrics.confusion",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
