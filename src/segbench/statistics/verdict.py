"""The comparison of K entries in one object: who wins, or that nobody does, and the sentences that say so."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segbench.locale import Message, Numbers, join, listed, message, plural
from segbench.statistics.differences import Estimate, PairDifference, SpeaksOf, Unit, VarianceParts, plain, reverse
from segbench.statistics.ranks import RankDistribution

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
        score: what the score is called.
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
    score: str
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
    warnings: tuple[Message, ...]
    speaks_of: SpeaksOf
    method: tuple[Message, ...]
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

    @property
    def numbers(self) -> Numbers:
        """How its scores are written: with so many decimals that half an interval has two digits, 2 to 4."""
        widths = sorted(entry.mean.high - entry.mean.low for entry in self.entries)
        half = widths[len(widths) // 2] / 2.0
        return Numbers(2 if half >= 1.0 else 3 if half >= 0.002 else 4)

    def headline(self) -> Message:
        """Returns the outcome in a few words: the winner, or how many cannot be told apart."""
        count, total = len(self.together), len(self.names)
        if self.winner is not None:
            return message("Best: {name}", name=self.names[self.winner])
        if total == 2:
            return message("No winner: the two approaches cannot be told apart")
        if count == total:
            return plural(
                "No winner: {n} approach cannot be told from the best",
                "No winner: none of {n} approaches can be told from the best",
                n=total,
            )
        return plural(
            "No winner: {count} of {n} approach cannot be told apart",
            "No winner: {count} of {n} approaches cannot be told apart",
            n=total,
            count=count,
        )

    def sentences(self) -> list[Message]:
        """Returns the verdict in whole sentences, the outcome first, warnings last.

        The terminal, the Markdown report and the page say these, in this order where they stand together.
        """
        told = [self.headline(), *best_sentences(self), *cheapest_sentences(self), *needed_sentences(self)]
        return [*told, *baseline_sentences(self), speaks_of_sentence(self), *self.warnings]


def best_sentences(verdict: Verdict) -> list[Message]:
    """Returns what the best mean is, and what it can or cannot be told apart from."""
    best, numbers = verdict.standing(verdict.best), verdict.numbers
    values = {"name": best.name, "score": verdict.score, "value": numbers.interval(best.mean)}
    if verdict.winner is not None:
        following = verdict.entries[1]
        ahead = verdict.pair(best.index, following.index).difference
        return [
            message(
                "{name} reaches {score} {value} and differs from every other approach, after correction for all pairs.",
                **values,
            ),
            message(
                "The difference from the next, {name}, is {value}.",
                name=following.name,
                value=numbers.interval(ahead, signed=True),
            ),
        ]
    told = [message("The best mean is that of {name}: {score} {value}.", **values)]
    if len(verdict.together) < len(verdict.names):
        rest = [verdict.names[index] for index in verdict.together[1:]]
        told.append(message("It cannot be told apart from {names}.", names=listed(rest)))
    told.append(
        message(
            "That is a normal outcome: not showing a difference is not showing that there is none. Where scores do not "
            "decide, cost may."
        )
    )
    return told


def cheapest_sentences(verdict: Verdict) -> list[Message]:
    """Returns a sentence that names the entry that is the cheapest, for every cost that is known."""
    if verdict.winner is not None:
        return []
    found: dict[int, list[Message]] = {}
    for cost, index in verdict.cheapest.items():
        value = verdict.costs[cost][index]
        shared = sum(verdict.costs[cost][other] == value for other in verdict.together) - 1
        found.setdefault(index, []).append(_cheap(cost, value, shared, verdict.numbers))
    parts = [
        message("{name} is {what}", name=verdict.names[index], what=join(", ", what)) for index, what in found.items()
    ]
    return [message("Among those that cannot be told apart, {parts}.", parts=join("; ", parts))] if parts else []


def _cheap(cost: str, value: float, shared: int, numbers: Numbers) -> Message:
    if cost == "training_s":
        return message("the quickest to train ({value} a run)", value=numbers.duration(value))
    if cost == "images_per_s":
        return message("the fastest to predict ({value} images/s)", value=numbers.rate(value))
    shown = numbers.large(value)
    if shared:
        return message("among the smallest ({value} parameters, as {n} more)", value=shown, n=shared)
    return message("the smallest ({value} parameters)", value=shown)


def units(unit: Unit, number: int) -> Message:
    """Returns a number of images, or of groups."""
    if unit == "groups":
        return plural("{n:,} group", "{n:,} groups", n=number)
    return plural("{n:,} image", "{n:,} images", n=number)


def _seeds(number: int) -> Message:
    return plural("{n:,} seed", "{n:,} seeds", n=number)


def needed_sentences(verdict: Verdict) -> list[Message]:
    """Returns what would tell the best from the next, and what would have been found; nothing where there is a "
    "winner."""
    needed, numbers = verdict.needed, verdict.numbers
    if needed is None:
        return []
    gap = numbers.score(needed.difference)
    names = {"first": verdict.names[needed.first], "second": verdict.names[needed.second]}
    images_now, seeds_now = units(needed.unit, needed.images_now), _seeds(needed.seeds_now)
    ways = _ways(needed, images_now, seeds_now)
    result = []
    if ways:
        result.append(
            message(
                "To tell {first} from {second} at the estimated difference of {difference}, about {ways} would be "
                "needed.",
                difference=gap,
                ways=message("{way}, or {other}", way=ways[0], other=ways[1]) if len(ways) == 2 else ways[0],
                **names,
            )
        )
    if needed.images is None and verdict.speaks_of == "these trained weights":
        result.append(message("No number of images shows a difference of {difference}.", difference=gap))
    elif needed.images is None and needed.seeds is None:
        result.append(
            message(
                "A difference of {difference} would be shown neither by more images alone nor by more seeds alone; it "
                "takes more of both.",
                difference=gap,
            )
        )
    elif needed.images is None:
        result.append(
            message(
                "With {seeds} no number of images suffices for a difference of {difference}: how much one training "
                "differs from the next is larger.",
                seeds=seeds_now,
                difference=gap,
            )
        )
    result.append(
        message(
            "With {images} and {seeds}, a true difference of {difference} between {first} and {second} would have been "
            "found with a probability of {power}.",
            images=images_now,
            seeds=seeds_now,
            difference=numbers.score(needed.detectable),
            power=numbers.percent(needed.power),
            **names,
        )
    )
    return result


