"""One score of every image, with its definition: from a run's files, or from masks. What a comparison is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segbench.errors import ConfigError, RunError, suggest
from segbench.metrics.counts import Counts
from segbench.metrics.definitions import Definition, read_stated
from segbench.metrics.scores import Scores, score_counts
from segbench.metrics.surface_scores import SURFACE_KEYS, SurfaceScores, read_surfaces
from segbench.runs import RunFolder
from segbench.types import ClassMap

FloatArray = npt.NDArray[np.float64]

COUNT_KEYS = {
    "iou_per_image": "iou",
    "dice_per_image": "dice",
    "precision_per_image": "precision",
    "recall_per_image": "recall",
    "thresholded_iou": "thresholded_iou",
    "area_error_per_image": "area_error",
}
ACCURACY = "pixel_accuracy_per_image"
COMPARABLE = (*COUNT_KEYS, ACCURACY, *SURFACE_KEYS)
"""Scores that are a mean over images, so that images can be resampled, and of which more (or less) is better."""

_ONE_CLASS = re.compile(r"(?P<score>\w+)\[(?P<label>.+)\]")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageScores:
    """One score of N images.

    Attributes:
        ids: of the images.
        values: (N,) float64; NaN where an image has no value.
        definition: of the score.
    """

    ids: tuple[str, ...]
    values: FloatArray = field(repr=False)
    definition: Definition


def check_score(name: str, class_map: ClassMap | None = None) -> tuple[str, int | None]:
    """Returns score and class index of `iou_per_image`, or of `iou_per_image[car]`; None: the mean over the classes.

    Raises:
        ConfigError: no such score or class, or a score that is no mean over images.
    """
    match = _ONE_CLASS.fullmatch(name)
    score, label = (match["score"], match["label"]) if match else (name, None)
    if score not in COMPARABLE:
        from segbench.metrics import SCORES

        known = score in SCORES
        why = "is no mean over images, which are what a comparison resamples" if known else "is no score"
        raise ConfigError(f"{score} {why}; {suggest(score, COMPARABLE)}", key="score")
    if label is None or class_map is None:
        return score, None
    if label not in class_map.names or score == ACCURACY:
        raise ConfigError(f"there is no {name!r}; classes: {', '.join(class_map.names)}", key="score")
    return score, class_map.names.index(label)


def needs_outlines(name: str) -> bool:
    """Tells whether a score is measured between outlines, and not counted."""
    return check_score(name)[0] in SURFACE_KEYS


def pick(name: str, scores: Scores, surfaces: SurfaceScores | None) -> ImageScores:
    """Returns one score of every image.

    Args:
        name: see `check_score`.
        scores: from counts.
        surfaces: from outlines; only needed for their scores.
    """
    score, label = check_score(name, scores.class_map)
    if score in SURFACE_KEYS:
        if surfaces is None:
            raise ValueError(f"{name} is measured between outlines, and none were given")
        key = SURFACE_KEYS[score]
        values = surfaces.image_means(key) if label is None else surfaces.values.values[key][:, label]
        ids, definition = surfaces.values.ids, surfaces.definition_of[score]
    else:
        ids, definition = scores.ids, scores.definition_of[score]
        if score == ACCURACY:
            values = scores.accuracy
        else:
            key = COUNT_KEYS[score]
            values = scores.image_means(key) if label is None else scores.per_image[key][:, label]
    if label is not None:
        valued = int((~np.isnan(values)).sum())
        definition = replace(definition, name=name, classes=(scores.class_map.names[label],), n_valued=valued)
    return ImageScores(ids=ids, values=np.asarray(values, dtype=np.float64), definition=definition)


def read_scores(folder: RunFolder, part: str) -> Scores:
    """Returns the scores from counts of one part of a run: `test`, or `test_original` after an evaluation at that size.

    Raises:
        RunError: the counts are missing or damaged.
    """
    file = folder.table_file("counts", part)
    if not file.is_file():
        size = " --resolution original" if part.endswith("_original") else ""
        raise RunError(f"there is no {file.name}; run `segbench evaluate {folder.path}{size}`", run=folder.path)
    class_map = folder.class_map()
    counts = Counts.read_csv(file, class_map)
    if not len(counts):
        raise RunError(f"{file.name} holds no image: there is nothing to compare", run=folder.path)
    threshold, resolution = read_stated(folder.table_file("scores", part)) or (None, "")
    return score_counts(counts, class_map, threshold=threshold, resolution=resolution)


def read_image_scores(folder: RunFolder, part: str, name: str) -> ImageScores:
    """Returns one score of every image of a run's part.

    Raises:
        RunError: what it is computed from is missing or damaged.
        ConfigError: see `check_score`.
    """
    scores = read_scores(folder, part)
    surfaces = None
    if needs_outlines(name):
        file: Path = folder.table_file("surfaces", part)
        if not file.is_file():
            message = f"there is no {file.name}: outlines were not measured (scores.surface: false in its config)"
            raise RunError(f"{message}; choose a score from counts, such as iou_per_image", run=folder.path)
        surfaces = read_surfaces(file, scores.class_map)
    return pick(name, scores, surfaces)
