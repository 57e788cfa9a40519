"""One score of every image, with its definition: from a run's files, or from masks. What a comparison is made of."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segbench.errors import ConfigError, RunError, suggest
from segbench.folders.run import RunFolder
from segbench.metrics.calibration import Calibration
from segbench.metrics.counts import Counts
from segbench.metrics.definitions import OWN_SIZE, Definition, read_stated, sidecar, size_text
from segbench.metrics.families import COMPARED, SCORES, SURFACE_SCORES
from segbench.metrics.measure import ABSENT
from segbench.metrics.scores import Scores, score_counts
from segbench.metrics.surface_scores import SurfaceScores, read_surfaces
from segbench.speech import in_shell, python_text, speech
from segbench.types import ClassMap

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_ONE_CLASS = re.compile(r"(?P<score>\w+)\[(?P<label>.+)\]")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageScores:
    """One score of N images.

    Attributes:
        ids: of the images.
        values: (N,) float64; NaN where an image has no value.
        definition: of the score.
        counts: of the same images, in the same order.
        no_truth: (N,) bool, images whose truth holds none of the score's classes; of a score that knows no classes,
            images without a counted pixel.
        nothing: (N,) bool, images in which none of these classes is predicted, likewise.
        lacking: (N,) bool, images in which some of these classes is absent, so that the rule for such may be applied.
    """

    ids: tuple[str, ...]
    values: FloatArray = field(repr=False)
    definition: Definition
    counts: Counts = field(repr=False)
    no_truth: BoolArray = field(repr=False)
    nothing: BoolArray = field(repr=False)
    lacking: BoolArray = field(repr=False)


def check_score(name: str, class_map: ClassMap | None = None) -> tuple[str, int | None]:
    """Returns score and class index of `iou_per_image`, or of `iou_per_image[car]`; None: the mean over the classes.

    Raises:
        ConfigError: no such score or class, or a score that is no mean over images.
    """
    match = _ONE_CLASS.fullmatch(name)
    score, label = (match["score"], match["label"]) if match else (name, None)
    if score not in COMPARED:
        known = score in SCORES
        why = "is no mean over images, which are what a comparison resamples" if known else "is no score"
        raise ConfigError(f"{score} {why}; {suggest(score, COMPARED)}", key="score")
    if label is None or class_map is None:
        return score, None
    if label not in class_map.names or not SCORES[score].measure.by_class:
        raise ConfigError(f"there is no {name!r}; classes: {', '.join(class_map.names)}", key="score")
    return score, class_map.names.index(label)


def needs_outlines(name: str) -> bool:
    """Tells whether a score is measured between outlines, and not counted."""
    return check_score(name)[0] in SURFACE_SCORES


def pick(name: str, scores: Scores, surfaces: SurfaceScores | None) -> ImageScores:
    """Returns one score of every image.

    Args:
        name: see `check_score`.
        scores: from counts.
        surfaces: from outlines; only needed for their scores.
    """
    score, label = check_score(name, scores.class_map)
    source = surfaces if score in SURFACE_SCORES else scores
    if source is None:
        raise ValueError(f"{name} is measured between outlines, and none were given")
    key = SCORES[score].measure.key
    values = source.image_means(key) if label is None else source.per_image[key][:, label]
    definition = source.definition_of[score]
    if label is not None:
        valued = int((~np.isnan(values)).sum())
        definition = replace(definition, name=name, classes=(scores.class_map.names[label],), n_valued=valued)
    no_truth, nothing, lacking = _without(scores, score, label)
    return ImageScores(
        ids=source.ids,
        values=np.asarray(values, dtype=np.float64),
        definition=definition,
        counts=scores.counts,
        no_truth=no_truth,
        nothing=nothing,
        lacking=lacking,
    )


def _without(scores: Scores, score: str, label: int | None) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Returns in which images the truth, and in which the prediction, holds none of the classes of a score.

    And in which one of the classes is absent by the rule of the score: from the truth, and of scores with a rule of
    their own also from the prediction.
    """
    counts, measure = scores.counts, SCORES[score].measure
    if not measure.by_class:
        none = counts.confusion.reshape(len(counts), -1).sum(axis=1) == 0
        return none, none, none
    classes = list(scores.scored) if label is None else [label]
    true, predicted = (counts.tp + counts.fn)[:, classes], (counts.tp + counts.fp)[:, classes]
    lacking = (true == 0).any(axis=1)
    if measure.absent != ABSENT:
        lacking |= (predicted == 0).any(axis=1)
    return true.sum(axis=1) == 0, predicted.sum(axis=1) == 0, lacking


def read_scores(folder: RunFolder, part: str) -> Scores:
    """Returns the scores from counts of one part of a run, with the threshold and the size they were made at.

    Args:
        folder: of the run.
        part: `test`; `test_original` after an evaluation at the images' own sizes; `train` and `val` likewise.
    Raises:
        RunError: the counts are missing or damaged, or are of an epoch that is no longer the best.
    """
    file = folder.table_file("counts", part)
    class_map = folder.class_map()
    if not file.is_file():
        split = part.removesuffix("_original")
        raise RunError(
            f"there are no counts of the {split} part ({file.name}); run `{evaluate_command(folder, part)}`, or train "
            "the run to its end",
            run=folder.path,
        )
    require_best_epoch(folder, part)
    counts = Counts.read_csv(file, class_map)
    if not len(counts):
        raise RunError(f"{file.name} holds no image: there is nothing to score", run=folder.path)
    threshold, resolution = _stated(folder, part)
    return score_counts(counts, class_map, threshold=threshold, resolution=resolution)


