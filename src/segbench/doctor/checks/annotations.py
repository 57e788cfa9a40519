"""What is wrong with shapes: defects the reader found, and those that cross themselves, leave the image or are tiny."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.listing import DEFECTS, Defect
from segbench.data.shapes.drawing import Ring
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading, about, number, percent
from segbench.errors import shorten

_ADVICE = {
    "few_points": "outline the objects again, or leave the shapes out with " + set_option("defects", "skip"),
    "bad_numbers": "outline the objects again, or leave the shapes out with " + set_option("defects", "skip"),
    "bad_rle": "export the annotations again, or leave the shapes out with " + set_option("defects", "skip"),
    "outside": "what lies outside is cut off; check that the annotations belong to these images",
    "no_class": "say which class they are with " + set_option("default_class"),
    "unknown_class": "add the class to the list, or name the classes to keep with " + set_option("classes"),
    "no_annotation": "if nothing was looked for in them, leave them out with " + set_option("unannotated", "skip"),
    "no_image": "copy the missing images, or export the annotations again",
    "wrong_path": "check that image and annotation belong together; save the annotation again beside its image",
    "unused_shape": "give lines a width, or outline them as polygons",
    "overlapping_lists": "leave them out of one list",
    "wrong_size": "export the annotations again for these images",
}
_SEVERE = frozenset({"few_points", "bad_numbers", "bad_rle", "overlapping_lists", "wrong_size"})
_HARMLESS = frozenset({"no_annotation"})
_OUTSIDE_PX = 1.0  # beyond the border; tools write coordinates up to it
_TINY_PX = 4.0
_LONGEST = 2048  # points of a ring whose edges are all compared with each other
_SHARED = 0.01  # of the pixels covered by shapes of several classes, from which on it is worth a warning


def check_annotations(reading: Reading) -> list[Finding]:
    """Returns what the reader found wrong with the annotations, and where shapes of several classes overlap."""
    return [*_defects(reading), *_overlap(reading)] if reading.listing is not None else []


def check_shapes(reading: Reading) -> list[Finding]:
    """Returns what is strange about the polygons; each of them is looked at, which takes a while."""
    return list(_shapes(reading)) if reading.listing is not None else []


def _defects(reading: Reading) -> Iterator[Finding]:
    assert reading.listing is not None, "the caller has looked"
    kinds: dict[str, list[Defect]] = defaultdict(list)
    for defect in reading.listing.defects:
        kinds[defect.code].append(defect)
    for code, found in kinds.items():
        severe = code in _SEVERE or any(defect.fatal for defect in found)
        severity = Severity.ERROR if severe else Severity.INFO if code in _HARMLESS else Severity.WARNING
        named = {name for defect in found for name in _names_in(defect.where)}
        cases = [case for case in reading.cases if case.id in named or case.image.name in named]
        yield about(
            reading,
            code,
            severity,
            f"{DEFECTS.get(code, code)}: {len(found)}",
            (defect.path for defect in found),
            count=len(found),
            detail=shorten((f"{reading.name(one.path)}, {one.where}: {one.text}" for one in found), 6),
            advice=_ADVICE.get(code, ""),
            pictures=reading.overlays(cases),
        )


def _names_in(where: str) -> set[str]:
    """Returns the words of a place in an annotation file that may name an image (`1.jpg71410` is VIA's `1.jpg`)."""
    words = set(re.split(r"[\s(),]+", where))
    return words | {match[1] for word in words if (match := re.fullmatch(r"(.+\.[A-Za-z]+)\d+", word))}


def _overlap(reading: Reading) -> Iterator[Finding]:
    shared = {name: fact.shared for name, fact in reading.drawn.items() if fact.shared}
    pixels = sum(fact.height * fact.width for fact in reading.drawn.values())
    if not shared:
        return
    total = sum(shared.values())
    cases = sorted((case for case in reading.cases if case.id in shared), key=lambda case: -shared[case.id])
    yield about(
        reading,
        "overlapping_classes",
        Severity.WARNING if total > _SHARED * pixels else Severity.INFO,
        f"{percent(total / pixels)} of the pixels are covered by shapes of several classes, in "
        f"{number(len(shared), 'image')}",
        (case.source for case in cases if case.source is not None),
        count=len(shared),
        detail=shorten((f"{case.id} {number(shared[case.id], 'pixel')}" for case in cases), 6),
        advice=f"choose which shape counts with {set_option('overlap')}, or keep all with "
        + set_option("task", "multilabel"),
        pictures=reading.overlays(cases),
    )


def _shapes(reading: Reading) -> Iterator[Finding]:
    """Looks at every polygon; what of it is outside or crosses itself is drawn all the same."""
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
            outside[name] = outside.get(name, 0) + (size is not None and _leaves(ring, size))
            tiny[name] = tiny.get(name, 0) + (not crosses and ring_area(ring) < _TINY_PX)
    for code, severity, found, what, advice in (
        (
            "self_crossing",
            Severity.INFO,
            crossing,
            "that cross themselves",
            "where the outline crosses, inside and outside are swapped (even-odd); outline them again where it shows",
        ),
        ("outside_image", Severity.WARNING, outside, "that reach outside of the image", _ADVICE["outside"]),
        (
            "tiny_shapes",
            Severity.INFO,
            tiny,
            f"of less than {_TINY_PX:g} pixels",
            "usually a slip of the mouse; delete them",
        ),
    ):
        yield from _about_shapes(reading, code, severity, found, what, advice, cases)


def _about_shapes(
    reading: Reading,
    code: str,
    severity: Severity,
    found: dict[str, int],
    what: str,
    advice: str,
    cases: dict[str, Case],
) -> Iterator[Finding]:
    names = sorted((name for name, count in found.items() if count), key=lambda name: -found[name])
    if not names:
        return
    total = sum(found.values())
    chosen = [cases[name] for name in names if name in cases]
    yield about(
        reading,
        code,
        severity,
        f"polygons {what}: {total}, in {number(len(names), 'image')}",
        (case.source for case in chosen if case.source is not None),
        count=total,
        detail=shorten((f"{name} ({found[name]})" for name in names), 8),
        advice=advice,
        pictures=reading.overlays(chosen),
    )


def ring_area(ring: Sequence[float]) -> float:
    """Returns a polygon's area in pixels (the shoelace formula)."""
    x, y = np.asarray(ring[0::2], dtype=np.float64), np.asarray(ring[1::2], dtype=np.float64)
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def crosses_itself(ring: Ring) -> bool:
    """Returns whether two edges of a polygon cross; edges that only touch do not."""
    points = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    count = len(points)
    if count < 4 or count > _LONGEST:
        return False
    ends = np.roll(points, -1, axis=0)
    first, second = np.triu_indices(count, 2)
    apart = ~((first == 0) & (second == count - 1))  # the last edge and the first share a point
    first, second = first[apart], second[apart]
    a, b, c, d = points[first], ends[first], points[second], ends[second]
    sides = _side(a, b, c) * _side(a, b, d) < 0
    return bool((sides & (_side(c, d, a) * _side(c, d, b) < 0)).any())


def _side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Returns on which side of a directed edge a point lies: -1, 0 or 1."""
    along, to = end - start, point - start
    return np.asarray(np.sign(along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0]))


def _leaves(ring: Sequence[float], size: tuple[int, int]) -> bool:
    xs, ys = ring[0::2], ring[1::2]
    return (
        min(xs) < -_OUTSIDE_PX
        or min(ys) < -_OUTSIDE_PX
        or max(xs) > size[1] + _OUTSIDE_PX
        or max(ys) > size[0] + _OUTSIDE_PX
    )
