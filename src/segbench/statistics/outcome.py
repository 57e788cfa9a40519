"""The comparison of K entries in numbers: who wins, or that nobody does, and what each difference allows to say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segbench.locale import Message, Numbers
from segbench.statistics.differences import Estimate, PairDifference, SpeaksOf, Unit, VarianceParts, plain, reverse
from segbench.statistics.looks import Look

TOO_FEW_UNITS = 2  # images, or groups: for an interval that somebody can use
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
        keeps_own_seed_sd: it varies so much more between seeds than the others that its own SD is used, or a training
            of it collapsed.
        seed_means: mean over images of every seed.
        failures: trainings that collapsed, and trainings that were looked at; (0, 0) where nobody looked.
        failure_high: upper end of the one-sided interval of the share of trainings that collapse, at the level of the
            verdict (Clopper and Pearson 1934): 0 of 3 leaves up to 0.63; 1 where nobody looked.
    """

    index: int
    name: str
    mean: Estimate
    seeds: int
    parts: VarianceParts
    used_seed_sd: float
    keeps_own_seed_sd: bool
    seed_means: tuple[float, ...]
    failures: tuple[int, int]
    failure_high: float

    @property
    def seed_spread(self) -> float:
        """Standard deviation of its seeds' means, as they came out; NaN with one seed."""
        return statistics.stdev(self.seed_means) if self.seeds > 1 else math.nan


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What it would take to tell the best from the next, if the true difference is the estimated one.

    Attributes:
        first, second: indices of the best, and of the next best mean that may be the best, too.
        difference: how much the mean of the first is better, at least 0.
        unit: what is counted: `images`, or `groups` of images.
        images_now, seeds_now: units, and the smallest number of seeds of an entry; where some have one, 2 are planned.
        images: units needed with `seeds_now` seeds; None: not even 100 times as many suffice.
        seeds: seeds needed with `images_now` units; None: not even 10 times as many suffice, or the seed SD is not
            known.
        together: neither of the two alone suffices, so many images and so many seeds together do.
        detectable: smallest true difference that would have been found with `power` here.
        margin: smallest margin inside which the two would be shown to be equivalent with `power` here, if they are
            equal.
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
    together: bool
    detectable: float
    margin: float
    power: float

    @property
    def too_close(self) -> bool:
        """Whether no more images and seeds, in numbers that somebody may have, tell the two apart."""
        return self.images is None and self.seeds is None and not self.together


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """The comparison of K entries. Indices are places among the entries as they were given.

    Attributes:
        names: of the entries, as given.
        score: what the score is called.
        entries: the K standings, the best mean first.
        best: index of the best mean.
        winner: the best, where a two-sided test against every other entry verifies it, and each was trained with two
            seeds or more; else None.
        ahead: where some entry was trained with one seed, the best if the same tests verify it for these trained
            weights; else None.
        may_be_best: the winner (or the one ahead), or the best and all that one-sided tests do not exclude; the best
            mean first.
        ranks: of each entry, as given, the best and the worst rank that it may have; 1 is best. All together hold at
            `level`.
        margin: difference that does not matter in practice; None: no answers with a margin.
        not_worse: entries shown to be not worse than the best by more than the margin, the best first; () without one.
        cheapest: cost name -> index of the cheapest of `not_worse`; a cost that does not tell them apart is left out.
        costs: as given, NaN where not known.
        pairs: all K (K - 1) / 2 differences, first < second.
        baseline: index, or None.
        against_baseline: every other entry minus the baseline, in the order of `entries`; p_holm is adjusted over
            these K - 1 comparisons.
        needed: what it would take to separate the best from the next; None where there is a winner.
        warnings: what a reader must know, whole sentences.
        speaks_of: what the intervals speak of: `the networks`, trained again; or `these trained weights` alone.
        method: how the numbers were made, whole sentences.
        n_images, n_units: images, and independent units (images, or groups).
        unit: `images` or `groups`.
        higher_is_better: of the score.
        look: which look at the study this is, with the level that its tests use; None: the only one, at 1 - level.
        fold_factor: what the images' variance was multiplied by in a cross-validation; 1: a test part.
        level: of the intervals.
        all_judged: every approach that was planned is among the entries; False: some have no training to judge.
    """

    names: tuple[str, ...]
    score: str
    entries: tuple[Standing, ...]
    best: int
    winner: int | None
    ahead: int | None
    may_be_best: tuple[int, ...]
    ranks: tuple[tuple[int, int], ...]
    margin: float | None
    not_worse: tuple[int, ...]
    cheapest: Mapping[str, int]
    costs: Mapping[str, tuple[float, ...]]
    pairs: tuple[PairDifference, ...] = field(repr=False)
    baseline: int | None
    against_baseline: tuple[PairDifference, ...] = field(repr=False)
    needed: Needed | None
    warnings: tuple[Message, ...]
    speaks_of: SpeaksOf
    method: tuple[Message, ...]
    n_images: int
    n_units: int
    unit: Unit
    higher_is_better: bool
    look: Look | None
    fold_factor: float = 1.0
    level: float
    all_judged: bool = True

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

    @property
    def numbers(self) -> Numbers:
        """How its scores are written: with so many decimals that half an interval has two digits, 2 to 4.

        Two images or groups have one degree of freedom, and an interval over all that a score can be.
        """
        widths = sorted(entry.mean.high - entry.mean.low for entry in self.entries)
        half = widths[len(widths) // 2] / 2.0
        digits = 2 if half >= 1.0 else 3 if half >= 0.002 else 4
        return Numbers(digits, intervals=self.n_units > TOO_FEW_UNITS)
