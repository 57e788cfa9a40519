"""An annotation of a COCO file -> a shape: polygons, run lengths, or a box."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from segbench.data.formats.shared.annotated import UNKNOWN, wrong_key
from segbench.data.formats.shared.boxes import only_a_box
from segbench.data.formats.shared.values import as_kind, is_crowd, need, ring_of, side_of
from segbench.data.shapes.drawing import Shape, decompress, rectangle_ring
from segbench.errors import DatasetError
from segbench.locale import message

Trouble: TypeAlias = tuple[Literal["bad_rle", "wrong_size", "unused_shape", "only_box"], str]
Size: TypeAlias = tuple[int | None, int | None]


def read_shape(plain: Mapping[str, Any], label: str, size: Size, boxes: str, path: Path, where: str) -> Shape | Trouble:
    """Returns what an annotation draws, or which defect it has.

    Args:
        size: (H, W) of the image as the file says.
        boxes: what a box becomes where there is nothing else: `fill` draws it, `ignore` lets it count nowhere (as a
            shape of the label `UNKNOWN`), `skip` leaves it out.
        where: the annotation's place in the file.
    Raises:
        DatasetError: a value of another type than the format says.
    """
    crowd = is_crowd(plain, path, where)
    segmentation = plain.get("segmentation")
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation, label, size, crowd, path, f"{where}.segmentation")
    if segmentation:
        rings = _rings(as_kind(segmentation, list, path, f"{where}.segmentation"))
        found = (ring_of(ring, path, f"{where}.segmentation[{index}]") for index, ring in enumerate(rings))
        return Shape(label=label, rings=tuple(found), crowd=crowd)
    if not has_box(plain):
        return "unused_shape", message("neither a segmentation nor a box; left out")
    if boxes == "skip":
        return "only_box", only_a_box()
    box = ring_of(plain["bbox"], path, f"{where}.bbox")
    if len(box) != 4:
        raise wrong_key(path, f"{where}.bbox", "[left, top, width, height]", plain["bbox"])
    if boxes == "ignore":
        return Shape(label=UNKNOWN, rings=(rectangle_ring(*box),), crowd=True)
    return Shape(label=label, rings=(rectangle_ring(*box),), crowd=crowd)


def has_box(plain: Mapping[str, Any]) -> bool:
    """Returns whether an annotation has a box around something: programs write [0, 0, 0, 0] where nothing is."""
    box = plain.get("bbox")
    return bool(box) and not (isinstance(box, list) and 0 in box[2:])


def _rings(values: Sequence[Any]) -> Sequence[Any]:
    """Returns polygons as flat lists: also of one that is not in a list of its own, and of points as pairs [x, y]."""
    if all(isinstance(item, int | float) for item in values):
        return [values]
    if len(values) > 2 and all(_is_pair(item) for item in values):
        return [_flat(values)]  # as rings they would be points
    return [_flat(item) if isinstance(item, list) and item and all(map(_is_pair, item)) else item for item in values]


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(part, int | float) for part in value)


def _flat(points: Sequence[Any]) -> list[Any]:
    return [part for point in points for part in point]


def _run_lengths(
    plain: Mapping[str, Any], label: str, size: Size, crowd: bool, path: Path, where: str
) -> Shape | Trouble:
    sides = need(plain, "size", list, path, where)
    if len(sides) != 2:
        raise wrong_key(path, f"{where}.size", "[height, width]", sides)
    height, width = (side_of({"size": side}, "size", path, where) for side in sides)
    if height is None or width is None:
        raise wrong_key(path, f"{where}.size", "[height, width]", sides)
    if "counts" not in plain:
        raise DatasetError(f"{where}: expected run lengths, but there is no key counts", path=path)
    if None not in size and (height, width) != size:
        return "wrong_size", message(
            "run lengths for {height} x {width} pixels, the image has {image_height} x {image_width}",
            height=height,
            width=width,
            image_height=size[0],
            image_width=size[1],
        )
    counts = _counts(plain["counts"])
    if isinstance(counts, str):
        return "bad_rle", counts
    if min(counts, default=0) < 0:
        return "bad_rle", message("a run length is negative ({low})", low=min(counts))
    if sum(counts) != height * width:
        return "bad_rle", message(
            "run lengths add up to {total} pixels, expected {height} x {width} = {pixels}",
            total=sum(counts),
            height=height,
            width=width,
            pixels=height * width,
        )
    return Shape(label=label, counts=counts, box=None if None not in size else (0, 0, width, height), crowd=crowd)


def _counts(counts: Any) -> tuple[int, ...] | str:
    """Returns run lengths out of a list or of COCO's compressed text, or why there are none.

    Compressed text that a program wrote as Python shows bytes (`b'...'`), and whole numbers with a point, are read.
    """
    if isinstance(counts, str):
        try:
            return tuple(decompress(_bytes_of(counts)).tolist())
        except DatasetError as error:
            return error.reason
    if isinstance(counts, list) and all(map(_is_whole, counts)):
        return tuple(map(int, counts))
    return message("expected run lengths as a list of whole numbers or as compressed text")


def _is_whole(value: object) -> bool:
    return type(value) is int or (type(value) is float and value.is_integer())


def _bytes_of(text: str) -> bytes:
    if not re.fullmatch(r"b(['\"]).*\1", text, re.DOTALL):
        return text.encode()
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text.encode()
    return value if isinstance(value, bytes) else text.encode()