def evaluate_command(folder: RunFolder, part: str) -> str:
    """Returns what scores a part (again), ready to be copied: a command, or a call in Python."""
    split = part.removesuffix("_original")
    if speech() == "python":
        size = ', resolution="original"' * (split != part)
        return f"segbench.evaluate({python_text(str(folder.path))}, {python_text(split)}{size})"
    return f"segbench evaluate {in_shell(folder.path)} --split {split}" + " --resolution original" * (split != part)


def scored_epoch(folder: RunFolder, part: str) -> int | None:
    """Returns the epoch whose weights the scores of a part are of, from 1; None where no file tells it.

    Raises:
        RunError: the file that tells it is damaged.
    """
    if folder.is_finished and not part.endswith("_original"):
        # The end of a training scores every part again, and the best weights stay as they are from then on.
        return int(folder.read_result().result["best_epoch"])
    file = folder.path / f"evaluation_{part}.json"
    if not file.is_file():
        return None
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["epoch"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{file.name}, which says which epoch was scored, cannot be read ({error!r}); run "
            f"`{evaluate_command(folder, part)}` again",
            run=folder.path,
        ) from error


def best_epoch(folder: RunFolder) -> int | None:
    """Returns the best epoch so far, from 1; None before the first one."""
    if folder.is_finished:
        return int(folder.read_result().result["best_epoch"])
    if not folder.best_file.is_file():
        return None
    from segbench.models.weights import read_metadata  # needs torch, so only where no plain file tells the epoch

    return int(read_metadata(folder.best_file)["epoch"])


def require_best_epoch(folder: RunFolder, part: str) -> None:
    """Makes sure that the scores of a part are those of the best weights.

    Raises:
        RunError: they are of an epoch that is no longer the best.
    """
    scored = scored_epoch(folder, part)
    best = None if scored is None else best_epoch(folder)
    if best is not None and scored != best:
        raise RunError(
            f"the {part.removesuffix('_original')} part was evaluated at epoch {scored}, the best is {best}; run "
            f"`{evaluate_command(folder, part)}` again",
            run=folder.path,
        )


@dataclass(frozen=True, eq=False)
class PartScores:
    """All scores of one part of a run, from which single ones are picked.

    Attributes:
        scores: from counts.
        surfaces: from outlines; None where they were not measured.
    """

    scores: Scores
    surfaces: SurfaceScores | None

    def pick(self, name: str) -> ImageScores:
        """Returns one score of every image; see `check_score`."""
        return pick(name, self.scores, self.surfaces)


def read_part(folder: RunFolder, part: str, name: str) -> PartScores:
    """Returns the scores of a run's part, those of outlines where they were measured.

    Args:
        folder: of the run.
        part: see `read_scores`.
        name: of the score that will be picked.
    Raises:
        RunError: what they are computed from is missing or damaged, outlines where the score needs them.
        ConfigError: see `check_score`.
    """
    scores = read_scores(folder, part)
    file: Path = folder.table_file("surfaces", part)
    if file.is_file():
        surfaces = _surfaces(file, scores)
        if surfaces.ids != scores.ids:
            again = f"run `{evaluate_command(folder, part)}` again"
            raise RunError(
                f"{file.name} is of other images than the counts, or in another order; {again}", run=folder.path
            )
        return PartScores(scores, surfaces)
    if needs_outlines(name):
        told = f"there is no {file.name}: outlines were not measured (scores.surface: false in its config)"
        raise RunError(f"{told}; choose a score from counts, such as iou_per_image", run=folder.path)
    return PartScores(scores, None)


def read_definitions(folder: RunFolder, part: str) -> dict[str, Definition]:
    """Returns name -> what it means, for every score of a run's part."""
    scores = read_scores(folder, part)
    found = dict(scores.definition_of)
    surfaces, bins = folder.table_file("surfaces", part), folder.table_file("calibration", part)
    if surfaces.is_file():
        found |= _surfaces(surfaces, scores).definition_of
    if bins.is_file():
        calibration = Calibration.read_csv(bins, n_images=len(scores.ids), task=scores.class_map.task)
        found |= calibration.definition_of(resolution=scores.resolution)
    return found


def _surfaces(file: Path, scores: Scores) -> SurfaceScores:
    """Returns the scores of outlines; their size is the message of the other scores, which can be translated."""
    surfaces = read_surfaces(file, scores.class_map)
    return replace(surfaces, resolution=scores.resolution) if surfaces.resolution == scores.resolution else surfaces


def _stated(folder: RunFolder, part: str) -> tuple[float | None, str]:
    """Returns threshold and size that stand beside the scores; runs of an earlier version have them in their config."""
    table = folder.table_file("scores", part)
    stated = read_stated(table)
    if stated is not None:
        threshold, resolution = stated
        known = [OWN_SIZE]  # a message, which can be translated, for the text that was read
        if folder.config_file.is_file():
            known.append(size_text(folder.read_config().data.size))
        return threshold, next((size for size in known if size == resolution), resolution)
    if sidecar(table).is_file():
        raise RunError(
            f"{sidecar(table).name}, which says what the scores mean, cannot be read; run "
            f"`{evaluate_command(folder, part)}` again",
            run=folder.path,
        )
    config = folder.read_config()
    threshold = config.threshold if isinstance(config.threshold, float) else None
    if threshold is None and folder.is_finished:
        threshold = folder.threshold()
    return threshold, OWN_SIZE if part.endswith("_original") else size_text(config.data.size)
