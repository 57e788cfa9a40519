"""Images that hold nothing, stand apart in brightness or contrast, or differ much in size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Reading
from segbench.locale import listed, message

_DARK, _BRIGHT = 16.0, 239.0  # mean grey value of an image that shows hardly anything
_CONSTANT_STD, _FLAT_STD = 1.0, 6.0
_ENOUGH = 20  # images, to say what is usual
_FAR = 6.0  # robust standard deviations from the median
_LARGE_RATIO = 4.0  # largest to smallest side, from which on one training size hardly suits all

CONSTANT_IMAGES = Code(
    "constant_images",
    Severity.WARNING,
    Title(
        "{n} image of one colour, in which nothing can be seen",
        "{n} images of one colour, in which nothing can be seen",
    ),
    means=message("Such a file was often written while something failed: a camera, a conversion, a full disk."),
    advice=message("check whether the files were written right; else leave them out"),
)
UNUSUAL_IMAGES = Code(
    "unusual_images",
    Severity.INFO,
    Title(
        "{n} image unlike the others in brightness or contrast",
        "{n} images unlike the others in brightness or contrast",
    ),
    means=message("A network sees few of its kind, and a mean over the images hides how it does on them."),
    advice=message("look at them; if new images will look so too, they are worth keeping"),
)
VERY_DIFFERENT_SIZES = Code(
    "very_different_sizes",
    Severity.INFO,
    Title("the largest image has {ratio} times the side of the smallest"),
    means=message("Resized to one size, objects are at very different scales."),
    advice=message("vary the scale in training: data.augment.scale: [0.5, 2.0]"),
)
CODES = (CONSTANT_IMAGES, UNUSUAL_IMAGES, VERY_DIFFERENT_SIZES)


def check(reading: Reading) -> list[Finding]:
    """Returns which images stand apart."""
    return [*_outliers(reading), *_many_sizes(reading)]


def _outliers(reading: Reading) -> Iterator[Finding]:
    light = {path: (np.mean(fact.mean), np.mean(fact.std)) for path, fact in reading.images.items() if fact.mean}
    if not light:
        return
    known, (mean, std) = list(light), np.array(list(light.values())).T
    constant = std < _CONSTANT_STD
    paths = [known[row] for row in np.flatnonzero(constant)]
    if paths:
        yield CONSTANT_IMAGES.about(
            reading,
            paths,
            detail=listed(
                [
                    message(
                        "{file} (mean {value})", file=reading.name(path), value=f"{reading.images[path].mean[0]:.0f}"
                    )
                    for path in paths
                ]
            ),
            pictures=reading.portraits(paths),
        )
    strange = {
        message("very dark"): mean < _DARK,
        message("very bright"): mean > _BRIGHT,
        message("almost without contrast"): std < _FLAT_STD,
        message("far from the others in brightness"): _far(mean),
        message("far from the others in contrast"): _far(std),
    }
    odd: dict[int, str] = {}
    for what, which in strange.items():
        for row in np.flatnonzero(which & ~constant):
            odd.setdefault(int(row), what)
    if not odd or len(odd) > len(known) // 2:
        return  # where most are so, it is how this data set looks
    yield UNUSUAL_IMAGES.about(
        reading,
        (known[row] for row in odd),
        detail=listed(
            [
                message(
                    "{file}: {what} (mean {value})",
                    file=reading.name(known[row]),
                    what=what,
                    value=f"{mean[row]:.0f}",
                )
                for row, what in odd.items()
            ]
        ),
        pictures=reading.portraits(known[row] for row in odd),
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
    low, high = sides[order[0]], sides[order[-1]]
    yield VERY_DIFFERENT_SIZES.about(
        reading,
        (order[0], order[-1]),
        count=len(set(sides.values())),
        ratio=f"{high / low:.3g}",
        detail=message("Long sides from {low} to {high} pixels.", low=low, high=high),
        pictures=reading.portraits((order[0], order[-1])),
    )
