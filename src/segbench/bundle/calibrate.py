"""How sure may one be of a model's probabilities, and of its score on a new image: fitted to the validation part.

Two small things come out, which everybody can recompute from the card: a temperature by which logits are divided (Guo
et al. 2017), and a line from the network's own confidence in its mask (`mask_confidence`) to the mask's IoU, with an
interval from the residuals that leaving out each image gives (as in the jackknife of Barber et al. 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, stats  # type: ignore[import-untyped]

from segbench.bundle.card import reason_without_places
from segbench.data.files.bands import shown
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError
from segbench.locale import Message, message, quoted
from segbench.metrics.calibration import Calibration
from segbench.metrics.confidence import CalibrationCollector
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.scores import score_counts
from segbench.predict.decide import tempered
from segbench.predict.doubt import mask_confidence
from segbench.predict.pipeline import enlarge
from segbench.predict.predictor import Prediction, Predictor
from segbench.predict.unlike import image_features, image_statistics
from segbench.types import IGNORE_INDEX, Progress, Sample, Task

LEVEL = 0.9  # of the interval of an expected score
LEAST = 20  # images with a score and a confidence; fewer have no residual outside of which one in twenty lies
_PIXELS = 4096  # of an image, evenly spread, that the temperature is fitted to
_FOLDS = 5  # calibration after is measured on images that the temperature was not fitted to
_STATISTICS_IMAGES = 1000  # of the training part, at most
_RESAMPLES = 500
_COLDEST, _HOTTEST = 0.2, 5.0
LEAST_FITTED = 10  # images, or groups of images, for a temperature: resampling fewer tells no interval

# Sampled pixels of an image: probabilities (C, n) before the temperature, and labels (n,), multilabel (C, n).
Pixels: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]


def calibrate_on(predictor: Predictor, manifest: Manifest, progress: Progress) -> dict[str, Any]:
    """Returns what a card says of a model: `calibration` (validation part), `image_statistics` (training part).

    Where images cannot be read (any more) the former is a `sentence` alone, which says why, and the latter None.

    Args:
        predictor: of the model.
        manifest: of its runs.
        progress: told after every image.
    """
    val, train = manifest.split("val"), spread(manifest.split("train"), _STATISTICS_IMAGES)
    grouped = [sample.group or f"image {sample.id}" for sample in val]

    def loaded(samples: Sequence[Sample], what: str) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        for done, sample in enumerate(samples, start=1):
            yield load_sample(manifest, sample)
            progress(what, done, len(samples))

    found: dict[str, Any] = {}
    try:
        groups = grouped if any(sample.group for sample in val) else None
        found["calibration"] = calibrate(predictor, loaded(val, "calibrating"), groups)
        display = None if predictor.bands is None else predictor.bands.display
        pictures = (shown(image, display) for image, _ in loaded(train, "looking at the training images"))
        found["image_statistics"] = image_statistics([image_features(picture) for picture in pictures])
    except DatasetError as error:
        sentence = message("Not known: {reason}", reason=quoted(reason_without_places(error, manifest)))
        found = {"calibration": {"sentence": sentence}, "image_statistics": None} | found
    return found


def spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Returns at most so many samples, evenly over the list."""
    places = np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int).tolist()
    return [samples[place] for place in places]


