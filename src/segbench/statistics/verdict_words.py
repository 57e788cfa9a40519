"""The verdict, its warnings and its method in plain English sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from segbench.errors import shorten
from segbench.statistics.variance import KEEP_OWN_LEVEL, Prepared

if TYPE_CHECKING:
    from segbench.statistics.differences import Estimate
    from segbench.statistics.verdict import Needed, Verdict

# Below this many independent units the t interval leans on scores being roughly normal.
FEW_UNITS = 50
CHEAPEST = {
    "training_s": "The cheapest of them to train is {name} ({cost:,.0f} s)",
    "images_per_s": "The fastest of them is {name} ({cost:,.1f} images/s)",
    "parameters": "The smallest of them is {name} ({cost:,.0f} parameters)",
}


def digits_of(estimate: Estimate) -> int:
    """Returns how many decimals show two digits of the interval's width; 2 to 6."""
    width = estimate.high - estimate.low
    return 3 if not 0 < width < math.inf else min(max(1 - math.floor(math.log10(width)), 2), 6)


def spell(estimate: Estimate) -> str:
    """Returns an estimate with its interval, such as `0.861 [0.842, 0.880]`."""
    digits = digits_of(estimate)
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def verdict_sentences(verdict: Verdict) -> list[str]:
    """Returns the outcome, the cheapest, what it would take, the baseline, what it speaks of, and the warnings."""
    found = [_outcome(verdict)]
    for cost, index in verdict.cheapest.items() if len(verdict.together) > 1 else ():
        value = verdict.costs[cost][index]
        shared = sum(verdict.costs[cost][other] == value for other in verdict.together) - 1
        more = f", as {shared} more are" if shared else ""
        found.append(CHEAPEST[cost].format(name=verdict.names[index], cost=value) + f"{more}.")
    if verdict.needed is not None:
        found.append(needed_sentence(verdict.needed, verdict))
    found += _baseline(verdict)
    found.append(_speaks_of(verdict))
    return found + list(verdict.warnings)


def _outcome(verdict: Verdict) -> str:
    count, best = len(verdict.names), verdict.entries[0]
    told = f"{best.name}, {spell(best.mean)}"
    if verdict.winner is not None:
        following = verdict.entries[1]
        ahead = verdict.pair(best.index, following.index).difference
        others = f"each of the other {count - 1}" if count > 2 else "the other"
        return f"{best.name} wins: {spell(best.mean)}, told apart from {others}; {spell(ahead)} from {following.name}."
    rest = [verdict.names[index] for index in verdict.together[1:]]
    if count == 2:
        return f"No winner: {rest[0]} cannot be told apart from the best ({told})."
    if len(verdict.together) == count:
        return f"No winner: none of the {count} can be told apart from the best ({told})."
    told_rest = f"{len(rest)} of the other {count - 1} cannot be told apart from the best"
    return f"No winner: {told_rest} ({told}): {shorten(rest)}."


def needed_sentence(needed: Needed, verdict: Verdict) -> str:
    """Returns what would tell the best from the next at the estimated difference."""
    one, other = verdict.names[needed.first], verdict.names[needed.second]
    digits = digits_of(verdict.pair(needed.first, needed.second).difference)
    gap = f"{needed.difference:.{digits}f}"
    start = f"To tell {one} from {other}, if they truly differ by the estimated {gap},"
    if verdict.speaks_of == "these trained weights":
        if needed.images is None:
            return f"{start} no number of {needed.unit} suffices."
        return f"{start} about {needed.images:,} {needed.unit} instead of {needed.images_now:,} would be needed."
    with_seeds = f"with {needed.seeds_now} seeds"
    images = (
        f"no number of {needed.unit} suffices {with_seeds}"
        if needed.images is None
        else f"about {needed.images:,} {needed.unit} instead of {needed.images_now:,} would be needed {with_seeds}"
    )
    seeds = (
        f"no number of seeds suffices with {needed.images_now:,} {needed.unit}"
        if needed.seeds is None
        else f"about {needed.seeds:,} seeds instead of {needed.seeds_now} with {needed.images_now:,} {needed.unit}"
    )
    if needed.images is None and needed.seeds is None:
        return f"{start} more of both would be needed: {images}, and {seeds}."
    return f"{start} {images}; {seeds}." if needed.seeds is None else f"{start} {images}, or {seeds}."


def _baseline(verdict: Verdict) -> list[str]:
    if verdict.baseline is None:
        return []
    better = [verdict.names[pair.first] for pair in verdict.against_baseline if pair.better == pair.first]
    worse = [verdict.names[pair.first] for pair in verdict.against_baseline if pair.better == verdict.baseline]
    name, count = verdict.names[verdict.baseline], len(verdict.against_baseline)
    if not better and not worse:
        others = "The other cannot" if count == 1 else f"None of the {count} others can"
        return [f"{others} be told apart from the baseline {name}."]
    parts = [f"better: {shorten(better)}"] if better else []
    parts += [f"worse: {shorten(worse)}"] if worse else []
    rest = count - len(better) - len(worse)
    tail = f"; for {rest} no difference could be shown" if rest else ""
    return [f"Against the baseline {name}: {'; '.join(parts)}{tail}."]


