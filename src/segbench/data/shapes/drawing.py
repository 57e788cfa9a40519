"""Shapes of an annotation file -> a mask: the one rule by which polygons, run lengths and instances become labels.

Coordinates are pixels, x to the right and y down, with (0, 0) at the upper left *corner* of the first pixel, so that
the rectangle (0, 0, 4, 3) covers 4 x 3 pixels. Polygons are filled as COCO's own tools do (pycocotools; even-odd where
one crosses itself) and are cut at the image's border. Instances become one label a pixel: `smaller_on_top` by default.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from segbench.data.files.images import read_bytes, read_mask_values
from segbench.errors import DatasetError
from segbench.types import IGNORE_INDEX

Ring: TypeAlias = tuple[float, ...]  # x0, y0, x1, y1, ...
Overlap: TypeAlias = Literal["smaller_on_top", "later_on_top", "class_order"]
Coding: TypeAlias = Literal["", "nonzero", "packed_rgb", "ade20k"]

_FAR = 4.0  # image sides beyond the border: such numbers are not of this image
_ELLIPSE_STEP_PX = 0.5  # longest side of the polygon that stands for an ellipse


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One annotated object or region: rings, or a line, or run lengths, or a part of a mask file.

    Attributes:
        label: the class as the file writes it; empty where it has none.
        rings: polygons, which together are the object.
        line: an open line x0, y0, x1, y1, ...; one pair is a point.
        width_px: of the line or point.
        counts: COCO's run lengths, column by column, background first; a text is COCO's compressed form.
        box: (left, top, width, height) of what `counts` describe; None means the whole image.
        file: of a mask, relative to the data set's root.
        coding: how the file writes `value`: any value but 0, R + 256 G + 65536 B, or ADE20K's R // 10 * 256 + G.
        value: of this object in the file.
        crowd: a group of objects that was outlined as one (COCO's iscrowd).
        z: drawing order of the annotation tool; larger is on top where `later_on_top` is asked for.
    """

    label: str = ""
    rings: tuple[Ring, ...] = ()
    line: Ring = ()
    width_px: float = 1.0
    counts: tuple[int, ...] | str = ()
    box: tuple[int, int, int, int] | None = None
    file: str = ""
    coding: Coding = ""
    value: int = 0
    crowd: bool = False
    z: int = 0


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The shapes of one image.

    Attributes:
        source: annotation file.
        key: where in it, as a person would look it up: an image's name or number.
        shapes: in the file's order.
        height, width: of the image as the file says; None where it does not.
        files: mask files that shapes refer to, relative to the root, with the SHA-256 of their bytes.
    """

    source: Path
    key: str
    shapes: tuple[Shape, ...]
    height: int | None = None
    width: int | None = None
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Painting:
    """A drawing whose classes are decided: all that is needed to draw it, as a value that is hashed and stored.

    Attributes:
        height, width: in pixels.
        shapes: with the index of their class, `ignore_index` for what counts nowhere.
        base: label of what no shape covers.
        planes: number of classes of a multilabel data set; 0 draws one label a pixel.
        overlap: which shape a pixel belongs to that several cover.
        files: see `Drawing`.
    """

    height: int
    width: int
    shapes: tuple[tuple[int, Shape], ...]
    base: int = 0
    planes: int = 0
    overlap: Overlap = "smaller_on_top"
    files: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> str:
        """Returns one line, the same for equal paintings; `from_json` reads it back."""
        empty = Shape()
        shapes = [
            [index, {key: value for key, value in asdict(shape).items() if value != getattr(empty, key)}]
            for index, shape in self.shapes
        ]
        plain = {"size": [self.height, self.width], "base": self.base, "planes": self.planes, "overlap": self.overlap}
        return json.dumps({**plain, "files": self.files, "shapes": shapes}, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Painting:
        """Returns what `to_json` wrote."""
        plain = json.loads(text)
        height, width = plain["size"]
        return cls(
            height=height,
            width=width,
            shapes=tuple((index, _shape(values)) for index, values in plain["shapes"]),
            base=plain["base"],
            planes=plain["planes"],
            overlap=plain["overlap"],
            files=tuple((name, digest) for name, digest in plain["files"]),
        )

    @property
    def sha256(self) -> str:
        """Hash of the shapes, of the files they name and of how they are drawn."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def paint(painting: Painting, root: Path) -> tuple[NDArray[np.uint8], int]:
    """Returns labels and how many pixels shapes of different classes share.

    Args:
        root: of the data set, below which `files` lie.
    Returns:
        (H, W) uint8 class indices with `ignore_index`; with `planes` (C, H, W) uint8 of 0, 1 and `ignore_index`.
    Raises:
        DatasetError: run lengths that do not fit, or a mask file that is missing or has changed.
    """
    size = (painting.height, painting.width)
    files = {name: _file_values(root / name, digest, size) for name, digest in painting.files}
    covers = [(index, shape, _cover(shape, size, files)) for index, shape in painting.shapes]
    if painting.planes:
        return _planes(covers, painting), 0
    labels = np.full(size, painting.base, dtype=np.uint8)
    touched = np.zeros(size, dtype=bool)
    shared = np.zeros(size, dtype=bool)
    for index, shape, cover in _in_order(covers, painting.overlap):
        place, mask = cover
        if not (shape.crowd and index == IGNORE_INDEX):
            shared[place] |= mask & touched[place] & (labels[place] != index)
            touched[place] |= mask
        labels[place][mask] = index
    return labels, int(shared.sum())


