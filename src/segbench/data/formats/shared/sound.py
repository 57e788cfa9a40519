"""Shapes that cannot be drawn: found in all images at once, and what becomes of their images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.listing import DEFECTS, Defect
from segbench.data.shapes.drawing import Drawing, Shape, far_inside
from segbench.errors import DatasetError, shorten
from segbench.locale import Message, join, message, plural, quoted

_ROUNDED = 1e-6  # pixels, by which a corner may miss a whole number
_SHOWN = 10  # defects in a refusal, one a line
RELATIVE = message("coordinates from 0 to 1, which look like parts of the image's width and height; expected pixels")
_NOT_DRAWN = ("unused_shape", "unknown_shape")  # of kinds that are never drawn


def check_shapes(drawing: Drawing, image: Path, found: list[Defect]) -> Drawing:
    """Returns the drawing with the shapes that can be drawn, and adds what is wrong with the others to `found`.

    A ring of fewer than three points beside a good one of the same shape covers nothing: the good one stays.
    """
    kept: list[Shape] = []
    size = None if drawing.height is None or drawing.width is None else (drawing.height, drawing.width)
    relative = size is not None and are_relative(drawing, size)
    for number, whole in enumerate(drawing.shapes, 1):
        where = f"{drawing.key}, shape {number}"
        shape, few = _without_bare_rings(whole)
        if few:
            text = plural(
                "{n} ring of fewer than 3 points, which covers nothing, was left out; the others of the shape stay",
                "{n} rings of fewer than 3 points, which cover nothing, were left out; the others of the shape stay",
                n=few,
            )
            found.append(Defect(code="few_points", path=drawing.source, where=where, text=text, image=image))
        problem = _wrong(shape, drawing) or (("bad_numbers", RELATIVE) if relative and shape.rings else None)
        if problem is None:
            kept.append(shape)
            continue
        code, text = problem
        fatal = code != "unused_shape"
        found.append(Defect(code=code, path=drawing.source, where=where, text=text, fatal=fatal, image=image))
    return replace(drawing, shapes=tuple(kept)) if tuple(kept) != drawing.shapes else drawing


def without_background(found: Sequence[Defect], bare: frozenset[Path]) -> list[Defect]:
    """Returns the defects, fatal where a shape of a kind that is not drawn is all that its image has.

    Args:
        bare: images without any shape that is drawn: they would become background, though somebody marked something.
    """
    return [
        replace(defect, fatal=True) if defect.code in _NOT_DRAWN and defect.image in bare else defect
        for defect in found
    ]


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What is lost by fatal defects.

    Attributes:
        root: of the data set.
        found: the fatal defects, but for regions without a class, which are asked about elsewhere.
        shapes: number of shapes of all images, with those that cannot be drawn.
        images: number of images.
    """

    root: Path
    found: Sequence[Defect]
    shapes: int
    images: int

    @property
    def broken(self) -> list[Defect]:
        """The defects that are a shape of one image each."""
        return [defect for defect in self.found if defect.image is not None]

    @property
    def left_out(self) -> frozenset[Path]:
        """The images that miss a shape: they are left out, since the shape's pixels would become background."""
        return frozenset(defect.image for defect in self.found if defect.image is not None)

    def refusal(self, place: Callable[[Defect], str]) -> Message | None:
        """Returns what is said where nobody chose to leave anything out; None where nothing is lost."""
        if not self.found:
            return None
        unknown = [defect for defect in self.found if defect.code == "unknown_class" and defect.image is None]
        others = [defect for defect in self.found if defect.image is None and defect not in unknown]
        parts = [self._about_shapes()] if self.broken else []
        if unknown:
            parts.append(
                plural(
                    "{n} entry names a class that the list of classes does not have; add it to the list, or let its "
                    "regions count nowhere with {option}",
                    "{n} entries name a class that the list of classes does not have; add it to the list, or let their "
                    "regions count nowhere with {option}",
                    n=len(unknown),
                    option=set_option("defects", "skip"),
                )
            )
        if others:
            parts.append(
                plural(
                    "{n} annotation cannot be used; mend it, or leave it out with {option}",
                    "{n} annotations cannot be used; mend them, or leave them out with {option}",
                    n=len(others),
                    option=set_option("defects", "skip"),
                )
            )
        lines = [join("", [f"  {place(defect)}: ", quoted(defect.text)]) for defect in self.found[:_SHOWN]]
        if len(self.found) > _SHOWN:
            lines.append(join("", ["  ", message("and {n} more", n=len(self.found) - _SHOWN)]))
        return join("\n", [join("; ", parts), *lines])

    def note(self) -> Message | None:
        """Returns what is said where they are left out.

        Raises:
            DatasetError: nothing would be left.
        """
        if not self.broken:
            return None
        if len(self.left_out) >= self.images:
            raise DatasetError(
                message("{count}: without them nothing is left; {cause}", count=self._count(), cause=self._cause()),
                path=self.root,
            )
        names = shorten(sorted(path.relative_to(self.root).as_posix() for path in self.left_out), 6)
        return message("{count}; these images were left out: {names}", count=self._count(), names=names)

    def _about_shapes(self) -> Message:
        left = self.images - len(self.left_out)
        if left <= 0:
            return message(
                "{count}, so that without them nothing is left; {cause}; mend them",
                count=self._count(),
                cause=self._cause(),
            )
        if left < self.images / 2:
            return message(
                "{count}; {cause}; mend them, or leave these images out with {option}, which keeps {left}",
                count=self._count(),
                cause=self._cause(),
                option=set_option("defects", "skip"),
                left=plural("{n} image", "{n} images", n=left),
            )
        return message(
            "{count}; mend them, or leave these images out with {option}",
            count=self._count(),
            option=set_option("defects", "skip"),
        )

    def _count(self) -> Message:
        return message(
            "{bad} of {all} shapes cannot be drawn, in {lost} of {images} images",
            bad=len(self.broken),
            all=self.shapes,
            lost=len(self.left_out),
            images=self.images,
        )

    def _cause(self) -> Message:
        code, number = Counter(defect.code for defect in self.broken).most_common(1)[0]
        return message("the common cause is: {what} ({n} of them)", what=DEFECTS[code], n=number)