def _ways(needed: Needed, images_now: Message, seeds_now: Message) -> list[Message]:
    ways = []
    if needed.images is not None:
        more = units(needed.unit, needed.images)
        ways.append(
            message("{more} instead of {now:,} (with {seeds})", more=more, now=needed.images_now, seeds=seeds_now)
        )
    if needed.seeds is not None:
        more = _seeds(needed.seeds)
        ways.append(
            message("{more} instead of {now:,} (with {images})", more=more, now=needed.seeds_now, images=images_now)
        )
    return ways


def baseline_sentences(verdict: Verdict) -> list[Message]:
    """Returns how the entries stand to the baseline; nothing where none was named."""
    if verdict.baseline is None:
        return []
    base = verdict.standing(verdict.baseline)
    better = [verdict.names[pair.first] for pair in verdict.against_baseline if pair.better == pair.first]
    worse = [verdict.names[pair.first] for pair in verdict.against_baseline if pair.better == verdict.baseline]
    rest = [verdict.names[pair.first] for pair in verdict.against_baseline if pair.better is None]
    result = [
        message(
            "The baseline is {name} with {value}. Significantly better: {better}; significantly worse: {worse}; cannot "
            "be told apart: {rest}.",
            name=base.name,
            value=verdict.numbers.interval(base.mean),
            better=listed(better) if better else message("none"),
            worse=listed(worse) if worse else message("none"),
            rest=listed(rest) if rest else message("none"),
        )
    ]
    if verdict.best != verdict.baseline:
        best = next(pair for pair in verdict.against_baseline if pair.first == verdict.best)
        result.append(
            message(
                "Best minus baseline, {first} minus {second}: {value}; {p} after Holm's correction over all pairs.",
                first=verdict.names[best.first],
                second=verdict.names[best.second],
                value=verdict.numbers.interval(best.difference, signed=True),
                p=verdict.numbers.p_is(best.p_holm),
            )
        )
    return result


def speaks_of_sentence(verdict: Verdict) -> Message:
    """Returns what the intervals hold for."""
    if verdict.speaks_of == "these trained weights":
        return message(
            "One training each: the intervals speak of these trained weights on other images of this kind, not of the "
            "approaches."
        )
    seeds = sorted({standing.seeds for standing in verdict.entries if standing.seeds})
    return message(
        "The intervals speak of the approaches: trained again with other seeds ({seeds} each here), and scored on "
        "other "
        "data of this kind ({units} here).",
        seeds=f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]}–{seeds[-1]}",
        units=units(verdict.unit, verdict.n_units),
    )
