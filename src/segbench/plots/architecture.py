"""A network drawn as boxes: left to right in the order of execution, down and up with the resolution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segbench.models.describe import Block, Description

_INK, _QUIET, _LINE, _PAPER = "#1a1a1a", "#5a5a5a", "#444444", "#ffffff"
_FILLS = {  # light tints of the Okabe-Ito colours, told apart by lightness too
    "image": "#e2e2e2",
    "convolutions": "#a9d3ee",
    "attention": "#e0bcd4",
    "resizing or joining": "#bfe3d6",
    "logits": "#f5cf8e",
}
_JOINS = {"concat": "#0072b2", "add": "#d55e00", "multiply": "#a3458a", "indices": "#007a59", "": _QUIET}
_JOIN_TEXTS = {"concat": "concatenated", "add": "added", "multiply": "multiplied", "indices": "positions of the maxima"}

_TALLEST_PX, _SMALLEST_PX = 150.0, 26.0
_TEXT_PX, _SMALL_PX = 13.0, 11.5
_LINE_PX = 15.0
_MARGIN_PX = 28.0
_TITLE_PX = 66.0
_LANE_PX = 18.0
_MOST_LINES = 6
_LONGEST_NAME = 16  # letters


@dataclass
class _Box:
    block: Block
    number: int
    level: int
    width: float
    height: float
    lines: list[str]
    names: int = 1  # how many of the lines are the name's
    x: float = 0.0
    y: float = 0.0

    @property
    def text_width(self) -> float:
        names, others = self.lines[: self.names], self.lines[self.names :]
        return max(
            *(_width(line, _TEXT_PX, bold=True) for line in names), *(_width(line, _SMALL_PX) for line in others)
        )

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def half(self) -> float:
        return max(self.width, self.text_width) / 2

    @property
    def right(self) -> float:
        return self.x + self.width


def architecture_svg(description: Description) -> str:
    """Returns a drawing of a network as the text of a self-contained SVG file.

    Each box is a block of neighbouring layers: the further right the later, the lower the coarser, the taller the more
    pixels, the wider the more channels (logarithmic). Below it: name, channels x height x width of its output, layers.
    Coloured lines are skips and say how they join; grey ones are the main path.
    """
    boxes = _make_boxes(description.blocks)
    lanes = _place(boxes)
    right = max(box.middle + box.half for box in boxes) + _MARGIN_PX
    bottom = max(box.y + box.height + _LINE_PX * len(box.lines) for box in boxes) + _MARGIN_PX
    notes = [f"Warning: {warning}" for warning in description.warnings]
    title = _title_lines(description)
    used = {_kind(box.block, box.number == len(boxes) - 1) for box in boxes}
    skips = {
        name
        for box in boxes
        for edge in box.block.inputs
        if edge.source != box.number - 1
        for name in edge.joins.split("+")
    }
    joins = [name for name in _JOIN_TEXTS if name in skips]
    width = max(right, _width(title[1], _TEXT_PX) + 2 * _MARGIN_PX, _legend_width(used, joins) + 2 * _MARGIN_PX, 640.0)
    wrapped = [line for note in notes for line in _wrap(note, width - 2 * _MARGIN_PX)]
    height = bottom + 26 + _LINE_PX * len(wrapped) + _MARGIN_PX / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="Helvetica, Arial, sans-serif" role="img">',
        f"<title>{escape(title[0])}</title>",
        f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
        _markers(),
        _text(_MARGIN_PX, 30, title[0], size=18, anchor="start", bold=True),
        _text(_MARGIN_PX, 50, title[1], size=_TEXT_PX, anchor="start", color=_QUIET),
        *(_edges(boxes, lanes)),
        *(_box(box, box.number == len(boxes) - 1) for box in boxes),
        *_legend(used, joins, bottom + 10),
        *(
            _text(_MARGIN_PX, bottom + 34 + _LINE_PX * number, line, size=_SMALL_PX, anchor="start", color="#b34700")
            for number, line in enumerate(wrapped)
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title_lines(description: Description) -> tuple[str, str]:
    field = description.receptive_field_px
    seen = "the whole image" if field is None else f"{field[0]} × {field[1]} px"
    return (
        description.name,
        f"{description.parameters:,} parameters · {description.macs / 1e9:,.2f} G multiply-adds at "
        f"{description.size[0]} × {description.size[1]} · receptive field {seen}",
    )


def _make_boxes(blocks: Sequence[Block]) -> list[_Box]:
    strides = [max(block.stride_px, 2.0**-3) for block in blocks]
    boxes = []
    for number, (block, stride) in enumerate(zip(blocks, strides, strict=True)):
        size = f"{block.channels} × {block.height_px} × {block.width_px}"
        parts = f"in {block.calls} parts" if block.calls > 1 else ""
        contents = list(block.contents)
        if len(contents) > _MOST_LINES:
            contents = [*contents[: _MOST_LINES - 1], f"and {len(contents) - _MOST_LINES + 1} more"]
        names = _split_name(block.name)
        boxes.append(
            _Box(
                block=block,
                number=number,
                level=round(2 * math.log2(stride)),
                width=12 + 5 * math.log2(block.channels + 1),
                height=max(_SMALLEST_PX, min(_TALLEST_PX, _TALLEST_PX * stride**-0.5)),
                lines=[line for line in (*names, size, parts, *contents) if line],
                names=len(names),
            )
        )
    return boxes


def _split_name(name: str) -> list[str]:
    """Returns a module's path, in two lines at a dot where it is long."""
    dots = [place for place, letter in enumerate(name) if letter == "."]
    if len(name) <= _LONGEST_NAME or not dots:
        return [name]
    middle = min(dots, key=lambda place: abs(place - len(name) / 2))
    return [name[:middle], name[middle:]]


