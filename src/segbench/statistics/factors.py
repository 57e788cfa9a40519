"""Does the loss matter? Does the network? Level means, their differences, and interactions in a grid of entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np

from segbench.locale import Message, Numbers, message
from segbench.statistics.differences import (
    LEVEL,
    Estimate,
    FloatArray,
    Groups,
    SpeaksOf,
    at_level,
    estimate_contrasts,
    holm,
    plain,
)
from segbench.statistics.factor_grid import FactorGrid, largest_grid
from segbench.statistics.variance import Prepared, prepare, with_larger_seed_variances


@dataclass(frozen=True, kw_only=True)
class LevelMean:
    """Mean of all entries with one level, the other factors weighted equally.

    Attributes:
        level: of the factor, such as `dice`.
        entries: indices of the entries it goes over.
        mean: with its interval.
    """

    level: str
    entries: tuple[int, ...]
    mean: Estimate


@dataclass(frozen=True, kw_only=True)
class LevelDifference:
    """One level minus another, averaged over the other factors.

    Attributes:
        first, second: levels.
        difference: first minus second, in the score's own sign.
        p_holm: adjusted over the pairs of levels of this factor.
        significant: p_holm is at most alpha, 1 - level unless a look has its own.
        agreeing: the difference with an interval that says what the test does: the same, or corrected for all pairs
            (Bonferroni) where the plain one leaves out 0 and the test does not tell the two levels apart.
    """

    first: str
    second: str
    difference: Estimate
    p_holm: float
    significant: bool
    agreeing: Estimate


@dataclass(frozen=True, kw_only=True)
class FactorEffect:
    """What one factor does.

    Attributes:
        factor: name, such as `loss`.
        levels: the best mean first.
        differences: all pairs of levels, the better mean first in each; the first is the largest.
        matters: some difference is significant. False does not mean that there is none.
        largest: the largest difference: the best level minus the worst.
        alone: nothing else varies: every level is one entry.
    """

    factor: str
    levels: tuple[LevelMean, ...]
    differences: tuple[LevelDifference, ...]
    matters: bool
    largest: LevelDifference
    alone: bool


@dataclass(frozen=True, kw_only=True)
class CellDeviation:
    """How far two levels together are from what each adds alone.

    Attributes:
        first_level, second_level: of the interaction's two factors.
        deviation: cell mean minus both marginal means plus the grand mean, with its interval.
        p_holm: adjusted over the cells of this interaction.
        significant: p_holm is at most alpha, 1 - level unless a look has its own.
        agreeing: the deviation with an interval that says what the test does, see `LevelDifference`.
    """

    first_level: str
    second_level: str
    deviation: Estimate
    p_holm: float
    significant: bool
    agreeing: Estimate


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Whether the effect of one factor depends on another.

    Attributes:
        first, second: factors.
        cells: one a pair of levels.
        interact: some deviation is significant. False does not mean that there is none.
        largest: the cell with the largest deviation, up or down.
    """

    first: str
    second: str
    cells: tuple[CellDeviation, ...]
    interact: bool
    largest: CellDeviation


