"""Figures of curves: learning over epochs, and confidence against the share of right pixels."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from segbench.report.figures import log_ticks
from segbench.report.svg import BLUE, GREEN, GREY, INK, NARROW_INCH, ORANGE, WIDE_INCH

_MOST_EPOCHS = 120  # points of a curve; more cannot be seen, and make the page heavy
_WARM_UP_FRAC = 0.05  # of the epochs; their losses may be so high that they flatten all that follows
_LOG_FROM = 20.0  # largest over smallest value


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
    width, bottom, panel = NARROW_INCH if narrow else WIDE_INCH, 0.5, 1.3
    titles = [_title(each.title, 20 if narrow else 24) for each in panels]
    over = 0.1 + 0.16 * max(title.count("\n") + 1 for title in titles)  # inches above a panel
    top = over + (0.45 if narrow else 0.3)
    height = top + bottom + panel * lines + over * (lines - 1)
    figure = Figure(figsize=(width, height))
    # Set by hand: to lay out so many axes by their texts takes longer than all else on a page.
    figure.subplots_adjust(left=0.6 / width, right=1.0 - 0.1 / width, top=1.0 - top / height, bottom=bottom / height)
    figure.subplots_adjust(hspace=over / panel, wspace=0.12)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, each, title in zip(grid, panels, titles, strict=False):
        _draw_curves(axes, each, title)
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
    figure.legend(handles=handles, loc="upper left", ncols=2 if narrow else 4, fontsize=8.5)
    return figure


def _draw_curves(axes: Axes, panel: CurvePanel, title: str) -> None:
    for epochs, train, val in zip(panel.epochs, panel.train, panel.val, strict=True):
        step = max(1, -(-len(epochs) // _MOST_EPOCHS))
        axes.plot(epochs[::step], train[::step], color=BLUE, linewidth=0.9)
        axes.plot(epochs[::step], val[::step], color=ORANGE, linewidth=0.9)
    for epoch in sorted(set(panel.best)):
        axes.axvline(epoch, color=GREEN, linestyle=":", linewidth=1.1)
    for epoch in panel.turns:
        axes.plot(epoch, 0.97, "v", transform=axes.get_xaxis_transform(), color=INK, markersize=5, clip_on=False)
    axes.set_title(title, loc="left", fontsize=8.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _title(text: str, length: int) -> str:
    """Returns a title of at most two lines."""
    lines = textwrap.wrap(text, length)
    return "\n".join(lines[:2]) + "…" * (len(lines) > 2)


def _limit(axes: Axes, panels: Sequence[CurvePanel]) -> None:
    """Sets the vertical axis: first epochs that would flatten all curves are cut off, a run that stands high is not."""
    curves = [
        [value for value in curve[min(len(curve) - 1, math.ceil(_WARM_UP_FRAC * len(curve))) :] if math.isfinite(value)]
        for panel in panels
        for curve in (*panel.train, *panel.val)
    ]
    tops = [sorted(curve)[math.ceil(0.95 * (len(curve) - 1))] for curve in curves if curve]  # of each run, not of all
    if not tops or max(tops) == (low := min(value for curve in curves for value in curve)):
        return
    high = max(tops)
    if low > 0.0 and high / low > _LOG_FROM:
        axes.set_yscale("log")
        log_ticks(axes.yaxis, low, high)
        axes.set_ylim(low / 1.2, high * 1.2)
    else:
        margin = 0.06 * (high - low)
        axes.set_ylim(low - margin, high + margin)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How sure one entry was, and how often it was right.

    Attributes:
        name: in the legend.
        confidence, accuracy: means of bins of confidence, in [0, 1]; an empty bin is left out.
        strong: drawn in colour, else grey.
    """

    name: str
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    strong: bool


def reliability_plot(lines: Sequence[Reliability], axis: str, other_axis: str, *, narrow: bool) -> Figure:
    """Returns a figure of one line an entry; below the diagonal an entry is surer than it is right.

    Args:
        lines: at least one.
        axis, other_axis: names of the horizontal and the vertical axis.
        narrow: for a narrow screen.
    """
    figure = Figure(figsize=(NARROW_INCH, 3.4) if narrow else (WIDE_INCH, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=(0, (2, 2)))
    for number, line in enumerate(sorted(lines, key=lambda line: line.strong)):
        color = BLUE if line.strong else GREY
        axes.plot(line.confidence, line.accuracy, "o-", color=color, markersize=3, linewidth=1.0)
        at = number % len(line.confidence)  # each name at another point, so that none covers another
        axes.annotate(
            line.name, (line.confidence[at], line.accuracy[at]), xytext=(3, -9), textcoords="offset points", fontsize=8
        )
    axes.set(xlabel=axis, ylabel=other_axis, aspect="equal")
    return figure