def _speaks_of(verdict: Verdict) -> str:
    if verdict.speaks_of == "the networks":
        return "This speaks of the networks, trained again with other seeds and shown other images of this kind."
    return "This speaks of these trained weights on other images of this kind, not of the networks trained again."


def warning_sentences(
    names: Sequence[str], prepared: Prepared, costs: Mapping[str, Sequence[float]]
) -> tuple[str, ...]:
    """Returns what a reader must know before believing the numbers."""
    parts, units = prepared.parts, prepared.units
    found = []
    fixed = [name for name, flag in zip(names, prepared.fixed, strict=True) if flag]
    alone = [name for name, seeds in zip(names, parts.seeds, strict=True) if seeds == 1 and name not in fixed]
    if not parts.knows_seeds:
        found.append(
            "Every network was trained with one seed: training one again may change its score by more than the "
            "intervals show; only more seeds can tell."
        )
    elif alone:
        found.append(
            f"{shorten(alone)} has one seed: how much another training would change it is not known; the intervals "
            "assume that it varies between seeds as the others do."
        )
    if fixed:
        found.append(f"What is said of {shorten(fixed)} holds for these masks alone, whatever made them.")
    seed_df = int((parts.seeds - 1).sum())
    if 0 < seed_df < 4:
        found.append(
            f"How much seeds matter is estimated with {seed_df} degree{'s' if seed_df > 1 else ''} of freedom: "
            "intervals are wide, and cover a little less often than they say. More seeds help most."
        )
    own = [name for name, keeps in zip(names, parts.keeps_own, strict=True) if keeps]
    if own:
        what, whose = ("it", "its") if len(own) == 1 else ("they", "their")
        found.append(
            f"{shorten(own)} varied more between seeds than the others: how much {what} may vary is estimated from "
            f"{whose} own seeds alone, which makes {whose} intervals wide."
        )
    if units.count < FEW_UNITS:
        what = "independent groups" if prepared.grouped else "test images"
        found.append(f"{units.count} {what} are few: the intervals rely on differences being roughly normal.")
    if prepared.grouped and units.df < 0.8 * (units.count - 1):
        found.append(
            f"The groups hold very different numbers of images: {units.count} of them are worth {units.df + 1:.1f} "
            "equal ones."
        )
    same = [f"{names[i]} and {names[j]}" for i, j in combinations(range(len(names)), 2) if _same(prepared, i, j)]
    if same:
        found.append(f"The same score on every image: {shorten(same)}; are they the same network?")
    unknown: dict[str, list[str]] = {}
    for cost, given in costs.items():
        names_without = [name for name, value in zip(names, given, strict=True) if not np.isfinite(value)]
        if names_without and len(names_without) < len(names):
            unknown.setdefault(shorten(names_without), []).append(cost)
    for owners, which in unknown.items():
        found.append(f"{', '.join(which)}: not known of {owners}, which therefore cannot be the cheapest.")
    return tuple(found)


def _same(prepared: Prepared, first: int, second: int) -> bool:
    return bool(np.allclose(prepared.averaged[first], prepared.averaged[second], rtol=1e-12, atol=0))


def method_sentences(prepared: Prepared, level: float) -> tuple[str, ...]:
    """Returns how intervals, p values and the family-wise error were made."""
    parts, units = prepared.parts, prepared.units
    unit = f"{units.count} groups of images" if prepared.grouped else f"{units.count} images"
    found = [
        f"Two-sided t intervals at {level:.0%}. Images: variance of seed-averaged scores over {unit} (the same for "
        f"every entry), {units.df:.4g} degrees of freedom."
    ]
    if not parts.knows_seeds:
        found.append("Seeds: one each, so their part is not known and not in the intervals.")
    else:
        counts = sorted(set(parts.seeds.tolist()))
        shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        total = int((parts.seeds - 1).sum())
        own = int(parts.keeps_own.sum())
        how = (
            f"pooled over the entries ({total} degrees of freedom); an entry that an F test at {KEEP_OWN_LEVEL:g} "
            f"finds less stable than the others keeps its own ({own} here)"
            if parts.pooled
            else f"each entry's own ({total} degrees of freedom together)"
        )
        found.append(
            f"Seeds: {shown} an entry; variance between seeds from a crossed seed-by-image analysis of variance, "
            f"{how}; Satterthwaite's degrees of freedom."
        )
    found.append(
        f"Differences are called real after Holm's adjustment over all pairs ({_pairs(prepared)}), which bounds the "
        f"chance of any false one by {1 - level:.2g}."
    )
    return tuple(found)


def _pairs(prepared: Prepared) -> int:
    return len(prepared.values) * (len(prepared.values) - 1) // 2
