"""What people call entries, factors and values: the display names of the study's file in what a report says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from segbench.compare.evidence import Entry, Evidence
from segbench.statistics.factors import CellDeviation, FactorEffect, FactorView, Interaction, LevelDifference
from segbench.statistics.verdict import Verdict

Labels = Mapping[str, str]


def entry_name(entry: Entry, labels: Labels) -> str:
    """Returns what an entry is called: its own display name, else those of its values, else its name."""
    if entry.name in labels or not any(value in labels for value in entry.factors.values()):
        return labels.get(entry.name, entry.name)
    return " | ".join(labels.get(value, value) for value in entry.factors.values())


def name_verdict(verdict: Verdict, evidence: Evidence) -> Verdict:
    """Returns the verdict with display names, so that its sentences say them."""
    names = tuple(entry_name(entry, evidence.labels) for entry in evidence.entries)
    standings = tuple(replace(standing, name=names[standing.index]) for standing in verdict.entries)
    return replace(verdict, names=names, entries=standings)


def name_factors(view: FactorView, labels: Labels) -> FactorView:
    """Returns the view with display names, so that its sentences say them."""
    effects = tuple(_named_effect(effect, labels) for effect in view.effects)
    interactions = tuple(_named_interaction(interaction, labels) for interaction in view.interactions)
    return replace(view, effects=effects, interactions=interactions)


def _named_effect(effect: FactorEffect, labels: Labels) -> FactorEffect:
    def named(pair: LevelDifference) -> LevelDifference:
        return replace(pair, first=labels.get(pair.first, pair.first), second=labels.get(pair.second, pair.second))

    return replace(
        effect,
        factor=labels.get(effect.factor, effect.factor),
        levels=tuple(replace(mean, level=labels.get(mean.level, mean.level)) for mean in effect.levels),
        differences=tuple(named(pair) for pair in effect.differences),
        largest=named(effect.largest),
    )


def _named_interaction(interaction: Interaction, labels: Labels) -> Interaction:
    def named(cell: CellDeviation) -> CellDeviation:
        first, second = cell.first_level, cell.second_level
        return replace(cell, first_level=labels.get(first, first), second_level=labels.get(second, second))

    return replace(
        interaction,
        first=labels.get(interaction.first, interaction.first),
        second=labels.get(interaction.second, interaction.second),
        cells=tuple(named(cell) for cell in interaction.cells),
        largest=named(interaction.largest),
    )
