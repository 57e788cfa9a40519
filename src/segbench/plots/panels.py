"""Masks drawn over images, and sheets of input / truth / prediction / errors."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

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
_ERROR_NAMES = {"missed": "missed", "false": "false", "swapped": "another class", "ignored": "ignored"}
_FRAME_COLOR: RGB = (190, 190, 190)  # around every picture: white pixels of an error map end somewhere
_PIXELS_PER_OUTLINE_PX = 300  # an outline is a pixel wide for each so many pixels of the shorter side
_TINT = 115  # opacity of an area over an image, of 255
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
        return table.take(mask.astype(np.uint8, copy=False), axis=0)  # a quarter of the time of table[mask]
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
    colors, shown, edge = _drawn(mask, class_map)
    share = round(opacity * 65536)  # whole numbers take half the time
    tinted = image.astype(np.uint32)
    tinted *= 65536 - share
    tinted += colors.astype(np.uint32) * share + 32768
    result = np.where(shown[:, :, None], (tinted >> 16).astype(np.uint8), image)
    result[edge] = colors[edge]
    return result


def mask_layers(mask: np.ndarray, class_map: ClassMap, width_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns what lies over an image: every class but the background tinted, and the outlines of these areas alone.

    Args:
        mask: (H, W) class indices, multilabel (C, H, W).
        class_map: names the background and the colours.
        width_px: of an outline.
    Returns:
        two (H, W, 4) uint8, RGB and opacity.
    """
    colors, shown, edge = _drawn(mask, class_map, width_px)
    area = np.where(edge, 255, np.where(shown, _TINT, 0)).astype(np.uint8)
    return np.dstack([colors, area]), np.dstack([colors, np.where(edge, 255, 0).astype(np.uint8)])


