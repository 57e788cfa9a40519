"""Penalty and threshold by cross-validation over images, and what to expect of new images: the same pass gives both.

Every image (or group of images) is predicted by fits that have not seen it. What is chosen for the model is what did
best on all of them. What an image scores is what would have been chosen *without* it: picking among a hundred settings
by the very images that are scored would flatter a model of five.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segbench.assist.logistic import PENALTIES, Pixels, fit_path, set_head
from segbench.metrics.confusion import confusion_from_logits
from segbench.metrics.counts import Counts
from segbench.metrics.scores import score_counts
from segbench.metrics.threshold import THRESHOLDS, ThresholdSweep
from segbench.models.hypercolumn import Hypercolumn
from segbench.statistics.correlation import mean_with_interval
from segbench.statistics.folds import shared_training_factor
from segbench.types import DEFAULT_THRESHOLD, ClassMap, Progress, Task

SCORE = "iou_per_image"
LEVEL = 0.95
_FOLDS = 5  # of so many images or groups each is left out alone; more form so many folds


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImage:
    """An image as the fit needs it.

    Attributes:
        id: of the sample.
        unit: its group, or itself: what is left out together.
        features: see `FrozenFeatures.of`.
        labels: (H, W) uint8, multilabel (C, H, W), at the size that the network sees.
        pixels: those that are fitted.
    """

    id: str
    unit: str
    features: Sequence[Tensor]
    labels: NDArray[np.uint8]
    pixels: Pixels


@dataclass(frozen=True, kw_only=True)
class Validated:
    """What was chosen, and how it does on images that no fit has seen.

    Attributes:
        penalty: place in `PENALTIES`; threshold: of the probability.
        scores: id -> IoU of each image; NaN where it has none.
        value: their mean; low, high: its interval at the level 0.95, NaN without one.
        units: how many images or groups were left out in turn.
    """

    penalty: int
    threshold: float
    scores: dict[str, float]
    value: float
    low: float
    high: float
    units: int


def cross_validate(
    images: Sequence[LabelledImage], network: Hypercolumn, class_map: ClassMap, progress: Progress | None = None
) -> Validated | None:
    """Returns choice and scores; None where all images are one unit, so that none can be left out.

    Args:
        images: all of them.
        network: whose 1x1 convolution takes each fit in turn.
        class_map: of the task.
        progress: told after every fold.
    """
    names = sorted({image.unit for image in images})
    if len(names) < 2:
        return None
    fold_of = _folds(names)
    folds = np.array([fold_of[image.unit] for image in images])
    number = int(folds.max()) + 1
    held: list[_Sweep] = [_Sweep(class_map) for _ in PENALTIES]
    order: list[int] = []
    for fold in range(number):
        inside = np.flatnonzero(folds == fold).tolist()
        rest = [images[index].pixels for index in np.flatnonzero(folds != fold).tolist()]
        for linear, sweep in zip(fit_path(rest, class_map.task, network.out_channels), held, strict=True):
            set_head(network, linear)
            for index in inside:
                sweep.add(images[index].id, logits_of(network, images[index]), images[index].labels)
        order += inside
        if progress is not None:
            progress("cross-validating", fold + 1, number)
    units = np.array([images[index].unit for index in order])
    table = np.concatenate([sweep.values() for sweep in held])  # (settings, images)
    chosen = _best(table)
    scores = honest_scores(table, units)
    value, low, high = _interval(scores, units, folds[order])
    thresholds = held[0].thresholds
    return Validated(
        penalty=chosen // len(thresholds),
        threshold=thresholds[chosen % len(thresholds)],
        scores={images[index].id: float(score) for index, score in zip(order, scores, strict=True)},
        value=value,
        low=low,
        high=high,
        units=len(names),
    )


@torch.inference_mode()
def logits_of(network: Hypercolumn, image: LabelledImage) -> Tensor:
    """Returns (1, K, H, W) logits at the size of the labels, cropped as the network crops them."""
    height, width = image.labels.shape[-2:]
    return network.logits_of([level[None].float() for level in image.features])[..., :height, :width]


class _Sweep:
    """The IoU of images at every threshold; multiclass has none, and one setting."""

    def __init__(self, class_map: ClassMap) -> None:
        self.class_map = class_map
        self.has_threshold = class_map.task is not Task.MULTICLASS
        self.thresholds: tuple[float, ...] = THRESHOLDS if self.has_threshold else (DEFAULT_THRESHOLD,)
        self._sweep = ThresholdSweep(class_map.task) if self.has_threshold else None
        self._counts: list[Counts] = []

    def add(self, name: str, logits: Tensor, labels: NDArray[np.uint8]) -> None:
        target = torch.from_numpy(labels)[None]
        if self._sweep is not None:
            self._sweep.add([name], logits, target)
            return
        table, ignored = (each.numpy() for each in confusion_from_logits(logits, target, self.class_map.task))
        self._counts.append(Counts(ids=(name,), confusion=table, ignored=ignored, task=self.class_map.task))

    def values(self) -> NDArray[np.float64]:
        """Returns (thresholds, images)."""
        if self._sweep is None:
            every = [Counts.concatenate(self._counts)]
        else:
            every = [self._sweep.counts(threshold) for threshold in self.thresholds]
        return np.stack([score_counts(counts, self.class_map).image_values(SCORE) for counts in every])


def _folds(names: Sequence[str]) -> dict[str, int]:
    if len(names) <= _FOLDS:
        return {name: place for place, name in enumerate(names)}
    shuffled = np.random.default_rng(0).permutation(len(names))
    return {names[index]: place % _FOLDS for place, index in enumerate(shuffled.tolist())}


def _best(table: NDArray[np.float64]) -> int:
    """Returns the setting with the best mean; of equals the first: the stronger penalty, the lower threshold."""
    counted = ~np.isnan(table)
    means = np.where(counted, table, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return int(np.argmax(means))


def honest_scores(table: NDArray[np.float64], units: NDArray[np.str_]) -> NDArray[np.float64]:
    """Returns (images,) scores at the setting that is best on the other units.

    Args:
        table: (settings, images) scores of fits that have not seen the image; NaN where it has none.
        units: (images,) what each belongs to.
    """
    scores = np.full(table.shape[1], math.nan)
    for unit in np.unique(units):
        own = units == unit
        scores[own] = table[_best(table[:, ~own]), own]
    return scores


def _interval(
    scores: NDArray[np.float64], units: NDArray[np.str_], folds: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Returns mean and t interval over the units, widened since the fits share most of their images."""
    valued = ~np.isnan(scores)
    if not valued.any():
        return math.nan, math.nan, math.nan
    value, low, high = mean_with_interval(scores[valued], units[valued], LEVEL)
    if math.isnan(low):
        return value, low, high
    wider = math.sqrt(shared_training_factor(folds, units))
    return value, max(0.0, value - wider * (value - low)), min(1.0, value + wider * (high - value))
