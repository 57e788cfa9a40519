"""What a split is evaluated by at the end of a run: counts, outlines, confidence, and the files that hold them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from segbench.config.run import ScoresConfig
from segbench.folders.mask_archive import MaskWriter
from segbench.folders.run import RunFolder
from segbench.metrics.calibration import Calibration
from segbench.metrics.confidence import CalibrationCollector
from segbench.metrics.counts import Counts
from segbench.metrics.definitions import Definition
from segbench.metrics.scores import Scores, score_counts
from segbench.metrics.surface import SurfaceCollector, SurfaceSettings
from segbench.metrics.surface_scores import SurfaceScores, score_surfaces
from segbench.metrics.threshold import ThresholdChoice, ThresholdSweep
from segbench.predict.decide import decide
from segbench.train.score import CountsCollector
from segbench.types import DEFAULT_THRESHOLD, ClassMap, SplitName, Task


class Evaluator(CountsCollector):
    """Gathers counts, outlines and confidences of batches.

    Args:
        class_map: of the data.
        threshold: of the probability.
        wanted: which scores, see `ScoresConfig`.
        compare_default: also count at the threshold 0.5, to say what another one changed.
        masks: where the predicted masks are kept; None keeps none.
    """

    def __init__(
        self,
        class_map: ClassMap,
        threshold: float,
        wanted: ScoresConfig,
        *,
        compare_default: bool = False,
        masks: MaskWriter | None = None,
    ) -> None:
        super().__init__(class_map.task, threshold)
        self.class_map = class_map
        self._masks = masks
        self._surfaces = collect_surfaces(class_map, wanted)
        self._confidence = CalibrationCollector(class_map.task)
        self._default = CountsCollector(class_map.task, DEFAULT_THRESHOLD) if compare_default else None

    def add(self, ids: Collection[str], logits: Tensor, target: Tensor) -> None:
        """Adds one batch; shapes as in `segbench.types`."""
        super().add(ids, logits, target)
        self._confidence.add(logits, target)
        if self._default is not None:
            self._default.add(ids, logits, target)
        if self._surfaces is None and self._masks is None:
            return
        masks = decide(logits, self.task, self.threshold).cpu().numpy()
        for name, mask, truth in zip(ids, masks, target.cpu().numpy(), strict=True):
            if self._surfaces is not None:
                self._surfaces.add(name, mask, truth)
            if self._masks is not None:
                self._masks.add(name, mask.astype(np.uint8))

    def evaluation(self, resolution: str) -> Evaluation:
        """Returns the scores of everything added; `resolution` says in words at which size it was compared."""
        return Evaluation(
            scores=score_with_definitions(self.counts(), self.class_map, self.threshold, resolution),
            surfaces=_evaluate_surfaces(self._surfaces, self.class_map, self.threshold, resolution),
            calibration=self._confidence.calibration(),
            resolution=resolution,
        )

    def default_scores(self) -> Scores:
        """Returns the scores at the threshold 0.5; asked for with `compare_default`."""
        if self._default is None:
            raise ValueError("the threshold 0.5 was not counted; ask for it with compare_default")
        return score_counts(self._default.counts(), self.class_map)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of one split, from counts and, where they were measured, from outlines and confidences."""

    scores: Scores
    resolution: str
    surfaces: SurfaceScores | None = None
    calibration: Calibration | None = None

    def summary(self) -> dict[str, float]:
        """Returns name -> value; `definition_of` explains every name."""
        result = self.scores.summary()
        if self.surfaces is not None:
            result |= self.surfaces.summary()
        if self.calibration is not None:
            result |= self.calibration.summary()
        return result

    @property
    def definition_of(self) -> dict[str, Definition]:
        """Name -> what the number means, for every name in `summary()`."""
        result = dict(self.scores.definition_of)
        if self.surfaces is not None:
            result |= self.surfaces.definition_of
        if self.calibration is not None:
            result |= self.calibration.definition_of(resolution=self.resolution)
        return result

    def per_class_table(self) -> list[dict[str, Any]]:
        """Returns one row a class: its scores from counts, then from outlines."""
        rows = self.scores.per_class_table()
        if self.surfaces is None:
            return rows
        surfaces = {row["class"]: row for row in self.surfaces.per_class_table()}
        return [{**row, **surfaces.get(row["class"], {})} for row in rows]

    def write(self, folder: RunFolder, name: SplitName | str) -> None:
        """Writes counts and scores of every image, each table with its definitions beside it.

        Args:
            folder: of the run.
            name: of the split, or of the evaluation.
        """
        class_map = self.scores.class_map
        self.scores.counts.write_csv(folder.table_file("counts", name), class_map)
        self.scores.write_csv(folder.table_file("scores", name))
        self.scores.write_confusion_csv(folder.table_file("confusion", name))
        if self.surfaces is not None:
            self.surfaces.write_csv(folder.table_file("surfaces", name))
        if self.calibration is not None:
            self.calibration.write_csv(folder.table_file("calibration", name), resolution=self.resolution)


def collect_surfaces(class_map: ClassMap, wanted: ScoresConfig) -> SurfaceCollector | None:
    """Returns an empty collector as the config wants it; None where outlines are not measured."""
    if not wanted.surface:
        return None
    settings = SurfaceSettings(boundary_width_frac=wanted.boundary_width_frac, tolerance_px=wanted.tolerance_px)
    return SurfaceCollector(class_map, settings)


def score_with_definitions(counts: Counts, class_map: ClassMap, threshold: float, resolution: str) -> Scores:
    """Returns the scores of counts, with what the definitions need to know."""
    return score_counts(counts, class_map, threshold=_stated(class_map.task, threshold), resolution=resolution)


def evaluate_masks(
    surfaces: SurfaceCollector | None, counts: Counts, class_map: ClassMap, threshold: float, resolution: str
) -> Evaluation:
    """Returns the scores of masks that were compared one by one, without probabilities."""
    scores = score_with_definitions(counts, class_map, threshold, resolution)
    return Evaluation(
        scores=scores, surfaces=_evaluate_surfaces(surfaces, class_map, threshold, resolution), resolution=resolution
    )


def _evaluate_surfaces(
    surfaces: SurfaceCollector | None, class_map: ClassMap, threshold: float, resolution: str
) -> SurfaceScores | None:
    if surfaces is None:
        return None
    return score_surfaces(
        surfaces.values(),
        class_map,
        settings=surfaces.settings,
        threshold=_stated(class_map.task, threshold),
        resolution=resolution,
    )


class ThresholdCollector(CountsCollector):
    """Counts a split at many thresholds at once, and at 0.5."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, DEFAULT_THRESHOLD)
        self._sweep = ThresholdSweep(task)

    def add(self, ids: Collection[str], logits: Tensor, target: Tensor) -> None:
        """Counts one batch; shapes as in `segbench.types`."""
        super().add(ids, logits, target)
        self._sweep.add(ids, logits, target)

    def best(self, monitor: str, class_map: ClassMap) -> ThresholdChoice:
        """Returns the threshold with the best monitored score; per-image IoU where the loss is monitored."""
        return self._sweep.best("iou_per_image" if monitor == "loss" else monitor, class_map)


def _stated(task: Task, threshold: float) -> float | None:
    return None if task is Task.MULTICLASS else threshold