def _drawn(mask: np.ndarray, class_map: ClassMap, width_px: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns colours (H, W, 3), and (H, W) bool: where there is a class, and where its outline is."""
    colors = colorize(mask, class_map)
    if mask.ndim == 2:
        shown = np.ones(mask.shape, dtype=bool) if class_map.background is None else mask != class_map.background
        labels = mask
    else:
        present = mask == 1
        shown = present.any(axis=0)
        weights = np.left_shift(np.int64(1), np.arange(mask.shape[0], dtype=np.int64) % 62)
        labels = np.tensordot(weights, present.astype(np.int64), axes=1)
    width_px = width_px or max(1, min(shown.shape) // _PIXELS_PER_OUTLINE_PX)
    return colors, shown, shown & _borders(labels, width_px)


def both_outlines(truth: np.ndarray, prediction: np.ndarray, width_px: int) -> np.ndarray:
    """Returns the outlines of the true mask and, over them, of the predicted one, each in one colour for all classes.

    The colours are those of what is missed and of what is false: what lies inside the true outline alone was missed.

    Args:
        truth, prediction: (H, W) class indices, multilabel (C, H, W).
        width_px: of an outline.
    Returns:
        (H, W, 4) uint8, RGB and opacity.
    """
    picture = np.zeros((*truth.shape[-2:], 4), dtype=np.uint8)
    for mask, name in ((truth, "missed"), (prediction, "false")):
        planes = mask[None] if mask.ndim == 2 else mask
        edge = np.any([_borders(plane.astype(np.int64), width_px) for plane in planes], axis=0)
        picture[edge] = (*ERROR_COLORS[name], 255)
    return picture


def _borders(labels: np.ndarray, width_px: int) -> np.ndarray:
    """Returns (H, W) bool: pixels at most `width_px` to the right of, or below, one with another label."""
    edge = np.zeros(labels.shape, dtype=bool)
    for shift in range(1, 1 + width_px):
        edge[:, shift:] |= labels[:, shift:] != labels[:, :-shift]
        edge[shift:, :] |= labels[shift:, :] != labels[:-shift, :]
    return edge


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
    heading: str = "",
    titles: Sequence[str] = (),
    tile_px: int = 160,
) -> Image.Image:
    """Returns rows input / truth / prediction / errors over one column a sample, with a legend of all their colours.

    Args:
        images: (H, W, 3) uint8 each.
        truths, predictions: masks of the same H and W.
        class_map: names and colours.
        heading: above everything, for example the epoch and its score.
        titles: one short text a sample, of one or several lines.
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
    sheet_width = _LABEL_WIDTH_PX + len(images) * (tile[0] + _MARGIN_PX)
    top = _HEADER_PX * (bool(heading) + max((title.count("\n") + 1 for title in titles), default=0)) + _MARGIN_PX
    legend = _Legend(legend_entries(class_map), sheet_width)
    sheet = Image.new("RGB", (sheet_width, top + len(rows) * (tile[1] + _MARGIN_PX) + legend.height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN_PX, 3), _fit(heading, sheet_width - 2 * _MARGIN_PX), fill="black", font=_font())
    for column, title in enumerate(titles):
        x = _LABEL_WIDTH_PX + column * (tile[0] + _MARGIN_PX)
        for line, text in enumerate(title.split("\n")):
            y = 3 + _HEADER_PX * (bool(heading) + line)
            draw.text((x, y), _fit(text, tile[0]), fill="black", font=_font())
    for line, (name, pictures) in enumerate(rows.items()):
        y = top + line * (tile[1] + _MARGIN_PX)
        draw.text((_MARGIN_PX, y + tile[1] // 2 - 6), name, fill="black", font=_font())
        for column, picture in enumerate(pictures):
            resample = Image.Resampling.BILINEAR if name == "input" else Image.Resampling.NEAREST
            x = _LABEL_WIDTH_PX + column * (tile[0] + _MARGIN_PX)
            sheet.paste(Image.fromarray(picture).resize(tile, resample), (x, y))
            draw.rectangle((x, y, x + tile[0] - 1, y + tile[1] - 1), outline=_FRAME_COLOR)
    legend.draw(draw, top + len(rows) * (tile[1] + _MARGIN_PX))
    return sheet


def legend_picture(class_map: ClassMap, *, width_px: int = 480) -> Image.Image:
    """Returns the colours of the classes with their names, for pictures that are only an image with its mask.

    Args:
        class_map: names and colours; the background is not drawn, so it has no entry.
        width_px: of the picture; names that need more go on in the next line.
    """
    legend = _Legend({"classes": legend_entries(class_map)["classes"]}, width_px)
    picture = Image.new("RGB", (width_px, legend.height + _MARGIN_PX), "white")
    legend.draw(ImageDraw.Draw(picture), 0)
    return picture


def legend_entries(class_map: ClassMap) -> dict[str, list[tuple[str, RGB]]]:
    """Returns what is drawn with its colour: `classes` in masks, and `errors` of those kinds that can occur."""
    classes = [
        (name, color)
        for index, (name, color) in enumerate(zip(class_map.names, class_map.colors, strict=True))
        if index != class_map.background
    ]
    unseen = {"swapped"} if class_map.task is Task.BINARY else set()
    if class_map.background is None and class_map.task is Task.MULTICLASS:
        unseen = {"missed", "false"}  # without a background every difference is a swap
    right = [("right: background", (255, 255, 255))] if class_map.background is not None else []
    right.append(("right: object" if right else "right", RIGHT_COLOR))
    wrong = [(_ERROR_NAMES[name], color) for name, color in ERROR_COLORS.items() if name not in unseen]
    return {"classes": classes, "errors": right + wrong}


class _Legend:
    """Rows of named colours, each row with its own label, wrapped to a width."""

    def __init__(self, rows: Mapping[str, Sequence[tuple[str, RGB]]], width: int) -> None:
        self._labels: list[tuple[str, int]] = []
        self._entries: list[tuple[str, RGB, int, int]] = []
        y = _MARGIN_PX
        for label, entries in rows.items():
            self._labels.append((label, y))
            x = _LABEL_WIDTH_PX
            for name, color in entries:
                needed = 16 + _text_width(name) + 14
                if x + needed > width and x > _LABEL_WIDTH_PX:
                    x, y = _LABEL_WIDTH_PX, y + _HEADER_PX
                self._entries.append((name, color, x, y))
                x += needed
            y += _HEADER_PX
        self.height = y + _MARGIN_PX

    def draw(self, draw: ImageDraw.ImageDraw, top: int) -> None:
        for label, y in self._labels:
            draw.text((_MARGIN_PX, top + y), label, fill="black", font=_font())
        for name, color, x, y in self._entries:
            draw.rectangle((x, top + y + 1, x + 11, top + y + 12), fill=color, outline="black")
            draw.text((x + 16, top + y), name, fill="black", font=_font())


@cache
def _font() -> ImageFont.FreeTypeFont:
    """Returns the font that Matplotlib brings: Pillow's own knows Latin letters only."""
    found = importlib.util.find_spec("matplotlib")  # which need not be imported for it
    assert found is not None
    assert found.origin is not None
    return ImageFont.truetype(str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"), 11)


def _text_width(text: str) -> int:
    return int(_font().getlength(text)) + 1


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