def _place(boxes: Sequence[_Box]) -> dict[tuple[int, int], float]:
    """Gives every box its place, and returns the height of the line of every skip that must go over other boxes."""
    ends: dict[int, float] = {}  # of the texts in each level
    for number, box in enumerate(boxes):
        left = ends.get(box.level, _MARGIN_PX) + (12 if box.level in ends else 0)
        box.x = left + box.half - box.width / 2
        if number:
            last = boxes[number - 1]
            if box.level > last.level:  # the line comes down beside the text of the box before
                box.x = max(box.x, last.middle + last.half + 26)
            else:
                box.x = max(box.x, last.right + 24 + (box.half - box.width / 2 if box.level != last.level else 12))
        ends[box.level] = box.middle + box.half
    lanes: dict[tuple[int, int], float] = {}
    y = _TITLE_PX + 14
    for level in sorted({box.level for box in boxes}):
        row = [box for box in boxes if box.level == level]
        over = [
            (edge.source, box.number)
            for box in boxes
            for edge in box.block.inputs
            if _blocked(boxes, edge.source, box) == level
        ]
        over.sort(key=lambda ends: ends[1] - ends[0])
        for place, key in enumerate(over):
            lanes[key] = y + _LANE_PX * (len(over) - 1 - place)
        y += _LANE_PX * len(over)
        tallest = max(box.height for box in row)
        for box in row:
            box.y = y + tallest - box.height
        y += tallest + _LINE_PX * max(len(box.lines) for box in row) + 14
    return lanes


def _blocked(boxes: Sequence[_Box], source: int, target: _Box) -> int | None:
    """Returns the level along which a skip runs where other boxes stand in its way; None where none do."""
    level = min(boxes[source].level, target.level)
    between = boxes[source + 1 : target.number]
    return level if any(box.level == level for box in between) else None


def _edges(boxes: Sequence[_Box], lanes: dict[tuple[int, int], float]) -> list[str]:
    parts = []
    for box in boxes:
        for edge in box.block.inputs:
            source = boxes[edge.source]
            main = edge.source == box.number - 1
            kind = edge.joins.partition("+")[0] if "concat" not in edge.joins else "concat"
            color = _LINE if main else _JOINS[kind]
            lane = lanes.get((edge.source, box.number))
            points = _route(source, box, main, lane)
            style = f'stroke="{color}" stroke-width="{1.6 if main else 2.2}"'
            path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            name = "main" if main else kind or "plain"
            parts.append(f'<path d="{path}" fill="none" {style} stroke-linejoin="round" marker-end="url(#{name})"/>')
            if not main and edge.joins:
                (x1, y1), (x2, _) = max(pairwise(points), key=lambda ends: abs(ends[1][0] - ends[0][0]))
                word = edge.joins.replace("+", " and ")
                if abs(x2 - x1) > _width(word, _SMALL_PX) + 8:
                    parts.append(_text((x1 + x2) / 2, y1 + 4, word, size=_SMALL_PX, color=color, halo=True))
    return parts


