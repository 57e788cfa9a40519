"""The XML of LabelMe's first, web-based form: Annotations/, Images/ and Masks/ with the same folders inside."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from segbench.data.files.images import image_facts, read_bytes
from segbench.data.formats.shared.annotated import Annotated
from segbench.data.formats.shared.image_names import ImageIndex, head, none_found, with_ids
from segbench.data.formats.shared.listing import Defect
from segbench.data.formats.shared.values import bad_shape, split_folder
from segbench.data.formats.shared.xml import load_xml
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import DatasetError
from segbench.locale import message

_BEGINS = re.compile(r"^\s*(<\?xml[^>]*>\s*)?<annotation>")
_OWN = re.compile(r"<(polygon|segm|deleted|sourceAnnotation)>")  # VOC's <annotation> has none of these


def is_labelme_xml(path: Path) -> bool:
    """Returns whether an XML file begins like LabelMe's."""
    text = head(path)
    return bool(_BEGINS.match(text) and _OWN.search(text))


def read_xml_files(paths: list[Path], index: ImageIndex, defects: list[Defect], notes: list[str]) -> list[Annotated]:
    """Returns the images that XML files annotate; appends what is wrong, and what was left out on purpose.

    Raises:
        DatasetError: damaged XML, an element missing or of another kind, an image annotated twice.
    """
    found: dict[Path, Drawing] = {}
    counts: Counter[str] = Counter()
    for path in paths:
        tree = load_xml(path)
        folder, name = _text(tree, "folder"), _text(tree, "filename")
        if not name:
            raise DatasetError("expected the element <filename> with the image's name", path=path)
        above = "" if path.parent == index.root else path.parent.name
        image = index.place(f"{folder}/{name}" if folder else name, path, name, defects, folder=above, suffix=True)
        if image is None:
            continue
        if image in found:
            raise DatasetError(f"the image {name} is annotated in {found[image].source.name} too", path=path)
        found[image] = _drawing(tree, path, image, index.root, defects, counts)
    if not found:
        raise none_found(index.root, [defect.where for defect in defects], paths[0], defects)
    notes += [f"{count} objects are marked as deleted and were left out" for count in (counts["deleted"],) if count]
    return with_ids(found, index.root, {image: split_folder(image, index.root) for image in found})


def _drawing(
    tree: Element, path: Path, image: Path, root: Path, defects: list[Defect], counts: Counter[str]
) -> Drawing:
    shapes: list[Shape] = []
    files: dict[str, str] = {}
    size: tuple[int, int] | None = None
    for index, element in enumerate(tree.findall("object")):
        where = f"object {_text(element, 'id') or index}"
        label = _text(element, "name")
        if _text(element, "deleted") == "1":
            counts["deleted"] += 1
            continue
        segment = element.find("segm")
        if segment is None:
            try:
                shapes += _polygons(element, label, path, where)
            except DatasetError as error:
                defects.append(bad_shape(error, path, where, image))
            continue
        size = size or _size(image)
        name = _mask_name(segment, path, root, where, image, size, defects)
        if name is not None:
            files[name] = hashlib.sha256(read_bytes(root / name)).hexdigest()
            shapes.append(Shape(label=label, file=name, coding="nonzero"))
    return Drawing(source=path, key=image.name, shapes=tuple(shapes), files=tuple(files.items()))


def _polygons(element: Element, label: str, path: Path, where: str) -> Iterator[Shape]:
    for polygon in element.findall("polygon"):
        ring = tuple(_number(point, axis, path, where) for point in polygon.findall("pt") for axis in ("x", "y"))
        yield Shape(label=label, rings=(ring,))


def _mask_name(
    segment: Element, path: Path, root: Path, where: str, image: Path, size: tuple[int, int], defects: list[Defect]
) -> str | None:
    """Returns a mask file relative to the root; None, and a defect, where it is missing or of another size."""
    name = _text(segment, "mask")
    folder = path.parent.relative_to(root)
    inner = Path(*folder.parts[1:]) if folder.parts[:1] == ("Annotations",) else folder
    places = (root / "Masks" / inner / name, path.parent / name)
    found = next((file for file in places if name and file.is_file()), None)
    if found is None:
        text = message(
            "the mask {name} is not in {folder}/",
            name=name or message("(without a name)"),
            folder=places[0].parent.relative_to(root).as_posix(),
        )
        defects.append(Defect(code="bad_shape", path=path, where=where, text=text, fatal=True, image=image))
        return None
    there = _size(found)
    if there != size:
        text = message(
            "the mask {name} is {height} x {width} pixels, the image {image_height} x {image_width}",
            name=name,
            height=there[0],
            width=there[1],
            image_height=size[0],
            image_width=size[1],
        )
        defects.append(Defect(code="wrong_size", path=path, where=where, text=text, fatal=True, image=image))
        return None
    return found.relative_to(root).as_posix()


def _size(path: Path) -> tuple[int, int]:
    facts = image_facts(path)
    return facts.height, facts.width


def _text(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()


def _number(point: Element, axis: str, path: Path, where: str) -> float:
    text = _text(point, axis)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(f"{where}: expected <{axis}> of a point to be a number, got {text[:60]!r}", path=path)
    return value
