"""What augmentation does to images and masks: a row a sample, the original first and its versions beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from segbench.plots.panels import ERROR_COLORS, overlay
from segbench.types import ClassMap

_SIDE_INCH = 1.9
_MOST_NAMES = 12
_VEIL = 0.6  # how much of a pixel that counts nowhere is covered


def augment_preview(
    images: Sequence[Sequence[NDArray[np.uint8]]],
    masks: Sequence[Sequence[NDArray[np.uint8]]],
    class_map: ClassMap,
    *,
    titles: Sequence[str] = (),
) -> Figure:
    """Returns a sheet with a row a sample: the original, then its versions, masks drawn over them.

    Pixels that count nowhere are veiled in grey. What is smaller than the largest of them is drawn smaller.

    Args:
        images: for each sample the original and its versions, (H, W, C) uint8, of which the first three channels are
            shown; one channel is shown in grey.
        masks: of all these, (H, W) class indices or (P, H, W) planes.
        class_map: names and colours.
        titles: one a sample, written beside its row.
    Raises:
        ValueError: no samples, or not as many masks as images.
    """
    counts = [len(row) for row in images]
    if not counts or counts != [len(row) for row in masks] or min(counts) < 1 or len(set(counts)) > 1:
        raise ValueError(
            f"expected as many masks as images, and as many versions of each sample, got {counts} images and "
            f"{[len(row) for row in masks]} masks"
        )
    height, width = (max(image.shape[axis] for row in images for image in row) for axis in (0, 1))
    figure = Figure(
        figsize=(_SIDE_INCH * counts[0] + 0.4, _SIDE_INCH * height / width * len(images) + 0.9), layout="constrained"
    )
    panels = figure.subplots(len(images), counts[0], squeeze=False)
    for line, (row, of_row) in enumerate(zip(images, masks, strict=True)):
        for column, (image, mask) in enumerate(zip(row, of_row, strict=True)):
            axes = panels[line, column]
            axes.imshow(_drawn(image, mask, class_map), interpolation="antialiased")
            axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
            axes.set_frame_on(False)
            if line == 0:
                axes.set_title("original" if column == 0 else f"epoch {column}", fontsize=9)
        if titles:
            panels[line, 0].set_ylabel(titles[line], fontsize=8)
    _legend(figure, class_map, any((mask == class_map.ignore_index).any() for row in masks for mask in row))
    return figure


def _drawn(image: NDArray[np.uint8], mask: NDArray[np.uint8], class_map: ClassMap) -> NDArray[np.uint8]:
    shown = np.repeat(image[:, :, :1], 3, axis=2) if image.shape[2] < 3 else image[:, :, :3]
    ignored = mask == class_map.ignore_index
    ignored = ignored.any(axis=0) if mask.ndim == 3 else ignored
    picture = overlay(shown, mask, class_map, 0.3)
    veiled = (1 - _VEIL) * shown[ignored] + _VEIL * np.array(ERROR_COLORS["ignored"])
    picture[ignored] = veiled.round().astype(np.uint8)
    return picture


def _legend(figure: Figure, class_map: ClassMap, ignored: bool) -> None:
    shown = [index for index in range(class_map.num_classes) if index != class_map.background][:_MOST_NAMES]
    names = [(class_map.names[index], class_map.colors[index]) for index in shown]
    names += [("ignored", ERROR_COLORS["ignored"])] if ignored else []
    handles = [
        Patch(facecolor="#{:02x}{:02x}{:02x}".format(*color), edgecolor="black", label=name) for name, color in names
    ]
    more = class_map.num_classes - (class_map.background is not None) - len(shown)
    if more > 0:
        handles.append(Patch(color="none", label=f"and {more} more"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), frameon=False, fontsize=8)
