"""The numbers of a data set: sizes, classes, objects, brightness; and images that stand apart.

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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.doctor.checks.objects import Objects
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Reading, about, number
from segbench.errors import shorten
from segbench.types import SPLITS, Task

_SIZES_LISTED = 24
_BARS = 24
_QUANTILES = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}
_DARK, _BRIGHT = 16.0, 239.0  # mean grey value of an image that shows hardly anything
_CONSTANT_STD, _FLAT_STD = 1.0, 6.0
_ENOUGH = 20  # images, to say what is usual
_FAR = 6.0  # robust standard deviations from the median
_LARGE_RATIO = 4.0  # largest to smallest side, from which on one training size hardly suits all


def statistics(reading: Reading, objects: Objects | None) -> dict[str, Any]:
    """Returns the numbers, as the module's text says."""
    facts = list(reading.images.values())
    result: dict[str, Any] = {"images": len(facts)}
    if facts:
        height = np.array([fact.height for fact in facts], dtype=np.float64)
        width = np.array([fact.width for fact in facts], dtype=np.float64)
        sizes = Counter((fact.height, fact.width) for fact in facts)
        result |= {
            "sizes": [
                {"height": size[0], "width": size[1], "count": count}
                for size, count in sizes.most_common(_SIZES_LISTED)
            ],
            "distinct_sizes": len(sizes),
            "height": spread(height),
            "width": spread(width),
            "aspect": spread(width / height),
            "kinds": dict(Counter(fact.kind for fact in facts if fact.kind)),
            "modes": dict(Counter(fact.mode for fact in facts if fact.mode)),
        }
    result["mask_kinds"] = dict(Counter(fact.kind for fact in reading.masks.values()))
    return {**result, **_light(reading), **_classes(reading, objects)}


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


def _light(reading: Reading) -> dict[str, Any]:
    means, stds = _channels(reading)
    if not len(means):
        return {}
    total_mean = means.mean(axis=0)
    total_std = np.sqrt(np.maximum((stds**2 + means**2).mean(axis=0) - total_mean**2, 0.0))
    brightness, contrast = means.mean(axis=1), stds.mean(axis=1)
    return {
        "mean": (total_mean / 255).round(4).tolist(),
        "std": (total_std / 255).round(4).tolist(),
        "brightness": {**spread(brightness), **_histogram(brightness, 255.0)},
        "contrast": {**spread(contrast), **_histogram(contrast, 128.0)},
    }


def _channels(reading: Reading) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    known = [fact for fact in reading.images.values() if len(fact.mean) == 3]
    return np.array([fact.mean for fact in known]), np.array([fact.std for fact in known])


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
    assert reading.class_map is not None, "the caller has looked"
    if reading.class_map.task is not Task.MULTILABEL:
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


def image_findings(reading: Reading) -> list[Finding]:
    """Returns images that hold nothing, stand apart in brightness or contrast, or differ much in size."""
    return [*_outliers(reading), *_many_sizes(reading)]


def _outliers(reading: Reading) -> Iterator[Finding]:
    known = [(path, fact) for path, fact in reading.images.items() if fact.mean]
    if not known:
        return
    mean = np.array([np.mean(fact.mean) for _, fact in known])
    std = np.array([np.mean(fact.std) for _, fact in known])
    constant = std < _CONSTANT_STD
    paths = [known[row][0] for row in np.flatnonzero(constant)]
    if paths:
        yield about(
            reading,
            "constant_images",
            Severity.WARNING,
            f"{number(len(paths), 'image')} of one colour, in which nothing can be seen",
            paths,
            detail=shorten(f"{reading.name(path)} (mean {reading.images[path].mean[0]:.0f})" for path in paths),
            advice="check whether the files were written right; else leave them out",
            pictures=reading.portraits(paths),
        )
    strange = {
        "very dark": mean < _DARK,
        "very bright": mean > _BRIGHT,
        "almost without contrast": std < _FLAT_STD,
        "far from the others in brightness": _far(mean),
        "far from the others in contrast": _far(std),
    }
    told: dict[int, str] = {}
    for what, which in strange.items():
        for row in np.flatnonzero(which & ~constant):
            told.setdefault(int(row), what)
    if not told or len(told) > len(known) // 2:
        return  # where most are so, it is how this data set looks
    yield about(
        reading,
        "unusual_images",
        Severity.INFO,
        f"{number(len(told), 'image')} unlike the others in brightness or contrast",
        (known[row][0] for row in told),
        detail=shorten(
            (f"{reading.name(known[row][0])}: {what} (mean {mean[row]:.0f})" for row, what in told.items()), 8
        ),
        advice="look at them; if new images will look so too, they are worth keeping",
        pictures=reading.portraits(known[row][0] for row in told),
    )


def _far(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    if len(values) < _ENOUGH:
        return np.zeros(len(values), dtype=bool)
    middle = np.median(values)
    deviation = 1.4826 * np.median(np.abs(values - middle))
    return np.asarray(np.abs(values - middle) > _FAR * max(float(deviation), 1.0))


def _many_sizes(reading: Reading) -> Iterator[Finding]:
    sides = {path: max(fact.height, fact.width) for path, fact in reading.images.items()}
    if not sides or max(sides.values()) < _LARGE_RATIO * min(sides.values()):
        return
    order = sorted(sides, key=lambda path: sides[path])
    yield about(
        reading,
        "very_different_sizes",
        Severity.INFO,
        f"the largest image has {sides[order[-1]] / sides[order[0]]:.3g} times the side of the smallest",
        (order[0], order[-1]),
        count=len(set(sides.values())),
        detail=f"Long sides from {sides[order[0]]} to {sides[order[-1]]} pixels; resized to one size, objects are at "
        "very different scales.",
        advice="vary the scale in training: data.augment.scale: [0.5, 2.0]",
        pictures=reading.portraits((order[0], order[-1])),
    )


def share_of(stats: Mapping[str, Any]) -> Sequence[float]:
    """Returns the classes' shares of the pixels, in class order."""
    return [entry["share"] for entry in stats.get("classes", ())]