def _route(source: _Box, target: _Box, main: bool, lane: float | None) -> list[tuple[float, float]]:
    """Returns the corners of the line from one box to another."""
    if lane is not None:
        up = [(source.middle + 3, source.y), (source.middle + 3, lane)]
        if source.level > target.level:
            leave = source.y + 0.28 * source.height
            up = [(source.right, leave), (source.right + 17, leave), (source.right + 17, lane)]
        if target.level > source.level:
            arrive = target.y + 0.28 * target.height
            return [*up, (target.x - 17, lane), (target.x - 17, arrive), (target.x, arrive)]
        return [*up, (target.middle - 3, lane), (target.middle - 3, target.y)]
    share = 0.5 if main else 0.28
    leave, arrive = source.y + share * source.height, target.y + share * target.height
    if source.level == target.level:
        level = max(leave, target.y + 0.15 * target.height)
        return [(source.right, level), (target.x, level)]
    turn = target.x - (10 if main else 17) if target.level > source.level else source.right + (10 if main else 17)
    return [(source.right, leave), (turn, leave), (turn, arrive), (target.x, arrive)]


def _box(box: _Box, last: bool) -> str:
    block = box.block
    fill = _FILLS[_kind(block, last)]
    details = f"{block.name}: {block.parameters:,} parameters, {block.macs:,} multiply-adds"
    parts = [f"<g><title>{escape(details)}</title>"]
    if block.calls > 1:  # a stack: the same work on one part of the image after the other
        parts += [_rectangle(box.x + shift, box.y - shift, box.width, box.height, fill) for shift in (6.0, 3.0)]
    parts.append(_rectangle(box.x, box.y, box.width, box.height, fill))
    y = box.y + box.height + 14
    for number, line in enumerate(box.lines):
        size = _TEXT_PX if number < box.names else _SMALL_PX
        parts.append(
            _text(
                box.middle,
                y,
                line,
                size=size,
                bold=number < box.names,
                color=_INK if number <= box.names else _QUIET,
                halo=True,
            )
        )
        y += _LINE_PX
    return "".join([*parts, "</g>"])


def _kind(block: Block, last: bool) -> str:
    if not block.inputs:
        return "image"
    if last:
        return "logits"
    if any("attention" in word or "matmul" in word for word in block.contents):
        return "attention"
    return "convolutions" if block.macs else "resizing or joining"


def _rectangle(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3" fill="{fill}" '
        f'stroke="{_LINE}" stroke-width="1.2"/>'
    )


def _legend_width(kinds: Iterable[str], joins: Iterable[str]) -> float:
    return sum(_width(name, _SMALL_PX) + 42 for name in kinds) + sum(
        _width(_JOIN_TEXTS[name], _SMALL_PX) + 56 for name in joins
    )


def _legend(kinds: Iterable[str], joins: Iterable[str], y: float) -> list[str]:
    x = _MARGIN_PX
    parts = []
    present = set(kinds)
    for name in [name for name in _FILLS if name in present]:
        parts.append(_rectangle(x, y - 9, 14, 12, _FILLS[name]))
        parts.append(_text(x + 20, y + 1, name, size=_SMALL_PX, anchor="start"))
        x += _width(name, _SMALL_PX) + 42
    for name in joins:
        parts.append(
            f'<path d="M{x:.1f} {y - 3:.1f} L{x + 26:.1f} {y - 3:.1f}" stroke="{_JOINS[name]}" stroke-width="2.2" '
            f'marker-end="url(#{name})"/>'
        )
        parts.append(_text(x + 32, y + 1, _JOIN_TEXTS[name], size=_SMALL_PX, anchor="start"))
        x += _width(_JOIN_TEXTS[name], _SMALL_PX) + 56
    return parts


def _markers() -> str:
    colors = {"main": _LINE, "plain": _QUIET, **{name: color for name, color in _JOINS.items() if name}}
    return (
        "<defs>"
        + "".join(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.5 L8 4 L0 7.5 Z" fill="{color}"/></marker>'
            for name, color in colors.items()
        )
        + "</defs>"
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    anchor: str = "middle",
    color: str = _INK,
    bold: bool = False,
    halo: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    edge = f' stroke="{_PAPER}" stroke-width="4" paint-order="stroke" stroke-linejoin="round"' if halo else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{color}"{weight}{edge}>'
        f"{escape(text)}</text>"
    )


def _width(text: str, size: float, *, bold: bool = False) -> float:
    """Returns about how wide a text is; sans-serif letters are a good half as wide as high."""
    return len(text) * size * (0.6 if bold else 0.54)


def _wrap(text: str, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width(longer, _SMALL_PX) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
