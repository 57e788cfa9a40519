"""COCO's panoptic form: a JSON file of segments, and PNG files whose colours are the segments' numbers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from segbench.data.files.hints import set_option
from segbench.data.files.images import read_bytes, read_mask_values
from segbench.data.formats.coco.files import (
    CocoFile,
    Picture,
    annotations_of,
    category_of,
    choose_files,
    coco_kinds,
    labels_of,
    load_coco,
    locate,
    unknown_category,
    unknown_image,
)
from segbench.data.formats.shared.annotated import UNKNOWN, AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import ImageIndex, none_found, with_ids
from segbench.data.formats.shared.listing import Defect, Listing
from segbench.data.formats.shared.values import as_kind, is_crowd, need, no_annotation
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import DatasetError, shorten
from segbench.locale import message
from segbench.types import RGB

_WANTED = "COCO's panoptic annotations (annotations/panoptic_train.json and annotations/panoptic_train/)"


def coco_panoptic(
    root: Path,
    *,
    annotations: str | None = None,
    images: str | None = None,
    masks: str | None = None,
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists a data set in COCO's panoptic form; things and stuff alike become classes.

    Pixels of no segment are void and count nowhere, unless the option `background` names a class for them. Every PNG is
    read once, to see whether it holds the segments that the JSON file lists.

    Args:
        annotations: name or pattern of the JSON files; None takes all panoptic ones.
        images: name of the images' folder; None looks in all of them.
        masks: name of the PNGs' folder; None takes the one named like the JSON file.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no such file, damaged JSON, a key missing or of another type, an image listed twice, no image or
            no PNG there.
        ConfigError: an option's value.
    """
    paths, notes = choose_files(root, annotations, ("panoptic",), _WANTED)
    files = [load_coco(path, root) for path in paths]
    index = ImageIndex(root, images)
    reader = _Reader(root, index, [])
    found: dict[Path, Drawing] = {}
    owner: dict[Path, CocoFile] = {}
    for file in files:
        for path, drawing in reader.drawings(file, _mask_folder(file, root, masks)).items():
            if path in found:
                raise DatasetError(
                    f"{path.relative_to(root)} is in {owner[path].path.name} too; list an image once", path=file.path
                )
            found[path], owner[path] = drawing, file
    if not found:
        names = [picture.name for file in files for picture in file.pictures.values()]
        raise none_found(root, names, paths[0], reader.defects)
    listed = with_ids(found, root, {path: file.split for path, file in owner.items()})
    used = frozenset(shape.label for drawing in found.values() for shape in drawing.shapes)
    options: AnnotationOptions = {"background": False, **shared}
    return build_listing(
        root,
        listed,
        options,
        labels=labels_of(files, used),
        colors=_colors(files),
        notes=[*notes, *(note for file in files for note in file.notes), *_stuff_note(files)],
        defects=reader.defects,
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as COCO's panoptic form: a JSON file of segments; None otherwise."""
    found = coco_kinds(root).get("panoptic")
    return f"COCO panoptic ({found[0].relative_to(root).as_posix()})" if found else None


@dataclass
class _Reader:
    """Reads the annotations of one file after the other, and gathers what is wrong with them."""

    root: Path
    index: ImageIndex
    defects: list[Defect]

    def drawings(self, file: CocoFile, masks: Path) -> dict[Path, Drawing]:
        """Returns image file -> drawing of what a JSON file annotates."""
        known = frozenset(self.index.files)
        result: dict[Path, Drawing] = {}
        annotated: set[int | str] = set()
        for where, plain, owner in annotations_of(file):
            picture = file.pictures.get(owner)
            if picture is None:
                self.defects.append(unknown_image(file, where, owner))
                continue
            if owner in annotated:
                raise DatasetError(f"{where}.image_id: {picture.key} is annotated twice", path=file.path)
            annotated.add(owner)
            path = locate(file, picture, self.index, known, self.defects)
            if path is None:
                continue
            drawing = self._drawing(file, picture, plain, masks, where)
            if drawing is not None:
                result[path] = drawing
        missing = [picture for number, picture in file.pictures.items() if number not in annotated]
        places = (locate(file, picture, self.index, known, []) for picture in missing)
        self.defects += no_annotation([path for path in places if path is not None])
        return result

    def _drawing(
        self, file: CocoFile, picture: Picture, plain: Mapping[str, Any], masks: Path, where: str
    ) -> Drawing | None:
        """Returns what a PNG holds; None, and a defect, where it is missing or of another size than the image."""
        name = need(plain, "file_name", str, file.path, where)
        png = masks / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DatasetError(f"{where}.file_name: expected a name in {masks.name}/, got {name!r}", path=file.path)
        if not png.is_file():
            text = message("the mask {file} is not there", file=png.relative_to(self.root).as_posix())
            self._tell("no_annotation", file, picture.key, text, fatal=True)
            return None
        data = read_bytes(png)
        pixels, size = _numbers(png, data)
        expected = (picture.height or size[0], picture.width or size[1])
        if expected != size:
            text = message(
                "{name} is {height} x {width} pixels, the image {image_height} x {image_width} as the file says",
                name=png.name,
                height=size[0],
                width=size[1],
                image_height=expected[0],
                image_width=expected[1],
            )
            self._tell("wrong_size", file, picture.key, text, fatal=True)
            return None
        name = png.relative_to(self.root).as_posix()
        shapes = self._shapes(file, picture, plain, pixels, name, where)
        files = ((name, hashlib.sha256(data).hexdigest()),)
        return Drawing(
            source=file.path, key=picture.key, shapes=tuple(shapes), height=size[0], width=size[1], files=files
        )

    def _shapes(
        self,
        file: CocoFile,
        picture: Picture,
        plain: Mapping[str, Any],
        pixels: Mapping[int, int],
        name: str,
        where: str,
    ) -> list[Shape]:
        shapes: list[Shape] = []
        listed: set[int] = {0}
        for index, item in enumerate(need(plain, "segments_info", list, file.path, where)):
            spot = f"{where}.segments_info[{index}]"
            segment = as_kind(item, dict, file.path, spot)
            number = need(segment, "id", int, file.path, spot)
            category = category_of(file, segment)
            if number in listed:
                raise DatasetError(f"{spot}.id: {number} is void, or the id of another segment too", path=file.path)
            listed.add(number)
            if category not in file.names:
                self.defects.append(unknown_category(file, spot, category))
            if number not in pixels:
                text = message("the segment {number} is not in {name}; left out", number=number, name=name)
                self._tell("unused_shape", file, spot, text)
            else:
                crowd = is_crowd(segment, file.path, spot)
                label = file.names.get(category, UNKNOWN)
                shapes.append(Shape(label=label, file=name, coding="packed_rgb", value=number, crowd=crowd))
        lost = {number: count for number, count in pixels.items() if number not in listed}
        if lost:
            text = message(
                "{total} pixels of {name} belong to no segment: {names}; they are void",
                total=sum(lost.values()),
                name=name,
                names=shorten(lost),
            )
            self._tell("unknown_class", file, picture.key, text)
        return shapes

    def _tell(self, code: str, file: CocoFile, where: str, text: str, *, fatal: bool = False) -> None:
        self.defects.append(Defect(code=code, path=file.path, where=where, text=text, fatal=fatal))


def _numbers(path: Path, data: bytes) -> tuple[Counter[int], tuple[int, int]]:
    """Returns segment number -> pixels, and the size (H, W), of a PNG that holds R + 256 G + 65536 B."""
    values = read_mask_values(path, data=data)
    wide = values.astype(np.int64)
    numbers = wide * 65793 if wide.ndim == 2 else wide @ np.array([1, 256, 65536])
    flat = numbers.ravel()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1))  # far fewer than pixels, so quick to count
    counts: Counter[int] = Counter()
    for number, length in zip(flat[starts], np.diff(np.append(starts, flat.size)), strict=True):
        counts[int(number)] += int(length)
    return counts, (values.shape[0], values.shape[1])


