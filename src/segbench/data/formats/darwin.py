"""V7 Darwin's JSON, versions 2 and 1: a file for each image.

Its own library (darwin-py 3.6) reads it, too, but brings 20 packages and the client of an account; what is needed of it
are these lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing, load_json, wrong_key
from segbench.data.formats.shared.boxes import BOXES, box_shapes, check_boxes, only_box
from segbench.data.formats.shared.encoded import even_odd_ring
from segbench.data.formats.shared.image_names import ImageIndex, head, none_found, with_ids
from segbench.data.formats.shared.listing import Defect, Listing, choose
from segbench.data.formats.shared.run_lengths import counts_of
from segbench.data.formats.shared.values import (
    as_kind,
    bad_shape,
    need,
    no_annotation,
    number_of,
    outside,
    part_of,
    side_of,
    some_files,
    tail,
)
from segbench.data.shapes.drawing import Drawing, Ring, Shape, ellipse_ring, rectangle_ring
from segbench.errors import ConfigError, DatasetError
from segbench.locale import message
from segbench.types import RGB, SplitName

_RELEASES = "releases/*/annotations/*.json"  # where V7's own program puts the files
_SNIFFED = 100
_SECOND = re.compile(r'"slots"\s*:\s*\[|darwin_json')
_FIRST = re.compile(r'"(workview_url|original_filename|seq)"\s*:')
_META = ".v7/metadata.json"  # beside the files of an export
_OF_THE_IMAGE = ("tag", "string", "link")  # say nothing of its pixels
_NO_AREA = ("keypoint", "skeleton", "directional_vector", "graph", "eye")
_OTHERS = ("ellipse", "cuboid", "table", "simple_table", "frames")


def darwin(
    root: Path,
    *,
    images: str | None = None,
    boxes: str = "ignore",
    width_px: float = 1.0,
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists an export of V7 as Darwin JSON: a file for each image, and the images anywhere below.

    Polygons, of which inner paths are holes, masks and ellipses are drawn, lines with the width `width_px`. Key points
    and skeletons cover no area; tags are no regions. The folders of V7 that are called train, val or test are the
    official parts. The classes' order and colours are those of .v7/metadata.json, where it is there.

    Args:
        images: name of the images' folder; None looks in all of them.
        boxes: what objects with nothing but a box become: their pixels count nowhere (`ignore`), the box is drawn
            (`fill`), or they are background (`skip`).
        width_px: of lines, in pixels.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no such files, damaged JSON, a key missing or of another type, no image there, nothing but boxes.
        ConfigError: an option's value.
    """
    choose(boxes, BOXES, "boxes")
    if not width_px > 0:
        raise ConfigError(f"expected a width above 0, got {width_px}", key="data.options.width_px")
    sources = _sources(root)
    if not sources:
        raise DatasetError("expected the JSON files of a V7 export (Darwin JSON), but there is none", path=root)
    index = ImageIndex(root, images)
    reader = _Reader(boxes, width_px)
    found: dict[Path, Drawing] = {}
    splits: dict[Path, SplitName | None] = {}
    names: list[str] = []
    for source in sources:
        for slot in reader.slots(as_kind(load_json(source), dict, source, "the file"), source):
            names.append(slot.name)
            image = index.place(slot.name, source, slot.name, reader.defects, folder=slot.folder, anywhere=True)
            if image is None:
                continue
            if image in found:
                raise DatasetError(f"{image.name} is the image of {found[image].source.name} too", path=source)
            found[image] = reader.drawing(slot, image)
            reader.defects += outside(found[image])
            splits[image] = part_of(slot.folder.split("/"))
    if not found:
        raise none_found(root, names, sources[0], reader.defects)
    check_boxes(boxes, reader.boxes, found.values(), reader.defects, root)
    reader.defects += no_annotation(root / name for name in index.unused(found))
    colors = _classes(sources)
    found_images = with_ids(found, root, splits)
    return build_listing(root, found_images, shared, labels=list(colors) or None, colors=colors, defects=reader.defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as V7's: a JSON file with the keys of Darwin JSON; None otherwise."""
    for path in islice(chain(some_files(root, "*.json"), sorted(root.glob(_RELEASES))), _SNIFFED):
        if _is_darwin(path):
            return f"V7 Darwin ({path.relative_to(root).as_posix()})"
    return None


def _sources(root: Path) -> list[Path]:
    return [
        path
        for path in sorted(root.rglob("*.json"))
        if not any(part.startswith(".") for part in path.relative_to(root).parts) and _is_darwin(path)
    ]


def _is_darwin(path: Path) -> bool:
    text = head(path)
    if not re.match(r"\s*\{", text):
        return False
    whole = text + tail(path)
    if '"annotations"' not in whole:
        return False
    second = '"item"' in whole and _SECOND.search(whole)
    return bool(second or ('"image"' in whole and '"dataset"' in whole and _FIRST.search(whole)))


def _classes(sources: Sequence[Path]) -> dict[str, RGB]:
    """Returns class -> colour in the order of the exports' metadata; empty where there are none."""
    colors: dict[str, RGB] = {}
    for path in dict.fromkeys(source.parent / _META for source in sources):
        plain = load_json(path) if path.is_file() else None
        classes = plain.get("classes") if isinstance(plain, dict) else None
        for item in classes if isinstance(classes, list) else []:
            numbers = re.findall(r"\d+", str(item.get("color", "")))[:3] if isinstance(item, dict) else []
            if len(numbers) == 3 and item.get("type") not in (*_OF_THE_IMAGE, *_NO_AREA, "bounding_box"):
                colors.setdefault(str(item.get("name")), (int(numbers[0]), int(numbers[1]), int(numbers[2])))
    return colors


@dataclass(frozen=True, kw_only=True)
class _Slot:
    """An image of a file: its name, its folder in V7, its size, and its annotations with their places."""

    source: Path
    name: str
    folder: str
    height: int | None
    width: int | None
    annotations: Sequence[tuple[str, Mapping[str, Any]]]


@dataclass
class _Reader:
    """Turns files into drawings, and keeps what is wrong, and the number of boxes."""

    choice: str
    width_px: float
    defects: list[Defect] = field(default_factory=list)
    boxes: int = 0

    def slots(self, plain: Mapping[str, Any], source: Path) -> Iterator[_Slot]:
        """Yields the images of a file."""
        listed = need(plain, "annotations", list, source, "")
        places = [(f"annotations[{number}]", item) for number, item in enumerate(listed)]
        items = [(where, as_kind(item, dict, source, where)) for where, item in places]
        if "item" not in plain:  # version 1
            image = need(plain, "image", dict, source, "")
            name = image.get("original_filename") or need(image, "filename", str, source, "image")
            yield self._slot(source, str(name), str(image.get("path") or ""), image, "image", items)
            return
        item = need(plain, "item", dict, source, "")
        listed_slots = as_kind(item.get("slots") or [{}], list, source, "item.slots")
        slots = [as_kind(slot, dict, source, "item.slots") for slot in listed_slots]
        for number, slot in enumerate(slots):
            where = f"item.slots[{number}]"
            if slot.get("type", "image") != "image":
                text = message("a slot of the type {kind!r}, not an image", kind=slot.get("type"))
                self.defects.append(Defect(code="no_image", path=source, where=where, text=text, fatal=True))
                continue
            files = as_kind(slot.get("source_files") or [{}], list, source, f"{where}.source_files")
            named = as_kind(files[0], dict, source, f"{where}.source_files[0]").get("file_name")
            name = item.get("name") if len(slots) == 1 else named
            own = items if len(slots) == 1 else _items_of(slot.get("slot_name"), items, source)
            yield self._slot(source, str(name or named), str(item.get("path") or ""), slot, where, own)

    def _slot(
        self, source: Path, name: str, folder: str, sides: Mapping[str, Any], where: str, items: Sequence[Any]
    ) -> _Slot:
        height, width = (side_of(sides, key, source, where) for key in ("height", "width"))
        return _Slot(source=source, name=name, folder=folder.strip("/"), height=height, width=width, annotations=items)

    def drawing(self, slot: _Slot, image: Path) -> Drawing:
        """Returns the shapes of an image."""
        names = {str(item.get("id")): str(item.get("name", "")) for _, item in slot.annotations if "mask" in item}
        shapes: list[Shape] = []
        for where, item in slot.annotations:
            try:
                shapes += self._shapes(item, names, slot, image, where)
            except DatasetError as error:
                self.defects.append(bad_shape(error, slot.source, f"{slot.name}, {where}", image))
        return Drawing(source=slot.source, key=slot.name, shapes=tuple(shapes), height=slot.height, width=slot.width)

    def _shapes(
        self, item: Mapping[str, Any], names: Mapping[str, str], slot: _Slot, image: Path, where: str
    ) -> list[Shape]:
        """Returns what an annotation draws; DatasetError where it is not of the form its kind has."""
        label, source = str(item.get("name", "")).strip(), slot.source
        if "polygon" in item or "complex_polygon" in item:
            return [Shape(label=label, rings=(even_odd_ring(_rings(item, source, where)),))]
        if "raster_layer" in item:
            return _masks(need(item, "raster_layer", dict, source, where), names, slot, where)
        if "line" in item:
            path = need(need(item, "line", dict, source, where), "path", list, source, f"{where}.line")
            return [Shape(label=label, line=_ring(path, source, f"{where}.line.path"), width_px=self.width_px)]
        if "ellipse" in item and not item["ellipse"].get("angle"):
            ellipse = need(item, "ellipse", dict, source, where)
            (x, y), (across, down) = (
                _ring([ellipse.get(key)], source, f"{where}.ellipse.{key}") for key in ("center", "radius")
            )
            return [Shape(label=label, rings=(ellipse_ring(x, y, across, down),))]
        if "mask" in item or any(kind in item for kind in _OF_THE_IMAGE):
            return []  # a mask's pixels are in the raster layer
        if any(kind in item for kind in _NO_AREA):
            self._defect("unused_shape", slot, image, where, message("key points, which cover no area; left out"))
            return []
        kind = next((key for key in _OTHERS if key in item), None)
        if kind is not None or "bounding_box" not in item:
            text = message("an annotation of the kind {kind!r}, which is not read", kind=kind or ", ".join(item))
            self._defect("unknown_shape", slot, image, where, text)
            return []
        self.boxes += 1
        self.defects += only_box(self.choice, source, f"{slot.name}, {where}")
        box = need(item, "bounding_box", dict, source, where)
        left, top, width, height = (number_of(box.get(key), source, f"{where}.bounding_box.{key}") for key in "xywh")
        return box_shapes(rectangle_ring(left, top, width, height), label, self.choice)

    def _defect(self, code: str, slot: _Slot, image: Path, where: str, text: str) -> None:
        place, fatal = f"{slot.name}, {where}", code != "unused_shape"
        self.defects.append(Defect(code=code, path=slot.source, where=place, text=text, fatal=fatal, image=image))


def _items_of(
    slot: object, items: Sequence[tuple[str, Mapping[str, Any]]], source: Path
) -> list[tuple[str, Mapping[str, Any]]]:
    """Returns the annotations that name a slot as theirs."""
    return [
        (where, item)
        for where, item in items
        if slot in as_kind(item.get("slot_names") or [], list, source, f"{where}.slot_names")
    ]


def _masks(layer: Mapping[str, Any], names: Mapping[str, str], slot: _Slot, where: str) -> list[Shape]:
    """Returns the masks of a raster layer: pairs VALUE COUNT row by row, and which mask has which value.

    A value of no mask is a region without a class.
    """
    lengths = need(layer, "dense_rle", list, slot.source, where)
    owners = need(layer, "mask_annotation_ids_mapping", dict, slot.source, where)
    if len(lengths) % 2 or any(type(number) is not int or number < 0 for number in lengths):
        raise wrong_key(slot.source, f"{where}.dense_rle", "pairs VALUE COUNT", lengths)
    if slot.height is None or slot.width is None or sum(lengths[1::2]) != slot.height * slot.width:
        raise DatasetError(
            message(
                "{where}.dense_rle: run lengths add up to {total} pixels, expected {height} x {width}",
                where=where,
                total=sum(lengths[1::2]),
                height=slot.height,
                width=slot.width,
            ),
            path=slot.source,
        )
    values = np.repeat(np.array(lengths[0::2]), lengths[1::2]).reshape(slot.height, slot.width)
    owner = {number: names.get(mask, "") for mask, number in owners.items() if isinstance(number, int)}
    return [
        Shape(label=owner.get(value, ""), counts=counts_of(values == value))
        for value in sorted(set(lengths[0::2]) - {0})
    ]


def _rings(item: Mapping[str, Any], source: Path, where: str) -> list[Ring]:
    """Returns the paths of a polygon: one, or several of which each is a hole in, or an island of, the others."""
    key = "polygon" if "polygon" in item else "complex_polygon"
    polygon = need(item, key, dict, source, where)
    paths = polygon.get("paths", polygon.get("path"))
    listed = as_kind(paths, list, source, f"{where}.{key}.paths")
    if listed and isinstance(listed[0], dict):
        listed = [listed]
    rings = [_ring(path, source, f"{where}.{key}.paths[{number}]") for number, path in enumerate(listed)]
    return [ring for ring in rings if len(ring) >= 6] or rings[:1] or [()]


def _ring(points: Any, source: Path, where: str) -> Ring:
    numbers: list[float] = []
    for number, point in enumerate(as_kind(points, list, source, where)):
        if not isinstance(point, dict) or not {"x", "y"} <= set(point):
            raise wrong_key(source, f"{where}[{number}]", "a point {x, y}", point)
        numbers += (number_of(point[axis], source, f"{where}[{number}].{axis}") for axis in "xy")
    return tuple(numbers)
