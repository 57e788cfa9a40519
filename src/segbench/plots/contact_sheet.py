"""Many labelled images on one sheet, so that wrong labels are seen at a glance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from segbench.files import replacing
from segbench.plots.panels import ERROR_COLORS, overlay
from segbench.types import ClassMap

_SIDE_INCH = 1.9
_MOST_NAMES = 24
_MOST_COLUMNS = 8
_DPI = 110


@dataclass(frozen=True)
class Labelled:
    """An image to show: its title, (H, W, C) uint8 pixels and (H, W) or (C, H, W) labels."""

    title: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def contact_sheet(samples: Sequence[Labelled], class_map: ClassMap, *, title: str = "", columns: int = 0) -> Figure:
    """Returns the images with their labels drawn over them, each as large as its cell allows, and a legend.

    Args:
        samples: at least one; sizes may differ.
        class_map: names and colours; the legend names only classes that are there.
        title: above the sheet.
        columns: 0 chooses.
    Raises:
        ValueError: no samples.
    """
    if not samples:
        raise ValueError("expected at least one image to show, got none")
    across = columns or min(_MOST_COLUMNS, math.ceil(math.sqrt(len(samples) * 1.5)))
    down = math.ceil(len(samples) / across)
    ratio = float(np.median([sample.image.shape[0] / sample.image.shape[1] for sample in samples]))
    figure = Figure(
        figsize=(_SIDE_INCH * across + 0.3, (_SIDE_INCH * min(max(ratio, 0.4), 2.0) + 0.25) * down + 0.9),
        layout="constrained",
        dpi=_DPI,
    )
    panels = figure.subplots(down, across, squeeze=False)
    for axes, sample in zip(panels.flat, [*samples, *[None] * (down * across - len(samples))], strict=True):
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
        if sample is None:
            continue
        shown = np.repeat(sample.image[:, :, :1], 3, axis=2) if sample.image.shape[2] < 3 else sample.image[:, :, :3]
        axes.imshow(overlay(shown, sample.mask, class_map), interpolation="antialiased")
        axes.set_title(_short(sample.title), fontsize=7, pad=2, parse_math=False)
    _legend(figure, samples, class_map)
    if title:
        figure.suptitle(title, fontsize=10, parse_math=False)
    return figure


def save_sheet(figure: Figure, path: Path) -> Path:
    """Writes a sheet as PNG, all or nothing; returns its path, with `.png` where no suffix was given."""
    path = path if path.suffix else path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        figure.savefig(part, format=path.suffix[1:].lower(), dpi=_DPI)
    return path


def _legend(figure: Figure, samples: Sequence[Labelled], class_map: ClassMap) -> None:
    there: set[int] = set()
    for sample in samples:
        if sample.mask.ndim == 3:
            there |= {index for index, plane in enumerate(sample.mask) if (plane == 1).any()}
            there |= {class_map.ignore_index} if (sample.mask == class_map.ignore_index).any() else set()
        else:
            there |= set(np.unique(sample.mask).tolist())
    named = [index for index in range(class_map.num_classes) if index in there and index != class_map.background]
    entries = [(class_map.names[index], class_map.colors[index]) for index in named[:_MOST_NAMES]]
    entries += [("ignored", ERROR_COLORS["ignored"])] if class_map.ignore_index in there else []
    handles = [Patch(color="#{:02x}{:02x}{:02x}".format(*color), label=name) for name, color in entries]
    more = len(named) - _MOST_NAMES
    if more > 0:
        handles.append(Patch(color="none", label=f"and {more} more"))
    if handles:
        legend = figure.legend(
            handles=handles, loc="outside lower center", ncols=min(len(handles), 6), fontsize=8, frameon=False
        )
        for text in legend.get_texts():
            text.set_parse_math(False)


def _short(text: str) -> str:
    return text if len(text) <= 34 else f"{text[:14]}...{text[-17:]}"
