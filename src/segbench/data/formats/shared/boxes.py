"""Boxes among outlines, of which nobody knows how much of them is the object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.annotated import UNKNOWN
from segbench.data.shapes.drawing import Ring, Shape
from segbench.errors import DatasetError
from segbench.locale import message

BOXES = ("ignore", "fill", "skip")


def box_shapes(ring: Ring, label: str, boxes: str) -> list[Shape]:
    """Returns what a box without an outline becomes, as the option `boxes` says: nothing where it is left out."""
    if boxes == "skip":
        return []
    return [Shape(label=UNKNOWN, rings=(ring,), crowd=True) if boxes == "ignore" else Shape(label=label, rings=(ring,))]


def told_boxes(boxes: str, found: Mapping[str, int], drawn: int, root: Path) -> list[str]:
    """Returns what is to be told about boxes; [] where there is none.

    Args:
        boxes: the user's option, one of `BOXES`.
        found: image -> number of its boxes, of images that have any.
        drawn: number of shapes that are drawn, boxes too unless they are left out.
    Raises:
        DatasetError: there is nothing but boxes, and they are not drawn.
    """
    count = sum(found.values())
    shapes = drawn + count if boxes == "skip" else drawn
    if not count:
        return []
    if count >= shapes and boxes != "fill":
        raise DatasetError(
            message(
                "all {count} annotations are boxes without an outline, as for detection; draw the boxes with {option} "
                "if that is meant",
                count=count,
                option=set_option("boxes", "fill"),
            ),
            path=root,
        )
    did = {
        "ignore": message("they count nowhere"),
        "fill": message("they are drawn filled"),
        "skip": message("they were left out, so that they are background"),
    }[boxes]
    return [
        message(
            "{count} of {shapes} shapes, in {images} images, are boxes without an outline; {did}",
            count=count,
            shapes=shapes,
            images=len(found),
            did=did,
        )
    ]