def shape_mask(
    shape: Shape, size: tuple[int, int], files: Mapping[str, NDArray[Any]] | None = None
) -> NDArray[np.bool_]:
    """Returns (H, W) bool: the pixels a shape covers.

    Args:
        size: (H, W) of the image.
        files: what the mask files hold that shapes refer to.
    Raises:
        DatasetError: run lengths that do not add up, or numbers that cannot be drawn.
    """
    return _cover(shape, size, files or {}).whole(size)


class _Covered(NamedTuple):
    """The pixels a shape covers: rows and columns of a box, and which of its pixels. An image may have thousands."""

    place: tuple[slice, slice]
    mask: NDArray[np.bool_]

    def moved(self, down: int, right: int) -> _Covered:
        rows, columns = self.place
        place = (slice(rows.start + down, rows.stop + down), slice(columns.start + right, columns.stop + right))
        return _Covered(place, self.mask)

    def whole(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Returns the same pixels of the whole image."""
        result = np.zeros(size, dtype=bool)
        result[self.place] = self.mask
        return result


_NOTHING = _Covered((slice(0, 0), slice(0, 0)), np.zeros((0, 0), dtype=bool))


def _cover(shape: Shape, size: tuple[int, int], files: Mapping[str, NDArray[Any]]) -> _Covered:
    if shape.counts:
        return _run_lengths(shape, size)
    if shape.file:
        return _trimmed(_coded(files[shape.file], shape))
    if shape.line:
        return _line(shape, size)
    return _polygons(shape.rings, size)


def _trimmed(mask: NDArray[np.bool_]) -> _Covered:
    """Returns a mask of the whole image cut to the box of what it covers."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return _NOTHING
    place = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return _Covered(place, mask[place].copy())


def rectangle_ring(left: float, top: float, width: float, height: float, angle_deg: float = 0.0) -> Ring:
    """Returns a rectangle as a ring, turned clockwise by `angle_deg` about its upper left corner."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    return tuple(part for x, y in corners for part in (left + cos * x - sin * y, top + sin * x + cos * y))


def ellipse_ring(center_x: float, center_y: float, radius_x: float, radius_y: float, angle_deg: float = 0.0) -> Ring:
    """Returns an ellipse as a ring fine enough that no pixel changes, turned clockwise by `angle_deg`."""
    longest = max(abs(radius_x), abs(radius_y))
    if not math.isfinite(longest):
        return (math.nan,) * 6  # no ellipse; whoever draws or checks it says so
    number = int(min(max(24, math.ceil(2 * math.pi * longest / _ELLIPSE_STEP_PX)), 4096))
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    ring: list[float] = []
    for step in range(number):
        x, y = radius_x * math.cos(2 * math.pi * step / number), radius_y * math.sin(2 * math.pi * step / number)
        ring += [center_x + cos * x - sin * y, center_y + sin * x + cos * y]
    return tuple(ring)


def _shape(values: Mapping[str, Any]) -> Shape:
    plain = dict(values)
    plain["rings"] = tuple(tuple(ring) for ring in plain.get("rings", ()))
    for key in ("line", "box"):
        if plain.get(key) is not None:
            plain[key] = tuple(plain[key])
    if isinstance(plain.get("counts"), list):
        plain["counts"] = tuple(plain["counts"])
    return Shape(**plain)


_Cover: TypeAlias = tuple[int, Shape, _Covered]


def _in_order(covers: Sequence[_Cover], overlap: Overlap) -> list[_Cover]:
    """Returns what to paint first, what last; regions of crowds lie below everything."""
    if overlap == "smaller_on_top":
        ordered = sorted(covers, key=lambda item: -int(item[2].mask.sum()))
    elif overlap == "class_order":
        ordered = sorted(covers, key=lambda item: item[0])
    else:
        ordered = sorted(covers, key=lambda item: item[1].z)
    return sorted(ordered, key=lambda item: not item[1].crowd)


def _planes(covers: Sequence[_Cover], painting: Painting) -> NDArray[np.uint8]:
    planes = np.zeros((painting.planes, painting.height, painting.width), dtype=np.uint8)
    for index, _, cover in covers:
        if index != IGNORE_INDEX:
            planes[index][cover.place][cover.mask] = 1
    for index, _, cover in covers:
        if index == IGNORE_INDEX:
            region = planes[(slice(None), *cover.place)]
            region[:, cover.mask] = np.where(region[:, cover.mask] == 1, 1, IGNORE_INDEX)
    return planes


def _polygons(rings: Sequence[Ring], size: tuple[int, int]) -> _Covered:
    for ring in rings:
        if len(ring) < 6 or len(ring) % 2:
            raise DatasetError(f"expected a polygon of at least 3 points x, y, got {len(ring)} numbers")
        if not far_inside(ring, size):
            raise DatasetError(f"a polygon's coordinates are no finite numbers or far outside of the image {size}")
    if not rings:
        return _NOTHING
    drawn = coco_mask.merge(coco_mask.frPyObjects([list(ring) for ring in rings], *size))
    return _unrolled_part(decompress(drawn["counts"]), size)


def _unrolled_part(counts: NDArray[np.int64], size: tuple[int, int]) -> _Covered:
    """Returns what run lengths of a (H, W) image cover, without ever making more than its columns."""
    height = size[0]
    ends = np.cumsum(counts)
    covered = np.flatnonzero(counts[1::2]) * 2 + 1  # places of the runs that cover something
    if not len(covered):
        return _NOTHING
    left = int(ends[covered[0]] - counts[covered[0]]) // height
    right = (int(ends[covered[-1]]) - 1) // height + 1
    inside = counts[: covered[-1] + 1].copy()
    inside[: covered[0]] = 0
    inside[covered[0] - 1] = int(ends[covered[0]] - counts[covered[0]]) - left * height
    last = right * height - int(ends[covered[-1]])
    return _trimmed(_unroll(np.append(inside, last), (height, right - left))).moved(0, left)


def far_inside(ring: Sequence[float], size: tuple[int, int]) -> bool:
    """Returns whether all coordinates are finite and no further than a few image sides from a (H, W) image."""
    xs, ys = ring[0::2], ring[1::2]
    if not xs or not ys:
        return True
    height, width = size
    return (
        math.isfinite(sum(ring))
        and -_FAR * width <= min(xs)
        and max(xs) <= (1 + _FAR) * width
        and -_FAR * height <= min(ys)
        and max(ys) <= (1 + _FAR) * height
    )


def _line(shape: Shape, size: tuple[int, int]) -> _Covered:
    """Returns a line of the stated width with round ends, drawn as polygons; its points' own pixels belong to it."""
    if not far_inside(shape.line, size):
        raise DatasetError(f"a line's coordinates are no finite numbers or far outside of the image {size}")
    points = list(zip(shape.line[0::2], shape.line[1::2], strict=True))
    radius = max(shape.width_px, 1.0) / 2
    rings = [ellipse_ring(x, y, radius, radius) for x, y in points] if radius > 1 or len(points) == 1 else []
    for (x, y), (next_x, next_y) in pairwise(points):
        length = math.hypot(next_x - x, next_y - y)
        if length:
            across = (-(next_y - y) / length * radius, (next_x - x) / length * radius)
            ends = ((x, y, 1), (next_x, next_y, 1), (next_x, next_y, -1), (x, y, -1))
            rings.append(tuple(part for u, v, side in ends for part in (u + side * across[0], v + side * across[1])))
    whole = _polygons(rings, size).whole(size)
    for x, y in points if radius <= 1 else []:
        if 0 <= x < size[1] and 0 <= y < size[0]:
            whole[int(y), int(x)] = True
    return _trimmed(whole)


def _run_lengths(shape: Shape, size: tuple[int, int]) -> _Covered:
    left, top, width, height = shape.box or (0, 0, size[1], size[0])
    compressed = isinstance(shape.counts, str)
    counts = decompress(shape.counts.encode()) if isinstance(shape.counts, str) else np.asarray(shape.counts)
    if counts.min() < 0 or counts.max() > height * width or int(counts.sum()) != height * width:
        raise DatasetError(
            f"the {'compressed ' * compressed}run lengths add up to {int(counts.sum())} pixels, expected "
            f"{height} x {width} = {height * width}"
        )
    if (left, top, width, height) == (0, 0, size[1], size[0]):
        return _unrolled_part(np.asarray(counts, dtype=np.int64), size)
    inner = _unroll(counts, (height, width))
    y, x = max(-top, 0), max(-left, 0)
    inside = inner[y : max(size[0] - top, 0), x : max(size[1] - left, 0)]
    if not inside.size:
        return _NOTHING
    first = (max(top, 0), max(left, 0))
    return _trimmed(inside).moved(*first)


def _unroll(counts: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns (H, W) bool from run lengths column by column, background first."""
    flags = np.arange(len(counts)) % 2 == 1
    return np.repeat(flags, counts).reshape((size[1], size[0])).T


def decompress(counts: bytes) -> NDArray[np.int64]:
    """Returns the run lengths of COCO's compressed form: 5 bits a character, differences to the run before the last.

    Raises:
        DatasetError: characters that the form does not have, or an unfinished number.
    """
    codes = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise DatasetError(f"these are no compressed run lengths: {counts[:20]!r}")
    last = (codes & 32) == 0
    number = np.concatenate(([0], np.cumsum(last)[:-1]))  # which number each character belongs to
    starts = np.flatnonzero(np.concatenate(([True], last[:-1])))
    place = np.arange(len(codes)) - starts[number]
    if place.max() > 11:
        raise DatasetError(f"these are no compressed run lengths: {counts[:20]!r}")
    values = np.zeros(int(last.sum()), dtype=np.int64)
    np.add.at(values, number, (codes & 31) << (5 * place))
    negative = (codes[last] & 16) != 0
    values[negative] -= np.int64(1) << (5 * (place[last][negative] + 1))
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values


def _file_values(path: Path, digest: str, size: tuple[int, int]) -> NDArray[Any]:
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise DatasetError("the file has changed since the manifest was made; read the data set again", path=path)
    values = read_mask_values(path, data=data)
    if values.shape[:2] != size:
        raise DatasetError(f"the mask is {values.shape[:2]} pixels (height, width), its image {size}", path=path)
    return values


def _coded(values: NDArray[Any], shape: Shape) -> NDArray[np.bool_]:
    if shape.coding == "nonzero":
        return np.asarray(values.any(axis=2) if values.ndim == 3 else values > 0, dtype=bool)
    wide = values.astype(np.int64)
    red, green, blue = (wide, wide, wide) if wide.ndim == 2 else (wide[:, :, 0], wide[:, :, 1], wide[:, :, 2])
    numbers = red // 10 * 256 + green if shape.coding == "ade20k" else red + 256 * green + 65536 * blue
    return np.asarray(numbers == shape.value, dtype=bool)