def calibrate(
    predictor: Predictor,
    samples: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Returns the calibration of a model for the card of its bundle, as plain values.

    Args:
        predictor: of the model; its temperature changes nothing here.
        samples: images as the network is given them and labels at their own size, of the validation part; one by one.
        groups: of the samples, which are resampled together; None: each is its own.
    Returns:
        `n` images, `temperature` and `expected_score`, see `fit_temperature` and `fit_expected_score`; the former is
        None without an image, the latter below 20.
    """
    pixels, confidences, scores = [], [], []
    for image, labels in samples:
        prediction = predictor(image)
        pixels.append(sampled_pixels(prediction, labels))
        confidences.append(mask_confidence(prediction))
        scores.append(image_score(prediction, labels))
    return {
        "n": len(scores),
        "temperature": fit_temperature(pixels, predictor.class_map.task, groups) if pixels else None,
        "expected_score": fit_expected_score(np.array(confidences), np.array(scores)),
    }


def image_score(prediction: Prediction, labels: NDArray[np.uint8]) -> float:
    """Returns an image's own part of `iou_per_image`; NaN where it counts nowhere."""
    class_map = prediction.class_map
    table, ignored = count_masks(prediction.mask, labels, class_map.num_classes, task=class_map.task)
    counts = Counts(ids=("image",), confusion=table[None], ignored=np.array([ignored]), task=class_map.task)
    return float(score_counts(counts, class_map).image_means("iou")[0])


def sampled_pixels(prediction: Prediction, labels: NDArray[np.uint8]) -> Pixels:
    """Returns at most 4096 pixels of an image, evenly spread, at its own size."""
    height, width = prediction.image.shape[:2]
    where = np.linspace(0, height * width - 1, min(_PIXELS, height * width)).astype(np.int64)
    probs = enlarge(torch.from_numpy(prediction.network_probs), (height, width)).numpy()
    flat = labels.reshape(*labels.shape[:-2], -1)
    return probs.reshape(len(probs), -1)[:, where], flat[..., where].astype(np.int64)


def fit_temperature(pixels: Sequence[Pixels], task: Task, groups: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns the temperature that makes the labels most likely, and what it does to the calibration error.

    Args:
        pixels: `sampled_pixels` of each image; each image weighs the same.
        task: see `segbench.types`.
        groups: see `calibrate`.
    Returns:
        value: to be used: the fitted one, or 1, and then `note` says why: fewer than 10 images or groups, a fitted one
        at an end of the range that is looked through, or a calibration error that does not fall for certain; fitted;
        n, images; `before` and `after`: expected calibration errors, the latter on images that the temperature was not
        fitted to (5-fold); difference, low, high: after less before, and its 95 % interval over images or groups.
    """
    names = [str(index) for index in range(len(pixels))] if groups is None else list(groups)
    units = np.unique(names, return_inverse=True)[1]
    fitted = _likeliest(pixels, task)
    before = [_bins(each, 1.0, task) for each in pixels]
    after = list(before)
    for fold in range(_FOLDS):
        rest = [pixels[index] for index in np.flatnonzero(units % _FOLDS != fold).tolist()]
        temperature = _likeliest(rest, task) if rest else 1.0
        for index in np.flatnonzero(units % _FOLDS == fold).tolist():
            after[index] = _bins(pixels[index], temperature, task)
    low, high = _interval(before, after, units)
    errors = [Calibration.merge(each).expected_error for each in (before, after)]
    note = _why_not(fitted, high, len(np.unique(units)))
    return {
        "value": round(fitted, 4) if note is None else 1.0,
        "fitted": round(fitted, 4),
        "note": note,
        "n": len(pixels),
        "score": "expected_calibration_error",
        "before": errors[0],
        "after": errors[1],
        "difference": errors[1] - errors[0],
        "low": low,
        "high": high,
    }


def _why_not(fitted: float, high: float, units: int) -> Message | None:
    """Returns why a fitted temperature is not used; `high` is the upper end of the calibration error's difference."""
    if units < LEAST_FITTED:
        return message("{n} independent images are too few; at least {least} are needed", n=units, least=LEAST_FITTED)
    if not 1.01 * _COLDEST < fitted < _HOTTEST / 1.01:
        return message("the best one lies beyond {low:g} to {high:g}", low=_COLDEST, high=_HOTTEST)
    if not high < 0.0:
        return message("the calibration error does not fall for certain")
    return None


def calibration_error(pixels: Sequence[Pixels], temperature: float, task: Task) -> float:
    """Returns the expected calibration error of images' pixels together at a temperature, 0-1."""
    return Calibration.merge([_bins(each, temperature, task) for each in pixels]).expected_error


def _likeliest(pixels: Sequence[Pixels], task: Task) -> float:
    """Returns the temperature between 0.2 and 5 with the lowest mean cross-entropy."""
    tensors = [(torch.from_numpy(probs)[..., None], torch.from_numpy(labels)) for probs, labels in pixels]

    def cost(log_temperature: float) -> float:
        every = np.array([_cross_entropy(*each, math.exp(log_temperature), task) for each in tensors])
        counted = every[~np.isnan(every)]
        return float(counted.mean()) if len(counted) else 0.0

    ends = (math.log(_COLDEST), math.log(_HOTTEST))
    return float(math.exp(optimize.minimize_scalar(cost, bounds=ends, method="bounded", options={"xatol": 1e-3}).x))


def _cross_entropy(probs: torch.Tensor, labels: torch.Tensor, temperature: float, task: Task) -> float:
    """Returns the mean over an image's counted pixels; NaN where none counts. `probs` is (C, n, 1)."""
    given = tempered(probs, temperature, task)[..., 0]
    if task is Task.MULTICLASS:
        counted = labels != IGNORE_INDEX
        right = given[:, counted].gather(0, labels[None, counted])
    else:
        labels = labels.reshape(given.shape)
        counted = labels != IGNORE_INDEX
        right = torch.where(labels == 1, given, 1.0 - given)[counted]
    return float(-right.clamp_min(1e-7).log().mean()) if right.numel() else math.nan


def _bins(pixels: Pixels, temperature: float, task: Task) -> Calibration:
    probs, labels = (torch.from_numpy(each) for each in pixels)
    given = tempered(probs[..., None], temperature, task)
    logits = given.clamp_min(1e-30).log() if task is Task.MULTICLASS else given.logit(eps=1e-7)
    collector = CalibrationCollector(task)
    collector.add(logits[None], labels[None, ..., None])
    return collector.calibration()


def _interval(
    before: Sequence[Calibration], after: Sequence[Calibration], units: NDArray[np.int64]
) -> tuple[float, float]:
    """Returns the 95 % interval of the errors' difference: percentiles over resampled units (Efron 1979)."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(units == unit).tolist() for unit in range(units.max() + 1)]
    found = []
    for _ in range(_RESAMPLES):
        chosen = [index for unit in rng.integers(0, len(members), len(members)) for index in members[unit]]
        errors = [Calibration.merge([each[index] for index in chosen]).expected_error for each in (before, after)]
        found.append(errors[1] - errors[0])
    low, high = np.nanpercentile(found, (2.5, 97.5)).tolist()
    return low, high


def fit_expected_score(confidences: NDArray[np.float64], scores: NDArray[np.float64]) -> dict[str, Any] | None:
    """Returns the line from a mask's confidence to its IoU, and how far images lie from it.

    Args:
        confidences: (n,) `mask_confidence`; scores: (n,) `image_score`; NaN counts nowhere.
    Returns:
        slope (never below 0), intercept; below, above: what the 90 % interval adds to the line's value, from the
        residuals that leaving out each image gives; mean_absolute_error of the same; rank_correlation; n. None below
        20 images.
    """
    valued = ~(np.isnan(confidences) | np.isnan(scores))
    x, y = confidences[valued], scores[valued]
    if len(y) < LEAST:
        return None
    spread = float(np.square(x - x.mean()).sum())
    slope = max(float(((x - x.mean()) * y).sum()) / spread, 0.0) if spread > 0.0 else 0.0
    intercept = float(y.mean()) - slope * float(x.mean())
    # Of least squares, the residual of an image that was left out is its own over 1 - its leverage.
    leverage = 1.0 / len(y) + (np.square(x - x.mean()) / spread if slope > 0.0 else 0.0)
    left_out = (y - intercept - slope * x) / (1.0 - leverage)
    ordered = np.sort(left_out)
    rank = max(math.floor((1.0 - LEVEL) / 2.0 * (len(y) + 1)), 1)
    varied = spread > 0.0 and float(np.ptp(y)) > 0.0
    return {
        "score": "iou_per_image",
        "level": LEVEL,
        "slope": slope,
        "intercept": intercept,
        "below": float(ordered[rank - 1]),
        "above": float(ordered[-rank]),
        "mean_absolute_error": float(np.abs(left_out).mean()),
        "rank_correlation": float(stats.spearmanr(x, y).statistic) if varied else None,
        "n": len(y),
    }


def judge_expected_score(
    expect: Callable[[Prediction], tuple[float, float, float] | None],
    predicted: Iterable[tuple[Prediction, NDArray[np.uint8]]],
) -> dict[str, float]:
    """Returns how well expected scores hold on images that they were not fitted to.

    Args:
        expect: `expected_score` with a card.
        predicted: predictions with their labels.
    Returns:
        rank_correlation with the true scores; mean_absolute_error, and that of expecting the same of every image
        (`error_of_the_mean`); coverage of the intervals and their mean width; n.
    """
    pairs = [(expect(prediction), image_score(prediction, labels)) for prediction, labels in predicted]
    table = np.array([(*told, score) for told, score in pairs if told is not None and not math.isnan(score)])
    value, low, high, score = table.T
    return {
        "rank_correlation": float(stats.spearmanr(value, score).statistic),
        "mean_absolute_error": float(np.abs(value - score).mean()),
        "error_of_the_mean": float(np.abs(value.mean() - score).mean()),
        "coverage": float(((low <= score) & (score <= high)).mean()),
        "width": float((high - low).mean()),
        "n": len(score),
    }
