"""COCO's JSON: instances and stuff as polygons and run lengths, in COCO's own folders or in Roboflow's."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.coco.files import (
    DRAWABLE,
    CocoFile,
    Picture,
    annotations_of,
    category_of,
    choose_files,
    coco_kinds,
    home_of,
    labels_of,
    load_coco,
    locate,
    unknown_category,
    unknown_image,
)
from segbench.data.formats.coco.plausible import Boxes, shifted_categories, shifted_ids
from segbench.data.formats.coco.shapes import has_box, read_shape
from segbench.data.formats.shared.agreement import check_agreement, read_together
from segbench.data.formats.shared.annotated import UNKNOWN, AnnotationOptions, build_listing
from segbench.data.formats.shared.boxes import only_a_box
from segbench.data.formats.shared.image_names import ImageIndex, none_found, unlisted_note, with_ids
from segbench.data.formats.shared.listing import Defect, Listing, choose
from segbench.data.formats.shared.values import bad_shape, outside
from segbench.data.shapes.drawing import Drawing, Shape, shape_mask
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.locale import Message, message, plural

_HARMLESS = ("unused_shape", "only_box")
_WANTED = "COCO's annotations of instances or stuff (annotations/instances_train.json, train/_annotations.coco.json)"


def coco(
    root: Path,
    *,
    annotations: str | None = None,
    images: str | None = None,
    boxes: str = "ignore",
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists a data set in COCO's form: one or several JSON files, in `annotations/` or beside their images.

    The file's name, or its folder's, says which official part it is: instances_train2017.json, valid/. Images without
    annotations are background; images that no file names are left out.

    Args:
        annotations: name or pattern of the JSON files, as annotations/instances_*.json; None takes those of one kind.
        images: name of the images' folder; None looks in all of them.
        boxes: what annotations with nothing but a box become: their pixels count nowhere (`ignore`), the box is drawn
            (`fill`), or they are left out, so that they are background (`skip`).
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no file or several kinds, damaged JSON, a key missing or of another type, an image listed twice,
            no image there.
        ConfigError: an option's value.
    """
    choose(boxes, ("ignore", "fill", "skip"), "boxes")
    paths, notes = choose_files(root, annotations, DRAWABLE, _WANTED)
    files = [load_coco(path, root) for path in paths]
    if annotations is None:
        alike = {file.path: file.names.values() for file in files if file.split is None}
        check_agreement(alike or {files[0].path: ()}, root)
    index = ImageIndex(root, images)
    places, defects = _places(files, index)
    drawings: dict[Path, Drawing] = {}
    counts: Counter[str] = Counter()
    for file in files:
        drawings |= _drawings(file, places[file.path], boxes, defects, counts, notes)
    if counts["boxes"] and not counts["shapes"]:
        raise DatasetError(
            f"all {counts['boxes']} annotations are boxes without a segmentation, as for detection; draw the boxes "
            f"with {set_option('boxes', 'fill')} if that is meant",
            path=root,
        )
    splits = {path: file.split for file in files for path in places[file.path]}
    if len({home_of(path) for path in paths}) > 1 and not any(splits.values()):
        notes.append(read_together(paths, root))
    used = frozenset(shape.label for drawing in drawings.values() for shape in drawing.shapes)
    notes += [note for file in files for note in file.notes]
    notes += unlisted_note(index.unused(drawings), shorten(path.name for path in paths))
    found = with_ids(drawings, root, splits)
    return build_listing(root, found, shared, labels=labels_of(files, used), notes=notes, defects=defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as COCO's: a JSON file with its lists; None where there is none."""
    kinds = coco_kinds(root)
    found = [(kind, path) for kind in DRAWABLE for path in kinds.get(kind, ())]
    return f"COCO {found[0][0]} ({found[0][1].relative_to(root).as_posix()})" if found else None


def category_mask(
    annotations: Path, image: int | str, category: int | str, *, crowd: str = "exclude"
) -> NDArray[np.bool_]:
    """Returns (H, W) bool: where one category is in one image, the union of its objects.

    Args:
        annotations: JSON file of instances or stuff; no image file is needed.
        image: its id, or its file name with or without suffix.
        category: its id or name.
        crowd: whether groups outlined as one object belong to it: `exclude` or `include`.
    Raises:
        DatasetError: there is no such image or category (names close ones), or a shape cannot be drawn.
        ConfigError: another `crowd`.

    Example:
        >>> import segbench
        >>> segbench.category_mask("instances.json", "000000000139", "person").mean()  # doctest: +SKIP
    """
    if crowd not in ("exclude", "include"):
        raise ConfigError(f"expected exclude or include, got {crowd!r}", key="crowd")
    file = load_coco(annotations)
    picture = _picture(file, image)
    number = _category(file, category)
    if picture.height is None or picture.width is None:
        raise DatasetError(f"{picture.where}: expected height and width, which are missing", path=annotations)
    size = (picture.height, picture.width)
    mask = np.zeros(size, dtype=bool)
    for where, plain, owner in annotations_of(file):
        if owner != picture.id or category_of(file, plain) != number:
            continue
        shape = read_shape(plain, file.names[number], size, "skip", file.path, where)
        if isinstance(shape, Shape):
            if not shape.crowd or crowd == "include":
                mask |= _drawn(shape, size, annotations, where)
        elif shape[0] not in _HARMLESS:
            raise DatasetError(f"{where}: {shape[1]}", path=annotations)
    return mask


def _places(files: Sequence[CocoFile], index: ImageIndex) -> tuple[dict[Path, dict[Path, Picture]], list[Defect]]:
    """Returns for each JSON file: image file -> what it says about it, and a defect for each image not there."""
    known = frozenset(index.files)
    owner: dict[Path, str] = {}
    places: dict[Path, dict[Path, Picture]] = {file.path: {} for file in files}
    defects: list[Defect] = []
    twice: dict[Path, tuple[str, str]] = {}
    for file in files:
        for picture in file.pictures.values():
            path = locate(file, picture, index, known, defects)
            if path is None:
                continue
            where = f"{file.path.relative_to(index.root).as_posix()}, {picture.where}"
            if path in owner:
                twice.setdefault(path, (owner[path], where))
            owner[path] = where
            places[file.path][path] = picture
    if twice:
        raise _listed_twice(twice, files, index.root)
    if not owner:
        names = [picture.name for file in files for picture in file.pictures.values()]
        raise none_found(index.root, names, files[0].path, defects)
    return places, defects


def _listed_twice(twice: Mapping[Path, tuple[str, str]], files: Sequence[CocoFile], root: Path) -> DatasetError:
    examples = [f"{path.relative_to(root).as_posix()} ({one}; {other})" for path, (one, other) in twice.items()]
    choice = set_option("annotations", yaml_text(files[0].path.relative_to(root).as_posix()))
    return DatasetError(
        plural(
            "{n} image is listed twice: {examples}; list it once{or_choose}",
            "{n} images are listed twice: {examples}; list each once{or_choose}",
            n=len(twice),
            examples=shorten(examples, 4),
            or_choose=message(", or read one of the files with {option}", option=choice) if len(files) > 1 else "",
        ),
        path=root,
    )


def _drawings(
    file: CocoFile,
    places: dict[Path, Picture],
    boxes: str,
    defects: list[Defect],
    counts: Counter[str],
    notes: list[str],
) -> dict[Path, Drawing]:
    """Returns the drawing of each image that is there; counts shapes and boxes in `counts`."""
    shapes: dict[int | str, list[Shape]] = {number: [] for number in file.pictures}
    files = {picture.id: path for path, picture in places.items()}
    compared = Boxes()
    owners: set[int | str] = set()
    used: set[object] = set()
    for where, plain, owner in annotations_of(file):
        picture = file.pictures.get(owner)
        location = f"{where} (id {plain.get('id')})"
        owners.add(owner)
        if picture is None:
            defects.append(unknown_image(file, location, owner))
            continue
        category = category_of(file, plain)
        used.add(category)
        if category not in file.names:
            defects.append(unknown_category(file, location, category))
        size = (picture.height, picture.width)
        try:
            shape = read_shape(plain, file.names.get(category, UNKNOWN), size, boxes, file.path, where)
        except DatasetError as error:
            defects.append(bad_shape(error, file.path, location, files.get(owner)))
            continue
        only_box = not plain.get("segmentation") and has_box(plain) and boxes != "fill"
        counts["boxes" if only_box else "shapes"] += 1
        if isinstance(shape, Shape):
            shapes[owner].append(shape)
            compared.add(plain, shape, size, location)
            if only_box:
                defects.append(Defect(code="only_box", path=file.path, where=location, text=only_a_box()))
            continue
        code, text = shape
        fatal = code not in _HARMLESS
        lost = files.get(owner) if fatal else None
        defects.append(Defect(code=code, path=file.path, where=location, text=text, fatal=fatal, image=lost))
    _check_plausible(file, compared, shifted_ids(owners, file.pictures) or shifted_categories(used, file.names))
    notes += compared.notes()
    drawings = {path: _drawing(file, picture, shapes[picture.id]) for path, picture in places.items()}
    for drawing in drawings.values():
        defects += outside(drawing)
    return drawings


def _check_plausible(file: CocoFile, compared: Boxes, shifted: Message | None) -> None:
    """Raises DatasetError where the file contradicts itself in all annotations alike."""
    question = shifted or compared.question()
    if question is not None:
        raise DatasetError(question, path=file.path)


def _drawing(file: CocoFile, picture: Picture, shapes: Sequence[Shape]) -> Drawing:
    return Drawing(source=file.path, key=picture.key, shapes=tuple(shapes), height=picture.height, width=picture.width)


def _drawn(shape: Shape, size: tuple[int, int], path: Path, where: str) -> NDArray[np.bool_]:
    try:
        return shape_mask(shape, size)
    except DatasetError as error:
        raise DatasetError(f"{where}: {error.reason}", path=path) from error


def _picture(file: CocoFile, image: int | str) -> Picture:
    if image in file.pictures:
        return file.pictures[image]
    named = [
        item for item in file.pictures.values() if image in (item.name, Path(item.name).name, Path(item.name).stem)
    ]
    if len(named) == 1:
        return named[0]
    if named:
        raise DatasetError(f"{image!r} could be {shorten(item.key for item in named)}; give the id", path=file.path)
    known = (item.name if isinstance(image, str) else str(item.id) for item in file.pictures.values())
    close = difflib.get_close_matches(str(image), list(known), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "give its id, or its file name"
    raise DatasetError(f"there is no image {image!r} among the {len(file.pictures)}; {hint}", path=file.path)


def _category(file: CocoFile, category: int | str) -> int | str:
    if category in file.names:
        return category
    found = [number for number, name in file.names.items() if name == category]
    if found:
        return found[0]
    known = file.names.values() if isinstance(category, str) else map(str, file.names)
    raise DatasetError(f"there is no category {category!r}; {suggest(str(category), known)}", path=file.path)
