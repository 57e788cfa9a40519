"""Dealing samples into parts that are alike: iterative stratification (Sechidis and others 2011), groups kept whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segbench.data.manifest.manifest import Manifest
from segbench.data.split.units import Unit, join_units
from segbench.errors import DatasetError
from segbench.types import Sample

_STRATA = 4  # of the share of foreground, beside "none" and "unknown"

Presence = Mapping[str, Collection[int]]  # id -> indices of the classes that have a pixel


def assign_folds(
    manifest: Manifest,
    k: int,
    *,
    seed: int,
    presence: Presence | None = None,
    block: int | None = None,
    stratify: bool = True,
    alike: Iterable[Sequence[str]] = (),
) -> dict[str, int]:
    """Returns id -> fold, 0 to k - 1: folds of like size, in which classes and shares of foreground are alike.

    Args:
        manifest: whose groups and copies of images stay together.
        k: number of folds.
        seed: of the draw.
        presence: which classes each sample holds; None looks at the share of foreground alone.
        block: so many neighbours in natural order of ids stay together.
        stratify: make the folds alike; else draw at random.
        alike: ids that stay together, too.
    Raises:
        DatasetError: there are fewer groups than folds.
    """
    units = join_units(manifest.samples, block, alike)
    if len(units) < k:
        raise DatasetError(
            f"{len(manifest)} samples form {len(units)} groups that must stay together, too few for {k} folds; lower k "
            "or label images of more groups",
            path=manifest.folder,
        )
    sizes = [len(manifest) // k + (fold < len(manifest) % k) for fold in range(k)]
    labels = strata(units, manifest.samples, presence) if stratify else np.zeros((len(units), 0), dtype=np.int64)
    folds = deal(units, labels, sizes, seed)
    return {name: int(fold) for unit, fold in zip(units, folds, strict=True) for name in unit.ids}


def strata(units: Sequence[Unit], samples: Sequence[Sample], presence: Presence | None) -> NDArray[np.int64]:
    """Returns (units, labels) how many samples of each unit have each label: a class, or a range of foreground.

    Classes that every sample holds, or none, tell nothing and are left out.
    """
    fracs = np.array([-1.0 if sample.foreground_frac is None else sample.foreground_frac for sample in samples])
    some = fracs[fracs > 0]
    edges = np.quantile(some, np.linspace(0, 1, _STRATA + 1)[1:-1]) if len(some) else np.zeros(0)
    ranges = np.where(fracs > 0, 2 + np.searchsorted(edges, fracs), fracs == 0)
    table = ranges[:, None] == np.unique(ranges)[None, :]
    if presence is not None:
        names = sorted({index for sample in samples for index in presence[sample.id]})
        held = np.array([[index in presence[sample.id] for index in names] for sample in samples], dtype=bool)
        held = held.reshape(len(samples), len(names))
        table = np.concatenate([table, held[:, ~held.all(axis=0)]], axis=1)
    row = {sample.id: place for place, sample in enumerate(samples)}
    return np.array([table[[row[name] for name in unit.ids]].sum(axis=0) for unit in units], dtype=np.int64)


def deal(
    units: Sequence[Unit], labels: NDArray[np.int64], capacity: Sequence[int], seed: int, required: int | None = None
) -> NDArray[np.int64]:
    """Returns the part of each unit: large units first, and among like ones those with the rarest label first.

    Args:
        units: to be dealt.
        labels: (units, labels), see `strata`.
        capacity: wanted number of samples of each part.
        seed: of the order, and of what decides between equals.
        required: so many parts, the first ones, must not stay empty; None means all.
    """
    rng = np.random.default_rng(seed)
    sizes = np.array([len(unit.ids) for unit in units])
    room = np.array(capacity, dtype=np.float64)
    wanted = np.outer(room / room.sum(), labels.sum(axis=0))
    often = np.maximum(labels.sum(axis=0), 1)
    parts = np.full(len(units), -1)
    shuffled = rng.permutation(len(units))
    magnitude = np.array([size.bit_length() for size in sizes.tolist()])
    for large in sorted(set(magnitude.tolist()), reverse=True):
        left = shuffled[magnitude[shuffled] == large]
        while len(left):
            totals = labels[left].sum(axis=0)
            rarest = int(np.argmin(np.where(totals > 0, totals, totals.max() + 1))) if totals.any() else None
            chosen = left if rarest is None else left[labels[left, rarest] > 0]
            for unit in chosen:
                lag = wanted @ (labels[unit] / often)  # over all of its labels, a rare one counting more
                first = lag if rarest is None else wanted[:, rarest]
                part = _neediest(first, lag, room, int(sizes[unit]), rng)
                parts[unit] = part
                room[part] -= sizes[unit]
                wanted[part] -= labels[unit]
            left = left[parts[left] < 0]
    _fill_empty(parts, sizes, len(capacity) if required is None else required)
    return parts


def _neediest(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    room: NDArray[np.float64],
    size: int,
    rng: np.random.Generator,
) -> int:
    """Returns the part that lags most behind among those with room; the one with most room where none has enough."""
    fits = room >= size
    if not fits.any():
        return int(np.argmax(room))
    return int(np.lexsort((rng.random(len(room)), room, second, first.round(6), fits))[-1])


def _fill_empty(parts: NDArray[np.int64], sizes: NDArray[np.int64], required: int) -> None:
    """Gives each empty part the smallest unit of the part that has the most units."""
    for part in range(required):
        if not (parts == part).any():
            donor = int(np.argmax(np.bincount(parts)))
            units = np.flatnonzero(parts == donor)
            parts[units[np.argmin(sizes[units])]] = part
