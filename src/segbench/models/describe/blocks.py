"""From the rows of a layer table to the few blocks that a drawing of the network shows."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from segbench.models.describe.trace import JOINS, KINDS, Row

_FEW_BLOCKS = 4  # with fewer than this, blocks are taken apart once more
_MANY_BLOCKS = 18  # with more than this, numbered neighbours are drawn as one

_MOST_WORDS = 5

Size = tuple[int, int]


@dataclass(frozen=True)
class Edge:
    """What flows into a block.

    Attributes:
        source: number of the block it comes from.
        joins: `concat`, `add`, `multiply` or `indices` (of maxima) where it meets what is there already, several with
            a `+` between; empty on the main path.
    """

    source: int
    joins: str


@dataclass(frozen=True)
class Block:
    """Neighbouring layers of one resolution, drawn as one box.

    Attributes:
        name: the module they belong to, or what they do.
        contents: short words for its layers, in order.
        channels, height_px, width_px: of its last output; height and width in positions of that map.
        stride_px: image pixels from one position of that map to the next, the larger of both directions.
        parameters, macs: sums.
        inputs: where its data comes from.
        calls: how often it ran; above 1 where the network works through the image in parts.
    """

    name: str
    contents: tuple[str, ...]
    channels: int
    height_px: int
    width_px: int
    stride_px: float
    parameters: int
    macs: int
    inputs: tuple[Edge, ...]
    calls: int = 1


@dataclass
class _Unit:
    name: str
    rows: list[Row]
    size: Size

    @property
    def parent(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def has_weights(self) -> bool:
        return any(row.macs for row in self.rows)


def make_blocks(
    rows: Sequence[Row], module_sizes: Mapping[str, Size | None], parameters: Mapping[int, int]
) -> tuple[Block, ...]:
    """Returns the blocks of a network in the order of execution; the first is the image.

    Args:
        rows: of the layer table.
        module_sizes: H and W of the last output of every module that ran.
        parameters: number of a row -> its parameters.
    """
    units = _units(rows, _whole_modules(rows, module_sizes))
    if len(_merge(units)) <= _FEW_BLOCKS:
        units = _units(rows, frozenset())
    units = _merge(units)
    if len(units) > _MANY_BLOCKS:
        units = _merge_numbered(units)
    unit_of = {row.number: number for number, unit in enumerate(units) for row in unit.rows}
    return tuple(_block(unit, number, rows, unit_of, parameters) for number, unit in enumerate(units))


def nominal_stride(measured: float, image_px: int, positions: int) -> float:
    """Returns image / map where that is a whole number not far from the measured stride, else the measured one.

    Resizing with `align_corners` lays the corner positions on one another, so a grid shrinks a little each time; what
    a reader means by its stride is still image / map.
    """
    nominal, rest = divmod(image_px, positions)
    return float(nominal) if rest == 0 and 0.5 < measured / nominal < 2.0 else measured


def _whole_modules(rows: Sequence[Row], module_sizes: Mapping[str, Size | None]) -> frozenset[str]:
    """Returns the modules whose direct parts all work at one resolution: each is one unit of the drawing."""
    children: dict[str, set[Size]] = defaultdict(set)
    for row in rows[1:]:
        path = row.name.split(".")
        for depth in range(1, len(path)):
            parent = ".".join(path[:depth])
            # the nearest part of `parent` on the way to this row that gives an output: a container list gives none
            part = next(
                (name for end in range(depth + 1, len(path)) if (name := ".".join(path[:end])) in module_sizes), None
            )
            size = module_sizes[part] if part is not None else None
            children[parent].add(size or row.size)
    return frozenset(name for name, sizes in children.items() if len(sizes) == 1)


def _units(rows: Sequence[Row], whole: frozenset[str]) -> list[_Unit]:
    """Returns the rows cut into units: the outermost whole module of each row, or the row itself."""
    units: list[_Unit] = []
    for row in rows:
        path = row.name.split(".")
        prefixes = [".".join(path[:depth]) for depth in range(1, len(path))]
        name = next((prefix for prefix in prefixes if prefix in whole), row.name)
        if units and units[-1].name == name and name != row.name:
            units[-1].rows.append(row)
            units[-1].size = row.size
        else:
            units.append(_Unit(name, [row], row.size))
    return units


def _merge(units: Sequence[_Unit]) -> list[_Unit]:
    """Joins what belongs together: activations to the layer before, resampling and joining to the layer after."""
    merged: list[_Unit] = []
    for unit in units:
        last = merged[-1] if len(merged) > 1 else None  # never into the image
        if (
            last is None
            or last.size != unit.size
            or not _follows(unit, last)
            or (last.has_weights and (unit.has_weights or any(row.joins for row in unit.rows)))
        ):
            merged.append(_Unit(unit.name, list(unit.rows), unit.size))
            continue
        if unit.has_weights:
            last.name = unit.name
        last.rows.extend(unit.rows)
    return _merge_joins(merged)


def _merge_joins(units: Sequence[_Unit]) -> list[_Unit]:
    """Joins what only concatenates or adds, and has no layer of its resolution behind it, to the block before."""
    merged: list[_Unit] = []
    for unit in units:
        last = merged[-1] if len(merged) > 1 else None
        alone = not unit.has_weights and all(row.joins for row in unit.rows)
        if last is not None and alone and last.size == unit.size and _follows(unit, last):
            last.rows.extend(unit.rows)
        else:
            merged.append(unit)
    return merged


def _merge_numbered(units: Sequence[_Unit]) -> list[_Unit]:
    """Joins neighbours like `blocks.3` and `blocks.4` of one list and one resolution."""
    merged: list[_Unit] = []
    for unit in units:
        last = merged[-1] if merged else None
        numbered = unit.name.rpartition(".")[2].isdigit()
        if last is not None and numbered and last.size == unit.size and last.parent == unit.parent and unit.parent:
            first = last.name.rpartition(".")[2].partition("–")[0]
            if first.isdigit() and _follows(unit, last):
                last.rows.extend(unit.rows)
                last.name = f"{unit.parent}.{first}–{unit.name.rpartition('.')[2]}"
                continue
        merged.append(_Unit(unit.name, list(unit.rows), unit.size))
    return merged


def _follows(unit: _Unit, other: _Unit) -> bool:
    """Tells whether the first row of a unit reads the last one of another (it may read more: a skip)."""
    return other.rows[-1].number in unit.rows[0].inputs


def _block(
    unit: _Unit, number: int, rows: Sequence[Row], unit_of: Mapping[int, int], parameters: Mapping[int, int]
) -> Block:
    edges: dict[int, list[str]] = {}
    for row in unit.rows:
        joins = row.joins or ("indices" if "max_unpool2d" in row.operators else "")
        sources = [_pooled_from(rows[source]) if joins == "indices" else source for source in row.inputs]
        outside = [unit_of[source] for source in sources if unit_of[source] != number]
        for source in outside:
            meets = [joins] if joins and len(row.inputs) > 1 else []
            edges[source] = list(dict.fromkeys([*edges.get(source, []), *meets]))
    later = next((row.joins for row in unit.rows if row.joins), "")  # a skip with a layer of its own before it joins
    if len(edges) > 1 and later:
        edges = {source: kinds or ([later] if source != number - 1 else []) for source, kinds in edges.items()}
    height, width = unit.size
    return Block(
        name=unit.name,
        contents=_contents(unit.rows),
        channels=_channels(unit.rows[-1]),
        height_px=height,
        width_px=width,
        stride_px=_stride(unit.rows[-1], rows[0]),
        parameters=sum(parameters.get(row.number, 0) for row in unit.rows),
        macs=sum(row.macs for row in unit.rows),
        inputs=tuple(Edge(source, "+".join(kinds)) for source, kinds in sorted(edges.items())),
        calls=max(row.calls for row in unit.rows),
    )


def _channels(row: Row) -> int:
    """Returns how many values a row's output has at each position of its map."""
    axes = row.seen.axes if row.seen is not None else ()
    if not axes:
        height, width = row.size
        return max(math.prod(row.shape[1:]) // (height * width), 1)
    positions = {*axes, 0} if 0 not in axes else set(axes)  # the batch has one image; as an axis it holds patches
    return math.prod(side for axis, side in enumerate(row.shape) if axis not in positions)


def _pooled_from(row: Row) -> int:
    """Returns the row whose map a pooling's positions lie in; the row itself where it is no pooling."""
    return min(row.inputs) if "max_pool2d_with_indices" in row.operators and len(row.inputs) == 1 else row.number


def _stride(row: Row, image: Row) -> float:
    if row.seen is None or not row.seen.axes:
        return float(max(image.shape[2:]))
    sides = zip(row.seen.stride_px, image.shape[2:], row.size, strict=True)
    return max(nominal_stride(stride, side, positions) for stride, side, positions in sides)


def _contents(rows: Sequence[Row]) -> tuple[str, ...]:
    """Returns what the rows do, in a word each, equal neighbours counted: ("max pool", "2 x conv 3x3")."""
    words = [word for row in rows if (word := _word(row))]
    found = [(word, len(list(equal))) for word, equal in groupby(words)]
    if len(found) > _MOST_WORDS:  # repeated sequences: only how often each word occurs
        found = list(Counter(words).items())
    return tuple(f"{count} × {word}" if count != 1 else word for word, count in found)


def _word(row: Row) -> str:
    operators = [name.rstrip("_") for name in row.operators]
    if "convolution" in operators:
        transposed = "Transpose" in row.kind
        kernel = "×".join(str(side) for side in row.kernel)
        spread = f" dilation {row.dilation}" if row.dilation > 1 else ""
        return f"{'transposed conv' if transposed else 'conv'} {kernel}{spread}"
    if row.joins:
        return row.joins
    found = [name for name in KINDS if name in operators and name not in JOINS]
    return _WORDS.get(found[0], KINDS[found[0]].replace("_", " ")) if found else ""


_WORDS = {"avg_pool2d": "average pool", "addmm": "linear", "mm": "linear"}
