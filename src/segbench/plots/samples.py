"""Truth and prediction of single images: where they overlap, class by class, and in rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from segbench.plots.panels import ERROR_COLORS, overlay
from segbench.types import RGB, ClassMap, Task

_BOTH: RGB = (0, 158, 115)
_SIDE_INCH = 2.5
_MOST_COLUMNS = 5


def overlap(
    truth: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    *,
    image: NDArray[np.uint8] | None = None,
    counted: NDArray[np.bool_] | None = None,
    name: str = "",
) -> Figure:
    """Returns a figure of one object class: truth, prediction, and both on one another, with IoU and Dice.

    Args:
        truth, prediction: (H, W) bool, True where the class is.
        image: (H, W, 3) uint8, drawn pale behind the masks.
        counted: (H, W) bool, False where a pixel counts nowhere; those are grey.
        name: of the class or image, for the title.
    Raises:
        ValueError: masks of different or wrong shapes.
    """
    if truth.shape != prediction.shape or truth.ndim != 2:
        raise ValueError(
            f"truth and prediction must be masks of the same H x W, got {truth.shape} and {prediction.shape}"
        )
    counted = np.ones(truth.shape, dtype=bool) if counted is None else counted
    both, missed, false = truth & prediction & counted, truth & ~prediction & counted, ~truth & prediction & counted
    parts = {"both": (both, _BOTH), "missed": (missed, ERROR_COLORS["missed"]), "false": (false, ERROR_COLORS["false"])}
    ground = _ground(image, truth.shape)
    ground[~counted] = ERROR_COLORS["ignored"]
    figure = Figure(figsize=(3 * _SIDE_INCH, _SIDE_INCH * truth.shape[0] / truth.shape[1] + 1.1), layout="constrained")
    axes = figure.subplots(1, 3)
    _show(axes[0], _painted(ground, [(truth & counted, _BOTH), (missed, ERROR_COLORS["missed"])]), "truth")
    _show(axes[1], _painted(ground, [(prediction & counted, _BOTH), (false, ERROR_COLORS["false"])]), "prediction")
    _show(axes[2], _painted(ground, list(parts.values())), "both")
    handles = [
        Patch(facecolor=_hex(color), edgecolor="black", label=f"{label}: {int(where.sum()):,} px")
        for label, (where, color) in parts.items()
    ]
    if not counted.all():
        grey = _hex(ERROR_COLORS["ignored"])
        handles.append(Patch(facecolor=grey, edgecolor="black", label=f"ignored: {int((~counted).sum()):,} px"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(f"{name + ': ' if name else ''}{_scores(both, missed, false)}", fontsize=11)
    return figure


def classes(
    mask: NDArray[np.uint8], class_map: ClassMap, *, image: NDArray[np.uint8] | None = None, title: str = ""
) -> Figure:
    """Returns a figure with one panel a class: where it is, in its colour, and the share of the pixels it covers.

    Args:
        mask: (H, W) class indices, multilabel (C, H, W) planes; pixels of `ignore_index` are grey in every panel.
        class_map: names and colours.
        image: (H, W, 3) uint8, shown first and pale behind the masks.
        title: over all panels.
    """
    planes = mask == 1 if mask.ndim == 3 else np.stack([mask == index for index in range(class_map.num_classes)])
    ignored = mask == class_map.ignore_index
    if mask.ndim == 3:
        ignored = ignored.any(axis=0)
    count = len(planes) + (image is not None)
    columns = min(count, _MOST_COLUMNS)
    lines = -(-count // columns)
    height, width = planes.shape[1:]
    size = (_SIDE_INCH * columns, lines * (_SIDE_INCH * height / width + 0.5) + (0.4 if title else 0.0))
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).ravel())
    for spare in panels[count:]:
        spare.set_axis_off()
    if image is not None:
        _show(panels.pop(0), image, "image")
    ground = _ground(image, (height, width))
    ground[ignored] = ERROR_COLORS["ignored"]
    total = max(int((~ignored).sum()), 1)
    for axes, plane, name, color in zip(panels, planes, class_map.names, class_map.colors, strict=False):
        _show(axes, _painted(ground, [(plane & ~ignored, color)]), f"{name}\n{(plane & ~ignored).sum() / total:.1%}")
    if ignored.any():
        grey = Patch(facecolor=_hex(ERROR_COLORS["ignored"]), edgecolor="black", label="ignored")
        figure.legend(handles=[grey], loc="outside lower center", frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def rows(
    images: Sequence[NDArray[np.uint8]],
    truths: Sequence[NDArray[np.uint8]],
    predictions: Sequence[NDArray[np.uint8]],
    class_map: ClassMap,
    *,
    titles: Sequence[str] = (),
) -> Figure:
    """Returns a figure of three rows, input, true and predicted, with a column a sample.

    Args:
        images: (H, W, 3) uint8, each of its own size.
        truths, predictions: masks of the same H and W as their image.
        class_map: names and colours.
        titles: one a sample.
    Raises:
        ValueError: no samples, or not as many masks as images.
    """
    count = len(images)
    if not count or len(truths) != count or len(predictions) != count:
        raise ValueError(
            f"images, truths and predictions must be as many, at least one; got {count}, {len(truths)} and "
            f"{len(predictions)}"
        )
    tallest = max(image.shape[0] / image.shape[1] for image in images)
    figure = Figure(figsize=(_SIDE_INCH * count + 0.4, 3 * _SIDE_INCH * tallest + 0.9), layout="constrained")
    axes = figure.subplots(3, count, squeeze=False)
    for column, (image, truth, prediction) in enumerate(zip(images, truths, predictions, strict=True)):
        _show(axes[0, column], image, titles[column] if titles else "")
        _show(axes[1, column], overlay(image, truth, class_map, 0.6), "")
        _show(axes[2, column], overlay(image, prediction, class_map, 0.6), "")
    for row, label in enumerate(("input", "true", "predicted")):
        axes[row, 0].set_ylabel(label, fontsize=12)
    shown = [index for index in range(class_map.num_classes) if index != class_map.background]
    handles = [
        Patch(facecolor=_hex(class_map.colors[index]), edgecolor="black", label=class_map.names[index])
        for index in shown
    ]
    if any((truth == class_map.ignore_index).any() for truth in truths):
        handles.append(Patch(facecolor=_hex(ERROR_COLORS["ignored"]), edgecolor="black", label="ignored"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2 * count), frameon=False)
    return figure


def class_plane(mask: NDArray[np.uint8], class_map: ClassMap, index: int) -> NDArray[np.bool_]:
    """Returns where one class is, (H, W) bool, in a mask of class indices or of planes."""
    plane: NDArray[np.bool_] = mask[index] == 1 if class_map.task is Task.MULTILABEL else mask == index
    return plane


def _scores(both: NDArray[np.bool_], missed: NDArray[np.bool_], false: NDArray[np.bool_]) -> str:
    hits, wrong = int(both.sum()), int(missed.sum()) + int(false.sum())
    if hits + wrong == 0:
        return "in neither, so there is no IoU"
    return f"IoU {hits / (hits + wrong):.3f}, Dice {2 * hits / (2 * hits + wrong):.3f}"


def _ground(image: NDArray[np.uint8] | None, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Returns what masks are painted on: the image, grey and pale, or nearly white."""
    if image is None:
        return np.full((*shape[:2], 3), 245, dtype=np.uint8)
    grey = image.mean(axis=2, keepdims=True)
    return np.repeat(170.0 + grey / 3.0, 3, axis=2).astype(np.uint8)


def _painted(ground: NDArray[np.uint8], parts: Sequence[tuple[NDArray[np.bool_], RGB]]) -> NDArray[np.uint8]:
    picture = ground.copy()
    for where, color in parts:
        picture[where] = color
    return picture


def _show(axes: Axes, picture: NDArray[np.uint8], title: str) -> None:
    axes.imshow(picture, interpolation="nearest" if max(picture.shape[:2]) < 200 else "antialiased")
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])


def _hex(color: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
