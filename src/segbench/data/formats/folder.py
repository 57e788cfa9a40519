"""The ordinary labelled folder: images, and masks of the same name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from segbench.data.formats.shared.class_lists import find_class_list
from segbench.data.formats.shared.classes import ClassOptions
from segbench.data.formats.shared.layout import SPLIT_WORDS, Part, find_parts
from segbench.data.formats.shared.listing import (
    Entry,
    Listing,
    by_key,
    check_depth,
    check_tolerance,
    choose,
    image_files,
)
from segbench.data.formats.shared.multilabel import list_planes
from segbench.data.formats.shared.pairing import file_key, find_renames, split_by_suffix
from segbench.data.formats.shared.pairs import check_pattern, check_unpaired, with_groups
from segbench.errors import DatasetError
from segbench.types import SplitName, Task

Keyed = list[tuple[str, Path]]


def folder(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    task: str | None = None,
    background: str | bool | None = None,
    ignore: Sequence[Any] = (),
    mask_suffix: str | None = None,
    group: str | None = None,
    tolerance: int | Literal["nearest"] = 0,
    depth_range: Sequence[float] | None = None,
    unpaired: str = "error",
    missing_is_absent: bool = False,
) -> Listing:
    """Lists an ordinary folder: `images/` and `masks/` (or the like), or both in one folder with a mask suffix.

    Train, val and test subfolders, outside or inside of images and masks, become the official parts.

    Args:
        images: name of the images' folder; None looks for the usual names.
        masks: name of the masks' folder; None looks for the usual names.
        classes: names in the order of the mask values 0, 1, ...; or a mapping from name to the value, list of values
            or colour (`[r, g, b]` or `'#rrggbb'`) that mean it, `rest` for all values that no other class has. None
            takes them from a file beside the images (`class_dict.csv`, `_classes.csv`, `labelmap.txt`, `classes.json`,
            `dataset.json`, `data.yaml`, `classes.txt` and the like), or from the masks: 0/255 and 0/1 are binary, 0..K
            without gaps multiclass, 255 beside them ignored.
        task: `binary`, `multiclass` or `multilabel` (masks/<class>/<name>.png, masks/<name>/<class>.png or
            masks/<name>_<class>.png); None decides by the classes.
        background: name of the background class, false for none; None takes the class named so, or the one of value 0.
        ignore: mask values that count nowhere.
        mask_suffix: what a mask's name has behind the image's (`_segmentation`); None tries the usual ones.
        group: regular expression with one group, searched in each id; what it captures is the sample's group.
        tolerance: mask values at most this far from a known one become it, for masks saved as JPEG; `nearest` takes
            each for the nearest known one.
        depth_range: grey values (low, high) of images with more than 8 bit that become 0 and 255.
        unpaired: `error`, or `skip` to leave out images without mask and masks without image, with a note.
        missing_is_absent: multilabel: a class without a mask file for an image is absent from it.
    Raises:
        DatasetError: no such layout, nothing to pair, files without partner, two files of one name.
        ConfigError: an option's value.
    """
    chosen_task = Task(choose(task, list(Task), "task")) if task is not None else None
    choose(unpaired, ("error", "skip"), "unpaired")
    distance = check_tolerance(tolerance)
    depth = check_depth(depth_range)
    check_pattern(group)
    parts = find_parts(root, images, masks)
    notes: list[str] = []
    rule = _class_options(root, parts, classes, chosen_task, background, ignore, distance, notes)
    if chosen_task is Task.MULTILABEL:
        names, entries = list_planes(parts, classes, root, mask_suffix, unpaired, missing_is_absent, notes)
        class_map: Any = rule.multilabel(names)
    else:
        entries = _paired(parts, root, mask_suffix, unpaired, notes)
        class_map = rule
    return Listing(
        class_map=class_map,
        entries=with_groups(_with_splits(entries), group, root),
        notes=tuple(notes),
        depth_range=depth,
        tolerance=distance,
    )


def _class_options(
    root: Path,
    parts: Sequence[Part],
    classes: Sequence[str] | Mapping[str, Any] | None,
    task: Task | None,
    background: str | bool | None,
    ignore: Sequence[Any],
    tolerance: int,
    notes: list[str],
) -> ClassOptions:
    """Returns the checked options; classes that are not given may be in a file of the data set, which is noted."""
    by_file = classes is None and task is not Task.MULTILABEL
    folders = [folder for part in parts for folder in (part.images, part.masks)]
    listed = find_class_list(root, folders, notes) if by_file else None
    return ClassOptions(
        root=root,
        classes=classes,
        task=task,
        background=background,
        ignore=ignore,
        tolerance=tolerance,
        listed=listed,
    )


def _paired(parts: list[Part], root: Path, mask_suffix: str | None, unpaired: str, notes: list[str]) -> list[Entry]:
    image_keys, mask_keys, splits = _collect(parts, root, mask_suffix)
    image_cut, mask_cut = find_renames(
        [key for key, _ in image_keys], [key for key, _ in mask_keys], _cut_given(parts, mask_suffix)
    )
    found = by_key(((image_cut(key), path) for key, path in image_keys), root, "image")
    labels = by_key(((mask_cut(key), path) for key, path in mask_keys), root, "mask")
    check_unpaired(found, labels, root, unpaired, notes, by_suffix=True)
    return [
        Entry(id=key, image=path, mask=labels[key], split=splits.get(path))
        for key, path in sorted(found.items())
        if key in labels
    ]


def _collect(parts: list[Part], root: Path, mask_suffix: str | None) -> tuple[Keyed, Keyed, dict[Path, SplitName]]:
    images: Keyed = []
    masks: Keyed = []
    splits: dict[Path, SplitName] = {}
    for part in parts:
        files, labels = image_files(part.images), image_files(part.masks)
        if part.images == part.masks:
            files, labels, _ = split_by_suffix(files, mask_suffix, part.images)
        elif part.images in part.masks.parents:
            files = [path for path in files if part.masks not in path.parents]
        images += [(part.prefix + file_key(path, part.images), path) for path in files]
        masks += [(part.prefix + file_key(path, part.masks), path) for path in labels]
        if part.split is not None:
            splits.update(dict.fromkeys(files, part.split))
    if not images or not masks:
        where = ", ".join(sorted({str(part.masks.relative_to(root) if images else part.images) for part in parts}))
        raise DatasetError(f"found no {'mask' if images else 'image'} files in {where or 'this folder'}", path=root)
    return images, masks, splits


def _cut_given(parts: list[Part], mask_suffix: str | None) -> str | None:
    """Returns the suffix to cut; in a folder that holds both, what was found there."""
    if mask_suffix or any(part.images != part.masks for part in parts):
        return mask_suffix
    return split_by_suffix([path for part in parts for path in image_files(part.images)], None, parts[0].images)[2]


def _with_splits(entries: list[Entry]) -> list[Entry]:
    """Takes train, val and test folders inside of images and masks for official parts, when all entries lie in one."""
    first = [entry.id.partition("/")[0].lower() for entry in entries if "/" in entry.id]
    if len(first) < len(entries) or not all(word in SPLIT_WORDS for word in first):
        return entries
    return [replace(entry, split=entry.split or SPLIT_WORDS[word]) for entry, word in zip(entries, first, strict=True)]
