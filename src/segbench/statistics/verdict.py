"""Who wins, or that nobody does: the comparison of K entries in one object."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segbench.errors import shorten
from segbench.statistics.differences import (
    LEVEL,
    POWER,
    Estimate,
    FloatArray,
    Groups,
    PairDifference,
    SpeaksOf,
    Unit,
    VarianceParts,
    compare_prepared,
    entry_parts,
    estimate_contrasts,
    images_needed,
    minimum_detectable_difference,
    plain,
    reverse,
    seeds_needed,
)
from segbench.statistics.ranks import DRAWS, RankDistribution, rank_prepared
from segbench.statistics.variance import Prepared, prepare
from segbench.statistics.verdict_words import method_sentences, verdict_sentences, warning_sentences

# Which costs may decide among equals, and whether more is better.
MORE_IS_BETTER = {"training_s": False, "images_per_s": True, "parameters": False}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One entry of the comparison.

    Attributes:
        index: place among the entries as they were given.
        name: of the entry.
        mean: over images and seeds, with its interval.
        seeds: number of trainings S_k.
        parts: variance parts; seed_sd is its own estimate, not the pooled one.
        used_seed_sd: the seed SD that the intervals use: pooled over the entries, or its own; NaN with one seed
            everywhere.
        keeps_own_seed_sd: it varies so much more between seeds than the others that its own SD is used.
        seed_means: mean over images of every seed.
    """

    index: int
    name: str
    mean: Estimate
    seeds: int
    parts: VarianceParts
    used_seed_sd: float
    keeps_own_seed_sd: bool
    seed_means: tuple[float, ...]

    @property
    def seed_spread(self) -> float:
        """Standard deviation of its seeds' means, as they came out; NaN with one seed."""
        return statistics.stdev(self.seed_means) if self.seeds > 1 else math.nan


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What it would take to tell the best from the next, if the true difference is the estimated one.

    Attributes:
        first, second: indices of the best, and of the next best that cannot be told apart from it.
        difference: how much the mean of the first is better, at least 0.
        unit: what is counted: `images`, or `groups` of images.
        images_now, seeds_now: units, and the smallest number of seeds of an entry; where some have one, 2 are planned.
        images: units needed with `seeds_now` seeds; None: no number suffices.
        seeds: seeds needed with `images_now` units; None: no number suffices, or the seed SD is not known.
        detectable: smallest true difference that would have been found with `power` here.
        power: of finding it.
    """

    first: int
    second: int
    difference: float
    unit: Unit
    images_now: int
    seeds_now: int
    images: int | None
    seeds: int | None
    detectable: float
    power: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """The comparison of K entries. Indices are places among the entries as they were given.

    Attributes:
        names: of the entries, as given.
        entries: the K standings, the best mean first.
        best: index of the best mean.
        together: the best, and all that cannot be told apart from it after Holm over all pairs; the best mean first.
        winner: the best where it stands alone, else None.
        cheapest: cost name -> index of the cheapest of `together`; a cost that is known of none of them is left out.
        costs: as given, NaN where not known.
        ranks: probabilities of ranks.
        pairs: all K (K - 1) / 2 differences, first < second.
        baseline: index, or None.
        against_baseline: every other entry minus the baseline, in the order of `entries`; p_holm is that of `pairs`.
        needed: what it would take to separate the best from the next; None where there is a winner.
        warnings: what a reader must know, whole sentences.
        speaks_of: what the intervals speak of: `the networks`, trained again; or `these trained weights` alone.
        method: how the numbers were made, whole sentences.
        n_images, n_units: images, and independent units (images, or groups).
        unit: `images` or `groups`.
        higher_is_better: of the score.
        level: of the intervals.
    """

    names: tuple[str, ...]
    entries: tuple[Standing, ...]
    best: int
    together: tuple[int, ...]
    winner: int | None
    cheapest: Mapping[str, int]
    costs: Mapping[str, tuple[float, ...]]
    ranks: RankDistribution = field(repr=False)
    pairs: tuple[PairDifference, ...] = field(repr=False)
    baseline: int | None
    against_baseline: tuple[PairDifference, ...] = field(repr=False)
    needed: Needed | None
    warnings: tuple[str, ...]
    speaks_of: SpeaksOf
    method: tuple[str, ...]
    n_images: int
    n_units: int
    unit: Unit
    higher_is_better: bool
    level: float

    def standing(self, index: int) -> Standing:
        """Returns the standing of the entry that was given at `index`."""
        return next(entry for entry in self.entries if entry.index == index)

    def pair(self, first: int, second: int) -> PairDifference:
        """Returns first minus second, in either order.

        Raises:
            ValueError: no such two entries.
        """
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.second, pair.first) == (first, second):
                return reverse(pair)
        raise ValueError(f"expected two different entries of {len(self.names)}, got {first} and {second}")

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; None where there is no number."""
        return dict(plain(self))

    def sentences(self) -> list[str]:
        """Returns the verdict in plain English, the outcome first, warnings last."""
        return verdict_sentences(self)


