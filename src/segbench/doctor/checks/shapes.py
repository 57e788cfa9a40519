"""What is strange about polygons: they cross themselves, leave the image, or are tiny. Each of them is looked at."""

from __future__ import annotations

from collections.abc import Iterator

from segbench.data.shapes.trace import ring_area
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading
from segbench.doctor.rings import TINY_PX, crosses_itself, leaves
from segbench.locale import listed, message, plural

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
