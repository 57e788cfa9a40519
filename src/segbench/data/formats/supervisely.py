"""Supervisely projects: meta.json, and for each image of a data set a JSON file in ann/.

Its own library (supervisely 6.74) reads them, too, but brings 62 packages; what is needed of it are these lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Unpack

from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing, load_json, wrong_key
from segbench.data.formats.shared.encoded import even_odd_ring, picture_shape
from segbench.data.formats.shared.image_names import ImageIndex, head, none_found, with_ids
from segbench.data.formats.shared.layout import split_of
from segbench.data.formats.shared.listing import Defect, Listing
from segbench.data.formats.shared.values import (
    as_kind,
    bad_shape,
    finite_of,
    need,
    no_annotation,
    outside,
    part_of,
    ring_of,
    side_of,
)
from segbench.data.shapes.drawing import Drawing, Ring, Shape, rectangle_ring
from segbench.errors import ConfigError, DatasetError
from segbench.locale import message
from segbench.types import RGB, SplitName

_PLACES = ("ann/*.json", "*/ann/*.json", "*/datasets/*/ann/*.json")  # a data set, those of a project, and theirs
_META = "meta.json"


def supervisely(root: Path, *, width_px: float = 1.0, **shared: Unpack[AnnotationOptions]) -> Listing:
    """Lists a Supervisely project: data sets of img/ and ann/, and the classes of meta.json with their colours.

    Bitmaps, polygons with holes and rectangles are drawn, lines and points with the width `width_px`. A rectangle holds
    the pixels of both its corners, as in Supervisely. Data sets, or else tags, that are called train, val or test are
    the official parts.

    Args:
        width_px: of lines and points, in pixels.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no such files, damaged JSON, a key missing or of another type, no image there.
        ConfigError: an option's value.
    """
    if not width_px > 0:
        raise ConfigError(f"expected a width above 0, got {width_px}", key="data.options.width_px")
    sources = _sources(root)
    if not sources:
        raise DatasetError(
            "expected a Supervisely project, with ann/ and img/ in each of its data sets, but there is none", path=root
        )
    colors = _classes(root / _META)
    index = ImageIndex(root)
    known = frozenset(index.files)
    defects: list[Defect] = []
    found: dict[Path, Drawing] = {}
    splits: dict[Path, SplitName | None] = {}
    for source in sources:
        plain = as_kind(load_json(source), dict, source, "the file")
        image = _image(source, index, known, defects)
        if image is None:
            continue
        if image in found:
            raise DatasetError(
                f"{image.name} is the image of {found[image].source.name} too; annotate it once", path=source
            )
        found[image] = _drawing(plain, source, image, width_px, defects)
        defects += outside(found[image])
        splits[image] = part_of(source.relative_to(root).parts[:-2]) or _tagged(plain)
    if not found:
        raise none_found(root, [source.stem for source in sources], sources[0], defects)
    defects += no_annotation(root / name for name in index.unused(found))
    images = with_ids(found, root, splits)
    return build_listing(root, images, shared, labels=list(colors) or None, colors=colors, defects=defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as a Supervisely project: its files in ann/; None otherwise."""
    sources = _sources(root)
    text = head(sources[0]) if sources else ""
    if '"objects"' not in text or '"size"' not in text:
        return None
    return f"Supervisely ({sources[0].parent.relative_to(root).as_posix()}/)"


def _sources(root: Path) -> list[Path]:
    return sorted(path for place in _PLACES for path in root.glob(place) if not path.name.startswith("."))


def _classes(path: Path) -> dict[str, RGB]:
    """Returns class -> colour in the project's order; empty where there is no meta.json."""
    if not path.is_file():
        return {}
    colors: dict[str, RGB] = {}
    for number, item in enumerate(need(as_kind(load_json(path), dict, path, "the file"), "classes", list, path, "")):
        plain = as_kind(item, dict, path, f"classes[{number}]")
        text = str(plain.get("color", "")).lstrip("#")
        try:
            code = int(text, 16)
        except ValueError:
            code = 0
        colors[need(plain, "title", str, path, f"classes[{number}]")] = (code >> 16 & 255, code >> 8 & 255, code & 255)
    return colors


