"""Does the loss matter? Does the network? Level means, their differences, and interactions in a grid of entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from segbench.statistics.differences import (
    LEVEL,
    Estimate,
    FloatArray,
    Groups,
    SpeaksOf,
    estimate_contrasts,
    holm,
    plain,
)
from segbench.statistics.factor_grid import FactorGrid, largest_grid
from segbench.statistics.variance import Prepared, prepare
from segbench.statistics.verdict_words import spell


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
        significant: p_holm is at most 1 - level.
    """

    first: str
    second: str
    difference: Estimate
    p_holm: float
    significant: bool


@dataclass(frozen=True, kw_only=True)
class FactorEffect:
    """What one factor does.

    Attributes:
        factor: name, such as `loss`.
        levels: the best mean first.
        differences: all pairs of levels, the better mean first in each; the first is the largest.
        matters: some difference is significant. False does not mean that there is none.
        largest: the largest difference: the best level minus the worst.
    """

    factor: str
    levels: tuple[LevelMean, ...]
    differences: tuple[LevelDifference, ...]
    matters: bool
    largest: LevelDifference


@dataclass(frozen=True, kw_only=True)
class CellDeviation:
    """How far two levels together are from what each adds alone.

    Attributes:
        first_level, second_level: of the interaction's two factors.
        deviation: cell mean minus both marginal means plus the grand mean, with its interval.
        p_holm: adjusted over the cells of this interaction.
        significant: p_holm is at most 1 - level.
    """

    first_level: str
    second_level: str
    deviation: Estimate
    p_holm: float
    significant: bool


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
        reason: why there is no view, or why entries are left out; empty: all entries are in it.
        speaks_of: `the networks` or `these trained weights`.
        higher_is_better: of the score.
        level: of the intervals.
        method: how the numbers were made, whole sentences.
    """

    effects: tuple[FactorEffect, ...]
    interactions: tuple[Interaction, ...]
    used: tuple[int, ...]
    left_out: tuple[int, ...]
    reason: str
    speaks_of: SpeaksOf
    higher_is_better: bool
    level: float
    method: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; None where there is no number."""
        return dict(plain(self))

    def sentences(self) -> list[str]:
        """Returns what the factors do in plain English."""
        found = [_effect_sentence(effect) for effect in self.effects]
        found += [_interaction_sentence(interaction) for interaction in self.interactions]
        if any(not effect.matters for effect in self.effects) or any(not i.interact for i in self.interactions):
            found.append("That no difference could be shown does not show that there is none: see the intervals.")
        if self.effects and self.speaks_of == "these trained weights":
            found.append("With one seed an entry this speaks of these trained weights, not of the networks.")
        return found + ([f"{self.reason[0].upper()}{self.reason[1:]}."] if self.reason else [])


def _effect_sentence(effect: FactorEffect) -> str:
    largest, name = effect.largest, effect.factor
    if effect.matters:
        shown = [pair for pair in effect.differences if pair.significant]
        told = ", ".join(f"{pair.first} over {pair.second} by {spell(pair.difference)}" for pair in shown[:3])
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        return f"The {name} matters: {told}{more}."
    pair = f"{largest.first} over {largest.second} by {spell(largest.difference)}"
    return f"The {name}: no difference could be shown (largest: {pair})."


def _interaction_sentence(interaction: Interaction) -> str:
    cell, pair = interaction.largest, f"{interaction.first} and {interaction.second}"
    told = f"{cell.first_level} with {cell.second_level} is {spell(cell.deviation)} from the sum of both effects"
    if interaction.interact:
        return f"The effects of {pair} depend on each other: {told}."
    return f"That the effects of {pair} depend on each other could not be shown (largest: {told})."


def factor_view(
    values: Sequence[FloatArray],
    factors: Sequence[Mapping[str, str]],
    *,
    groups: Groups | None = None,
    higher_is_better: bool = True,
    level: float = LEVEL,
) -> FactorView:
    """Returns what each factor does, over the largest complete grid of the K entries.

    Levels are compared by their means over all cells of the grid, every cell weighted equally; entries in one cell
    share its weight. Intervals and the pooled seed variance are those of all K entries, as in the verdict.

    Args:
        values: K arrays (S_k, N) as for `judge`.
        factors: K mappings, factor name -> level; an entry that lacks a factor the others have is left out.
        groups, higher_is_better, level: as for `judge`.
    Raises:
        ValueError: as `judge`; K mappings were not given.
    """
    if len(factors) != len(values):
        raise ValueError(f"expected the factors of {len(values)} entries, got those of {len(factors)}")
    prepared = prepare(values, groups)
    grid = largest_grid(factors)
    names = [name for name, levels in grid.levels.items() if len(levels) > 1]
    effects = [_effect(prepared, grid, name, higher_is_better, level) for name in names]
    return FactorView(
        effects=tuple(effects),
        interactions=tuple(_interaction(prepared, grid, *pair, level) for pair in combinations(names, 2)),
        used=grid.used,
        left_out=grid.left_out,
        reason=grid.reason,
        speaks_of="the networks" if prepared.parts.knows_seeds else "these trained weights",
        higher_is_better=higher_is_better,
        level=level,
        method=(
            "Means of levels go over all cells of the grid, weighted equally; intervals as for pairs of entries.",
            "Differences within a factor, and the cells of an interaction, are adjusted after Holm, each by itself.",
        ),
    )


def _effect(prepared: Prepared, grid: FactorGrid, name: str, higher_is_better: bool, level: float) -> FactorEffect:
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
        LevelDifference(first=a, second=b, difference=estimate, p_holm=p, significant=p <= 1 - level)
        for (a, b), estimate, p in zip(pairs, found, adjusted, strict=True)
    ]
    differences.sort(key=lambda pair: -abs(pair.difference.value))
    return FactorEffect(
        factor=name,
        levels=means,
        differences=tuple(differences),
        matters=any(pair.significant for pair in differences),
        largest=differences[0],
    )


def _interaction(prepared: Prepared, grid: FactorGrid, first: str, second: str, level: float) -> Interaction:
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
            significant=adjusted[key] <= 1 - level,
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
