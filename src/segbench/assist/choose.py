"""Which images to label next, from numbers alone: the most doubtful, those that are farthest from what is there, both.

`choose` takes one image after the other, so that each knows which were taken before it: no second copy of an image, and
no second image of a group before every group had one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

_SHORTLIST = 5  # times as many doubtful images as are wanted, of which the most different are taken


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Attributes: index, of the image; worth, by which it was taken: its doubt, or its distance from what was there."""

    index: int
    worth: float


def choose(
    count: int,
    worth: FloatArray | None,
    vectors: FloatArray | None = None,
    *,
    centres: FloatArray | None = None,
    relatives: Callable[[Sequence[int]], NDArray[np.int64]] | None = None,
    is_copy: Callable[[int, Sequence[int]], bool] | None = None,
) -> list[Chosen]:
    """Returns images in the order in which they are worth a label.

    With `vectors`, those that are farthest from all that is labelled or taken (k-center greedy, Sener and Savarese
    2018); with `worth`, those of the highest worth; with both, the first way among the five times as many images as
    are wanted that have the highest worth. Of equal ones the first in the list is taken.

    Args:
        count: how many at most; fewer where there are no others.
        worth: (N,) float, higher is taken earlier; None: distances alone decide.
        vectors: (N, D) float, one an image; None: worth alone decides.
        centres: (M, D) vectors of what is labelled; of none, the image of highest worth comes first, or the one that is
            nearest to the mean of all.
        relatives: of the indices taken so far, (N,) how many labelled and taken images belong to the same as each
            image (patient, place in a video); one with fewer comes first. None: none belong together.
        is_copy: of an image's index and the indices taken so far, whether it shows what is there already; such an
            image is passed over.
    Raises:
        ValueError: neither worth nor vectors.
    """
    if worth is None and vectors is None:
        raise ValueError("expected worth or vectors, got neither")
    number = len(vectors) if worth is None else len(worth)  # type: ignore[arg-type]  # one of them is there
    free = np.ones(number, dtype=bool)
    if worth is not None and vectors is not None:
        free[np.argsort(-worth, kind="stable")[_SHORTLIST * count :]] = False
    taken: list[Chosen] = []
    gain = np.asarray(worth, dtype=np.float64) if vectors is None else _distances(vectors, centres, worth)
    while len(taken) < count and free.any():
        so_far = [each.index for each in taken]
        had = relatives(so_far) if relatives is not None else np.zeros(number, dtype=np.int64)
        index = int(np.argmax(np.where(free & (had <= had[free].min()), gain, -np.inf)))
        free[index] = False
        if is_copy is not None and is_copy(index, so_far):
            continue
        taken.append(Chosen(index=index, worth=float(gain[index])))
        if vectors is not None:
            near = np.linalg.norm(vectors - vectors[index], axis=1)
            gain = near if len(taken) == 1 and not _any(centres) else np.minimum(gain, near)
    return taken


def _any(centres: FloatArray | None) -> bool:
    return centres is not None and len(centres) > 0


def _distances(vectors: FloatArray, centres: FloatArray | None, worth: FloatArray | None) -> NDArray[np.float64]:
    """Returns (N,) how far each vector is from the nearest centre; without any, what decides about the first image."""
    if centres is None or not len(centres):
        typical = -np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
        return np.asarray(typical if worth is None else worth, dtype=np.float64)
    found = np.full(len(vectors), np.inf)
    for centre in centres:
        found = np.minimum(found, np.linalg.norm(vectors - centre, axis=1))
    return found
