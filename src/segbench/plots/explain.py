"""Figures that explain scores: where a run turns, which errors an approach makes, attributes against scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw

from segbench.plots.panels import _fit
from segbench.types import RGB

ERROR_TYPE_COLORS: dict[str, RGB] = {
    "missed_object": (0, 114, 178),
    "false_object": (213, 94, 0),
    "boundary": (240, 228, 66),
    "class_swap": (204, 121, 167),
    "missing_part": (86, 180, 233),
    "extra_part": (230, 159, 0),
}
_TRAIN, _VAL, _GREY = "#0072b2", "#d55e00", "#777777"
_CAPTION_PX = 30
_MARGIN_PX = 4


class Diagnosis(Protocol):
    """What `segbench.explain.overfitting.Overfitting` says that is drawn."""

    @property
    def verdict(self) -> str: ...  # noqa: D102
    @property
    def turning_epoch(self) -> int | None: ...  # noqa: D102
    @property
    def best_epoch(self) -> int: ...  # noqa: D102
    @property
    def window(self) -> int: ...  # noqa: D102


def overfitting_curves(
    history: Sequence[Mapping[str, float]],
    diagnosis: Diagnosis,
    title: str = "",
    *,
    words: Mapping[str, str] | None = None,
) -> Figure:
    """Returns a figure of the two losses, single epochs pale and smoothed strong, with turn and best epoch marked.

    Args:
        history: rows of `metrics.csv`.
        diagnosis: of these rows.
        title: over the curves; the verdict by default.
        words: English word of the figure -> another language's.
    """
    said = _Words(words)
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    epochs = np.array([row["epoch"] for row in history])
    for key, name, color in (("train_loss", "training (augmented)", _TRAIN), ("val_loss", "validation", _VAL)):
        values = np.array([row[key] for row in history])
        width = diagnosis.window
        if not width:
            axes.plot(epochs, values, color=color, linewidth=1.5, label=said(name))
            continue
        smoothed = np.median(np.lib.stride_tricks.sliding_window_view(values, width), axis=1)
        middle = epochs[width // 2 : width // 2 + len(smoothed)]
        axes.plot(epochs, values, color=color, alpha=0.35, linewidth=1.0)
        axes.plot(middle, smoothed, color=color, linewidth=2.0, label=said(name))
    axes.axvline(
        diagnosis.best_epoch, color=_GREY, linestyle=":", label=f"{said('best epoch')}: {diagnosis.best_epoch}"
    )
    if diagnosis.turning_epoch is not None:
        label = f"{said('turning epoch')}: {diagnosis.turning_epoch}"
        axes.axvline(diagnosis.turning_epoch, color=_VAL, linestyle="--", label=label)
        axes.axvspan(diagnosis.turning_epoch, float(epochs[-1]), color=_VAL, alpha=0.08, linewidth=0)
    axes.set(xlabel=said("epoch"), ylabel=said("loss"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(title or said(diagnosis.verdict), fontsize=10)
    return figure


def error_bars(
    shares: Mapping[str, Mapping[str, float]], title: str = "", *, words: Mapping[str, str] | None = None
) -> Figure:
    """Returns a figure of stacked bars, a bar an entry: share of each error type in its wrong pixels.

    Args:
        shares: entry -> type -> share, as `ErrorTable.shares` gives them; an entry of NaN has no bar.
        title: over the bars.
        words: English word of the figure -> another language's.
    Raises:
        ValueError: no entries.
    """
    if not shares:
        raise ValueError("expected the shares of at least one entry, got none")
    said = _Words(words)
    figure = Figure(figsize=(7.2, 1.3 + 0.34 * len(shares)), layout="constrained")
    axes = figure.subplots()
    names = list(shares)
    left = np.zeros(len(names))
    for kind, color in ERROR_TYPE_COLORS.items():
        widths = np.nan_to_num(np.array([shares[name][kind] for name in names]))
        axes.barh(names, widths, left=left, color=_hex(color), edgecolor="white", label=said(_plain(kind)))
        for place in np.flatnonzero(widths >= 0.08):
            x = float(left[place] + widths[place] / 2)
            ink = "white" if kind in ("missed_object", "false_object") else "black"
            axes.text(x, float(place), f"{widths[place]:.0%}", ha="center", va="center", fontsize=8, color=ink)
        left += widths
    axes.invert_yaxis()
    axes.set(xlim=(0.0, 1.0), xlabel=said("share of the wrong pixels"))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    if title:
        axes.set_title(title, fontsize=10)
    return figure


def error_map(
    image: npt.NDArray[np.uint8],
    types: npt.NDArray[np.uint8],
    title: str = "",
    *,
    words: Mapping[str, str] | None = None,
) -> Figure:
    """Returns a figure of one image beside its error types, with a legend that counts the pixels.

    Args:
        image: (H, W, 3) uint8.
        types: (H, W) uint8, as `ErrorTypes.types`; multilabel (C, H, W), the type named first in the legend on top.
        title: over both.
        words: English word of the figure -> another language's.
    Raises:
        ValueError: types that do not fit the image.
    """
    if types.shape[-2:] != image.shape[:2]:
        raise ValueError(f"expected types of the image's {image.shape[:2]} pixels, got {types.shape}")
    said = _Words(words)
    grey = np.repeat(170.0 + image.mean(axis=2, keepdims=True) / 3.0, 3, axis=2).astype(np.uint8)
    planes = types[None] if types.ndim == 2 else types
    handles = []
    for code, (kind, color) in reversed(list(enumerate(ERROR_TYPE_COLORS.items(), start=1))):
        where = planes == code
        grey[where.any(axis=0)] = color
        if where.any():
            label = f"{said(_plain(kind))}: {int(where.sum()):,} px"
            handles.append(Patch(facecolor=_hex(color), edgecolor="black", label=label))
    figure = Figure(figsize=(6.4, 3.2 * image.shape[0] / image.shape[1] + 1.0), layout="constrained")
    for axes, picture, name in zip(figure.subplots(1, 2), (image, grey), ("image", "errors"), strict=True):
        axes.imshow(picture, interpolation="nearest" if max(image.shape) < 200 else "antialiased")
        axes.set_title(said(name), fontsize=10)
        axes.set(xticks=[], yticks=[])
    if handles:
        figure.legend(handles=handles[::-1], loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def attribute_scatter(
    values: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    *,
    attribute: str,
    score: str,
    title: str = "",
) -> Figure:
    """Returns a figure of one point an image, attribute against score, with the mean of every third of the images.

    Args:
        values: (N,) of the attribute; images where it is NaN are left out.
        scores: (N,).
        attribute, score: for the axes.
        title: over the points.
    Raises:
        ValueError: lengths that differ, or no image with a value.
    """
    known = ~np.isnan(values)
    if values.shape != scores.shape or not known.any():
        raise ValueError(f"expected as many values as scores, at least one known; got {values.shape}, {scores.shape}")
    values, scores = values[known], scores[known]
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(values, scores, "o", color=_TRAIN, alpha=0.55, markersize=4, markeredgewidth=0)
    first, second = np.quantile(values, [1 / 3, 2 / 3])
    for chosen in (values <= first, (values > first) & (values <= second), values > second):
        if chosen.any():
            mean = float(scores[chosen].mean())
            axes.plot(
                [values[chosen].min(), values[chosen].max()],
                [mean, mean],
                "D-",
                color=_VAL,
                linewidth=2.0,
                markersize=4,
            )
    axes.set(xlabel=attribute, ylabel=score)
    axes.grid(alpha=0.25)
    if title:
        axes.set_title(title, fontsize=10)
    return figure


def panel_row(
    pictures: Sequence[npt.NDArray[np.uint8]], captions: Sequence[tuple[str, str]], *, tile_px: int = 160
) -> npt.NDArray[np.uint8]:
    """Returns pictures side by side, each under two short lines of text, (h, w, 3) uint8.

    Args:
        pictures: (H, W, 3) uint8, of one size; the first is a photograph and resized smoothly, the others are not.
        captions: two lines a picture; what does not fit is cut.
        tile_px: width of a picture.
    """
    height, width = pictures[0].shape[:2]
    tile = (tile_px, max(1, round(tile_px * height / width)))
    row = Image.new("RGB", (len(pictures) * (tile_px + _MARGIN_PX) - _MARGIN_PX, tile[1] + _CAPTION_PX), "white")
    draw = ImageDraw.Draw(row)
    for place, (picture, lines) in enumerate(zip(pictures, captions, strict=True)):
        resample = Image.Resampling.NEAREST if place else Image.Resampling.BILINEAR
        x = place * (tile_px + _MARGIN_PX)
        row.paste(Image.fromarray(picture).resize(tile, resample), (x, _CAPTION_PX))
        for number, line in enumerate(lines):
            draw.text((x + 2, 2 + 13 * number), _fit(line, tile_px - 4), fill="black")
    return np.asarray(row)


class _Words:
    """Returns the word of another language, or the English one where none is given."""

    def __init__(self, words: Mapping[str, str] | None) -> None:
        self._words = words or {}

    def __call__(self, word: str) -> str:
        return self._words.get(word, word)


def _plain(kind: str) -> str:
    return kind.replace("_", " ")


def _hex(color: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
