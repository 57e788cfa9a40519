"""A region of Label Studio's JSON -> shapes in pixels; its brush strokes are packed bit by bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.formats.shared.annotated import wrong_key
from segbench.data.formats.shared.encoded import picture_mask
from segbench.data.formats.shared.listing import Defect
from segbench.data.formats.shared.run_lengths import counts_of
from segbench.data.formats.shared.values import bad_shape
from segbench.data.shapes.drawing import Shape, ellipse_ring, rectangle_ring
from segbench.errors import DatasetError
from segbench.locale import message

_LABELS = (
    "polygonlabels",
    "rectanglelabels",
    "ellipselabels",
    "brushlabels",
    "bitmasklabels",
    "vectorlabels",
    "keypointlabels",
    "labels",
)
_OF_A_REGION = ("choices", "textarea", "taxonomy", "number", "rating", "datetime", "pairwise", "ranker")  # no pixels
_PLACES = ("points", "radiusX", "rle", "height", "imageDataURL")  # a value with one of them covers an area
_CHANNELS = 4  # a stroke is stored as an RGBA picture
_FAR = 1e9  # no percentage; also not infinite, and no whole number too large for a float


@dataclass
class Regions:
    """What a task's regions say: shapes, the image's (H, W), what is wrong."""

    shapes: list[Shape] = field(default_factory=list)
    size: tuple[int, int] | None = None
    defects: list[Defect] = field(default_factory=list)


def read_regions(regions: Sequence[Any], source: Path, key: str, image: Path) -> Regions:
    """Returns the shapes of one annotation, and what is wrong with the others.

    Args:
        key: of the task, for places.
        image: that the regions are on.
    """
    found = Regions()
    named: dict[str, list[str]] = {}
    for region in regions:
        if isinstance(region, dict) and isinstance(region.get("value"), dict):
            named.setdefault(str(region.get("id", "")), []).extend(_labels(region["value"]))
    for number, region in enumerate(regions):
        where = f"{key}, result[{number}]"
        if isinstance(region, dict) and region.get("type") == "relation":
            continue
        try:
            if not isinstance(region, dict) or not isinstance(region.get("value"), dict):
                raise wrong_key(source, where, "a region with `value`", region)
            shape = _drawn(_Region(region, source, where, image), found)
        except DatasetError as error:
            found.defects.append(bad_shape(error, source, where, image))
            continue
        if shape is not None:
            labels = _labels(region["value"]) or (named[str(region["id"])] if "id" in region else [])
            found.shapes += [replace(shape, label=label) for label in labels or [""]]
    return found


def _drawn(reader: _Region, found: Regions) -> Shape | None:
    """Returns a region's shape without a label; None where it has none, with a defect where it should have one.

    Raises:
        DatasetError: a value is missing or of another kind.
    """
    if not reader.has_area():
        told = reader.without_area()
        found.defects += [] if told is None else [told]
        return None
    size = reader.size()
    if found.size not in (None, size):
        raise wrong_key(reader.source, reader.where, f"original_height and original_width {found.size}", size)
    found.size = size
    if reader.region.get("image_rotation") not in (None, 0):
        found.defects.append(reader.defect("wrong_size", message("the region was drawn on the turned image")))
        return None
    try:
        return reader.shape()
    except ValueError as error:
        found.defects.append(reader.defect("bad_rle", str(error)))
        return None


def decode_brush(packed: Sequence[int], size: int) -> NDArray[np.uint8]:
    """Returns the `size` bytes of a picture that Label Studio has packed.

    The first 32 bits are the number of bytes, 5 bits the length of a word (less 1), 4 x 4 bits four lengths of
    counters (less 1). Then come runs: a bit (1: one word repeated, 0: as many words as follow), two bits that choose
    the counter's length, the counter (less 1), the word or words.

    Raises:
        ValueError: the stream announces another size, ends early, or says more than it announced.
    """
    bits = _Bits(packed)
    total, word = bits.take(32), bits.take(5) + 1
    lengths = [bits.take(4) + 1 for _ in range(4)]
    if total != size:
        raise ValueError(f"the brush stroke holds {total} bytes, expected {size}, 4 a pixel")
    if word != 8:
        raise ValueError(f"expected brush strokes in words of 8 bits, got {word}")
    parts: list[NDArray[np.uint8]] = []
    done = 0
    while done < total:
        repeated = bits.take(1)
        count = bits.take(lengths[bits.take(2)]) + 1
        if done + count > total:
            raise ValueError(f"the brush stroke announces {total} bytes and holds more")
        if repeated:
            parts.append(np.full(count, bits.take(8), dtype=np.uint8))
        else:
            parts.append(np.array([bits.take(8) for _ in range(count)], dtype=np.uint8))
        done += count
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint8)


class _Bits:
    def __init__(self, packed: Sequence[int]) -> None:
        try:
            self.data = bytes(packed)
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected bytes from 0 to 255 in the brush stroke ({error})") from error
        self.at = 0

    def take(self, count: int) -> int:
        """Returns the next `count` bits as a number, the highest first."""
        end = self.at + count
        if end > 8 * len(self.data):
            raise ValueError(f"the brush stroke is cut off after {len(self.data)} bytes")
        chunk = int.from_bytes(self.data[self.at // 8 : (end + 7) // 8], "big")
        self.at = end
        return chunk >> (-end % 8) & ((1 << count) - 1)


class _Region:
    """Numbers out of one region; places are per cent of the image's sides."""

    def __init__(self, region: Mapping[str, Any], source: Path, where: str, image: Path) -> None:
        self.region, self.value, self.source, self.where, self.image = region, region["value"], source, where, image
        self.kind = str(region.get("type", "")).removesuffix("labels")

    def has_area(self) -> bool:
        return self.kind not in _OF_A_REGION and any(name in self.value for name in _PLACES)

    def without_area(self) -> Defect | None:
        """Returns what is wrong with a region that covers no area, None where it is a label or a word on another."""
        if self.kind == "keypoint" or (not self.kind and "keypointlabels" in self.value):
            text = message("a key point, which covers no area; left out")
            return Defect(code="unused_shape", path=self.source, where=self.where, text=text, image=self.image)
        if self.kind in ("", *_OF_A_REGION):
            return None
        if self.kind == "bitmask":
            return self.defect("bad_shape", message("a bitmask without its pixels (imageDataURL); export it again"))
        return self.defect("unknown_shape", message("a region of the kind {kind!r}, which is not read", kind=self.kind))

    def size(self) -> tuple[int, int]:
        height, width = (self.region.get(f"original_{name}") for name in ("height", "width"))
        if (
            not isinstance(height, int)
            or not isinstance(width, int)
            or not 1 <= min(height, width) <= max(height, width) < _FAR
        ):
            raise wrong_key(self.source, self.where, "original_height and original_width in pixels", (height, width))
        return height, width

    def defect(self, code: str, text: str) -> Defect:
        return Defect(code=code, path=self.source, where=self.where, text=text, fatal=True, image=self.image)

    def shape(self) -> Shape:
        """Returns the shape without a label; ValueError for a brush stroke or bitmask that cannot be unpacked."""
        height, width = self.size()
        if "imageDataURL" in self.value:
            return Shape(counts=counts_of(self._bitmask(height, width)))
        across, down = width / 100, height / 100
        if "rle" in self.value:
            return Shape(counts=counts_of(self._stroke(height, width)))
        if "points" in self.value:
            return Shape(rings=(tuple(part for x, y in self._points() for part in (x * across, y * down)),))
        angle = self._number("rotation", 0.0)
        x, y = self._number("x") * across, self._number("y") * down
        if "radiusX" in self.value:
            radius_x, radius_y = self._number("radiusX") * across, self._number("radiusY") * down
            return Shape(rings=(ellipse_ring(x, y, radius_x, radius_y, angle),))
        return Shape(
            rings=(rectangle_ring(x, y, self._number("width") * across, self._number("height") * down, angle),)
        )

    def _stroke(self, height: int, width: int) -> NDArray[np.bool_]:
        packed = self.value["rle"]
        if not isinstance(packed, list):
            raise wrong_key(self.source, f"{self.where}.value.rle", "a list of bytes", packed)
        picture = decode_brush(packed, height * width * _CHANNELS)
        return np.asarray(picture.reshape(height, width, _CHANNELS)[:, :, 3] > 0, dtype=bool)

    def _bitmask(self, height: int, width: int) -> NDArray[np.bool_]:
        inside = picture_mask(str(self.value["imageDataURL"]))
        if inside.shape != (height, width):
            raise ValueError(
                message(
                    "the bitmask is {height} x {width} pixels, the image {image_height} x {image_width}",
                    height=inside.shape[0],
                    width=inside.shape[1],
                    image_height=height,
                    image_width=width,
                )
            )
        return inside

    def _points(self) -> list[tuple[float, float]]:
        points = self.value["points"]
        if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
            raise wrong_key(self.source, f"{self.where}.value.points", "a list of [x, y]", points)
        for point in points:
            for part in point:
                self._check(part, "points")
        return [(float(x), float(y)) for x, y in points]

    def _number(self, name: str, default: float | None = None) -> float:
        value = self.value.get(name, default)
        self._check(value, name)
        return float(value)

    def _check(self, value: object, name: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FAR:
            raise wrong_key(self.source, f"{self.where}.value.{name}", "a number", value)


def _labels(value: Mapping[str, Any]) -> list[str]:
    for name in _LABELS:
        if isinstance(value.get(name), list):
            return [str(label) for label in value[name]]
    return []
