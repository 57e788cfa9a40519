"""Pictures of a page: small, in the page's own text, as few as fit."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from segbench.compare.evidence import Entry, Evidence
from segbench.data.files.resize import resize_mask
from segbench.data.sources.load import load_picture
from segbench.locale import message
from segbench.plots.panels import ERROR_COLORS, RIGHT_COLOR, both_outlines, errors, mask_layers
from segbench.report.document import Legend, Tile
from segbench.report.labels import PIXEL
from segbench.types import Sample, Task

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class PictureBudget:
    """How many pictures, and how large: lowered until the page is small enough.

    Attributes:
        side_px: longer side of a picture.
        cases: of each kind.
        entries: approaches shown beside one another on one image.
    """

    side_px: int
    cases: int
    entries: int


_OUTLINE_PX = 2

BUDGETS = (
    PictureBudget(side_px=360, cases=3, entries=8),
    PictureBudget(side_px=240, cases=3, entries=8),
    PictureBudget(side_px=160, cases=3, entries=6),
    PictureBudget(side_px=120, cases=2, entries=4),
    PictureBudget(side_px=80, cases=1, entries=2),
)


class Pictures:
    """Makes the tiles of one page.

    Args:
        evidence: whose images are shown.
        budget: their size.
    """

    def __init__(self, evidence: Evidence, budget: PictureBudget) -> None:
        self.evidence = evidence
        self.budget = budget

    def sample(self, sample: Sample) -> Tile:
        """Returns an image of any part under its true mask."""
        image, truth = load_picture(self.evidence.manifest, sample)
        return self._over(image, truth, sample.id, message("True mask of {image}", image=sample.id))

    def image_and_truth(self, image_id: str) -> tuple[Tile, Tile]:
        """Returns a test image and its true mask."""
        image, truth = self.evidence.load(image_id)
        return (
            self._photo(image, message("image"), message("Test image {image}", image=image_id)),
            self._over(image, truth, message("true mask"), message("True mask of {image}", image=image_id)),
        )

    def prediction(self, entry: Entry, image_id: str, caption: str) -> Tile:
        """Returns a test image under the mask that the entry's first training predicts."""
        image, _ = self.evidence.load(image_id)
        label = message("Prediction of {name} on {image}", image=image_id, name=entry.name)
        return self._over(image, entry.masks[0].read(image_id), caption, label)

    def errors(self, entry: Entry, image_id: str, caption: str, seed: int = 0) -> Tile:
        """Returns where the mask that one training of the entry predicts is wrong; its outlines show both masks."""
        image, truth = self.evidence.load(image_id)
        photo = self._photo(image, caption, message("Errors of {name} on {image}", image=image_id, name=entry.name))
        size = self._layer_size(image)
        truth, predicted = (resize_mask(mask, size) for mask in (truth, entry.masks[seed].read(image_id)))
        wrong = errors(truth, predicted, self.evidence.class_map)
        return replace(photo, area=_png(wrong), outline=_png(both_outlines(truth, predicted, _OUTLINE_PX)))

    @staticmethod
    def seed_caption(entry: Entry, caption: str, seed: int = 0) -> str:
        """Returns a caption with the seed of the training whose mask is shown."""
        return message("{caption}, seed {seed}", caption=caption, seed=entry.seeds[seed]) if entry.seeds else caption

    def legend(self, *, with_errors: bool) -> Legend:
        """Returns what the colours of classes, and of errors, mean, with the switch from areas to outlines."""
        classes = self.evidence.class_map
        items = [
            (name, _hex(color))
            for index, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True))
            if index != classes.background
        ]
        if with_errors:
            unseen = {"swapped"} if classes.task is Task.BINARY else set()
            unseen |= set() if classes.ignore_values else {"ignored"}
            # Without a background nothing is missed or invented: a wrong pixel has another class.
            unseen |= {"missed", "false"} if classes.background is None and classes.task is Task.MULTICLASS else set()
            items.append((PIXEL["right"], _hex(RIGHT_COLOR)))
            shown = {name: color for name, color in ERROR_COLORS.items() if name not in unseen}
            items += [(PIXEL[name], _hex(color)) for name, color in shown.items()]
        switch = message("Outlines instead of areas")
        if with_errors:
            switch = message("Outlines instead of areas (errors: true mask blue, prediction orange)")
        return Legend(items=tuple(items), switch=switch)

    @staticmethod
    def colors(items: Sequence[tuple[str, str]]) -> Legend:
        """Returns names with their colours."""
        return Legend(items=tuple(items))

    def _over(self, image: UInt8Array, mask: UInt8Array, caption: str, label: str) -> Tile:
        small = resize_mask(mask, self._layer_size(image))
        area, outline = mask_layers(small, self.evidence.class_map, _OUTLINE_PX)
        return replace(self._photo(image, caption, label), area=_png(area), outline=_png(outline))

    def _photo(self, picture: UInt8Array, caption: str, label: str) -> Tile:
        image = Image.fromarray(picture)
        height, width = self._layer_size(picture)
        if width < image.width:
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=80, optimize=True)
        source = _address(stream, "jpeg")
        return Tile(source=source, width=width, height=height, caption=caption, label=label)

    def _layer_size(self, picture: UInt8Array) -> tuple[int, int]:
        """Returns (H, W) at which masks are drawn: that of the picture in the page, also where the image is smaller."""
        height, width = picture.shape[:2]
        factor = self.budget.side_px / max(height, width)
        return max(1, round(height * factor)), max(1, round(width * factor))


def _png(picture: UInt8Array) -> str:
    stream, image = io.BytesIO(), Image.fromarray(picture)
    flat = image if image.mode == "RGBA" else image.quantize(16, dither=Image.Dither.NONE)
    flat.save(stream, "PNG", optimize=True)
    return _address(stream, "png")


def _address(stream: io.BytesIO, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
