"""The largest part of a study in which every combination of levels occurs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import prod

import numpy as np

from segbench.locale import Message, message
from segbench.statistics.variance import FloatArray

# Subsets of so many levels are tried, 4,096; a grid with holes and more levels is not searched.
SEARCHED_LEVELS = 12


@dataclass(frozen=True, kw_only=True)
class FactorGrid:
    """A complete grid of entries.

    Attributes:
        levels: factor -> its levels in the grid, one or more.
        cells: levels in the order of `levels` -> indices of the entries there, one or more.
        used, left_out: indices of the entries in the grid, and of the others.
        reason: why entries are left out, or why there is no grid, a whole sentence; empty: all are in it.
    """

    levels: Mapping[str, tuple[str, ...]]
    cells: Mapping[tuple[str, ...], tuple[int, ...]]
    used: tuple[int, ...]
    left_out: tuple[int, ...]
    reason: Message

    def entries(self, fixed: Mapping[str, str]) -> tuple[int, ...]:
        """Returns the indices of the entries with these levels."""
        return tuple(sorted(index for cell in self._cells(fixed) for index in self.cells[cell]))

    def weights(self, fixed: Mapping[str, str], count: int) -> FloatArray:
        """Returns (count,) weights of the mean over all cells with these levels, equal for every cell."""
        cells = self._cells(fixed)
        weights = np.zeros(count)
        for cell in cells:
            weights[list(self.cells[cell])] += 1 / len(cells) / len(self.cells[cell])
        return weights

    def _cells(self, fixed: Mapping[str, str]) -> list[tuple[str, ...]]:
        places = {list(self.levels).index(name): level for name, level in fixed.items()}
        return [cell for cell in self.cells if all(cell[place] == level for place, level in places.items())]


def largest_grid(factors: Sequence[Mapping[str, str]]) -> FactorGrid:
    """Returns the complete grid with the most cells, of K entries' factors.

    Of equally large ones, the one that keeps more levels of the factors with fewer.
    """
    everyone = range(len(factors))
    names = list(dict.fromkeys(name for each in factors for name in each))
    complete = [index for index in everyone if names and all(name in factors[index] for name in names)]
    cells: dict[tuple[str, ...], list[int]] = {}
    for index in complete:
        cells.setdefault(tuple(factors[index][name] for name in names), []).append(index)
    levels = [tuple(dict.fromkeys(cell[place] for cell in cells)) for place in range(len(names))]
    if not any(len(each) > 1 for each in levels):
        return _no_grid(everyone, message("No factor has two levels among these entries."))
    kept = levels if prod(map(len, levels)) == len(cells) else _search(levels, set(cells))
    if kept is None:
        return _no_grid(
            everyone, message("The grid of factors has holes, and too many levels to look for a complete part of it.")
        )
    if not any(len(each) > 1 for each in kept):
        return _no_grid(everyone, message("No two entries differ in one factor alone."))
    inside = {cell: tuple(cells[cell]) for cell in product(*kept)}
    used = tuple(sorted(index for members in inside.values() for index in members))
    left_out = tuple(index for index in everyone if index not in used)
    reason = Message("", {})
    if left_out:
        reason = message(
            "{n} of {total} entries are left out of the factors, since not every combination of levels is there; the "
            "largest complete part has {shape}.",
            n=len(left_out),
            total=len(factors),
            shape=" x ".join(str(len(each)) for each in kept),
        )
    return FactorGrid(
        levels=dict(zip(names, kept, strict=True)), cells=inside, used=used, left_out=left_out, reason=reason
    )


def _no_grid(everyone: Sequence[int], reason: Message) -> FactorGrid:
    return FactorGrid(levels={}, cells={}, used=(), left_out=tuple(everyone), reason=reason)


def _search(levels: Sequence[tuple[str, ...]], cells: set[tuple[str, ...]]) -> list[tuple[str, ...]] | None:
    """Returns the levels of the largest complete part; None: too many to try.

    Given levels of all factors but the longest, that one keeps every level that is complete with them.
    """
    longest = max(range(len(levels)), key=lambda place: len(levels[place]))
    others = [each for place, each in enumerate(levels) if place != longest]
    if sum(map(len, others)) > SEARCHED_LEVELS:
        return None
    best: list[tuple[str, ...]] = [each[:0] for each in levels]
    for chosen in product(*(list(_subsets(each)) for each in others)):
        around = list(product(*chosen))
        full = tuple(
            level
            for level in levels[longest]
            if all((*rest[:longest], level, *rest[longest:]) in cells for rest in around)
        )
        if len(full) * len(around) > prod(map(len, best)):
            best = [*chosen[:longest], full, *chosen[longest:]]
    return best


def _subsets(levels: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in range(len(levels), 0, -1):
        yield from combinations(levels, size)