def _mask_folder(file: CocoFile, root: Path, masks: str | None) -> Path:
    """Returns the folder of a JSON file's PNGs."""
    stem = file.path.stem
    places = [file.path.with_suffix(""), root / stem, root / "masks" / stem]
    if masks is not None:
        places = [root / masks / stem, root / masks / file.tag, root / masks]
    found = next((folder for folder in places if folder.is_dir()), None)
    if found is None:
        raise DatasetError(
            f"expected a folder of PNG files named like the file, {stem}/, beside it or in the data set's folder; name "
            f"it with {set_option('masks')}",
            path=file.path,
        )
    return found


def _colors(files: Sequence[CocoFile]) -> dict[str, RGB]:
    """Returns category name -> colour, where the files have colours."""
    result: dict[str, RGB] = {}
    for file in files:
        for number, category in file.categories.items():
            color = category.get("color")
            if isinstance(color, list) and len(color) == 3 and all(part in range(256) for part in color):
                result[file.names[number]] = (color[0], color[1], color[2])
    return result


def _stuff_note(files: Sequence[CocoFile]) -> list[str]:
    stuff = {
        file.names[number]
        for file in files
        for number, category in file.categories.items()
        if not category.get("isthing")
    }
    things = {name for file in files for name in file.names.values()} - stuff
    return (
        [f"{len(things)} categories are things, {len(stuff)} are stuff; both are classes"] if things and stuff else []
    )
