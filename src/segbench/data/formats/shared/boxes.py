"""Boxes among outlines, of which nobody knows how much of them is the object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.annotated import UNKNOWN
from segbench.data.formats.shared.listing import Defect
from segbench.data.shapes.drawing import Drawing, Ring, Shape
from segbench.errors import DatasetError
from segbench.locale import Message, message

BOXES = ("ignore", "fill", "skip")  # values of the option `boxes`


def only_a_box() -> Message:
    """Returns what is wrong with a box without an outline."""
    return message(
        "only a box, which outlines nothing (it would be drawn with {option})", option=set_option("boxes", "fill")
    )


def box_shapes(ring: Ring, label: str, boxes: str) -> list[Shape]:
    """Returns what a box without an outline becomes, as the option `boxes` says: nothing where it is left out."""
    if boxes == "skip":
        return []
    return [Shape(label=UNKNOWN, rings=(ring,), crowd=True) if boxes == "ignore" else Shape(label=label, rings=(ring,))]


def only_box(boxes: str, source: Path, where: str) -> list[Defect]:
    """Returns the defect of a box without an outline; [] where the user has it drawn."""
    return [] if boxes == "fill" else [Defect(code="only_box", path=source, where=where, text=only_a_box())]


def check_boxes(boxes: str, count: int, drawings: Iterable[Drawing], defects: Sequence[Defect], root: Path) -> None:
    """Raises DatasetError where there is nothing but boxes, and they are not drawn.

    Args:
        count: number of boxes without an outline.
        drawings: of all images, with the boxes that count nowhere.
        defects: shapes that could not be drawn are among them, and are told first.
    """
    drawn = sum(len(drawing.shapes) for drawing in drawings) + sum(defect.fatal for defect in defects)
    if boxes == "fill" or not count or drawn > (count if boxes == "ignore" else 0):
        return
    raise DatasetError(
        message(
            "all {count} annotations are boxes without an outline, as for detection; draw the boxes with {option} if "
            "that is meant",
            count=count,
            option=set_option("boxes", "fill"),
        ),
        path=root,
    )
