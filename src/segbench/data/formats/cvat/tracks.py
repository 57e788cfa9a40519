"""Tracks of CVAT's video export -> the shapes of each frame."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from segbench.data.formats.cvat.shapes import NUMBERS, parse_points, shapes_or_defect
from segbench.data.formats.shared.listing import Defect
from segbench.data.shapes.drawing import Shape
from segbench.errors import DatasetError


def shapes_by_frame(
    tracks: Iterable[Element], frames: Mapping[int, Path], source: Path, width_px: float, defects: list[Defect]
) -> dict[int, list[Shape]]:
    """Returns frame -> shapes of all tracks that are there in it.

    Args:
        frames: number -> image.
        defects: those of elements that cannot be read are appended, for each frame that they are in.

    Between two of a track's elements its numbers change evenly; where the number of points differs, or it is a mask,
    the earlier element stays. `outside` ends a track until an element without it; the last element stays to the end.

    Raises:
        DatasetError: an element without a frame's number.
    """
    result: dict[int, list[Shape]] = {frame: [] for frame in frames}
    for number, track in enumerate(tracks, 1):
        name = f"track {track.get('id', number)}"
        label = track.get("label", "")
        steps = sorted(((_frame(element, source, name), element) for element in track), key=lambda step: step[0])
        starts = [frame for frame, _ in steps]
        for frame in frames:
            index = bisect_right(starts, frame) - 1
            if index < 0 or steps[index][1].get("outside") == "1":
                continue
            element = steps[index][1]
            attributes = dict(element.attrib)
            if starts[index] != frame and index + 1 < len(steps):
                share = (frame - starts[index]) / (starts[index + 1] - starts[index])
                attributes |= _between(element, steps[index + 1][1], share)
            where = f"{name}, <{element.tag}> of frame {starts[index]}"
            result[frame] += shapes_or_defect(
                element.tag, attributes, label, source, where, width_px, frames[frame], defects
            )
    return result


def _frame(element: Element, source: Path, name: str) -> int:
    text = element.get("frame", "")
    if not text.isdigit():
        raise DatasetError(
            f"{name}, <{element.tag}>: expected the attribute frame, a number, got {text!r}", path=source
        )
    return int(text)


def _between(first: Element, second: Element, share: float) -> dict[str, str]:
    """Returns the attributes that lie between those of two elements; none where they cannot be compared."""
    if first.tag != second.tag or first.tag == "mask" or second.get("outside") == "1":
        return {}
    try:
        if first.tag in NUMBERS:
            numbers = {
                name: repr(_mixed(float(first.get(name, "0")), float(second.get(name, "0")), share))
                for name in NUMBERS[first.tag]
            }
            start, end = float(first.get("rotation", "0")), float(second.get("rotation", "0"))
            shorter = start + (end - start + 180) % 360 - 180  # from 350 to 10 degrees it is 20, not -340
            return {**numbers, "rotation": repr(_mixed(start, shorter, share))}
        before, after = parse_points(first.get("points", "")), parse_points(second.get("points", ""))
    except ValueError:
        return {}  # reading the element itself says what is wrong
    if len(before) != len(after):
        return {}
    mixed = [_mixed(one, other, share) for one, other in zip(before, after, strict=True)]
    return {"points": ";".join(f"{x!r},{y!r}" for x, y in zip(mixed[0::2], mixed[1::2], strict=True))}


def _mixed(before: float, after: float, share: float) -> float:
    return before + (after - before) * share
