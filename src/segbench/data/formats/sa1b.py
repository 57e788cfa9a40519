"""SA-1B: a JSON file beside each image, with run lengths of objects without classes (Kirillov et al. 2023)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Unpack

from segbench.data.formats.coco.shapes import read_shape
from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing, load_json, wrong_key
from segbench.data.formats.shared.image_names import ImageIndex, head, none_found, unlisted_note, with_ids
from segbench.data.formats.shared.listing import Defect, Listing, missing_folder
from segbench.data.formats.shared.values import as_kind, need, part_of, side_of, some_files
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.types import SplitName

_OBJECT = "object"
_BEGINNING = re.compile(r'\s*\{\s*"(image|annotations)"\s*:\s*[\[{]')


def sa1b(root: Path, *, images: str | None = None, **shared: Unpack[AnnotationOptions]) -> Listing:
    """Lists SA-1B: `sa_1.jpg` with `sa_1.json`, whose objects have no class: they all become `object`.

    Args:
        images: name of the images' folder; None looks in all of them.
        shared: see `AnnotationOptions`; `default_class` names the objects.
    Raises:
        DatasetError: no such files, damaged JSON, a key missing or of another type, or no image there.
        ConfigError: an option's value.
    """
    sources = [path for path in sorted(root.rglob("*.json")) if _is_own(path)]
    if not sources:
        raise missing_folder(root, "sa_1.json", "JSON files of SA-1B beside the images")
    index = ImageIndex(root, images)
    defects: list[Defect] = []
    found: dict[Path, Drawing] = {}
    splits: dict[Path, SplitName | None] = {}
    names: list[str] = []
    label = shared.get("default_class") or _OBJECT
    for source in sources:
        plain = as_kind(load_json(source), dict, source, "")
        picture = need(plain, "image", dict, source, "")
        name = need(picture, "file_name", str, source, "image")
        names.append(name)
        path = index.place(name, source, name, defects, suffix=True)
        if path is None:
            continue
        size = (side_of(picture, "height", source, "image"), side_of(picture, "width", source, "image"))
        found[path] = _drawing(need(plain, "annotations", list, source, ""), label, size, source, name, path, defects)
        splits[path] = part_of(source.relative_to(root).parts[:-1])
    if not found:
        raise none_found(root, names, sources[0], defects)
    notes = unlisted_note(index.unused(found), "a JSON file")
    return build_listing(root, with_ids(found, root, splits), shared, notes=notes, defects=defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as SA-1B: a JSON file of one image and its objects; None otherwise."""
    for path in some_files(root, "*.json"):
        if _is_own(path):
            return f"SA-1B ({path.relative_to(root).as_posix()})"
    return None


def _is_own(path: Path) -> bool:
    text = head(path)
    return bool(
        _BEGINNING.match(text)
        and re.search(r'"(predicted_iou|stability_score|crop_box)"\s*:', text)
        and re.search(r'"(counts|image_id)"\s*:', text)
    )


def _drawing(
    annotations: list[Any],
    label: str,
    size: tuple[int | None, int | None],
    source: Path,
    name: str,
    image: Path,
    defects: list[Defect],
) -> Drawing:
    shapes: list[Shape] = []
    for number, plain in enumerate(annotations):
        where = f"annotations[{number}]"
        if not isinstance(plain, dict):
            raise wrong_key(source, where, "a mapping", plain)
        shape = read_shape(plain, label, size, "skip", source, where)
        if isinstance(shape, Shape):
            shapes.append(shape)
            continue
        code, text = shape
        defects.append(Defect(code=code, path=source, where=where, text=text, fatal=True, image=image))
    return Drawing(source=source, key=name, shapes=tuple(shapes), height=size[0], width=size[1])