def is_far(shape: Shape, size: tuple[int, int]) -> bool:
    """Returns whether a shape lies, in part, far outside of a (H, W) image."""
    return any(not far_inside(ring, size) for ring in (*shape.rings, shape.line) if ring)


def are_relative(drawing: Drawing, size: tuple[int, int]) -> bool:
    """Returns whether all outlines of an image lie within its first pixel, but not at its corners alone.

    One among others may be an object of a pixel, and rounding leaves such corners near whole numbers.
    """
    outlined = [shape for shape in drawing.shapes if shape.rings]
    return bool(outlined) and all(_is_relative(shape, size) for shape in outlined)


def _is_relative(shape: Shape, size: tuple[int, int]) -> bool:
    if not shape.rings or min(size) < 2 or not all(ring and 0 <= ring[0] <= 1 for ring in shape.rings):
        return False
    values = [value for ring in shape.rings for value in ring]
    return min(values) >= 0 and max(values) <= 1 and any(abs(value - round(value)) > _ROUNDED for value in values)


def far_away(size: tuple[int, int]) -> Message:
    """Returns what is wrong with a shape that `is_far` from a (H, W) image."""
    return message("coordinates that are no finite numbers, or far outside of the image {size}", size=size)


def _without_bare_rings(shape: Shape) -> tuple[Shape, int]:
    """Returns the shape without rings of fewer than three points, where others remain, and how many they were."""
    good = tuple(ring for ring in shape.rings if len(ring) % 2 or len(ring) >= 6)
    few = len(shape.rings) - len(good)
    return (replace(shape, rings=good), few) if good and few else (shape, 0)


def _wrong(shape: Shape, drawing: Drawing) -> tuple[str, Message] | None:
    if not (shape.rings or shape.line or shape.counts or shape.file):
        return "unused_shape", message("the shape covers no pixels")
    for ring in shape.rings:
        if len(ring) % 2:
            return "bad_numbers", message("a polygon of {n} numbers; expected pairs x, y", n=len(ring))
        if len(ring) < 6:
            return "few_points", message("a polygon of {n} points; expected at least 3", n=len(ring) // 2)
    if len(shape.line) % 2:
        return "bad_numbers", message("a line of {n} numbers; expected pairs x, y", n=len(shape.line))
    if not all(math.isfinite(sum(ring)) for ring in (*shape.rings, shape.line)):
        return "bad_numbers", message("coordinates that are no finite numbers, or far outside of the image")
    size = None if drawing.height is None or drawing.width is None else (drawing.height, drawing.width)
    if size is None:
        return None
    if is_far(shape, size):
        return "bad_numbers", far_away(size)
    if shape.counts and not isinstance(shape.counts, str):
        area = shape.box[2] * shape.box[3] if shape.box else size[0] * size[1]
        if sum(shape.counts) != area:
            return "bad_rle", message(
                "run lengths add up to {total} pixels, expected {area}", total=sum(shape.counts), area=area
            )
    return None
