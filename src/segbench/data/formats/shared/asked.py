"""What drawn shapes may mean in two ways, so that it is asked: closed lines, and classes that are crowds only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from segbench.data.files.hints import set_option
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.data.shapes.trace import ring_area
from segbench.locale import Message, listed, message, plural
from segbench.types import Task

_GAP_PX, _GAP_SHARE = 3.0, 0.03  # between a closed line's ends, in pixels or of its length
_FEWEST_TWINS, _TWINS = 5, 0.05  # outlines, and share of all shapes, up to which they were drawn twice by mistake
_FEWEST_POINTS = 5  # and nothing else, from which on they are marks for counting rather than dots
_FEWEST_OUTSIDE = 3  # outlines that lie elsewhere than their images
_MOSTLY = 0.5  # of a class's shapes; more crowds than that are no crowds, and of all; more outside is no slip


def is_closed(shape: Shape) -> bool:
    """Returns whether a line ends where it begins, around clearly more than its own pixels: an outline, rather."""
    points = list(zip(shape.line[0::2], shape.line[1::2], strict=False))
    if len(points) < 4 or not all(math.isfinite(value) for value in shape.line):
        return False
    length = sum(math.dist(one, other) for one, other in pairwise(points))
    gap = math.dist(points[0], points[-1])
    if gap > max(_GAP_PX, _GAP_SHARE * length) or gap > length / 4:
        return False
    return ring_area(shape.line) > length * max(shape.width_px, 1.0)


def filled(drawing: Drawing) -> Drawing:
    """Returns the drawing with closed lines as polygons."""
    shapes = (replace(shape, rings=(shape.line,), line=()) if is_closed(shape) else shape for shape in drawing.shapes)
    return replace(drawing, shapes=tuple(shapes))


def about_lines(shapes: Iterable[Shape], choice: str) -> tuple[Message | None, list[Message]]:
    """Returns what to ask about lines, or None, and notes on how they are drawn.

    Args:
        shapes: of all images, as the files have them.
        choice: the option `closed_lines`.
    """
    shapes = list(shapes)
    lines = [shape for shape in shapes if shape.line]
    closed = [shape for shape in lines if is_closed(shape)]
    points = [shape for shape in lines if len(shape.line) == 2]
    drawn = [shape for shape in lines if len(shape.line) > 2 and not (choice == "fill" and is_closed(shape))]
    notes = []
    if drawn:
        text = plural("{n} line is drawn {width} px wide", "{n} lines are drawn {width} px wide", **_number(drawn))
        notes.append(text)
    if points:
        text = plural(
            "{n} point is drawn as a dot of {width} px", "{n} points are drawn as dots of {width} px", **_number(points)
        )
        notes.append(text)
    if len(points) == len(shapes) >= _FEWEST_POINTS and choice == "error":
        question = message(
            "all {n} shapes are points, which outline nothing; if dots of a pixel are what is looked for, set {draw}",
            n=len(points),
            draw=set_option("closed_lines", "draw"),
        )
        return question, notes
    if closed and choice == "fill":
        notes.append(plural("{n} closed line is filled", "{n} closed lines are filled", n=len(closed)))
    if not closed or choice != "error":
        return None, notes
    question = message(
        "{n} of {all} lines are closed, as outlines of objects are: fill them with {fill}, or keep them as lines "
        "{width} px wide with {draw}",
        **_number(closed),
        all=len(lines) - len(points),
        fill=set_option("closed_lines", "fill"),
        draw=set_option("closed_lines", "draw"),
    )
    return question, notes


def about_crowds(
    shapes: Iterable[Shape], ignored: Iterable[str], chosen: str | None
) -> tuple[Message | None, list[Message]]:
    """Returns what to ask about classes that are mostly crowds, or None, and notes on the crowds of the others.

    Args:
        shapes: of all images.
        ignored: labels that count nowhere anyway.
        chosen: the option `crowd` where the user gave it: then nothing is asked.
    """
    labels = Counter((shape.label, shape.crowd) for shape in shapes if shape.label not in set(ignored))
    crowds = {label: number for (label, crowd), number in labels.items() if crowd}
    share = {label: number / (number + labels[label, False]) for label, number in crowds.items()}
    mostly = [label for label in crowds if share[label] > _MOSTLY and chosen is None]
    question = None
    if mostly:
        question = message(
            "{counts} are marked as crowds (iscrowd 1), which some tools write on every brush mask; draw them as "
            "objects with {include}, or let them count nowhere with {ignore}",
            counts=listed([_of(label, crowds, labels) for label in mostly]),
            include=set_option("crowd", "include"),
            ignore=set_option("crowd", "ignore"),
        )
    if not crowds:
        return None, []
    did = {
        "ignore": message("they count nowhere"),
        "exclude": message("they are background"),
        "include": message("they are drawn as objects"),
    }[chosen or "ignore"]
    counts = listed([_of(label, crowds, labels) for label in crowds])
    return question, [message("{counts} are marked as crowds; {did}", counts=counts, did=did)]


def _of(label: str, crowds: dict[str, int], labels: Counter[tuple[str, bool]]) -> Message:
    return message(
        "{number} of {all} shapes of {label!r}",
        number=crowds[label],
        all=crowds[label] + labels[label, False],
        label=label,
    )


def _number(shapes: Sequence[Shape]) -> dict[str, Any]:
    widths = sorted({max(shape.width_px, 1.0) for shape in shapes})
    return {"n": len(shapes), "width": listed([f"{width:g}" for width in widths])}


def about_twins(images: Iterable[Sequence[Shape]], choice: str | None, task: str | None) -> Message | None:
    """Returns what to ask where many regions have several labels, so that none of them can be on top; or None.

    Args:
        images: the shapes of each image.
        choice: the option `overlap`, where it is given.
        task: the option `task`.
    """
    if choice is not None or task == Task.MULTILABEL:
        return None
    number, total = 0, 0
    pairs: Counter[tuple[str, ...]] = Counter()
    for shapes in images:
        total += len(shapes)
        if len({shape.label for shape in shapes}) < 2:
            continue
        labels: dict[tuple[Any, ...], set[str]] = {}
        for shape in shapes:
            outline = (shape.rings, shape.line, shape.counts, shape.box, shape.file, shape.value)
            labels.setdefault(outline, set()).add(shape.label)
        for names in labels.values():
            if len(names) > 1:
                number += len(names)
                pairs[tuple(sorted(names))] += 1
    if sum(pairs.values()) < _FEWEST_TWINS or number <= _TWINS * total:
        return None
    twins, times = pairs.most_common(1)[0]
    return message(
        "{n} of {total} shapes have the outline of another shape with another label, such as {names} ({times} times): "
        "their pixels would get one of these classes; if both are right, set {multilabel}; if the later one counts, "
        "{later}",
        n=number,
        total=total,
        names=" + ".join(twins),
        times=times,
        multilabel=set_option("task", "multilabel"),
        later=set_option("overlap", "later_on_top"),
    )


def about_outside(drawings: Iterable[Drawing]) -> Message | None:
    """Returns what to ask where most shapes lie wholly outside of their images, so that nothing is drawn; or None."""
    number, total = 0, 0
    for drawing in drawings:
        if drawing.height is None or drawing.width is None:
            continue
        for shape in drawing.shapes:
            total += bool(shape.rings)
            number += bool(shape.rings) and all(
                _is_outside(ring, drawing.height, drawing.width) for ring in shape.rings
            )
    if number < _FEWEST_OUTSIDE or number <= _MOSTLY * total:
        return None
    return message(
        "{n} of {total} outlines lie wholly outside of their images and would draw nothing: x and y may be exchanged, "
        "or the images were cropped after they were annotated; mend the coordinates",
        n=number,
        total=total,
    )


def _is_outside(ring: Sequence[float], height: int, width: int) -> bool:
    across, down = ring[0::2], ring[1::2]
    return min(across) >= width or max(across) <= 0 or min(down) >= height or max(down) <= 0
