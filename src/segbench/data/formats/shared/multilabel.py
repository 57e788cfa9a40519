"""The layouts with one mask file a class: masks/CLASS/NAME.png, masks/NAME/CLASS.png and masks/NAME_CLASS.png."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.layout import Part
from segbench.data.formats.shared.listing import Entry, by_key, image_files, subfolders
from segbench.data.formats.shared.pairing import file_key, find_renames
from segbench.data.formats.shared.pairs import check_unpaired
from segbench.errors import DatasetError, shorten, suggest

_SEPARATORS = "_-. "

Planes: TypeAlias = dict[str, dict[str, Path]]  # class -> image key -> mask file


def list_planes(
    parts: Sequence[Part],
    classes: Sequence[str] | Mapping[str, Any] | None,
    root: Path,
    mask_suffix: str | None,
    unpaired: str,
    missing_is_absent: bool,
    notes: list[str],
) -> tuple[list[str], list[Entry]]:
    """Returns the classes, and an entry for each image with a mask of each class.

    Folders named like the images hold a file a class; other folders are classes; where there are no folders the class
    is what a mask's name has behind its image's.

    Args:
        classes: that are wanted, in their order; None takes all that there are.
    Raises:
        DatasetError: a layout that is none of these, images without any mask, masks without image, two masks of one
            class and image, or a class missing for an image unless `missing_is_absent`.
    """
    planes = [_planes(part, list(_part_images(part)), mask_suffix) for part in parts]
    names = _class_names(planes, classes, parts, notes)
    entries: list[Entry] = []
    missing: list[str] = []
    for part, its_planes in zip(parts, planes, strict=True):
        found = _part_images(part)
        chosen = {name: its_planes.get(name, {}) for name in names}
        labelled = {key: None for plane in chosen.values() for key in plane}
        checked = dict.fromkeys([*found, *labelled]) if missing_is_absent else labelled
        masks = {key: None for key in checked if key in found or key in labelled}
        check_unpaired(found, masks, root, unpaired, notes, by_suffix=True)
        for key in sorted(found.keys() & checked.keys()):
            missing += [f"{name}/{key}" for name in names if key not in chosen[name]]
            mask = tuple(chosen[name].get(key) for name in names)
            entries.append(Entry(id=part.prefix + key, image=found[key], mask=mask, split=part.split))
    if missing and not missing_is_absent:
        raise DatasetError(
            f"{len(missing)} class masks are missing: {shorten(missing, 6)}; add empty masks, or say that a missing "
            f"file means an absent class with {set_option('missing_is_absent', 'true')}",
            path=root,
        )
    if missing:
        notes.append(f"{len(missing)} class masks are missing and were taken as absent: {shorten(missing)}")
    return names, entries


def _part_images(part: Part) -> dict[str, Path]:
    """Returns the images of a part by their keys, without masks below them, or beside them under longer names."""
    files = [(file_key(path, part.images), path) for path in image_files(part.images)]
    if part.mixed:
        keys = {key for key, _ in files}
        files = [(key, path) for key, path in files if not _owner(key, keys)]
    else:
        files = [(key, path) for key, path in files if part.masks not in path.parents]
    return by_key(files, part.images, "image")


def _owner(key: str, images: Collection[str]) -> str:
    """Returns the longest image's name that a mask's name begins with; empty where there is none."""
    return next(
        (key[:at] for at in range(len(key) - 2, 0, -1) if key[at] in _SEPARATORS and key[:at] in images),
        "",
    )


def _class_names(
    planes: Sequence[Planes], classes: Sequence[str] | Mapping[str, Any] | None, parts: Sequence[Part], notes: list[str]
) -> list[str]:
    """Returns the classes in their order: those that there are, or those that the user names."""
    there = sorted({name for part in planes for name in part})
    if classes is None:
        return there
    for name in classes:
        if name not in there:
            raise DatasetError(
                f"there is no masks' folder for class {name!r}; {suggest(name, there)}", path=parts[0].masks
            )
    unused = [name for name in there if name not in classes]
    if unused:
        notes.append(f"masks of {shorten(unused)} were left out: `classes` does not name them")
    return list(classes)


def _planes(part: Part, images: list[str], mask_suffix: str | None) -> Planes:
    folders = [folder.name for folder in subfolders(part.masks)]
    known = set(images)
    if not folders:
        return _by_name(part, known)
    if sum(folder in known for folder in folders) * 2 > len(folders):
        return _by_image(part, folders)
    planes: Planes = {}
    for name in folders:
        labels = image_files(part.masks / name)
        keys = [(file_key(path, part.masks / name), path) for path in labels]
        _, cut = find_renames(images, [key for key, _ in keys], mask_suffix)
        planes[name] = by_key(((cut(key), path) for key, path in keys), part.masks, "mask")
    return planes


def _by_image(part: Part, folders: Sequence[str]) -> Planes:
    """masks/NAME/CLASS.png."""
    planes: Planes = {}
    for image in folders:
        for path in image_files(part.masks / image):
            _add(planes, file_key(path, part.masks / image), image, path, part)
    return planes


def _by_name(part: Part, images: set[str]) -> Planes:
    """masks/NAME_CLASS.png, also in the images' folder; in a case with one image, masks/CLASS.png."""
    planes: Planes = {}
    lost: list[str] = []
    only = next(iter(images)) if part.group is not None and len(images) == 1 else ""
    for path in image_files(part.masks):
        key = file_key(path, part.masks)
        owner = _owner(key, images)
        if owner:
            _add(planes, key[len(owner) + 1 :], owner, path, part)
        elif only and not part.mixed:
            _add(planes, key, only, path, part)
        elif not part.mixed:
            lost.append(path.name)
    if not planes or lost:
        raise DatasetError(
            "expected a mask for each class, as masks/<class>/<name>.png, masks/<name>/<class>.png or "
            f"masks/<name>_<class>.png, but the masks' folder has no folders, and {len(lost)} files begin with no "
            f"image's name: {shorten(lost, 4)}",
            path=part.masks,
        )
    return planes


def _add(planes: Planes, name: str, image: str, path: Path, part: Part) -> None:
    plane = planes.setdefault(PurePosixPath(name).name, {})
    if image in plane:
        raise DatasetError(
            f"{plane[image].name} and {path.name} are both the class {name!r} of {image!r}", path=part.masks
        )
    plane[image] = path
