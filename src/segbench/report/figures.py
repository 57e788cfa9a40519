"""Figures of a report; each is made for a wide or a narrow screen and says nothing that its arguments do not."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from segbench.report.svg import BLUE, GREEN, GREY, INK, LINE, NARROW_INCH, ORANGE, PAPER, WIDE_INCH

_MOST_EPOCHS = 120  # points of a curve; more cannot be seen, and make the page heavy

_LOG_FROM = 20.0  # largest over smallest value


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
    axes.set_yticks([] if narrow else range(len(rows)), [] if narrow else [cut_name(row.name, 44) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.8 if narrow else -0.6)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(axis)
    axes.xaxis.set_major_locator(MaxNLocator(5 if narrow else 8))
    return figure


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
            )
        front = unbeaten(known, more_cost=more_is_better[cost], more_score=more_is_better[""])
        axes.plot(
            [p.cost for p in front], [p.value for p in front], color=ORANGE, linewidth=1.0, linestyle="--", zorder=1
        )
        costs = [point.cost for point in known]
        if min(costs) > 0 and max(costs) / min(costs) > 5.0:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.12)
        axes.set_xlabel(cost)
        if narrow or axes is grid[0]:
            axes.set_ylabel(axis)
    return figure


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


@dataclass(frozen=True, kw_only=True)
class CurvePanel:
    """Curves of one approach.

    Attributes:
        title: over it.
        epochs: one list a seed.
        train, val: a curve a seed.
        best, turns: epochs that are marked: whose weights were kept, and from where a run overfits.
    """

    title: str
    epochs: tuple[tuple[float, ...], ...] = field(repr=False)
    train: tuple[tuple[float, ...], ...] = field(repr=False)
    val: tuple[tuple[float, ...], ...] = field(repr=False)
    best: tuple[int, ...]
    turns: tuple[int, ...]


def curve_panels(panels: Sequence[CurvePanel], axis: str, words: Mapping[str, str], *, narrow: bool) -> Figure:
    """Returns a figure of one small panel an approach, all with the same axes.

    Args:
        panels: at least one.
        axis: name of the vertical axis.
        words: `train`, `val`, `best`, `turn`, `epoch` in the reader's language.
        narrow: two columns, else four.
    """
    columns = min(2 if narrow else 4, len(panels))
    lines = -(-len(panels) // columns)
    columns = -(-len(panels) // lines)  # five stand as three and two, not as four and one
    width = NARROW_INCH if narrow else WIDE_INCH
    figure = Figure(figsize=(width, 0.6 + 1.85 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_curves(axes, panel, 20 if narrow else 24)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(panels) - columns) : len(panels)]:
        axes.set_xlabel(words["epoch"])
        axes.tick_params(axis="x", labelbottom=True)
    for axes in grid[::columns]:
        axes.set_ylabel(axis)
    _limit(grid[0], panels)
    handles = [
        Line2D([], [], color=BLUE, label=words["train"]),
        Line2D([], [], color=ORANGE, label=words["val"]),
        Line2D([], [], color=GREEN, linestyle=":", label=words["best"]),
    ]
    if any(panel.turns for panel in panels):
        handles.append(Line2D([], [], color=INK, linestyle="none", marker="v", markersize=5, label=words["turn"]))
    figure.legend(handles=handles, loc="outside upper left", ncols=2 if narrow else 4, fontsize=8.5)
    return figure


def _draw_curves(axes: Axes, panel: CurvePanel, length: int) -> None:
    for epochs, train, val in zip(panel.epochs, panel.train, panel.val, strict=True):
        step = max(1, -(-len(epochs) // _MOST_EPOCHS))
        axes.plot(epochs[::step], train[::step], color=BLUE, linewidth=0.9)
        axes.plot(epochs[::step], val[::step], color=ORANGE, linewidth=0.9)
    for epoch in sorted(set(panel.best)):
        axes.axvline(epoch, color=GREEN, linestyle=":", linewidth=1.1)
    for epoch in panel.turns:
        axes.plot(epoch, 0.97, "v", transform=axes.get_xaxis_transform(), color=INK, markersize=5, clip_on=False)
    lines = textwrap.wrap(panel.title, length)
    axes.set_title("\n".join(lines[:2]) + "…" * (len(lines) > 2), loc="left", fontsize=8.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _limit(axes: Axes, panels: Sequence[CurvePanel]) -> None:
    """Sets the vertical axis so that early outliers do not flatten all curves: cut off, or logarithmic."""
    values = sorted(
        value
        for panel in panels
        for curve in (*panel.train, *panel.val)
        for value in curve[min(len(curve) - 1, max(1, len(curve) // 20)) :]
        if math.isfinite(value)
    )
    if values and values[-1] > values[0]:
        high = values[min(len(values) - 1, math.ceil(0.995 * len(values)))]
        margin = 0.06 * (high - values[0])
        if values[0] > 0.0 and high / values[0] > _LOG_FROM:
            axes.set_yscale("log")  # early epochs would flatten the rest
            axes.yaxis.set_major_formatter(ScalarFormatter())
            axes.set_ylim(values[0] / 1.2, high * 1.2)
        else:
            axes.set_ylim(values[0] - margin, high + margin)


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
    axes.set_yticks([] if narrow else range(len(rows)), [] if narrow else [cut_name(name, 44) for name, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.8 if narrow else -0.6)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(axis)
    return figure


def cut_name(text: str, length: int) -> str:
    """Returns a name that is at most `length` characters long, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"
