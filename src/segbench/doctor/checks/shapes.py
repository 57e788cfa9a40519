"""What is strange about polygons: they cross themselves, leave the image, or are tiny. Each of them is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from segbench.data.shapes.drawing import Ring
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading
from segbench.locale import listed, message, plural

_OUTSIDE_PX = 1.0  # beyond the border; tools write coordinates up to it
TINY_PX = 4.0  # area, below which a polygon is rather a slip
_LONGEST = 2048  # points of a ring whose edges are all compared with each other

SELF_CROSSING = Code(
    "self_crossing",
    Severity.INFO,
    Title("polygons that cross themselves: {n}, in {images}"),
    means=message("Where an outline crosses itself, inside and outside are swapped (even-odd rule)."),
    advice=message("look at the overlays; outline these objects again where it shows"),
)
OUTSIDE_IMAGE = Code(
    "outside_image",
    Severity.WARNING,
    Title("polygons that reach outside of the image: {n}, in {images}"),
    means=message("What lies outside is cut off. Often the annotations were made for other images."),
    advice=message("check that the annotations belong to these images"),
)
TINY_SHAPES = Code(
    "tiny_shapes",
    Severity.INFO,
    Title("polygons of less than 4 pixels: {n}, in {images}"),
    means=message("So small a shape is usually a slip of the mouse."),
    advice=message("delete them"),
)
CODES = (SELF_CROSSING, OUTSIDE_IMAGE, TINY_SHAPES)


def check(reading: Reading) -> list[Finding]:
    """Returns what is strange about the polygons; what of them is outside or crosses itself is drawn all the same."""
    return list(_shapes(reading)) if reading.listing is not None else []


def _shapes(reading: Reading) -> Iterator[Finding]:
    assert reading.listing is not None, "the caller has looked"
    drawings = {entry.id: entry.drawing for entry in reading.listing.entries if entry.drawing is not None}
    fitting = reading.drawn.keys()  # what cannot be drawn is told elsewhere, such as shapes made for another size
    crossing: dict[str, int] = {}
    outside: dict[str, int] = {}
    tiny: dict[str, int] = {}
    cases = {case.id: case for case in reading.cases}
    for name, drawing in drawings.items():
        image = reading.images.get(cases[name].image) if name in cases else None
        size = (image.height, image.width) if image is not None and name in fitting else None
        for ring in (ring for shape in drawing.shapes for ring in shape.rings if len(ring) >= 6):
            crosses = crosses_itself(ring)
            crossing[name] = crossing.get(name, 0) + crosses
            outside[name] = outside.get(name, 0) + (size is not None and leaves(ring, size))
            tiny[name] = tiny.get(name, 0) + (not crosses and ring_area(ring) < TINY_PX)
    for code, found in ((SELF_CROSSING, crossing), (OUTSIDE_IMAGE, outside), (TINY_SHAPES, tiny)):
        yield from _about_shapes(reading, code, found, cases)


def _about_shapes(reading: Reading, code: Code, found: dict[str, int], cases: dict[str, Case]) -> Iterator[Finding]:
    names = sorted((name for name, count in found.items() if count), key=lambda name: -found[name])
    if not names:
        return
    chosen = [cases[name] for name in names if name in cases]
    yield code.about(
        reading,
        (case.source for case in chosen if case.source is not None),
        count=sum(found.values()),
        images=plural("{n} image", "{n} images", n=len(names)),
        detail=listed([f"{name} ({found[name]})" for name in names], 8),
        pictures=reading.overlays(chosen),
    )


def ring_area(ring: Sequence[float]) -> float:
    """Returns a polygon's area in pixels (the shoelace formula)."""
    x, y = np.asarray(ring[0::2], dtype=np.float64), np.asarray(ring[1::2], dtype=np.float64)
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def crosses_itself(ring: Ring) -> bool:
    """Returns whether two edges of a polygon cross; edges that only touch do not."""
    return len(crossings(ring)) > 0


def crossings(ring: Ring) -> np.ndarray:
    """Returns (N, 2) float64, x and y of the places where two edges of a polygon cross."""
    points = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    count = len(points)
    if count < 4 or count > _LONGEST:
        return np.zeros((0, 2))
    ends = np.roll(points, -1, axis=0)
    first, second = np.triu_indices(count, 2)
    apart = ~((first == 0) & (second == count - 1))  # the last edge and the first share a point
    first, second = first[apart], second[apart]
    a, b, c, d = points[first], ends[first], points[second], ends[second]
    sides = _side(a, b, c) * _side(a, b, d) < 0
    cross = sides & (_side(c, d, a) * _side(c, d, b) < 0)
    a, c, along, other = a[cross], c[cross], (b - a)[cross], (d - c)[cross]
    share = _cross(c - a, other) / _cross(along, other)
    return np.asarray(a + share[:, None] * along)


def _side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Returns on which side of a directed edge a point lies: -1, 0 or 1."""
    return np.asarray(np.sign(_cross(end - start, point - start)))


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])


def leaves(ring: Sequence[float], size: tuple[int, int]) -> bool:
    """Returns whether a polygon reaches beyond an image of (H, W) pixels."""
    xs, ys = ring[0::2], ring[1::2]
    return (
        min(xs) < -_OUTSIDE_PX
        or min(ys) < -_OUTSIDE_PX
        or max(xs) > size[1] + _OUTSIDE_PX
        or max(ys) > size[0] + _OUTSIDE_PX
    )
