"""Confusion matrix as a heat map, and confidence against the share of right pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Normalize: TypeAlias = Literal["true", "predicted", "none"]

_LABELS = ("absent", "present")
_WRITTEN_UP_TO = 15  # classes; with more, numbers in the cells cannot be read
_LONGEST_NAME = 18


def confusion_heatmap(
    confusion: npt.NDArray[np.int64], names: Sequence[str], *, normalize: Normalize = "true", title: str = ""
) -> Figure:
    """Returns a figure: rows are true classes, columns predicted ones, dark cells hold many pixels.

    Args:
        confusion: (C, C) pixels, [true, predicted]; or (C, 2, 2) for a multilabel task, which gives C small tables.
        names: of the C classes.
        normalize: `true`: shares of each true class, the diagonal is the recall; `predicted`: shares of each predicted
            class, the diagonal is the precision; `none`: pixels.
        title: over the figure.
    Raises:
        ValueError: another shape, another number of names, or another `normalize`.
    """
    if normalize not in ("true", "predicted", "none"):
        raise ValueError(f"normalize must be true, predicted or none, got {normalize!r}")
    if confusion.ndim not in (2, 3) or confusion.shape[-1] != confusion.shape[-2] or len(names) != len(confusion):
        raise ValueError(f"expected a confusion matrix (C, C) or (C, 2, 2) of {len(names)}, got {confusion.shape}")
    tables = [confusion] if confusion.ndim == 2 else list(confusion)
    columns = min(4, len(tables))
    rows = -(-len(tables) // columns)
    side = max(2.6, min(0.62 * len(confusion), 14.0) + 1.6) if confusion.ndim == 2 else 2.6
    figure = Figure(figsize=(side * columns + 0.8, side * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(tables) :]:
        panel.remove()
    for panel, table, name in zip(panels, tables, names, strict=False):
        labels = [_shorten(label) for label in (names if confusion.ndim == 2 else _LABELS)]
        image = _draw_table(panel, table, labels, normalize)
        if confusion.ndim == 3:
            panel.set_title(_shorten(name), fontsize=9)
    meaning = {"true": "share of the true class", "predicted": "share of the predicted class", "none": "pixels"}
    if len(tables) == 1 or normalize != "none":  # tables of pixels have a scale each
        figure.colorbar(image, ax=list(panels[: len(tables)]), label=meaning[normalize], shrink=0.8)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def reliability_diagram(
    confidence: npt.NDArray[np.float64],
    accuracy: npt.NDArray[np.float64],
    pixels: npt.NDArray[np.int64],
    *,
    error: float | None = None,
    title: str = "",
) -> Figure:
    """Returns a figure: share of right pixels over confidence, above how many pixels were so confident.

    Bars below the diagonal belong to a network that is surer than it is right.

    Args:
        confidence, accuracy: (K,) in [0, 1], means of equally wide bins of confidence; NaN in an empty one.
        pixels: (K,) counted pixels in each bin.
        error: expected calibration error, written into the figure.
        title: over the figure.
    Raises:
        ValueError: arrays of different lengths.
    """
    if not len(confidence) == len(accuracy) == len(pixels):
        raise ValueError(f"expected as many bins everywhere, got {len(confidence)}, {len(accuracy)}, {len(pixels)}")
    figure = Figure(figsize=(4.2, 5.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = len(pixels)
    centers = (np.arange(bins) + 0.5) / bins
    filled = np.flatnonzero(pixels > 0)
    upper.bar(centers[filled], accuracy[filled], width=0.92 / bins, color="#56b4e9", label="right")
    upper.plot(confidence[filled], accuracy[filled], "o", color="#0072b2", markersize=4, label="at mean confidence")
    upper.plot([0, 1], [0, 1], "--", color="#999999", linewidth=1, label="as sure as right")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right pixels")
    if error is not None:
        text = f"expected calibration error {error:.4f}"
        upper.text(0.03, 0.68, text, transform=upper.transAxes, fontsize=8)
    upper.legend(frameon=False, fontsize=8, loc="upper left")
    total = max(1, int(pixels.sum()))
    lower.bar(centers, pixels / total, width=0.92 / bins, color="#999999")
    lower.set(xlabel="confidence: probability of the predicted label", ylabel="share of pixels", ylim=(0, 1))
    for panel in (upper, lower):
        panel.grid(alpha=0.25)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _draw_table(axes: Axes, table: npt.NDArray[np.int64], labels: Sequence[str], normalize: Normalize) -> Any:
    """Draws one table into the axes, with its numbers as long as they can be read; returns the image."""
    total = {"true": table.sum(axis=1, keepdims=True), "predicted": table.sum(axis=0, keepdims=True)}.get(normalize)
    shown = table.astype(np.float64) if total is None else table / np.maximum(total, 1)
    empty = np.zeros(table.shape, bool) if total is None else np.broadcast_to(total == 0, table.shape)
    top = 1.0 if total is not None else max(1.0, float(shown.max()))
    image = axes.imshow(np.ma.masked_array(shown, empty), cmap="Blues", vmin=0.0, vmax=top)
    ticks = range(len(labels))
    turned = max(map(len, labels)) > 4
    axes.set_xticks(ticks, labels, rotation=45 if turned else 0, ha="right" if turned else "center", fontsize=8)
    axes.set_yticks(ticks, labels, fontsize=8)
    axes.set_xlabel("predicted", fontsize=8)
    axes.set_ylabel("true", fontsize=8)
    if len(labels) <= _WRITTEN_UP_TO:
        for row, column in np.ndindex(table.shape):
            text = "–" if empty[row, column] else _number(float(shown[row, column]), share=total is not None)
            color = "white" if shown[row, column] > 0.6 * top else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)
    return image


def _number(value: float, *, share: bool) -> str:
    if share:
        return f"{value:.3f}"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:.0f}"


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
