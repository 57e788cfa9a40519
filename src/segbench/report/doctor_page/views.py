"""Looks at the files of a data set in which anything may be wrong: what can be read is shown, nothing is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.images import read_image, read_mask_values
from segbench.data.files.masks import FOREIGN, count_values, encode_colors, has_colors, value_classes, value_lookup
from segbench.data.files.resize import resize_mask
from segbench.data.formats import Entry, Listing
from segbench.data.shapes.drawing import paint
from segbench.doctor import Checkup
from segbench.doctor.reading import percent
from segbench.doctor.run import tolerant_listing
from segbench.errors import SegbenchError
from segbench.locale import join, listed
from segbench.plots.panels import colorize, overlay
from segbench.types import ClassMap, Task

U8 = NDArray[np.uint8]

_WORKED_ON_PX = 960  # longest side at which masks are drawn over images
_FEW_VALUES = 32  # a file with more values is a photograph
_VALUES_TOLD = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """A picture to be shown.

    Attributes:
        pixels: (H, W, 3) uint8.
        marks: (H, W) bool, pixels whose value means nothing; they stay visible when the picture is made smaller.
        flat: made of few colours, which must not be mixed.
        told: what the mask holds, for the caption.
        stretched: (H, W) of a mask that was stretched to its image's size; () where it fits.
        classes: indices of the classes that can be seen, with `ignore_index`.
    """

    pixels: U8
    marks: NDArray[np.bool_] | None = None
    flat: bool = False
    told: str = ""
    stretched: tuple[int, ...] = ()
    classes: frozenset[int] = frozenset()

    def shrunk(self, side: int) -> View:
        """Returns the picture with a longest side of at most `side` pixels."""
        height, width = self.pixels.shape[:2]
        factor = side / max(height, width)
        if factor >= 1.0:
            return self
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        how = Image.Resampling.NEAREST if self.flat else Image.Resampling.LANCZOS
        marks = self.marks
        if marks is not None:
            covered = Image.fromarray(marks.astype(np.uint8) * 255).convert("F").resize(size, Image.Resampling.BOX)
            marks = np.asarray(covered) > 0
        return replace(self, pixels=np.asarray(Image.fromarray(self.pixels).resize(size, how)), marks=marks)


class Views:
    """Shows the files of one data set.

    Args:
        checkup: says how to read it.
    """

    def __init__(self, checkup: Checkup) -> None:
        self.root = checkup.files_root or checkup.root
        self.class_map = checkup.class_map
        self._checkup = checkup

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """What the reader finds, by id."""
        return {entry.id: entry for entry in self._listing.entries} if self._listing is not None else {}

    def image(self, path: Path) -> View:
        """Returns a file as an image.

        Raises:
            DatasetError: it cannot be read at all.
        """
        depth_range = self._listing.depth_range if self._listing is not None else None
        try:
            return View(pixels=read_image(path, depth_range=depth_range))
        except SegbenchError:
            return View(pixels=_stretched(read_mask_values(path)))  # more than 8 bit, and nobody said what is white

    def image_or_mask(self, path: Path) -> View:
        """Returns a file as a mask where it is one or holds only a few values, else as an image."""
        if path not in self._masks:
            try:
                if count_values(read_mask_values(path))[1] > _FEW_VALUES:
                    return self.image(path)
            except SegbenchError:
                return self.image(path)
        return self.mask(path)

    def mask(self, path: Path) -> View:
        """Returns a mask alone, with those pixels marked whose value is not exactly one that the class map knows.

        Raises:
            DatasetError: it cannot be read.
        """
        class_map = self.class_map
        values = read_mask_values(path, colors=class_map is not None and has_colors(class_map))
        told = _told(values)
        if class_map is None or path not in self._masks:
            return View(pixels=_stretched(values), told=told, flat=True)
        place = self._masks[path]
        labels, marks = _labels(values, class_map, place, tolerance=0)
        seen = _seen(labels, marks)
        if place is None:
            return View(pixels=colorize(labels, class_map), marks=marks, flat=True, told=told, classes=seen)
        pixels = np.zeros((*labels.shape, 3), dtype=np.uint8)
        pixels[labels == 1] = class_map.colors[place]
        return View(pixels=pixels, marks=marks, flat=True, told=told, classes=frozenset({place} if 1 in seen else ()))

    def overlay(self, sample: str, files: Sequence[str] = ()) -> View:
        """Returns an image with its mask drawn over it, the mask stretched where it has another size.

        Args:
            sample: id; one that the reader does not find is looked for in `files`.
            files: image and masks, relative to the root.

        Raises:
            DatasetError: the image or a mask cannot be read.
        """
        entry, class_map = self.entries.get(sample), self.class_map
        paths = [self.root / name for name in files]
        whole = _cut(self.image(entry.image if entry is not None else paths[0]).pixels, entry)
        view = View(pixels=whole).shrunk(_WORKED_ON_PX)
        if class_map is None:
            return view
        labels, marks = self._labels_of(entry, paths[1:], class_map, whole.shape[:2])
        size = view.pixels.shape[:2]
        found = labels.shape[-2:]
        small, seen = resize_mask(labels, size), _seen(labels, marks)
        if labels.ndim == 3:
            seen = frozenset(place for place, plane in enumerate(labels) if (plane == 1).any())
        return View(
            pixels=overlay(view.pixels, small, class_map),
            marks=resize_mask(marks.astype(np.uint8), size) == 1,
            stretched=() if found == whole.shape[:2] else found,
            classes=seen - {class_map.background},
        )

    @cached_property
    def _listing(self) -> Listing | None:
        """What the reader finds, without what is wrong where it knows how to leave that out."""
        if not self._checkup.format:
            return None
        try:
            return tolerant_listing(self._checkup.format, self._checkup.root, self._checkup.options)
        except SegbenchError:
            return None  # the findings say so

    @cached_property
    def _masks(self) -> dict[Path, int | None]:
        """Every mask file that is read, with its class where each class has a file of its own."""
        single = self.class_map is None or self.class_map.task is not Task.MULTILABEL
        return {
            path: None if single else place
            for entry in self.entries.values()
            for place, path in enumerate(entry.planes)
            if path is not None
        }

    def _labels_of(
        self, entry: Entry | None, paths: Sequence[Path], class_map: ClassMap, size: tuple[int, int]
    ) -> tuple[U8, NDArray[np.bool_]]:
        """Returns (H, W) class indices or (C, H, W) planes, and which pixels hold values that mean nothing."""
        listing = self._listing
        drawing = entry.drawing if entry is not None else None
        if drawing is not None:
            assert listing is not None, "the entry is of it"
            assert listing.painter is not None, "a listing with drawings says how to draw them"
            told = (drawing.height or size[0], drawing.width or size[1])
            labels, _ = paint(listing.painter(drawing, told), self.root)
            return labels, np.zeros(labels.shape[-2:], dtype=bool)
        places = paths if entry is None else entry.planes
        tolerance = listing.tolerance if listing is not None else 0
        planes, marks = [], np.zeros(size, dtype=bool)
        multilabel = class_map.task is Task.MULTILABEL
        for place, path in enumerate(places):
            if path is None:
                planes.append(np.zeros(size, dtype=np.uint8))
                continue
            values = _cut(read_mask_values(path, colors=has_colors(class_map)), entry)
            labels, foreign = _labels(values, class_map, place if multilabel else None, tolerance=tolerance)
            if not multilabel:
                return labels, foreign
            planes.append(resize_mask(labels, size))
            marks |= resize_mask(foreign.astype(np.uint8), size) == 1
        return np.stack(planes) if planes else np.zeros(size, dtype=np.uint8), marks


def _labels(
    values: NDArray[Any], class_map: ClassMap, place: int | None, *, tolerance: int
) -> tuple[U8, NDArray[np.bool_]]:
    """Returns class indices, of a multilabel file 0 and 1, and which pixels hold no value of the class map."""
    table = value_classes(class_map, place)
    if has_colors(class_map):
        found = encode_colors(values, table)
    elif values.ndim == 3:
        found = np.full(values.shape[:2], FOREIGN, dtype=np.int16)
    else:
        found = value_lookup(tuple(table.items()), tolerance, 65536)[values]
    marks = found == FOREIGN
    return np.where(marks, class_map.ignore_index, found).astype(np.uint8), marks


def _cut(pixels: NDArray[Any], entry: Entry | None) -> NDArray[Any]:
    if entry is None or entry.window is None:
        return pixels
    top, left, height, width = entry.window
    return pixels[top : top + height, left : left + width]


def _seen(labels: U8, marks: NDArray[np.bool_]) -> frozenset[int]:
    return frozenset(np.unique(labels[..., ~marks]).tolist()) if labels.shape == marks.shape else frozenset()


def _stretched(values: NDArray[Any]) -> U8:
    """Returns values as colours that can be told apart: few of them evenly between black and white."""
    if values.ndim == 3:
        return values.astype(np.uint8)
    found, places = np.unique(values, return_inverse=True)
    if len(found) <= _FEW_VALUES:
        grey = (places.reshape(values.shape) * 255 // max(1, len(found) - 1)).astype(np.uint8)
    else:
        span = max(1, int(found[-1]) - int(found[0]))
        grey = ((values.astype(np.int64) - int(found[0])) * 255 // span).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _told(values: NDArray[Any]) -> str:
    """Returns the most frequent values: `0 95 %, 255 5 %`."""
    counts, distinct = count_values(values)
    order = sorted(counts, key=lambda value: -counts[value])
    total = values.shape[0] * values.shape[1]
    shown = [join(" ", [str(value), percent(counts[value] / total)]) for value in order[:_VALUES_TOLD]]
    return listed([*shown, *[""] * (distinct - len(shown))], _VALUES_TOLD)
