"""The numbers of a data set: sizes, classes, objects, brightness.

`statistics` returns plain values (`Checkup.statistics`):

==============  ======================================================================================================
key             value
==============  ======================================================================================================
images          number of readable images
sizes           the most frequent [{height, width, count}, ...], at most 24
distinct_sizes  number of different sizes
height, width   spread of the sides in pixels (see below)
aspect          spread of width / height
kinds, modes    file kind -> images, pixel mode -> images
mask_kinds      file kind -> masks
parts           part -> {images, shares}; shares: of each class in class order
classes         [{name, pixels, share, images, share_per_image, objects}, ...]; share_per_image: spread over the images
                that show it; objects: None, or {count, images, per_image, specks, area_px, kept}; area_px: spread;
                kept: share that keeps a pixel at each of `sizes_tried`
sizes_tried     [[H, W], ...], the asked training size first
ignored_share   share of the pixels that count nowhere
foreground      spread of the share that is not background; None without a background
mean, std       of each channel over all images, 0-1: what a network trained from scratch is normalised by
brightness      spread of the images' mean grey value, 0-255, with {edges, counts} of its histogram
contrast        spread of the images' standard deviation, with its histogram
==============  ======================================================================================================

A spread is {min, q05, q25, median, q75, q95, max, mean}.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.doctor.reading import Reading
from segbench.doctor.regions import Objects
from segbench.types import SPLITS, Task

_SIZES_LISTED = 24
_BARS = 24
_QUANTILES = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}


def statistics(reading: Reading, objects: Objects | None) -> dict[str, Any]:
    """Returns the numbers, as the module's text says."""
    result: dict[str, Any] = {"images": len(reading.images)}
    sides, light = np.zeros((len(reading.images), 2)), np.full((len(reading.images), 2, 3), np.nan)
    kinds, modes = Counter[str](), Counter[str]()
    for row, fact in enumerate(reading.images.values()):  # once: each is read from the disk
        sides[row] = fact.height, fact.width
        kinds[fact.kind] += 1
        modes[fact.mode] += 1
        if len(fact.mean) == 3:
            light[row] = fact.mean, fact.std
    if len(sides):
        height, width = sides[:, 0], sides[:, 1]
        sizes = Counter((int(tall), int(wide)) for tall, wide in sides)
        result |= {
            "sizes": [
                {"height": size[0], "width": size[1], "count": count}
                for size, count in sizes.most_common(_SIZES_LISTED)
            ],
            "distinct_sizes": len(sizes),
            "height": spread(height),
            "width": spread(width),
            "aspect": spread(width / height),
            "kinds": {kind: count for kind, count in kinds.items() if kind},
            "modes": {mode: count for mode, count in modes.items() if mode},
        }
    result["mask_kinds"] = dict(Counter(fact.kind for fact in reading.masks.values()))
    return {**result, **_light(light[~np.isnan(light[:, 0, 0])]), **_classes(reading, objects)}


def spread(values: NDArray[np.float64]) -> dict[str, float]:
    """Returns quantiles and mean; empty without values."""
    if not len(values):
        return {}
    found = np.quantile(values, list(_QUANTILES.values()))
    told = {name: float(value) for name, value in zip(_QUANTILES, found, strict=True)}
    return {**told, "mean": float(values.mean())}


def _histogram(values: NDArray[np.float64], high: float) -> dict[str, Any]:
    counts, edges = np.histogram(values, bins=_BARS, range=(0.0, high))
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _light(known: NDArray[np.float64]) -> dict[str, Any]:
    """Returns what is told of (N, 2, 3): mean and deviation a channel of each image."""
    if not len(known):
        return {}
    means, stds = known[:, 0], known[:, 1]
    total_mean = means.mean(axis=0)
    total_std = np.sqrt(np.maximum((stds**2 + means**2).mean(axis=0) - total_mean**2, 0.0))
    brightness, contrast = means.mean(axis=1), stds.mean(axis=1)
    return {
        "mean": (total_mean / 255).round(4).tolist(),
        "std": (total_std / 255).round(4).tolist(),
        "brightness": {**spread(brightness), **_histogram(brightness, 255.0)},
        "contrast": {**spread(contrast), **_histogram(contrast, 128.0)},
    }


def _classes(reading: Reading, objects: Objects | None) -> dict[str, Any]:
    class_map = reading.class_map
    if class_map is None or not reading.decoded.any():
        return {}
    counts = reading.counts[reading.decoded].astype(np.float64)
    areas = _areas(reading, counts)
    shares = counts[:, :-1] / np.maximum(areas, 1)[:, None]
    total = max(1.0, float(areas.sum()))
    classes = [
        {
            "name": name,
            "pixels": int(counts[:, place].sum()),
            "share": float(counts[:, place].sum() / total),
            "images": int((counts[:, place] > 0).sum()),
            "share_per_image": spread(shares[counts[:, place] > 0, place]),
            "objects": _objects(objects, place),
        }
        for place, name in enumerate(class_map.names)
    ]
    parts = np.array([case.split or "-" for case in reading.cases])[reading.decoded]
    background = class_map.background if class_map.task is not Task.MULTILABEL else None
    return {
        "classes": classes,
        "ignored_share": float(counts[:, -1].sum() / max(1.0, float(counts.sum()))),
        "foreground": None if background is None else spread(1 - shares[areas > 0, background]),
        "parts": {
            part: {
                "images": int((parts == part).sum()),
                "shares": (counts[parts == part, :-1].sum(axis=0) / max(1.0, areas[parts == part].sum())).tolist(),
            }
            for part in (*SPLITS, "-")
            if (parts == part).any()
        },
        "sizes_tried": [list(size) for size in objects.sizes] if objects is not None else [],
    }


def _areas(reading: Reading, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns how many pixels of each case count; in a multilabel set each class sees all of them."""
    if reading.known_map.task is not Task.MULTILABEL:
        return np.asarray(counts[:, :-1].sum(axis=1))
    sizes = [reading.images.get(case.image) for case in reading.cases]
    known = [fact.height * fact.width if fact is not None else 0 for fact in sizes]
    return np.array(known, dtype=np.float64)[reading.decoded]


def _objects(objects: Objects | None, place: int) -> dict[str, Any] | None:
    if objects is None or place not in objects.classes:
        return None
    found = objects.classes[place]
    return {
        "count": found.number,
        "images": found.images,
        "per_image": found.number / found.images if found.images else 0.0,
        "specks": found.specks,
        "area_px": {name: round(found.area(share), 1) for name, share in _QUANTILES.items()},
        "kept": [round(objects.kept(place, number), 5) for number in range(len(objects.sizes))],
    }
