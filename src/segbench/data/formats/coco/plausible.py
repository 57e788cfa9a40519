"""Whether the outlines of a COCO file lie where its own boxes, areas and ids say: programs that convert make slips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from segbench.data.formats.coco.shapes import Size
from segbench.data.shapes.drawing import Shape
from segbench.data.shapes.trace import ring_area
from segbench.locale import Message, message

Box = tuple[float, float, float, float]  # left, top, right, bottom

_LOOKED_AT = 200  # annotations of a file; a slip of a program is in all of them
_FEWEST = 3  # outlines that lie elsewhere in one way
_MOST = 0.9  # of those that lie elsewhere are explained by one slip
_OFF_PX, _OFF_SHARE = 2.0, 0.05  # of the box's longer side: as far may an outline end from its box
_AREA_SHARE = 0.02  # as far may an area be from the file's

_SLIPS: Mapping[str, Message] = {
    "swapped": message("with x and y exchanged they fit; write each point as x, y"),
    "percent": message("as per cent of width and height they fit; write pixels: x * width / 100 and y * height / 100"),
    "rows": message(
        "with run lengths along rows they fit, but COCO counts down the columns; encode the transposed mask"
    ),
}


class Boxes:
    """Compares outlines with the boxes that a file gives for them."""

    def __init__(self) -> None:
        self._seen = 0
        self._off = 0
        self._slips: Counter[str] = Counter()
        self._holes: list[str] = []

    def add(self, plain: Mapping[str, Any], shape: Shape, size: Size, where: str) -> None:
        """Takes an annotation's box and area, and the shape that it draws in an image of (H, W) pixels."""
        if self._seen >= _LOOKED_AT:
            return
        found = _extent(shape, size, by_rows=False)
        boxes = _boxes(plain.get("bbox"))
        if found is None or not boxes or not plain.get("segmentation"):
            return
        self._seen += 1
        if _has_hole(plain.get("area"), shape):
            self._holes.append(where)
        if any(_fits(found, box) for box in boxes):
            return
        self._off += 1
        for slip, other in _others(found, shape, size):
            if any(_fits(other, box) for box in boxes):
                self._slips[slip] += 1

    def question(self) -> Message | None:
        """Returns what is wrong with all outlines in one way; None where nothing is."""
        if not self._slips or self._off * 2 < self._seen:
            return None
        slip, number = self._slips.most_common(1)[0]
        if number < _FEWEST or number < _MOST * self._off:
            return None
        return message(
            "{n} of {total} outlines do not lie in the boxes that the file gives for them (bbox): {slip}",
            n=self._off,
            total=self._seen,
            slip=_SLIPS[slip],
        )

    def notes(self) -> list[Message]:
        """Returns what is told of outlines elsewhere than their boxes, and of holes."""
        found = []
        if self._off:
            found.append(
                message(
                    "{n} of {total} outlines that were compared do not lie in their boxes (bbox); the outlines count",
                    n=self._off,
                    total=self._seen,
                )
            )
        if self._holes:
            found.append(
                message(
                    "{n} of {total} objects that were compared have a polygon inside another that their area does not "
                    "count, as a hole; COCO knows no holes and fills them: write such objects as run lengths (such as "
                    "{where})",
                    n=len(self._holes),
                    total=self._seen,
                    where=self._holes[0],
                )
            )
        return found


def shifted_ids(owners: Collection[int | str], pictures: Collection[int | str]) -> Message | None:
    """Returns what is wrong where annotations count images from another number than the list of images does.

    Args:
        owners: `image_id` of all annotations.
        pictures: `id` of all images.
    """
    if len(owners) < _FEWEST or not _is_shifted(owners, pictures):
        return None
    return message(
        "image_id of the annotations runs from {low} to {high}, the ids of the images from {first} to {last}: "
        "each annotation seems to belong to the image before or after; count both from the same number",
        **_ends(owners, pictures),
    )


def shifted_categories(used: Collection[object], names: Collection[int | str]) -> Message | None:
    """Returns what is wrong where annotations count categories from another number than the list of them does.

    Args:
        used: `category_id` of all annotations.
        names: `id` of all categories.
    """
    if len(used) < 2 or len(used) < len(names) or not _is_shifted(used, names):
        return None
    return message(
        "category_id of the annotations runs from {low} to {high}, the ids of the categories from {first} to {last}: "
        "every region would get another class; count both from the same number",
        **_ends(used, names),
    )


def _is_shifted(used: Collection[object], listed: Collection[object]) -> bool:
    """Returns whether the used numbers are not all listed, but would be if each were one larger, or smaller."""
    numbers = {number for number in used if isinstance(number, int)}
    if len(numbers) < len(used) or numbers <= {*listed}:
        return False
    return any({number + step for number in numbers} <= {*listed} for step in (1, -1))


def _ends(used: Collection[object], listed: Collection[object]) -> dict[str, int]:
    numbers, known = ([number for number in ids if isinstance(number, int)] for ids in (used, listed))
    return {"low": min(numbers), "high": max(numbers), "first": min(known), "last": max(known)}


def _boxes(value: Any) -> Sequence[Box]:
    """Returns a box as [left, top, width, height] and as [left, top, right, bottom], which programs write, too."""
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(part, int | float) for part in value):
        return ()
    left, top, third, fourth = map(float, value)
    return [
        box
        for box in ((left, top, left + third, top + fourth), (left, top, third, fourth))
        if box[2] > box[0] and box[3] > box[1]
    ]


def _fits(found: Box, box: Box) -> bool:
    slack = max(_OFF_PX, _OFF_SHARE * max(box[2] - box[0], box[3] - box[1]))
    return all(abs(one - other) <= slack for one, other in zip(found, box, strict=True))


def _extent(shape: Shape, size: Size, *, by_rows: bool) -> Box | None:
    if shape.counts and not isinstance(shape.counts, str) and None not in size:
        return _extent_of_runs(shape.counts, size, by_rows)
    values = [ring for ring in shape.rings if len(ring) >= 6 and len(ring) % 2 == 0]
    if not values:
        return None
    across = [value for ring in values for value in ring[0::2]]
    down = [value for ring in values for value in ring[1::2]]
    return min(across), min(down), max(across), max(down)


def _extent_of_runs(counts: Sequence[int], size: Size, by_rows: bool) -> Box | None:
    height, width = size[0] or 0, size[1] or 0
    if sum(counts) != height * width:
        return None
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    mask = flat.reshape(height, width) if by_rows else flat.reshape(width, height).T
    down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(down):
        return None
    return float(across[0]), float(down[0]), float(across[-1] + 1), float(down[-1] + 1)


def _others(found: Box, shape: Shape, size: Size) -> Iterable[tuple[str, Box]]:
    """Yields where the outline would lie if the file had been written by another rule."""
    left, top, right, bottom = found
    if shape.counts:
        rows = _extent(shape, size, by_rows=True)
        if rows is not None:
            yield "rows", rows
        return
    yield "swapped", (top, left, bottom, right)
    if None not in size:
        across, down = (size[1] or 0) / 100, (size[0] or 0) / 100
        yield "percent", (left * across, top * down, right * across, bottom * down)


def _has_hole(area: Any, shape: Shape) -> bool:
    """Returns whether the file's area is that of the largest polygon less that of the others, which lie in it."""
    if len(shape.rings) < 2 or not isinstance(area, int | float):
        return False
    sizes = sorted((ring_area(ring) for ring in shape.rings), reverse=True)
    inner = sum(sizes[1:])
    less = sizes[0] - inner
    return inner > 2 * _AREA_SHARE * sizes[0] and abs(area - less) <= _AREA_SHARE * sizes[0]
