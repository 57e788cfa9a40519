"""The table of scores, and every question about it: the one place that knows which scores there are.

A score is a block in a file of this folder; the file is named in one of the three tables here, in the order in which
scores are printed and written. Imports neither NumPy nor torch.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable

from segbench.locale import join
from segbench.metrics.measure import Measure, Score


def _table(*families: str) -> dict[str, Score]:
    """Returns name -> score of the files of this folder, in order."""
    modules = [importlib.import_module(f"{__name__}.{family}") for family in families]
    return {score.name: score for module in modules for score in module.SCORES}


COUNT_SCORES = _table(
    "overlap",
    "area",
)
"""Computed from `Counts` alone, by `score_counts`."""

SURFACE_SCORES = _table("surface")
"""Computed from masks, by `SurfaceCollector` and `score_surfaces`."""

CALIBRATION_SCORES = _table("calibration")
"""Computed from probabilities, by `CalibrationCollector`."""

SCORES: dict[str, Score] = {**COUNT_SCORES, **SURFACE_SCORES, **CALIBRATION_SCORES}


def measures(scores: Iterable[Score]) -> tuple[Measure, ...]:
    """Returns what the scores measure, each once, in order."""
    return tuple({score.measure.key: score.measure for score in scores}.values())


COUNT_MEASURES = measures(COUNT_SCORES.values())
SURFACE_MEASURES = measures(SURFACE_SCORES.values())

# Logged every epoch; of a measure, per image comes first in `metrics.csv`.
MONITORED: tuple[str, ...] = tuple(
    score.name
    for measure in COUNT_MEASURES
    for score in sorted(COUNT_SCORES.values(), key=lambda score: score.level)
    if score.measure is measure and score.monitored
)
COMPARED: tuple[str, ...] = tuple(score.name for score in SCORES.values() if score.compared)


def label_of(name: str) -> str:
    """Returns the words for people of a score, or of one class of it; a name that is none stays as it is.

    A message, so that it can be translated.

    Example:
        >>> label_of("iou_per_image"), label_of("iou_per_image[car]"), label_of("loss")
        ('IoU per image', 'IoU per image [car]', 'loss')
    """
    score, bracket, label = name.partition("[")
    if score not in SCORES:
        return name
    of_class = f" [{label}" if bracket else ""
    return join("", [SCORES[score].label, of_class])


def lower_is_better(monitored: str) -> bool:
    """Tells which way what a config can monitor gets better: a score, or the loss."""
    return monitored == "loss" or (monitored in SCORES and SCORES[monitored].measure.better == "lower")


def with_labels(text: str) -> str:
    """Returns a text, such as a footnote, with the words for people in place of the names in it."""
    return re.sub(r"\w+", lambda word: label_of(word[0]), text)
