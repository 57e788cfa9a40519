"""Datumaro's own JSON, which CVAT exports too: annotations/PART.json, and the images in images/.

Its own library (datumaro 1.3) reads it, too, but brings 27 packages; what is needed of it are these lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, Unpack

from segbench.data.formats.shared.annotated import UNKNOWN, AnnotationOptions, build_listing, load_json, wrong_key
from segbench.data.formats.shared.boxes import BOXES, box_shapes, check_boxes, only_box
from segbench.data.formats.shared.image_names import ImageIndex, choose_file, head, matching, none_found, with_ids
from segbench.data.formats.shared.layout import split_of
from segbench.data.formats.shared.listing import Defect, Listing, choose
from segbench.data.formats.shared.values import (
    as_kind,
    bad_shape,
    finite_of,
    need,
    no_annotation,
    outside,
    ring_of,
    side_of,
)
from segbench.data.shapes.drawing import Drawing, Ring, Shape, decompress, ellipse_ring, rectangle_ring
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import message
from segbench.types import RGB, SplitName

Size: TypeAlias = tuple[int | None, int | None]

_WANTED = "Datumaro's JSON with `categories` and `items`"
_CATEGORIES = re.compile(r'"categories"\s*:\s*\{')
_ITEMS = re.compile(r'"(infos?|dm_format_version|items)"\s*:')
_OF_THE_IMAGE = ("label", "caption", "hash_key", "feature_vector", "tabular")  # say nothing of its pixels
_NO_AREA = ("points", "skeleton")
_BOX_KINDS = ("bbox", "rotated_bbox")


def datumaro(
    root: Path,
    *,
    annotations: str | None = None,
    images: str | None = None,
    boxes: str = "ignore",
    width_px: float = 1.0,
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists Datumaro's own format: a JSON file for each part of the set, and images.

    Polygons, masks and ellipses are drawn, polylines with the width `width_px`. Points and skeletons cover no area;
    labels of whole images, and the box of an object that has an outline, are no regions. The order of the classes and
    their colours are those of the files.

    Args:
        annotations: name or pattern of the JSON files, as annotations/*.json; None takes all that look like it.
        images: name of the images' folder; None looks in all of them.
        boxes: what objects with nothing but a box become: their pixels count nowhere (`ignore`), the box is drawn
            (`fill`), or they are background (`skip`).
        width_px: of polylines, in pixels.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no such files, damaged JSON, a key missing or of another type, no image there, nothing but boxes.
        ConfigError: an option's value.
    """
    choose(boxes, BOXES, "boxes")
    if not width_px > 0:
        raise ConfigError(f"expected a width above 0, got {width_px}", key="data.options.width_px")
    sources = matching(root, annotations, _WANTED) if annotations is not None else _sources(root)
    if not sources:
        choose_file([], None, root, _WANTED)
    index = ImageIndex(root, images)
    known = frozenset(index.files)
    reader = _Reader(boxes, width_px)
    colors: dict[str, RGB] = {}
    labels: list[str] = []
    found: dict[Path, Drawing] = {}
    splits: dict[Path, SplitName | None] = {}
    names: list[str] = []
    for source in sources:
        plain = as_kind(load_json(source), dict, source, "the file")
        classes = _Classes.of(plain, source)
        labels += [name for name in classes.names if name not in labels]
        colors |= classes.colors
        for where, item in _items(plain, source):
            names.append(need(item, "id", str, source, where))
            image = _image(item, source, names[-1], index, known, reader.defects)
            if image is None:
                continue
            if image in found:
                raise DatasetError(f"{where}: the image {image.name} is listed already; list it once", path=source)
            found[image] = reader.drawing(item, classes, source, image, where)
            splits[image] = split_of(source.stem)
    if not found:
        raise none_found(root, names, sources[0], reader.defects)
    check_boxes(boxes, reader.boxes, found.values(), reader.defects, root)
    reader.check(found, root)
    defects = [*reader.defects, *no_annotation(root / name for name in index.unused(found))]
    listed = with_ids(found, root, splits)
    return build_listing(root, listed, shared, labels=labels or None, colors=colors, defects=defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as Datumaro's: a JSON file that begins like its own; None otherwise."""
    found = _sources(root)
    return f"Datumaro ({found[0].relative_to(root).as_posix()})" if found else None


def _sources(root: Path) -> list[Path]:
    files = [path for place in ("*.json", "annotations/*.json") for path in sorted(root.glob(place))[:50]]
    return [path for path in files if _is_datumaro(head(path))]


def _is_datumaro(text: str) -> bool:
    return bool(re.match(r"\s*\{", text) and _CATEGORIES.search(text) and _ITEMS.search(text))


def _items(plain: Mapping[str, Any], source: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, item in enumerate(need(plain, "items", list, source, "")):
        where = f"items[{number}]"
        yield where, as_kind(item, dict, source, where)


@dataclass(frozen=True, kw_only=True)
class _Classes:
    """The labels of a file by number, and their colours."""

    names: Sequence[str]
    colors: Mapping[str, RGB]

    @classmethod
    def of(cls, plain: Mapping[str, Any], source: Path) -> _Classes:
        """Returns what `categories` says; DatasetError where it is of another form."""
        categories = need(plain, "categories", dict, source, "")
        names: list[str] = []
        if "label" in categories:
            label = need(categories, "label", dict, source, "categories")
            for number, item in enumerate(need(label, "labels", list, source, "categories.label")):
                where = f"categories.label.labels[{number}]"
                names.append(need(as_kind(item, dict, source, where), "name", str, source, where))
        colors: dict[str, RGB] = {}
        colormap = categories["mask"].get("colormap") if isinstance(categories.get("mask"), dict) else None
        for item in colormap if isinstance(colormap, list) else []:
            number, *color = (item.get(key) for key in ("label_id", "r", "g", "b"))
            if all(isinstance(part, int) for part in (number, *color)) and 0 <= number < len(names):
                colors[names[number]] = (color[0], color[1], color[2])
        return cls(names=names, colors=colors)


def _image(
    item: Mapping[str, Any], source: Path, name: str, index: ImageIndex, known: frozenset[Path], defects: list[Defect]
) -> Path | None:
    """Returns an item's image: in images/PART/, in images/, or anywhere."""
    image = item.get("image") or item.get("media") or {}
    path = as_kind((image.get("path") if isinstance(image, dict) else None) or name, str, source, f"{name}: image.path")
    top = source.parent.parent if source.parent.name == "annotations" else source.parent
    for folder in (top / "images" / source.stem, top / "images"):
        if folder / path in known:
            return folder / path
    return index.place(path, source, name, defects, folder=split_of(source.stem) or "", anywhere=True)


@dataclass
class _Reader:
    """Turns items into drawings, and keeps what is wrong, the number of boxes, and annotations of whole images."""

    choice: str
    width_px: float
    defects: list[Defect] = field(default_factory=list)
    boxes: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def check(self, found: Mapping[Path, Drawing], root: Path) -> None:
        """Raises DatasetError where nothing is annotated but whole images."""
        if any(drawing.shapes for drawing in found.values()) or not self.others or self.defects:
            return
        kinds = shorten(f"{kind} {number}" for kind, number in self.others.items())
        text = message("no image has a region, only {kinds}, which say something of whole images", kinds=kinds)
        raise DatasetError(text, path=root)

    def drawing(self, item: Mapping[str, Any], classes: _Classes, source: Path, image: Path, where: str) -> Drawing:
        """Returns the shapes of an item."""
        height, width = _size(item, source, where)
        listed = need(item, "annotations", list, source, where)
        outlined = [
            plain["group"]
            for plain in listed
            if isinstance(plain, dict) and plain.get("type") in ("polygon", "mask") and plain.get("group")
        ]
        shapes: list[Shape] = []
        for number, plain in enumerate(listed):
            spot = f"{item['id']}, annotations[{number}]"
            try:
                entry = as_kind(plain, dict, source, spot)
                kind = need(entry, "type", str, source, spot)
                if kind in _OF_THE_IMAGE:
                    self.others[kind] += 1
                    continue
                if kind in _BOX_KINDS and entry.get("group") in outlined:
                    continue
                label = self._label(entry, classes, source, spot)
                drawn = self._shapes(entry, kind, label, (height, width), source, spot)
            except DatasetError as error:
                self.defects.append(bad_shape(error, source, spot, image))
                continue
            if kind in _BOX_KINDS:
                self.boxes += 1
                self.defects += only_box(self.choice, source, spot)
            if drawn is None:
                code = "unused_shape" if kind in _NO_AREA else "unknown_shape"
                text = message("an annotation of the kind {kind!r}, which is not drawn", kind=kind)
                fatal = code == "unknown_shape"
                self.defects.append(Defect(code=code, path=source, where=spot, text=text, fatal=fatal, image=image))
            shapes += drawn or []
        drawing = Drawing(source=source, key=str(item["id"]), shapes=tuple(shapes), height=height, width=width)
        self.defects += outside(drawing)
        return drawing

    def _label(self, plain: Mapping[str, Any], classes: _Classes, source: Path, where: str) -> str:
        """Returns an annotation's label, empty where it has none; one that the file does not list counts nowhere."""
        number = plain.get("label_id")
        if number is None:
            return ""
        if isinstance(number, int) and 0 <= number < len(classes.names):
            return classes.names[number]
        text = message("label_id {number!r}; the file has {n} labels", number=number, n=len(classes.names))
        self.defects.append(Defect(code="unknown_class", path=source, where=where, text=text, fatal=True))
        return UNKNOWN

    def _shapes(
        self, plain: Mapping[str, Any], kind: str, label: str, size: Size, source: Path, where: str
    ) -> list[Shape] | None:
        """Returns what an annotation draws, None for a kind that is not drawn; DatasetError where it cannot be."""
        z = plain.get("z_order")
        crowd = bool(_attributes(plain).get("is_crowd", False))
        shape = Shape(label=label, crowd=crowd, z=z if isinstance(z, int) else 0)
        if kind == "mask":
            return [_mask(plain, shape, size, source, where)]
        if kind == "polyline":
            line = ring_of(need(plain, "points", list, source, where), source, f"{where}.points")
            return [replace(shape, line=line, width_px=self.width_px)]
        ring = _ring(plain, kind, source, where)
        if ring is None:
            return None
        return box_shapes(ring, label, self.choice) if kind in _BOX_KINDS else [replace(shape, rings=(ring,))]


def _size(item: Mapping[str, Any], source: Path, where: str) -> Size:
    """Returns the (H, W) of an item's image, None where the file does not say."""
    image = item.get("image")
    size = image.get("size") if isinstance(image, dict) else None
    if not size:
        return None, None
    if not isinstance(size, list) or len(size) != 2:
        raise wrong_key(source, f"{where}.image.size", "[height, width]", size)
    height, width = (side_of({"size": side}, "size", source, f"{where}.image") for side in size)
    return height, width


def _mask(plain: Mapping[str, Any], shape: Shape, size: Size, source: Path, where: str) -> Shape:
    """Returns the shape with COCO's run lengths, which are text or a list."""
    rle = need(plain, "rle", dict, source, where)
    sides = rle.get("size")
    if None not in size and sides != list(size):
        raise wrong_key(source, f"{where}.rle.size", f"the image's {list(size)}", sides)
    counts = rle.get("counts")
    if isinstance(counts, str):
        lengths = decompress(counts.encode()).tolist()
    else:
        lengths = as_kind(counts, list, source, f"{where}.rle.counts")
    if any(type(length) is not int or length < 0 for length in lengths):
        raise wrong_key(source, f"{where}.rle.counts", "run lengths", counts)
    return replace(shape, counts=tuple(lengths))


def _attributes(plain: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes = plain.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _ring(plain: Mapping[str, Any], kind: str, source: Path, where: str) -> Ring | None:
    """Returns the outline of a polygon, box or ellipse; None for any other kind."""
    if kind == "polygon":
        return ring_of(need(plain, "points", list, source, where), source, f"{where}.points")
    turn = finite_of(_attributes(plain).get("rotation") or 0.0, source, f"{where}.attributes.rotation")
    if kind == "bbox":
        left, top, width, height = _numbers(plain, "bbox", 4, source, where)
        return _turned(left + width / 2, top + height / 2, width, height, turn)
    if kind == "rotated_bbox":
        x, y, width, height, turn = _numbers(plain, "points", 5, source, where)
        return _turned(x, y, width, height, turn)
    if kind == "ellipse":
        left, top, right, bottom = _numbers(plain, "points", 4, source, where)
        return ellipse_ring((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, turn)
    return None


def _numbers(plain: Mapping[str, Any], key: str, count: int, source: Path, where: str) -> list[float]:
    values = need(plain, key, list, source, where)
    if len(values) != count:
        raise wrong_key(source, f"{where}.{key}", f"{count} numbers", values)
    return [finite_of(value, source, f"{where}.{key}") for value in values]


def _turned(x: float, y: float, width: float, height: float, angle_deg: float) -> tuple[float, ...]:
    """Returns a box turned clockwise about its centre."""
    ring = rectangle_ring(0.0, 0.0, width, height, angle_deg)
    left, top = x - ring[4] / 2, y - ring[5] / 2  # the corner across from the first is twice as far as the centre
    return tuple(value + (left if place % 2 == 0 else top) for place, value in enumerate(ring))
