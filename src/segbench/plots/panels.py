"""Masks drawn over images, and sheets of input / truth / prediction / errors."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from segbench.types import RGB, ClassMap, Task

ERROR_COLORS: dict[str, RGB] = {
    "missed": (0, 114, 178),
    "false": (213, 94, 0),
    "swapped": (204, 121, 167),
    "ignored": (128, 128, 128),
}
RIGHT_COLOR: RGB = (222, 222, 222)  # an object where truth and prediction agree
_PIXELS_PER_OUTLINE_PX = 300  # an outline is a pixel wide for each so many pixels of the shorter side
_MARGIN_PX = 4
_LABEL_WIDTH_PX = 92
_HEADER_PX = 18


def colorize(mask: np.ndarray, class_map: ClassMap) -> np.ndarray:
    """Returns the mask in display colours.

    Args:
        mask: (H, W) class indices; multilabel (C, H, W) planes, later classes on top.
        class_map: whose colours are used; ignored pixels become grey.
    Returns:
        (H, W, 3) uint8.
    """
    table = np.full((256, 3), ERROR_COLORS["ignored"], dtype=np.uint8)
    table[: class_map.num_classes] = class_map.colors
    if mask.ndim == 2:
        colored: np.ndarray = table[mask.astype(np.uint8)]
        return colored
    canvas = np.zeros((*mask.shape[1:], 3), dtype=np.uint8)
    for index, plane in enumerate(mask):
        canvas[plane == 1] = class_map.colors[index]
    canvas[(mask == class_map.ignore_index).any(axis=0)] = ERROR_COLORS["ignored"]
    return canvas


def overlay(image: np.ndarray, mask: np.ndarray, class_map: ClassMap, opacity: float = 0.45) -> np.ndarray:
    """Returns the image with every class but the background tinted, and outlined so that it shows at any size.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) class indices, multilabel (C, H, W).
        class_map: names the background and the colours.
        opacity: of the tint, 0-1.
    Returns:
        (H, W, 3) uint8.
    """
    colors = colorize(mask, class_map)
    if mask.ndim == 2:
        shown = np.ones(mask.shape, dtype=bool) if class_map.background is None else mask != class_map.background
        labels = mask.astype(np.int64)
    else:
        present = mask == 1
        shown = present.any(axis=0)
        weights = np.left_shift(np.int64(1), np.arange(mask.shape[0], dtype=np.int64) % 62)
        labels = np.tensordot(weights, present.astype(np.int64), axes=1)
    result = image.astype(np.float32)
    result[shown] += opacity * (colors[shown].astype(np.float32) - result[shown])
    edge = np.zeros(shown.shape, dtype=bool)
    for shift in range(1, 1 + max(1, min(shown.shape) // _PIXELS_PER_OUTLINE_PX)):
        edge[:, shift:] |= labels[:, shift:] != labels[:, :-shift]
        edge[shift:, :] |= labels[shift:, :] != labels[:-shift, :]
    edge &= shown
    result[edge] = colors[edge]
    return result.round().astype(np.uint8)


def errors(truth: np.ndarray, prediction: np.ndarray, class_map: ClassMap) -> np.ndarray:
    """Returns where truth and prediction differ: missed (blue), false (orange), swapped (pink), ignored (grey).

    Args:
        truth, prediction: (H, W) class indices, multilabel (C, H, W); truth may hold `ignore_index`.
        class_map: names the background; without one every difference is a swap.
    Returns:
        (H, W, 3) uint8, light where both agree on an object, white where both agree on the background.
    """
    if truth.ndim == 3:
        ignored = (truth == class_map.ignore_index).any(axis=0)
        missed = ((truth == 1) & (prediction == 0)).any(axis=0)
        false = ((truth == 0) & (prediction == 1)).any(axis=0)
        swapped = missed & false
        agreed = (truth == 1).any(axis=0)
    else:
        ignored = truth == class_map.ignore_index
        differs = truth != prediction
        background = class_map.background if class_map.background is not None else -1
        missed = differs & (prediction == background)
        false = differs & (truth == background)
        swapped = differs & ~missed & ~false
        agreed = truth != background
    picture = np.full((*ignored.shape, 3), 255, dtype=np.uint8)
    picture[agreed] = RIGHT_COLOR
    layers = {"missed": missed, "false": false, "swapped": swapped, "ignored": ignored}
    for name, where in layers.items():
        picture[where] = ERROR_COLORS[name]
    return picture


def prediction_sheet(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    class_map: ClassMap,
    *,
    titles: Sequence[str] = (),
    tile_px: int = 160,
) -> Image.Image:
    """Returns rows input / truth / prediction / errors over one column a sample, with a legend.

    Args:
        images: (H, W, 3) uint8 each.
        truths, predictions: masks of the same H and W.
        class_map: names and colours.
        titles: one short text a sample.
        tile_px: width of a column; heights keep the first image's shape.
    """
    height, width = images[0].shape[:2]
    tile = (tile_px, max(1, round(tile_px * height / width)))
    rows = {
        "input": list(images),
        "truth": [overlay(image, mask, class_map) for image, mask in zip(images, truths, strict=True)],
        "prediction": [overlay(image, mask, class_map) for image, mask in zip(images, predictions, strict=True)],
        "errors": [errors(truth, mask, class_map) for truth, mask in zip(truths, predictions, strict=True)],
    }
    legend = _legend(class_map)
    sheet_width = _LABEL_WIDTH_PX + len(images) * (tile[0] + _MARGIN_PX)
    places, legend_height = _place_legend(legend, sheet_width)
    top = _HEADER_PX if titles else _MARGIN_PX
    sheet = Image.new("RGB", (sheet_width, top + len(rows) * (tile[1] + _MARGIN_PX) + legend_height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((_LABEL_WIDTH_PX + column * (tile[0] + _MARGIN_PX), 3), _fit(title, tile[0]), fill="black")
    for line, (name, pictures) in enumerate(rows.items()):
        y = top + line * (tile[1] + _MARGIN_PX)
        draw.text((_MARGIN_PX, y + tile[1] // 2 - 6), name, fill="black")
        for column, picture in enumerate(pictures):
            resample = Image.Resampling.BILINEAR if name == "input" else Image.Resampling.NEAREST
            small = Image.fromarray(picture).resize(tile, resample)
            sheet.paste(small, (_LABEL_WIDTH_PX + column * (tile[0] + _MARGIN_PX), y))
    base = top + len(rows) * (tile[1] + _MARGIN_PX)
    for (name, color), (x, y) in zip(legend, places, strict=True):
        draw.rectangle((x, base + y + 3, x + 10, base + y + 13), fill=color, outline="black")
        draw.text((x + 14, base + y + 2), name, fill="black")
    return sheet


def _legend(class_map: ClassMap) -> list[tuple[str, RGB]]:
    """Returns the classes that are drawn, and the kinds of error that can occur."""
    classes = [
        (name, color)
        for index, (name, color) in enumerate(zip(class_map.names, class_map.colors, strict=True))
        if index != class_map.background
    ]
    unseen = {"swapped"} if class_map.task is Task.BINARY else set()
    if class_map.background is None and class_map.task is Task.MULTICLASS:
        unseen = {"missed", "false"}  # without a background every difference is a swap
    return classes + [(name, color) for name, color in ERROR_COLORS.items() if name not in unseen]


def _place_legend(legend: Sequence[tuple[str, object]], width: int) -> tuple[list[tuple[int, int]], int]:
    """Returns where each entry goes, wrapped to the width, and the height of all lines."""
    places: list[tuple[int, int]] = []
    x, y = _LABEL_WIDTH_PX, 0
    for name, _ in legend:
        needed = 14 + _text_width(name) + 16
        if x + needed > width and x > _LABEL_WIDTH_PX:
            x, y = _LABEL_WIDTH_PX, y + _HEADER_PX
        places.append((x, y))
        x += needed
    return places, y + _HEADER_PX + _MARGIN_PX


def _text_width(text: str) -> int:
    font = ImageFont.load_default()
    return int(font.getlength(text)) + 1


def _fit(text: str, width: int) -> str:
    while len(text) > 1 and _text_width(text) > width:
        text = text[:-2] + "…"
    return text


def png_bytes(image: np.ndarray | Image.Image) -> bytes:
    """Returns an image, (H, W, 3) uint8 or of Pillow, as the bytes of a PNG file."""
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()
