"""Whether the images, in the order of their names, are one stack or video: each looks like the one before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.store import THUMB_SIDE, ImageFact
from segbench.data.split.units import natural_key
from segbench.doctor.reading import Case

_LEAST = 12  # images
_DRAWN = 4000  # pairs of which a median is taken, pictures of which a mean is
_BLOCK = 4096  # pairs that are compared at once
_FLAT_STD = 4.0  # grey levels; a picture without more contrast looks like any other

# Correlation of 16 x 16 grey values once the mean picture of the set is taken away; that of random pairs is about 0.
# Measured: frames of CamVid have 0.78 to the next one, and 96 % of random pairs are less alike than they; the images
# of ten sets that are in no order have 0.13 and 73 % at most.
_ORDERED, _ABOVE = 0.4, 0.85
_AS_NEIGHBOURS = 0.95  # of random pairs are less alike than two images that count as near copies
_ALIKE = 0.5  # median correlation from which on images so far apart are near copies
_FARTHEST = 50


@dataclass(frozen=True, eq=False, kw_only=True)
class Order:
    """Cases in an order in which each looks like the one before.

    Attributes:
        cases: in that order.
        by_id: it is the natural order of ids, by which `data.split.method: blocks` goes.
        likeness: correlation of neighbours, median.
        least: correlation from which on two images are near copies.
        reach: so many places apart images are near copies, 1 at least.
        alike: (places, places) -> correlation of each two.
    """

    cases: tuple[Case, ...]
    by_id: bool
    likeness: float
    least: float
    reach: int
    alike: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]


def find_order(cases: Sequence[Case], images: Mapping[Path, ImageFact]) -> Order | None:
    """Returns the order of names in which the images are alike; None where they are in none, or fewer than 12.

    Names are compared as people count, whole ids or file names alone. Only what is remembered is looked at; images
    without a remembered picture are left out.
    """
    first: dict[Path, Case] = {}
    for case in cases:
        if case.image in images and images[case.image].thumb:
            first.setdefault(case.image, case)
    ways = (
        sorted(first.values(), key=lambda case: natural_key(case.id)),
        sorted(first.values(), key=lambda case: natural_key(case.image.stem)),
    )
    for by_id, ordered in ((True, ways[0]), (False, ways[1])):
        found = _look(ordered, images, by_id)
        if found is not None:
            return found
    return None


def _look(ordered: Sequence[Case], images: Mapping[Path, ImageFact], by_id: bool) -> Order | None:
    data = b"".join(bytes.fromhex(images[case.image].thumb) for case in ordered)
    thumbs = np.frombuffer(data, dtype=np.uint8).reshape(len(ordered), THUMB_SIDE**2)
    varied = np.flatnonzero(thumbs.std(axis=1) >= _FLAT_STD)
    if len(varied) < _LEAST:
        return None
    thumbs, cases = thumbs[varied], tuple(ordered[place] for place in varied.tolist())
    rng = np.random.default_rng(0)
    number = len(thumbs)
    some = _normalised(thumbs[np.sort(rng.permutation(number)[:_DRAWN])])
    mean = some.mean(axis=0)

    def alike(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float32]:
        parts = [slice(start, start + _BLOCK) for start in range(0, len(one), _BLOCK)]
        sums = [
            _correlation(_normalised(thumbs[one[part]]) - mean, _normalised(thumbs[other[part]]) - mean)
            for part in parts
        ]
        return np.concatenate([np.zeros(0, dtype=np.float32), *sums])

    def median_at(distance: int) -> tuple[float, NDArray[np.float32]]:
        places = rng.permutation(number - distance)[:_DRAWN]
        found = alike(places, places + distance)
        return float(np.median(found)), found

    one, other = rng.integers(number, size=(2, _DRAWN))
    random = np.sort(alike(one[one != other], other[one != other]))
    likeness, neighbours = median_at(1)
    above = float(np.searchsorted(random, neighbours).mean()) / len(random)
    if likeness < _ORDERED or above < _ABOVE:
        return None
    farthest = min(_FARTHEST, number // 4)
    reach = next((distance - 1 for distance in range(2, farthest + 1) if median_at(distance)[0] < _ALIKE), farthest)
    least = float(np.quantile(random, _AS_NEIGHBOURS))
    return Order(cases=cases, by_id=by_id, likeness=likeness, least=least, reach=max(1, reach), alike=alike)


def _normalised(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    centred = thumbs - thumbs.mean(axis=1, keepdims=True, dtype=np.float32)
    return np.asarray(centred / centred.std(axis=1, keepdims=True), dtype=np.float32)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.asarray((one * other).sum(axis=1) / np.maximum(size, 1e-6), dtype=np.float32)