def judge(
    names: Sequence[str],
    values: Sequence[FloatArray],
    *,
    groups: Groups | None = None,
    costs: Mapping[str, Sequence[float]] | None = None,
    higher_is_better: bool = True,
    baseline: str | None = None,
    fixed: Sequence[bool] | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Verdict:
    """Returns the verdict over K >= 2 entries.

    Args:
        names: K different names.
        values: K arrays (S_k, N), scores of the same N images in the same order; no NaN.
        groups: (N,) group of every image (patient, scene), or None: images are independent.
        costs: cost name (`training_s`, `images_per_s`, `parameters`) -> K numbers, NaN where not known.
        higher_is_better: of the score.
        baseline: name of the entry the others are compared with.
        fixed: K flags: an entry that stands for itself and has no seeds, such as masks of another tool.
        level: of the intervals; 1 - level is the family-wise error of the verdict.
        seed: of the permutation tests and the rank draws.
    Raises:
        ValueError: fewer than two entries, names that repeat, arrays of other shapes or with NaN, an unknown cost or
            baseline, fewer than two independent units.
    """
    names = tuple(names)
    _check(names, values, costs or {}, baseline)
    prepared = prepare(values, groups, fixed)
    pairs = compare_prepared(prepared, higher_is_better, level, seed)
    standings = _standings(names, prepared, higher_is_better, level)
    best = standings[0].index
    apart = {
        pair.second if pair.first == best else pair.first for pair in pairs if pair.significant and _has(pair, best)
    }
    together = tuple(entry.index for entry in standings if entry.index not in apart)
    known = {name: tuple(float(value) for value in given) for name, given in (costs or {}).items()}
    reference = None if baseline is None else names.index(baseline)
    return Verdict(
        names=names,
        entries=standings,
        best=best,
        together=together,
        winner=best if len(together) == 1 else None,
        cheapest=_cheapest(known, together),
        costs=known,
        ranks=rank_prepared(prepared, higher_is_better, DRAWS, seed),
        pairs=pairs,
        baseline=reference,
        against_baseline=_against(reference, standings, pairs),
        needed=_needed(prepared, pairs, together, level) if len(together) > 1 else None,
        warnings=warning_sentences(names, prepared, known),
        speaks_of="the networks" if prepared.parts.knows_seeds else "these trained weights",
        method=method_sentences(prepared, level),
        n_images=prepared.averaged.shape[1],
        n_units=prepared.units.count,
        unit="groups" if prepared.grouped else "images",
        higher_is_better=higher_is_better,
        level=level,
    )


def _check(
    names: tuple[str, ...],
    values: Sequence[FloatArray],
    costs: Mapping[str, Sequence[float]],
    baseline: str | None,
) -> None:
    if len(names) < 2:
        raise ValueError(f"expected two entries or more to compare, got {len(names)}")
    if len(values) != len(names):
        raise ValueError(f"expected the scores of {len(names)} entries, got those of {len(values)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"expected different names, got {shorten(twice)} more than once")
    for name, given in costs.items():
        if name not in MORE_IS_BETTER:
            raise ValueError(f"expected costs named {', '.join(MORE_IS_BETTER)}, got {name!r}")
        if len(given) != len(names):
            raise ValueError(f"expected one {name} for each of the {len(names)} entries, got {len(given)}")
    if baseline is not None and baseline not in names:
        raise ValueError(f"expected the baseline to be one of {shorten(names)}, got {baseline!r}")


def _has(pair: PairDifference, index: int) -> bool:
    return index in (pair.first, pair.second)


def _standings(names: Sequence[str], prepared: Prepared, higher_is_better: bool, level: float) -> tuple[Standing, ...]:
    """Returns the entries, the best mean first; of equal means the one given first."""
    parts = prepared.parts
    means = estimate_contrasts(prepared, np.eye(len(names)), level)
    used = np.sqrt(parts.seed_variance)
    order = np.argsort(-parts.means if higher_is_better else parts.means, kind="stable")
    return tuple(
        Standing(
            index=k,
            name=names[k],
            mean=means[k],
            seeds=int(parts.seeds[k]),
            parts=entry_parts(prepared, k),
            used_seed_sd=float(used[k]),
            keeps_own_seed_sd=bool(parts.keeps_own[k]),
            seed_means=tuple(prepared.values[k].mean(axis=1).tolist()),
        )
        for k in order.tolist()
    )


def _cheapest(costs: Mapping[str, tuple[float, ...]], together: Sequence[int]) -> dict[str, int]:
    """Returns cost -> the entry that beats all others whose cost is known.

    Of several with the fewest parameters it is the one with the best mean, unless all have as many: one network that
    is compared with several losses has one size. A time that several share is nobody's merit.
    """
    found = {}
    for name, given in costs.items():
        known = [index for index in together if np.isfinite(given[index])]
        if len(known) < 2:
            continue
        best = (max if MORE_IS_BETTER[name] else min)(given[index] for index in known)
        holders = [index for index in known if given[index] == best]
        if len(holders) == 1 or (name == "parameters" and len(holders) < len(known)):
            found[name] = holders[0]
    return found


def _against(
    baseline: int | None, standings: Sequence[Standing], pairs: Sequence[PairDifference]
) -> tuple[PairDifference, ...]:
    if baseline is None:
        return ()
    found = {}
    for pair in pairs:
        if _has(pair, baseline):
            turned = pair if pair.second == baseline else reverse(pair)
            found[turned.first] = turned
    return tuple(found[entry.index] for entry in standings if entry.index != baseline)


def _needed(prepared: Prepared, pairs: Sequence[PairDifference], together: Sequence[int], level: float) -> Needed:
    """Returns the plan for the best and the next; at least one image or seed more, since these did not suffice."""
    first, second = together[:2]
    pair = next(pair for pair in pairs if _has(pair, first) and _has(pair, second))
    difference = abs(pair.difference.value)
    trained = prepared.parts.seeds[~prepared.fixed]
    images, seeds, entries = prepared.units.count, int(trained.min()) if len(trained) else 1, len(prepared.values)
    parts = pair.parts
    planned = max(seeds, 2) if prepared.parts.knows_seeds else seeds
    more_images = images_needed(difference, parts, seeds=planned, entries=entries, level=level)
    more_seeds = seeds_needed(difference, parts, images=images, entries=entries, level=level)
    return Needed(
        first=first,
        second=second,
        difference=difference,
        unit="groups" if prepared.grouped else "images",
        images_now=images,
        seeds_now=planned,
        images=None if more_images is None else max(more_images, images + 1),
        seeds=None if more_seeds is None else max(more_seeds, planned + 1),
        detectable=minimum_detectable_difference(parts, images=images, seeds=planned, entries=entries, level=level),
        power=POWER,
    )