@dataclass(frozen=True, kw_only=True)
class FactorView:
    """What the factors of a study do, over its largest complete grid.

    Attributes:
        effects: one a factor with two levels or more, in the order of the study.
        interactions: one a pair of such factors.
        used: indices of the entries of the grid.
        left_out: indices of the entries that are not in it.
        reason: why there is no view, or why entries are left out, a whole sentence; empty: all
            are in it.
        speaks_of: `the networks` or `these trained weights`.
        higher_is_better: of the score.
        level: of the intervals.
        method: how the numbers were made, whole sentences.
    """

    effects: tuple[FactorEffect, ...]
    interactions: tuple[Interaction, ...]
    used: tuple[int, ...]
    left_out: tuple[int, ...]
    reason: Message
    speaks_of: SpeaksOf
    higher_is_better: bool
    level: float
    method: tuple[Message, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; None where there is no number."""
        return dict(plain(self))

    def sentences(self, numbers: Numbers | None = None) -> list[Message]:
        """Returns what the factors do; `numbers` of the verdict they belong to."""
        numbers = numbers or Numbers()
        found = [effect_sentence(effect, numbers) for effect in self.effects]
        found += [_interaction_sentence(interaction, numbers) for interaction in self.interactions]
        if any(not effect.matters for effect in self.effects) or any(not i.interact for i in self.interactions):
            found.append(
                message(
                    "Where no difference could be shown, there may still be one that these data are too few to show."
                )
            )
        if self.effects and self.speaks_of == "these trained weights":
            found.append(message("With one seed an entry this speaks of these trained weights, not of the networks."))
        return [*found, self.reason] if self.reason else found


def effect_sentence(effect: FactorEffect, numbers: Numbers) -> Message:
    """Returns whether a factor matters, and its largest difference."""
    significant = [pair for pair in effect.differences if pair.significant]
    shown = significant[0] if effect.matters and not effect.largest.significant else effect.largest
    values = {
        "factor": effect.factor,
        "first": shown.first,
        "second": shown.second,
        "value": numbers.interval(shown.agreeing, signed=True),
        "p": numbers.p_is(shown.p_holm),
    }
    if effect.matters and effect.alone:
        return message("{factor} matters: {first} minus {second} is {value}, {p}.", **values)
    if effect.matters:
        return message(
            "{factor} matters: {first} minus {second} is {value}, {p}, averaged over everything else that varies.",
            **values,
        )
    if shown.agreeing != shown.difference and len(effect.differences) > 1:
        return message(
            "{factor}: no difference could be shown; the largest, {first} minus {second}, is {value}, {p}, both "
            "corrected for the number of comparisons.",
            **values,
        )
    return message(
        "{factor}: no difference could be shown; the largest, {first} minus {second}, is {value}, {p}.", **values
    )


def _interaction_sentence(interaction: Interaction, numbers: Numbers) -> Message:
    largest = interaction.largest
    values = {
        "first": interaction.first,
        "second": interaction.second,
        "first_level": largest.first_level,
        "second_level": largest.second_level,
        "value": numbers.interval(largest.agreeing, signed=True),
        "p": numbers.p_is(largest.p_holm),
    }
    if interaction.interact:
        return message(
            "{first} and {second} act on each other: {first_level} with {second_level} deviates by {value} from what "
            "each adds alone, {p}.",
            **values,
        )
    if largest.agreeing != largest.deviation:
        return message(
            "{first} and {second}: it could not be shown that they act on each other; the largest deviation, "
            "{first_level} with {second_level}, is {value}, {p}, both corrected for the number of comparisons.",
            **values,
        )
    return message(
        "{first} and {second}: it could not be shown that they act on each other; the largest deviation, {first_level} "
        "with {second_level}, is {value}, {p}.",
        **values,
    )


def factor_view(
    values: Sequence[FloatArray],
    factors: Sequence[Mapping[str, str]],
    *,
    groups: Groups | None = None,
    folds: Groups | None = None,
    collapsed: Sequence[int] | None = None,
    higher_is_better: bool = True,
    level: float = LEVEL,
    alpha: float | None = None,
) -> FactorView:
    """Returns what each factor does, over the largest complete grid of the K entries.

    Levels are compared by their means over all cells of the grid, every cell weighted equally; entries in one cell
    share its weight. Intervals and the pooled seed variance are those of all K entries, as in the verdict; where each
    level is one entry, its differences are the verdict's pairs and have their intervals.

    Args:
        values: K arrays (S_k, N) as for `decide`.
        factors: K mappings, factor name -> level; an entry that lacks a factor the others have is left out.
        groups, folds, collapsed, higher_is_better, level: as for `decide`.
        alpha: of the tests; None: 1 - level. A look at a study has its own, see `Look`.
    Raises:
        ValueError: as `decide`; K mappings were not given.
    """
    if len(factors) != len(values):
        raise ValueError(f"expected the factors of {len(values)} entries, got those of {len(factors)}")
    prepared = prepare(values, groups, collapsed=collapsed, folds=folds)
    grid = largest_grid(factors)
    names = [name for name, levels in grid.levels.items() if len(levels) > 1]
    if len(names) == 1 and len(grid.levels[names[0]]) == len(grid.used):
        prepared = replace(prepared, parts=with_larger_seed_variances(prepared.parts))
    alpha = 1 - level if alpha is None else alpha
    effects = [_effect(prepared, grid, name, higher_is_better, level, alpha) for name in names]
    return FactorView(
        effects=tuple(effects),
        interactions=tuple(_interaction(prepared, grid, *pair, level, alpha) for pair in combinations(names, 2)),
        used=grid.used,
        left_out=grid.left_out,
        reason=grid.reason,
        speaks_of="the networks" if prepared.parts.knows_seeds else "these trained weights",
        higher_is_better=higher_is_better,
        level=level,
        method=(
            message(
                "Means of levels go over all cells of the grid, weighted equally; intervals as for pairs of entries."
            ),
            message(
                "Differences within a factor, and the cells of an interaction, are adjusted after Holm, each by itself."
            ),
        ),
    )


def _effect(
    prepared: Prepared, grid: FactorGrid, name: str, higher_is_better: bool, level: float, alpha: float
) -> FactorEffect:
    count = len(prepared.values)
    weights = {one: grid.weights({name: one}, count) for one in grid.levels[name]}
    estimates = estimate_contrasts(prepared, np.stack(list(weights.values())), level)
    sign = -1 if higher_is_better else 1
    ranked = sorted(zip(weights, estimates, strict=True), key=lambda item: sign * item[1].value)
    means = tuple(LevelMean(level=one, entries=grid.entries({name: one}), mean=estimate) for one, estimate in ranked)
    pairs = list(combinations([mean.level for mean in means], 2))
    found = estimate_contrasts(prepared, np.stack([weights[a] - weights[b] for a, b in pairs]), level)
    adjusted = holm([estimate.p for estimate in found]).tolist()
    differences = [
        LevelDifference(
            first=a,
            second=b,
            difference=estimate,
            p_holm=p,
            significant=p <= alpha,
            agreeing=_agreeing(estimate, p <= alpha, alpha / len(pairs)),
        )
        for (a, b), estimate, p in zip(pairs, found, adjusted, strict=True)
    ]
    differences.sort(key=lambda pair: -abs(pair.difference.value))
    return FactorEffect(
        factor=name,
        levels=means,
        differences=tuple(differences),
        matters=any(pair.significant for pair in differences),
        largest=differences[0],
        alone=len(grid.levels[name]) == len(grid.used),
    )


def _agreeing(estimate: Estimate, significant: bool, share: float) -> Estimate:
    """Returns the estimate with an interval that holds 0 where the test finds nothing; `share` of alpha, of one test.

    Holm's p is at most Bonferroni's, so Bonferroni's interval holds 0 wherever Holm's test finds nothing.
    """
    holds_0 = estimate.low <= 0.0 <= estimate.high
    return estimate if significant or holds_0 else at_level(estimate, 1 - share)


def _interaction(
    prepared: Prepared, grid: FactorGrid, first: str, second: str, level: float, alpha: float
) -> Interaction:
    count = len(prepared.values)
    cells = list(product(grid.levels[first], grid.levels[second]))
    whole = grid.weights({}, count)
    weights = np.stack(
        [
            grid.weights({first: a, second: b}, count)
            - grid.weights({first: a}, count)
            - grid.weights({second: b}, count)
            + whole
            for a, b in cells
        ]
    )
    estimates = estimate_contrasts(prepared, weights, level)
    # In a 2 x 2 table all four deviations are one number up to its sign: one hypothesis, not four.
    same = [_up_to_sign(row) for row in weights]
    once = {key: estimate.p for key, estimate in zip(same, estimates, strict=True)}
    adjusted = dict(zip(once, holm(list(once.values())).tolist(), strict=True))
    found = [
        CellDeviation(
            first_level=a,
            second_level=b,
            deviation=estimate,
            p_holm=adjusted[key],
            significant=adjusted[key] <= alpha,
            agreeing=_agreeing(estimate, adjusted[key] <= alpha, alpha / len(once)),
        )
        for (a, b), estimate, key in zip(cells, estimates, same, strict=True)
    ]
    return Interaction(
        first=first,
        second=second,
        cells=tuple(found),
        interact=any(cell.significant for cell in found),
        largest=max(found, key=lambda cell: abs(cell.deviation.value)),
    )


def _up_to_sign(weights: FloatArray) -> tuple[float, ...]:
    row = np.round(weights, 12)
    turned = row if row[np.flatnonzero(row)[0]] > 0 else -row
    return tuple((turned + 0.0).tolist())
