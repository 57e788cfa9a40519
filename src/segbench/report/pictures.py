"""Pictures of a page: small, in the page's own text, as few as fit."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from segbench.compare.evidence import Entry, Evidence
from segbench.data.sources.load import load_picture
from segbench.locale import message
from segbench.plots.panels import ERROR_COLORS, RIGHT_COLOR, errors, overlay
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


BUDGETS = (
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
        picture = overlay(image, truth, self.evidence.class_map)
        return self._photo(picture, sample.id, message("True mask of {image}", image=sample.id))

    def image_and_truth(self, image_id: str) -> tuple[Tile, Tile]:
        """Returns a test image and its true mask."""
        image, truth = self.evidence.load(image_id)
        return (
            self._photo(image, message("image"), message("Test image {image}", image=image_id)),
            self._photo(
                overlay(image, truth, self.evidence.class_map),
                message("true mask"),
                message("True mask of {image}", image=image_id),
            ),
        )

    def prediction(self, entry: Entry, image_id: str, caption: str) -> Tile:
        """Returns a test image under the mask that the entry's first training predicts."""
        image, _ = self.evidence.load(image_id)
        picture = overlay(image, entry.masks[0].read(image_id), self.evidence.class_map)
        label = message("Prediction of {name} on {image}", image=image_id, name=entry.name)
        return self._photo(picture, caption, label)

    def errors(self, entry: Entry, image_id: str, caption: str, seed: int = 0) -> Tile:
        """Returns where the mask that one training of the entry predicts is wrong."""
        _, truth = self.evidence.load(image_id)
        picture = errors(truth, entry.masks[seed].read(image_id), self.evidence.class_map)
        label = message("Errors of {name} on {image}", image=image_id, name=entry.name)
        return self._flat(picture, caption, label)

    def legend(self, *, with_errors: bool) -> Legend:
        """Returns what the colours of classes, and of errors, mean."""
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
        return Legend(items=tuple(items))

    @staticmethod
    def colors(items: Sequence[tuple[str, str]]) -> Legend:
        """Returns names with their colours."""
        return Legend(items=tuple(items))

    def _photo(self, picture: UInt8Array, caption: str, label: str) -> Tile:
        small = self._shrunk(picture, Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        small.save(stream, "JPEG", quality=80, optimize=True)
        return _tile(stream, "jpeg", small, caption, label)

    def _flat(self, picture: UInt8Array, caption: str, label: str) -> Tile:
        small = self._shrunk(picture, Image.Resampling.NEAREST)
        stream = io.BytesIO()
        small.quantize(16, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
        return _tile(stream, "png", small, caption, label)

    def _shrunk(self, picture: UInt8Array, how: Image.Resampling) -> Image.Image:
        image = Image.fromarray(picture)
        factor = self.budget.side_px / max(image.size)
        if factor >= 1.0:
            return image
        width, height = image.size
        return image.resize((max(1, round(width * factor)), max(1, round(height * factor))), how)


def _tile(stream: io.BytesIO, kind: str, image: Image.Image, caption: str, label: str) -> Tile:
    source = f"data:image/{kind};base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return Tile(source=source, width=image.width, height=image.height, caption=caption, label=label)


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
