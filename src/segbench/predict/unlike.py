"""Is an image like those a network learnt from? A few numbers of each image, and how far they lie from the others'.

An image counts as unlike where its numbers together lie farther from the training part's mean (Mahalanobis 1936) than
those of all but one in a hundred training images do, each measured against the others. That finds other cameras,
stains, seasons and subjects; it does not see what only a person would call wrong. Where training images differ as much
as photographs of anything do, hardly anything is unlike them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage  # type: ignore[import-untyped]

from segbench.locale import Message, join, message

_SIDE_PX = 256  # of the copy that is looked at, so that numbers do not follow from an image's size
_COARSE = 4
_LEAST = 20  # training images; fewer say nothing about what is usual
_USUAL = 0.99  # share of the training images that are not unlike the others
_RIDGE = 0.05  # added to the correlations, so that few images do not make them singular
_LEAST_SD = 0.01  # of numbers that are all alike, such as the colours of grey images
_NAMED = 3  # differences in a sentence
_SIZE_FACTOR = 4.0  # times as large as the largest, or as small as the smallest: other things in one image

MUCH_LARGER, MUCH_SMALLER = message("much larger"), message("much smaller")
TOGETHER = message("in brightness, colour and sharpness together")


def image_features(image: NDArray[np.uint8]) -> dict[str, float]:
    """Returns an image's brightness, contrast, colour, sharpness and size as numbers; shares of 255 where not said.

    Args:
        image: (H, W, C) uint8.
    Returns:
        brightness (mean); of three channels red_green, yellow_blue (mean differences of colours), of others channel_1
        and so on (mean less brightness); colour (how much the colours differ within the image); contrast (SD over the
        pixels of the mean channel); sharpness, coarse_sharpness (logarithms of the mean absolute Laplacian at 256 and
        64 pixels); dark, light (5 % and 95 % quantile less the median); centre (the middle quarter's mean less the
        whole's); size (binary logarithm of the side of a square as large, in pixels).
    """
    height, width, channels = image.shape
    shrunk = min(1.0, _SIDE_PX / max(height, width))
    size = (max(1, round(width * shrunk)), max(1, round(height * shrunk)))
    planes = [_shrunk(image[..., index], size) for index in range(channels)]
    grey = np.mean(planes, axis=0)
    low, middle, high = np.quantile(grey, (0.05, 0.5, 0.95))
    if channels == 3:
        red, green, blue = planes
        colours = {"red_green": red - green, "yellow_blue": (red + green) / 2 - blue}
    else:
        colours = {f"channel_{index}": plane - grey for index, plane in enumerate(planes, start=1)}
    rows, columns = (slice(side // 4, side - side // 4) for side in grey.shape)
    coarse = _shrunk(grey, (max(1, size[0] // _COARSE), max(1, size[1] // _COARSE)))
    found = {
        "brightness": grey.mean(),
        **{name: plane.mean() for name, plane in colours.items()},
        "colour": math.sqrt(sum(float(plane.var()) for plane in colours.values())),
        "contrast": grey.std(),
        "sharpness": _log_sharpness(grey),
        "coarse_sharpness": _log_sharpness(coarse),
        "dark": low - middle,
        "light": high - middle,
        "centre": grey[rows, columns].mean() - grey.mean(),
        "size": math.log2(height * width) / 2,
    }
    return {name: float(value) for name, value in found.items()}


def image_statistics(features: Sequence[Mapping[str, float]]) -> dict[str, Any] | None:
    """Returns what `unlike_training` needs to know of the training part, as plain values.

    Args:
        features: `image_features` of each training image.
    Returns:
        n; names, mean, sd: of the numbers but the size; inverse: of their correlations; limit: the distance that one
        in a hundred of them exceeds; size: smallest and largest. None of fewer than 20 images.
    """
    if len(features) < _LEAST:
        return None
    names = [name for name in features[0] if name != "size"]
    table = np.array([[each[name] for name in names] for each in features])
    left_out = []
    for index, row in enumerate(table):
        left_out.append(_distance(row, *_moments(np.delete(table, index, axis=0))))
    rank = min(math.ceil(_USUAL * (len(table) + 1)), len(table))
    mean, sd, inverse = _moments(table)
    sizes = [each["size"] for each in features]
    return {
        "n": len(table),
        "names": names,
        "mean": mean.tolist(),
        "sd": sd.tolist(),
        "inverse": inverse.tolist(),
        "limit": float(np.sort(left_out)[rank - 1]),
        "size": [min(sizes), max(sizes)],
    }


def unlike_training(card: Mapping[str, Any] | None, image: NDArray[np.uint8]) -> Message | None:
    """Returns in what an image differs from all that the network learnt from; None where it does not, or nobody knows.

    Args:
        card: of a bundle; its `data.image_statistics` come from `image_statistics`.
        image: (H, W, C) uint8, as the network is given it.
    """
    known = ((card or {}).get("data") or {}).get("image_statistics")
    if not known:
        return None
    features = image_features(image)
    reasons = []
    if features["size"] > known["size"][1] + math.log2(_SIZE_FACTOR):
        reasons.append(MUCH_LARGER)
    if features["size"] < known["size"][0] - math.log2(_SIZE_FACTOR):
        reasons.append(MUCH_SMALLER)
    row = np.array([features.get(name, math.nan) for name in known["names"]])
    mean, sd, inverse = (np.array(known[key]) for key in ("mean", "sd", "inverse"))
    if not _distance(row, mean, sd, inverse) <= known["limit"]:  # also of other channels: not a number
        away = (row - mean) / sd
        least = 3.0 if (np.abs(away) >= 3.0).any() else 1.0  # SDs; what is easily seen stands first in the list
        named = [index for index in range(len(away)) if abs(away[index]) >= least][:_NAMED]
        reasons += [reason_words(known["names"][index], bool(away[index] > 0)) for index in named]
        reasons = reasons or [TOGETHER]
    if not reasons:
        return None
    return message("unlike the images it learnt from: {reasons}", reasons=join(", ", reasons))


def reason_words(name: str, more: bool) -> Message:
    """Returns what a number of `image_features` means that is larger than usual, or smaller."""
    words = {
        "brightness": (message("brighter"), message("darker")),
        "contrast": (message("more contrast"), message("less contrast")),
        "dark": (message("shadows less deep"), message("deeper shadows")),
        "light": (message("brighter lights"), message("lights less bright")),
        "centre": (message("a brighter middle"), message("a darker middle")),
        "red_green": (message("redder"), message("greener")),
        "yellow_blue": (message("yellower"), message("bluer")),
        "colour": (message("more colours"), message("fewer colours")),
        "sharpness": (message("sharper, or with more noise"), message("blurrier")),
        "coarse_sharpness": (message("more coarse detail"), message("less coarse detail")),
    }
    if name in words:
        return words[name][0 if more else 1]
    return message("other values of {channel}", channel=name)


def _moments(table: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns mean, SD, and the inverse of the correlations of (n, features)."""
    mean, sd = table.mean(axis=0), table.std(axis=0) + _LEAST_SD
    correlations = np.cov(((table - mean) / sd).T) + _RIDGE * np.eye(table.shape[1])
    return mean, sd, np.asarray(np.linalg.inv(correlations), dtype=np.float64)


def _distance(
    row: NDArray[np.float64], mean: NDArray[np.float64], sd: NDArray[np.float64], inverse: NDArray[np.float64]
) -> float:
    away = (row - mean) / sd
    return math.sqrt(max(float(away @ inverse @ away), 0.0)) if np.isfinite(away).all() else math.inf


def _shrunk(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Returns (h, w) float32, 0-1, each pixel the mean of those it stands for."""
    picture = Image.fromarray(np.ascontiguousarray(plane))
    scale = 255.0 if plane.dtype == np.uint8 else 1.0
    return np.asarray(picture.resize(size, Image.Resampling.BOX), dtype=np.float32) / np.float32(scale)


def _log_sharpness(grey: NDArray[np.float32]) -> float:
    return math.log(float(np.abs(ndimage.laplace(grey)).mean()) + 1e-4)
