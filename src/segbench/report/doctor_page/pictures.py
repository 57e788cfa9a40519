"""The small pictures of the page about a data set: each file is read once, however often the page is written."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from segbench.doctor import Checkup, Picture
from segbench.errors import ConfigError, DatasetError, SegbenchError
from segbench.locale import join, message
from segbench.plots.panels import ERROR_COLORS
from segbench.report.doctor_page.views import View, Views
from segbench.report.document import Block, Legend, Tile, text
from segbench.types import RGB

LARGEST_PX = 240  # longest side of a picture
MARK_COLOR: RGB = (255, 0, 200)  # pixels whose value means nothing
_MOST_NAMES = 48
_MOST_RINGED_FRAC = 0.3  # of a picture
_LONGEST_REASON = 160


class DataPictures:
    """Makes the pictures of a page.

    Args:
        checkup: of the data set.
    """

    def __init__(self, checkup: Checkup) -> None:
        self.views = Views(checkup)
        self._made: dict[tuple[str, str], tuple[View, str]] = {}

    def tiles(self, picture: Picture, side: int) -> tuple[Tile, ...]:
        """Returns a finding's picture, two of a pair, with a longest side of at most `side` pixels."""
        views, first = self.views, self.views.root / picture.files[0]
        if picture.kind == "pair":
            show = views.image_or_mask
            return tuple(
                self._tile(("pair", name), name, side, partial(show, views.root / name)) for name in picture.files
            )
        caption = picture.caption or picture.sample or picture.files[0]
        if picture.kind == "overlay":
            key = ("overlay", picture.sample or picture.files[0])
            return (self._tile(key, caption, side, lambda: views.overlay(picture.sample, picture.files)),)
        make = views.mask if picture.kind == "values" else views.image
        return (self._tile((picture.kind, picture.files[0]), caption, side, lambda: make(first)),)

    def samples(self, count: int, side: int) -> tuple[Tile, ...]:
        """Returns labelled images under their masks, spread over the data set."""
        ids = sorted(self.views.entries)
        chosen = sorted(np.random.default_rng(0).permutation(len(ids))[:count].tolist())
        names = [ids[number] for number in chosen]
        return tuple(self._tile(("overlay", name), name, side, partial(self.views.overlay, name)) for name in names)

    def legend(self) -> tuple[Block, ...]:
        """Returns what the colours of the pictures made so far mean; () where there is nothing to say."""
        class_map, views = self.views.class_map, [view for view, _ in self._made.values()]
        seen: set[int] = set().union(*(view.classes for view in views))
        items: list[tuple[str, RGB]] = []
        more = 0
        if class_map is not None:
            named = [index for index in range(class_map.num_classes) if index in seen]
            items += [(class_map.names[index], class_map.colors[index]) for index in named[:_MOST_NAMES]]
            more = max(0, len(named) - _MOST_NAMES)
            if class_map.ignore_index in seen:
                items.append((message("not counted"), ERROR_COLORS["ignored"]))
        if any(view.marks is not None and view.marks.any() for view in views):
            items.append((message("value that is not exactly a class's"), MARK_COLOR))
        if not items:
            return ()
        legend = Legend(items=tuple((name, "#{:02x}{:02x}{:02x}".format(*color)) for name, color in items))
        return (legend, *text(message("and {n} more", n=more) if more else "", tone="note"))

    def _tile(self, key: tuple[str, str], caption: str, side: int, make: Callable[[], View]) -> Tile:
        if key not in self._made:
            self._made[key] = self._look(make)
        view, told = self._made[key]
        view = view.shrunk(side)
        pixels = view.pixels.copy()
        if view.marks is not None and view.marks.any():
            pixels[view.marks] = MARK_COLOR
            pixels = ringed(pixels, view.marks)
        caption = join(": ", [caption, told]) if told else caption
        height, width = pixels.shape[:2]
        return Tile(source=_address(pixels, flat=view.flat), width=width, height=height, caption=caption, label=caption)

    def _look(self, make: Callable[[], View]) -> tuple[View, str]:
        """Returns what `make` shows, as small as it is needed, and what the caption adds; a cross where it cannot."""
        try:
            view = make().shrunk(LARGEST_PX)
        except (SegbenchError, OSError) as error:
            reason = error.reason if isinstance(error, DatasetError | ConfigError) else str(error)
            return _cross(), message("cannot be shown ({why})", why=_cut(reason))
        if view.stretched:
            return view, message(
                "the mask, {height} x {width}, is stretched here", height=view.stretched[0], width=view.stretched[1]
            )
        return view, view.told


def ringed(pixels: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Returns the picture with a ring around what is marked, unless that is much of it: a few pixels are overlooked.

    Args:
        pixels: (H, W, 3) uint8.
        marks: (H, W) bool, some True.
    """
    rows, columns = (np.flatnonzero(marks.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    height, width = marks.shape
    if (bottom - top) * (right - left) > _MOST_RINGED_FRAC * height * width:
        return pixels
    image, gap = Image.fromarray(pixels), max(7, min(height, width) // 20)
    box = (left - gap, top - gap, right + gap, bottom + gap)
    ImageDraw.Draw(image).ellipse(box, outline=MARK_COLOR, width=2)
    return np.asarray(image)


def _address(pixels: np.ndarray, *, flat: bool) -> str:
    """Returns a picture as a `data:` address."""
    stream, image = io.BytesIO(), Image.fromarray(pixels)
    if flat:
        image.quantize(64, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    else:
        image.save(stream, "JPEG", quality=80, optimize=True)
    kind = "png" if flat else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _cross() -> View:
    """Returns what stands in for a picture that cannot be shown."""
    image = Image.new("RGB", (LARGEST_PX, LARGEST_PX * 2 // 3), (225, 225, 225))
    draw = ImageDraw.Draw(image)
    right, bottom = image.width - 1, image.height - 1
    for line in ((0, 0, right, bottom), (0, bottom, right, 0)):
        draw.line(line, fill=(150, 150, 150), width=2)
    return View(pixels=np.asarray(image), flat=True)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"
