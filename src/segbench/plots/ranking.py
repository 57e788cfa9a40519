"""Which of several entries differ, in one picture: critical differences of ranks, and the map of all pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

_BLUE, _ORANGE, _GREY, _INK = "#0072b2", "#d55e00", "#e6e6e6", "#222222"
_LONGEST_NAME = 34
_STYLE: Any = {"font.family": "DejaVu Sans", "font.size": 9.0, "svg.fonttype": "none", "text.parse_math": False}


def critical_difference_diagram(
    names: Sequence[str],
    mean_ranks: npt.ArrayLike,
    critical_difference: float,
    *,
    title: str = "",
    told: str = "critical difference",
    width_inch: float = 7.6,
    longest_name: int = _LONGEST_NAME,
) -> Figure:
    """Returns the diagram of Demsar (2006): entries at their mean ranks, and bars over those that may be alike.

    The best rank, 1, is on the left. A bar joins neighbours whose mean ranks differ by less than the critical
    difference, so it always follows the ranks.

    Args:
        names: of the K entries.
        mean_ranks: (K,) over the data sets.
        critical_difference: of mean ranks, such as Nemenyi's.
        title: over the diagram.
        told: what the length of the critical difference is called.
        width_inch: of the figure.
        longest_name: characters; a longer name is cut.
    Raises:
        ValueError: fewer than two entries, or not a rank for each.
    Example:
        >>> critical_difference_diagram(["a", "b", "c"], [1.2, 1.9, 2.9], 1.05).savefig("cd.svg")  # doctest: +SKIP
    """
    ranks = np.asarray(mean_ranks, np.float64)
    if ranks.shape != (len(names),) or len(names) < 2:
        raise ValueError(f"expected a mean rank for each of two entries or more, got {ranks.shape} for {len(names)}")
    order = np.argsort(ranks, kind="stable")
    count, bars = len(names), cliques(ranks[order], critical_difference)
    rows, first_bar = math.ceil(count / 2), 0.45
    first_row = first_bar + 0.28 * len(bars) + 0.35
    height = first_row + 0.42 * rows
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width_inch, 1.1 + 0.55 * height), layout="constrained")
        axes = figure.subplots()
        axes.set_xlim(1 - 0.45 * (count - 1), count + 0.45 * (count - 1))
        axes.set_ylim(height, -1.15)
        axes.set_axis_off()
        _draw_scale(axes, count, critical_difference, told)
        for number, (low, high) in enumerate(bars):
            place = first_bar + 0.28 * number
            ends = (ranks[order[low]] - 0.02 * count, ranks[order[high]] + 0.02 * count)
            axes.plot(ends, (place, place), color=_BLUE, linewidth=4.0, solid_capstyle="round")
        for number, index in enumerate(order.tolist()):
            is_left = number < rows
            place = first_row + 0.42 * (number if is_left else count - 1 - number)
            end = 1 - 0.06 * count if is_left else count + 0.06 * count
            axes.plot((ranks[index], ranks[index], end), (0, place, place), color=_INK, linewidth=0.9)
            named = f"{_shortened(names[index], longest_name)}  {ranks[index]:.2f}"
            axes.text(
                end, place, f"{named} " if is_left else f" {named}", ha="right" if is_left else "left", va="center"
            )
        if title:
            axes.set_title(title, fontsize=10)
    return figure


def _draw_scale(axes: mpl.axes.Axes, count: int, critical_difference: float, told: str) -> None:
    axes.plot((1, count), (0, 0), color=_INK, linewidth=1.2)
    for rank in range(1, count + 1):
        axes.plot((rank, rank), (-0.1, 0), color=_INK, linewidth=1.2)
        axes.text(rank, -0.16, str(rank), ha="center", va="bottom")
    axes.plot((1, 1 + critical_difference), (-0.75, -0.75), color=_INK, linewidth=1.6, marker="|", markersize=7)
    axes.text(1, -0.83, f"{told} {critical_difference:.2f}", ha="left", va="bottom")


def cliques(sorted_ranks: npt.NDArray[np.float64], critical_difference: float) -> list[tuple[int, int]]:
    """Returns the longest runs of ranks, as (first, last), that lie within the critical difference; singles left out.

    Args:
        sorted_ranks: (K,) ascending.
        critical_difference: two ranks that differ by exactly that much are not told apart.
    """
    found: list[tuple[int, int]] = []
    for first in range(len(sorted_ranks)):
        last = int(np.searchsorted(sorted_ranks, sorted_ranks[first] + critical_difference * (1 + 1e-12), "right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def significance_map(
    names: Sequence[str], better: npt.ArrayLike, *, title: str = "", note: str = "shown to be better"
) -> Figure:
    """Returns a K x K map of all pairs: blue where the entry of the row was shown to be better than that of the column.

    Args:
        names: of the K entries, the best first.
        better: (K, K) int: 1 where the row was shown to be better than the column, -1 worse, 0 neither; antisymmetric.
        title: over the map.
        note: what blue means.
    Raises:
        ValueError: another shape.
    Example:
        >>> significance_map(["a", "b"], [[0, 1], [-1, 0]]).savefig("map.svg")  # doctest: +SKIP
    """
    table = np.asarray(better, np.int64)
    if table.shape != (len(names), len(names)):
        raise ValueError(f"expected a table ({len(names)}, {len(names)}), got {table.shape}")
    side = 0.36 * len(names)
    labels = [_shortened(name) for name in names]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(side + 3.2, side + 2.6), layout="constrained")
        axes = figure.subplots()
        colors = mpl.colors.ListedColormap([_ORANGE, _GREY, _BLUE])
        axes.imshow(table, cmap=colors, vmin=-1, vmax=1)
        for row, column in zip(*np.nonzero(table), strict=True):
            sign = "+" if table[row, column] > 0 else "\u2212"
            axes.text(column, row, sign, ha="center", va="center", color="white", fontweight="bold")
        places = range(len(names))
        axes.set_xticks(places, labels, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, labels)
        axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        handles = [
            Patch(color=_BLUE, label=f"+ row {note}"),
            Patch(color=_ORANGE, label="\u2212 row worse"),
            Patch(color=_GREY, label="not shown"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        if title:
            axes.set_title(title, fontsize=10)
    return figure


def _shortened(name: str, length: int = _LONGEST_NAME) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
