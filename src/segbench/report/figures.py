"""Figures of a report; each is made for a wide or a narrow screen and says nothing that its arguments do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from segbench.plots.ranking import critical_difference_diagram
from segbench.report.svg import BLUE, GREY, INK, LINE, NARROW_INCH, ORANGE, PAPER, WIDE_INCH

_BINS = 40  # of a hill


@dataclass(frozen=True, kw_only=True)
class IntervalRow:
    """A number with its interval.

    Attributes:
        name: on the left.
        value, low, high: the number and its interval.
        points: small marks beside it, such as single seeds.
        text: on the right of a wide figure.
        strong: drawn in colour, else grey.
    """

    name: str
    value: float
    low: float
    high: float
    points: tuple[float, ...] = ()
    text: str = ""
    strong: bool = True


def interval_plot(rows: Sequence[IntervalRow], axis: str, *, narrow: bool, mark: float = math.nan) -> Figure:
    """Returns a figure of one line a row, the first on top.

    Args:
        rows: at least one.
        axis: name of the axis.
        narrow: for a narrow screen: names stand above their lines.
        mark: where a vertical line stands; NaN: none.
    """
    step = 0.42 if narrow else 0.27
    figure = Figure(figsize=(NARROW_INCH if narrow else WIDE_INCH, 0.75 + step * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        color = BLUE if row.strong else GREY
        axes.plot([row.low, row.high], [place, place], color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot(row.points, [place] * len(row.points), "|", color=color, markersize=8, markeredgewidth=0.9)
        axes.plot(row.value, place, "o", color=color, markersize=5.5, markeredgecolor=PAPER, markeredgewidth=0.8)
        if row.text and not narrow:
            axes.annotate(
                row.text, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=8.5, color=INK
            )
        if narrow:
            axes.annotate(
                f"{cut_name(row.name, 34)}",
                (0.0, place - 0.42),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=9,
            )
    if not math.isnan(mark):
        axes.axvline(mark, color=ORANGE, linewidth=0.9, linestyle=(0, (2, 2)))
    _name_rows(axes, [row.name for row in rows], narrow=narrow)
    axes.set_ylim(len(rows) - 0.4, -0.8 if narrow else -0.6)
    axes.set_xlabel(axis)
    axes.xaxis.set_major_locator(MaxNLocator(5 if narrow else 8))
    return figure


@dataclass(frozen=True, kw_only=True)
class SpreadRow:
    """Many values of one kind, such as a score of every image.

    Attributes:
        name: on the left.
        values: NaN is left out.
        value, low, high: their mean with its interval.
        strong: drawn in colour, else grey.
    """

    name: str
    values: tuple[float, ...] = field(repr=False)
    value: float
    low: float
    high: float
    strong: bool = True


def spread_plot(rows: Sequence[SpreadRow], axis: str, *, narrow: bool, mark: float = math.nan) -> Figure:
    """Returns a figure of one hill a row, the first on top: how many values lie where, and below it the mean.

    Args:
        rows: at least one, with at least one value.
        axis: name of the axis.
        narrow: names stand above their hills.
        mark: where a vertical line stands; what lies below it is drawn in another colour. NaN: none.
    """
    known = [np.array([value for value in row.values if math.isfinite(value)]) for row in rows]
    low, high = min(values.min() for values in known), max(values.max() for values in known)
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    counts = [np.histogram(values, edges)[0] / len(values) for values in known]
    top = max(each.max() for each in counts)
    step, height = (0.72, 0.55) if narrow else (0.58, 0.75)
    figure = Figure(figsize=(NARROW_INCH if narrow else WIDE_INCH, 0.75 + step * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (row, shares) in enumerate(zip(rows, counts, strict=True)):
        color = BLUE if row.strong else GREY
        for side, shade in ((edges[:-1] < mark, ORANGE), (~(edges[:-1] < mark), color)):
            hill = np.where(side, place - height * shares / top, place)
            axes.stairs(hill, edges, baseline=place, fill=True, color=shade, alpha=0.45)
        axes.plot([row.low, row.high], [place + 0.1] * 2, color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot(row.value, place + 0.1, "o", color=color, markersize=5, markeredgecolor=PAPER, markeredgewidth=0.8)
        if narrow:
            at = (0.0, place - height - 0.14)
            axes.annotate(cut_name(row.name, 34), at, xycoords=("axes fraction", "data"), va="center", fontsize=9)
    if not math.isnan(mark):
        axes.axvline(mark, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
    _name_rows(axes, [row.name for row in rows], narrow=narrow)
    axes.set_ylim(len(rows) - 0.6, -0.95)
    axes.set_xlabel(axis)
    axes.xaxis.set_major_locator(MaxNLocator(5 if narrow else 8))
    return figure


def rank_plot(
    names: Sequence[str], mean_ranks: Sequence[float], critical_difference: float, told: str, *, narrow: bool
) -> Figure:
    """Returns the diagram of critical differences, see `critical_difference_diagram`; `told` names the difference."""
    width, longest = (NARROW_INCH, 12) if narrow else (WIDE_INCH, 34)
    return critical_difference_diagram(
        names, mean_ranks, critical_difference, told=f"{told} ", width_inch=width, longest_name=longest
    )


def _name_rows(axes: Axes, names: Sequence[str], *, narrow: bool) -> None:
    """Writes names at the left of rows 0, 1, ...; on a narrow screen they stand above the rows instead."""
    axes.set_yticks([] if narrow else range(len(names)), [] if narrow else [cut_name(name, 44) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")


@dataclass(frozen=True, kw_only=True)
class CostPoint:
    """An approach in a plot of cost against score.

    Attributes:
        name: short, beside the point.
        cost: NaN where it is not known; the point is then left out.
        value, low, high: the score and its interval.
        strong: drawn in colour, else grey.
    """

    name: str
    cost: float
    value: float
    low: float
    high: float
    strong: bool


def cost_plot(
    panels: Mapping[str, Sequence[CostPoint]], more_is_better: Mapping[str, bool], axis: str, *, narrow: bool
) -> Figure:
    """Returns a figure of one panel a cost; a step line joins the points that no other beats in both.

    Args:
        panels: name of a cost -> points.
        more_is_better: name of a cost -> whether more of it is wanted; key "" is the score's.
        axis: name of the score's axis.
        narrow: panels below one another.
    """
    count = len(panels)
    size = (NARROW_INCH, 2.9 * count) if narrow else (WIDE_INCH, 3.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(count if narrow else 1, 1 if narrow else count, squeeze=False).ravel()
    for axes, (cost, points) in zip(grid, panels.items(), strict=True):
        known = [point for point in points if not math.isnan(point.cost)]
        for point in known:
            color = BLUE if point.strong else GREY
            axes.plot([point.cost] * 2, [point.low, point.high], color=color, linewidth=1.0, alpha=0.55)
            axes.plot(point.cost, point.value, "o", color=color, markersize=5)
            axes.annotate(
                point.name, (point.cost, point.value), xytext=(4, 3), textcoords="offset points", fontsize=8, color=INK
            ).set_in_layout(False)  # inside the axes, and slow to measure
        front = unbeaten(known, more_cost=more_is_better[cost], more_score=more_is_better[""])
        axes.plot(
            [p.cost for p in front], [p.value for p in front], color=ORANGE, linewidth=1.0, linestyle="--", zorder=1
        )
        costs = [point.cost for point in known]
        if min(costs) > 0 and max(costs) / min(costs) > 5.0:
            axes.set_xscale("log")
            log_ticks(axes.xaxis, min(costs), max(costs))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.12)
        axes.set_xlabel(cost)
        if narrow or axes is grid[0]:
            axes.set_ylabel(axis)
    return figure


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Writes plain numbers at an axis of powers of ten that shows `low` to `high`: 0.2, 0.5, 1, 2, not 2 x 10^-1."""
    decades = math.log10(high / low)
    axis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.0 else (1.0, 3.0) if decades < 4.0 else (1.0,))
    )
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def unbeaten(points: Sequence[CostPoint], *, more_cost: bool, more_score: bool) -> list[CostPoint]:
    """Returns the points for which no other is at least as good in cost and score, and better in one; by cost."""

    def goodness(point: CostPoint) -> tuple[float, float]:
        return (point.cost if more_cost else -point.cost, point.value if more_score else -point.value)

    kept = []
    for point in points:
        cost, score = goodness(point)
        others = [goodness(other) for other in points if other is not point]
        if not any(c >= cost and s >= score and (c, s) != (cost, score) for c, s in others):
            kept.append(point)
    return sorted(kept, key=lambda point: point.cost)


