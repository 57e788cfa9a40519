"""Scores from confusion counts, outlines and probabilities; every name says at which level it was averaged.

`Counts` are exact integers for every image, and what follows from them can be recomputed later from what a run wrote.
Outlines (`SurfaceCollector`) and confidences (`CalibrationCollector`) are measured while masks and probabilities are
at hand. Importing this package imports neither NumPy nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from segbench.metrics.families import CALIBRATION_SCORES, COUNT_SCORES, SCORES, SURFACE_SCORES
from segbench.metrics.measure import Measure, Score

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
    "Measure",
    "Score",
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