def _image(source: Path, index: ImageIndex, known: frozenset[Path], defects: list[Defect]) -> Path | None:
    """Returns the image of ann/NAME.json: img/NAME, or img/NAME with a suffix."""
    own = source.parent.parent / "img" / source.stem
    if own in known:
        return own
    return index.place(source.stem, source, source.name, defects, folder=source.parent.parent.name)


def _tagged(plain: Mapping[str, Any]) -> SplitName | None:
    """Returns the official part that an image's tags say, where they say one."""
    tags = plain.get("tags")
    names = [tag.get("name", "") if isinstance(tag, dict) else tag for tag in tags] if isinstance(tags, list) else []
    parts = {split_of(str(name)) for name in names} - {None}
    return parts.pop() if len(parts) == 1 else None


def _drawing(plain: Mapping[str, Any], source: Path, image: Path, width_px: float, defects: list[Defect]) -> Drawing:
    size = need(plain, "size", dict, source, "")
    shapes: list[Shape] = []
    for number, item in enumerate(need(plain, "objects", list, source, "")):
        where = f"objects[{number}]"
        try:
            shape = _shape(as_kind(item, dict, source, where), width_px, source, where)
        except DatasetError as error:
            defects.append(bad_shape(error, source, where, image))
            continue
        if shape is None:
            text = message("an object of the kind {kind!r}, which is not read", kind=item.get("geometryType"))
            defects.append(Defect(code="unknown_shape", path=source, where=where, text=text, fatal=True, image=image))
            continue
        shapes.append(shape)
    height, width = side_of(size, "height", source, "size"), side_of(size, "width", source, "size")
    return Drawing(source=source, key=source.stem, shapes=tuple(shapes), height=height, width=width)


def _shape(plain: Mapping[str, Any], width_px: float, source: Path, where: str) -> Shape | None:
    """Returns an object's shape, None for an unknown kind; DatasetError where it cannot be drawn."""
    label = str(plain.get("classTitle") or "").strip()
    kind = plain.get("geometryType") or ("bitmap" if plain.get("bitmap") else "polygon")  # old files do not say
    if kind == "bitmap":
        bitmap = need(plain, "bitmap", dict, source, where)
        origin = _ring([need(bitmap, "origin", list, source, f"{where}.bitmap")], source, f"{where}.bitmap.origin")
        left, top = (finite_of(part, source, f"{where}.bitmap.origin") for part in origin)
        text = need(bitmap, "data", str, source, f"{where}.bitmap")
        try:
            return picture_shape(text, label, (int(left), int(top)), packed=True)
        except ValueError as error:
            raise DatasetError(f"{where}.bitmap: {error}", path=source) from error
    if kind not in ("polygon", "rectangle", "line", "point"):
        return None
    points = need(plain, "points", dict, source, where)
    outer = _ring(need(points, "exterior", list, source, f"{where}.points"), source, f"{where}.points.exterior")
    if kind in ("line", "point"):
        return Shape(label=label, line=outer, width_px=width_px)
    if kind == "rectangle":
        if len(outer) != 4:
            raise wrong_key(source, f"{where}.points.exterior", "2 corners", points["exterior"])
        (left, right), (top, bottom) = sorted(outer[0::2]), sorted(outer[1::2])
        return Shape(label=label, rings=(rectangle_ring(left, top, right - left + 1, bottom - top + 1),))
    holes = as_kind(points.get("interior") or [], list, source, f"{where}.points.interior")
    inner = [_ring(hole, source, f"{where}.points.interior[{number}]") for number, hole in enumerate(holes)]
    return Shape(label=label, rings=(even_odd_ring([outer, *(ring for ring in inner if len(ring) >= 6)]),))


def _ring(points: Iterable[Any], source: Path, where: str) -> Ring:
    pairs = [
        ring_of(point, source, f"{where}[{number}]")
        for number, point in enumerate(as_kind(points, list, source, where))
    ]
    if any(len(pair) != 2 for pair in pairs):
        raise wrong_key(source, where, "a list of [x, y]", points)
    return tuple(part for pair in pairs for part in pair)