def stacked_bars(
    rows: Sequence[tuple[str, Sequence[float]]], labels: Sequence[tuple[str, str]], axis: str, *, narrow: bool
) -> Figure:
    """Returns a figure of one bar a row, made of parts.

    Args:
        rows: name and lengths of the parts.
        labels: name and colour of each part.
        axis: name of the axis.
        narrow: names above the bars.
    """
    step = 0.48 if narrow else 0.28
    figure = Figure(figsize=(NARROW_INCH if narrow else WIDE_INCH, 1.1 + step * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (name, parts) in enumerate(rows):
        left = 0.0
        for length, (_, color) in zip(parts, labels, strict=True):
            axes.barh(
                place, length, left=left, height=0.5 if narrow else 0.7, color=color, edgecolor=LINE, linewidth=0.4
            )
            left += length
        if narrow:
            axes.annotate(cut_name(name, 40), (0.0, place - 0.45), xycoords=("axes fraction", "data"), va="center")
    _name_rows(axes, [name for name, _ in rows], narrow=narrow)
    axes.set_ylim(len(rows) - 0.4, -0.8 if narrow else -0.6)
    axes.set_xlabel(axis)
    return figure


def cut_name(text: str, length: int) -> str:
    """Returns a name that is at most `length` characters long, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"
