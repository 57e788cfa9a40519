"""LabelMe: a JSON file beside each image, or the XML of its first, web-based form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from segbench.data.formats.labelme.shapes import read_shapes
from segbench.data.formats.labelme.xml_form import is_labelme_xml, read_xml_files
from segbench.data.formats.shared.annotated import Annotated, AnnotationOptions, build_listing, load_json, wrong_key
from segbench.data.formats.shared.image_names import ImageIndex, head, no_image, none_found, with_ids
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES, Defect, Listing, image_files, read_lines
from segbench.data.formats.shared.values import (
    as_kind,
    bad_shape,
    need,
    no_annotation,
    outside,
    side_of,
    some_files,
    split_folder,
    tail,
)
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.locale import message, plural

_IGNORED, _BACKGROUND = "__ignore__", "_background_"
_LIST = "labels.txt"
_SIGN = re.compile(r'"(imagePath|imageData)"\s*:')


def labelme(root: Path, *, width_px: float = 1.0, **shared: Unpack[AnnotationOptions]) -> Listing:
    """Lists what LabelMe writes: a JSON file for each image, anywhere below; or Annotations/, Images/ and Masks/.

    All kinds of shapes are drawn. An image may be inside of its JSON file alone. `labels.txt` gives the order of the
    classes; in it and in the shapes `_background_` is the background, and `__ignore__` counts nowhere unless the option
    `ignore` says otherwise. Images without a JSON file are left out.

    Args:
        width_px: of lines and points, in pixels.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no such file, damaged JSON or XML, a key missing or of another type, an image annotated twice or
            not there.
        ConfigError: an option's value.
    """
    if not width_px > 0:
        raise ConfigError(f"expected a width above 0, got {width_px}", key="data.options.width_px")
    defects: list[Defect] = []
    notes: list[str] = []
    sources, others = _json_files(root)
    xml_files = sorted(path for path in root.rglob("*.xml") if is_labelme_xml(path)) if not sources else []
    if sources:
        found = _from_json(root, sources, width_px, defects, notes)
    elif xml_files:
        found = read_xml_files(xml_files, ImageIndex(root), defects, notes)
    else:
        raise DatasetError(
            "expected LabelMe's files, a JSON beside each image, but there is none in or below", path=root
        )
    if others:
        notes.append(f"{len(others)} JSON files are not LabelMe's and were not read: {shorten(others, 4)}")
    folders = {item.image.parent for item in found}
    used = {item.image for item in found}
    beside = [path for folder in sorted(folders) for path in image_files(folder, recursive=False) if path not in used]
    defects += no_annotation(beside, "no annotation file beside it; left out")
    found = [item.relabelled({_BACKGROUND: "background"}) for item in found]  # of the pixels without shapes
    labels, listed = _labels(root, sources or xml_files)
    defects += _unlisted(found, labels, listed)
    options: AnnotationOptions = shared
    used_labels = {shape.label for item in found for shape in item.drawing.shapes}
    if "ignore" not in shared and _IGNORED in {*(labels or ()), *used_labels}:
        options = {**shared, "ignore": [_IGNORED]}
    return build_listing(root, found, options, labels=labels, notes=notes, defects=defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as LabelMe's: a JSON or XML file that begins like its own, or None."""
    for path in some_files(root, "*.json"):
        if _is_labelme(path):
            return f"LabelMe ({path.relative_to(root).as_posix()})"
    folder = root / "Annotations" if (root / "Annotations").is_dir() else root
    for path in some_files(folder, "*.xml"):
        if is_labelme_xml(path):
            return f"LabelMe XML ({path.relative_to(root).as_posix()})"
    return None


def _is_labelme(path: Path) -> bool:
    beginning = head(path)
    if not re.match(r"\s*\{", beginning):
        return False
    text = beginning + tail(path)
    return '"shapes"' in text and bool(_SIGN.search(text))


def _json_files(root: Path) -> tuple[list[Path], list[str]]:
    """Returns LabelMe's files, and the names of others; a file named like an image beside it is taken for LabelMe's."""
    found, others = [], []
    for path in sorted(root.rglob("*.json")):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if _is_labelme(path) or (_beside(path) is not None and not _is_list(path)):
            found.append(path)
        else:
            others.append(path.relative_to(root).as_posix())
    return (found, others) if any(_is_labelme(path) for path in found[:50]) else ([], others)


def _is_list(path: Path) -> bool:
    return bool(re.match(r"\s*\[", head(path)))


def _beside(path: Path) -> Path | None:
    """Returns the image of the same name beside an annotation file."""
    for suffix in sorted(IMAGE_SUFFIXES):
        for image in (path.with_suffix(suffix), path.with_suffix(suffix.upper())):
            if image.is_file():
                return image
    return None


