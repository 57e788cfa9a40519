"""How unsure a network is: of each pixel, and of a whole image.

What an image's score will be is read off the network's own confidence, by a line that was fitted to the validation part
(`segbench.bundle.calibrate`) and stands in the card of a bundle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.predict.predictor import Prediction
from segbench.types import Task

_TINY = 1e-7  # probabilities nearer to 0 or 1 are taken for it: 0 * log(0)


def pixel_doubt(probs: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Returns (H, W) float32: the entropy of each pixel's probabilities, 0 where sure and 1 where all are alike.

    Of C exclusive classes in units of log C; of a multilabel mask the largest over its planes.

    Args:
        probs: (C, H, W) float32 in [0, 1]; C is 1 for binary.
        task: see `segbench.types`.
    """
    found: NDArray[np.float32] = np.clip(_entropies(probs, task).max(axis=0), 0.0, 1.0)
    return found


def disagreement(members: Iterable[NDArray[np.float32]], task: Task) -> NDArray[np.float32]:
    """Returns (B, H, W) float32: how much several networks contradict each other, 0 where all say the same.

    It is the mutual information of prediction and network: the entropy of the mean of their probabilities less the mean
    of their entropies (BALD; Houlsby et al. 2011), in the units of `pixel_doubt`, of which it is a part: the rest is
    doubt that each network has by itself. Of a multilabel mask the largest over its planes.

    Args:
        members: probabilities (B, C, H, W) of each network, see `pixel_doubt`; looked at one by one.
        task: see `segbench.types`.
    """
    mean, alone, number = np.zeros(()), np.zeros(()), 0
    for probs in members:
        exact = probs.astype(np.float64)
        mean, alone = mean + exact, alone + _entropies(exact, task)
        number += 1
    information = (_entropies(mean / number, task) - alone / number).max(axis=-3)
    found: NDArray[np.float32] = np.clip(information, 0.0, 1.0).astype(np.float32)
    return found


def _entropies(probs: NDArray[Any], task: Task) -> NDArray[Any]:
    """Returns (..., 1, H, W) for exclusive classes, else one a plane, in units of the largest there is."""
    clipped = np.clip(probs, _TINY, 1.0 - _TINY)
    if task is Task.MULTICLASS:
        exclusive: NDArray[Any] = -(clipped * np.log(clipped)).sum(axis=-3, keepdims=True) / math.log(probs.shape[-3])
        return exclusive
    planes: NDArray[Any] = -(clipped * np.log2(clipped) + (1.0 - clipped) * np.log2(1.0 - clipped))
    return planes


def mask_confidence(prediction: Prediction) -> float:
    """Returns how sure the network is of the classes it found: the mean of a class's probability where it is predicted,
    averaged over the scored classes that are; NaN where none is.

    Unlike the mean over all pixels it does not depend on how much easy background there is.
    """
    probs, class_map = prediction.network_probs, prediction.class_map
    mask = _at_size(prediction.mask, probs.shape[-2:])
    valid = True if prediction.nodata is None else ~_at_size(prediction.nodata, probs.shape[-2:])
    found = []
    for index in class_map.scored_classes:
        plane = probs[0] if class_map.task is Task.BINARY else probs[index]
        where = valid & (mask[index] == 1 if class_map.task is Task.MULTILABEL else mask == index)
        if where.any():
            found.append(float(plane[where].mean(dtype=np.float64)))
    return float(np.mean(found)) if found else math.nan


def expected_score(card: Mapping[str, Any] | None, prediction: Prediction) -> tuple[float, float, float] | None:
    """Returns the IoU that an image's mask will probably have, and the ends of an interval, 0-1.

    Args:
        card: of a bundle; see `segbench.bundle.calibrate` for what it says and how well that held.
        prediction: of the image.
    Returns:
        value, low, high; None where the card tells nothing, or no class was found.
    """
    line = _calibration(card).get("expected_score")
    confidence = mask_confidence(prediction)
    if not line or math.isnan(confidence):
        return None
    value = line["intercept"] + line["slope"] * confidence
    low, value, high = (min(max(each, 0.0), 1.0) for each in (value + line["below"], value, value + line["above"]))
    return value, low, high


def _calibration(card: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (card or {}).get("calibration") or {}
    return found


def _at_size(mask: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """Returns (..., H, W) at another size, the nearest pixel's values."""
    rows, columns = (
        ((np.arange(there) + 0.5) * here / there).astype(np.int64)
        for there, here in zip(size, mask.shape[-2:], strict=True)
    )
    return mask[..., rows[:, None], columns]
