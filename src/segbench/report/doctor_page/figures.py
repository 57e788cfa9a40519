"""Figures of the page about a data set; each is made for a wide or a narrow screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from segbench.report.figures import cut_name
from segbench.report.svg import BLUE, GREEN, GREY, INK, NARROW_INCH, ORANGE, PAPER, WIDE_INCH

MOST_ROWS = 30
_LOG_FROM = 30.0  # largest over smallest value
_MARKERS = (("o", BLUE), ("s", ORANGE), ("^", GREEN), ("x", GREY))


@dataclass(frozen=True, kw_only=True)
class DotRow:
    """A class and its values, one of each kind that the figure's legend names; NaN: none."""

    name: str
    values: tuple[float, ...]


def dot_plot(rows: Sequence[DotRow], kinds: Sequence[str], axis: str, *, narrow: bool) -> Figure:
    """Returns a figure of one line a row with a mark for each kind of value, in percent.

    Args:
        rows: the first on top; shares 0-1. What is zero or not there has no mark.
        kinds: names of the values, at most four; a legend where there are several.
        axis: name of the axis.
        narrow: names stand above their lines.
    """
    figure, axes = _rows_figure([row.name for row in rows], narrow=narrow, extra=0.35 * (len(kinds) > 1))
    for kind, (name, (marker, color)) in enumerate(zip(kinds, _MARKERS, strict=False)):
        points = [(100 * row.values[kind], place) for place, row in enumerate(rows) if row.values[kind] > 0]
        shares, places = zip(*points, strict=True) if points else ((), ())
        axes.plot(shares, places, marker, color=color, markersize=5.5, label=name, linestyle="none")
    everything = [100 * value for row in rows for value in row.values if value > 0]
    if everything and max(everything) > _LOG_FROM * min(everything):
        _set_log(axes)
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel(axis)
    if len(kinds) > 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4, fontsize=8.5)
    return figure


def spread_plot(rows: Sequence[tuple[str, Mapping[str, float]]], axis: str, *, narrow: bool) -> Figure:
    """Returns a figure of one line a row: a thin line from q05 to q95, a thick one from q25 to q75, a dot: the median.

    Args:
        rows: name and spread, as `Checkup.statistics` holds it; all above 0.
        axis: name of the axis, which is logarithmic where values differ much.
        narrow: names stand above their lines.
    """
    figure, axes = _rows_figure([name for name, _ in rows], narrow=narrow)
    for place, (_, spread) in enumerate(rows):
        axes.plot([spread["q05"], spread["q95"]], [place, place], color=BLUE, linewidth=1.2)
        axes.plot([spread["q25"], spread["q75"]], [place, place], color=BLUE, linewidth=4.5, solid_capstyle="butt")
        axes.plot(spread["median"], place, "o", color=PAPER, markersize=5, markeredgecolor=INK, markeredgewidth=1.1)
    if max(spread["q95"] for _, spread in rows) > _LOG_FROM * max(1e-9, min(spread["q05"] for _, spread in rows)):
        _set_log(axes)
    axes.set_xlabel(axis)
    return figure


def size_plot(sizes: Sequence[Mapping[str, int]], width: str, height: str, *, narrow: bool) -> Figure:
    """Returns a figure of the images' sizes: a dot each, the larger the more images have it.

    Args:
        sizes: as `Checkup.statistics` holds them.
        width, height: names of the axes.
        narrow: for a narrow screen.
    """
    figure = Figure(figsize=(NARROW_INCH if narrow else 5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    counts = np.array([size["count"] for size in sizes], dtype=np.float64)
    area = 18 + 380 * counts / counts.max()
    columns, rows = [size["width"] for size in sizes], [size["height"] for size in sizes]
    axes.scatter(columns, rows, s=area, color=BLUE, alpha=0.45, linewidths=0.8, edgecolors=BLUE)
    largest = max(*columns, *rows)
    axes.plot([0, largest], [0, largest], color=GREY, linewidth=0.7, linestyle=":")
    axes.set(xlim=(0, 1.08 * max(columns)), ylim=(0, 1.08 * max(rows)), xlabel=width, ylabel=height)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return figure


def histograms(panels: Sequence[tuple[str, Sequence[float], Sequence[int]]], images: str, *, narrow: bool) -> Figure:
    """Returns a figure of one histogram a panel.

    Args:
        panels: name of the axis, edges of the bars, and their heights.
        images: name of the vertical axis.
        narrow: panels below one another.
    """
    count = len(panels)
    size = (NARROW_INCH, 2.2 * count) if narrow else (WIDE_INCH, 2.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(count if narrow else 1, 1 if narrow else count, squeeze=False).ravel()
    for axes, (name, edges, counts) in zip(grid, panels, strict=True):
        axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=BLUE, edgecolor=PAPER, linewidth=0.6)
        axes.set(xlim=(edges[0], edges[-1]), xlabel=name)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(visible=False, axis="x")
        if narrow or axes is grid[0]:
            axes.set_ylabel(images)
    return figure


def _rows_figure(names: Sequence[str], *, narrow: bool, extra: float = 0.0) -> tuple[Figure, Axes]:
    """Returns a figure with a line for each name, the first on top."""
    step = 0.42 if narrow else 0.27
    size = (NARROW_INCH if narrow else WIDE_INCH, 0.8 + extra + step * len(names))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    if narrow:
        for place, name in enumerate(names):
            axes.annotate(cut_name(name, 34), (0.0, place - 0.42), xycoords=("axes fraction", "data"), va="center")
    axes.set_yticks([] if narrow else range(len(names)), [] if narrow else [cut_name(name, 30) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.8 if narrow else -0.6)
    axes.spines["left"].set_visible(False)
    return figure, axes


def _set_log(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace(",", "\u202f")))
    axes.xaxis.set_minor_formatter(NullFormatter())