def _from_json(
    root: Path, sources: Sequence[Path], width_px: float, defects: list[Defect], notes: list[str]
) -> list[Annotated]:
    index = ImageIndex(root)
    known = frozenset(index.files)
    missing: list[str] = []
    owner: dict[Path, Path] = {}
    drawings: dict[Path, Drawing] = {}
    for path in sources:
        plain = as_kind(load_json(path), dict, path, "the file")
        image = _image(plain, path, index, known, defects)
        if image is None:
            missing.append(str(plain.get("imagePath")))
            continue
        if image in owner:
            raise DatasetError(
                f"{image.relative_to(root)} is the image of {owner[image].relative_to(root)} too; annotate it once",
                path=path,
            )
        owner[image] = path
        drawings[image] = _drawing(plain, path, image, width_px, defects)
        defects += outside(drawings[image])
    if not drawings:
        raise none_found(root, missing, sources[0], defects)
    inside = [path for path in drawings if path.suffix.lower() == ".json"]
    if inside:
        names = shorten((path.relative_to(root).as_posix() for path in inside), 4)
        notes.append(
            plural(
                "{n} image is only inside of its JSON file (imageData), and is read there: {names}",
                "{n} images are only inside of their JSON files (imageData), and are read there: {names}",
                n=len(inside),
                names=names,
            )
        )
    return with_ids(drawings, root, {image: split_folder(image, root) for image in drawings})


def _image(
    plain: Mapping[str, Any], path: Path, index: ImageIndex, known: frozenset[Path], defects: list[Defect]
) -> Path | None:
    """Returns a JSON file's image: of the same name beside it, else the one it names, else itself; None without any."""
    name = plain.get("imagePath") or ""
    if not isinstance(name, str):
        raise wrong_key(path, "imagePath", "a path", name)
    named = Path(name.replace("\\", "/"))
    own = path.parent / named.name
    image = own if named.stem == path.stem and own in known else _beside(path)
    if image is not None:
        if named.name not in (image.name, ""):
            text = message("imagePath is {name!r}; taken is {image} beside it", name=name, image=image.name)
            defects.append(Defect(code="wrong_path", path=path, where="imagePath", text=text))
        return image
    there = (path.parent / named).resolve()
    if there in known:
        return there
    problems: list[Defect] = []
    above = "" if path.parent == index.root else path.parent.name
    found = None
    if named.name:
        found = index.place(named.as_posix(), path, name, problems, folder=above, suffix=True)
    if found is None and plain.get("imageData"):
        return path
    defects += problems or ([] if found is not None else [no_image(path, str(plain.get("imagePath")))])
    return found


def _drawing(plain: Mapping[str, Any], path: Path, image: Path, width_px: float, defects: list[Defect]) -> Drawing:
    shapes: list[Shape] = []
    for index, item in enumerate(need(plain, "shapes", list, path, "")):
        where = f"shapes[{index}]"
        try:
            drawn = _shapes(item, width_px, path, where)
        except DatasetError as error:
            defects.append(bad_shape(error, path, where, image))
            continue
        shapes += drawn
        if not drawn:
            text = message("a shape of the kind {kind!r}, which is not read", kind=item.get("shape_type"))
            defects.append(Defect(code="unknown_shape", path=path, where=where, text=text, fatal=True, image=image))
    height, width = side_of(plain, "imageHeight", path, "file"), side_of(plain, "imageWidth", path, "file")
    return Drawing(source=path, key=path.stem, shapes=tuple(shapes), height=height, width=width)


def _shapes(item: Any, width_px: float, path: Path, where: str) -> list[Shape]:
    entry = as_kind(item, dict, path, where)
    label = entry.get("label")
    if label is not None and not isinstance(label, str):
        raise wrong_key(path, f"{where}.label", "text", label)
    return read_shapes(entry, (label or "").strip(), width_px, path, where)


def _labels(root: Path, sources: Sequence[Path]) -> tuple[list[str] | None, Path | None]:
    """Returns the classes of `labels.txt`, in the root, beside the annotation files or above; and that file."""
    folders = [root, *(folder for path in sources for folder in (path.parent, path.parent.parent))]
    paths = [folder / _LIST for folder in dict.fromkeys(folders) if folder.is_relative_to(root)]
    lists = [path for path in paths if path.is_file()]
    if not lists:
        return None, None
    names = [name for path in lists for _, name in read_lines(path)]
    return list(dict.fromkeys("background" if name == _BACKGROUND else name for name in names)), lists[0]


def _unlisted(found: Iterable[Annotated], labels: Sequence[str] | None, listed: Path | None) -> list[Defect]:
    """Returns a defect for each label that `labels.txt` does not have: often a slip of the pen."""
    if labels is None or listed is None:
        return []
    first: dict[str, Drawing] = {}
    for item in found:
        for shape in item.drawing.shapes:
            first.setdefault(shape.label, item.drawing)
    return [
        Defect(
            code="unknown_class",
            path=drawing.source,
            where=drawing.key,
            text=message(
                "{label!r} is not in {file}, and became a class of its own; {known}",
                label=label,
                file=_LIST,
                known=suggest(label, labels),
            ),
        )
        for label, drawing in first.items()
        if label not in {*labels, "", "background", _IGNORED}
    ]
