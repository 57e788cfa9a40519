"""The ordinary labelled folder: images, and masks of the same name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from segbench.data.formats.shared.class_folders import check_class_folders
from segbench.data.formats.shared.class_lists import find_class_list
from segbench.data.formats.shared.classes import ClassOptions
from segbench.data.formats.shared.layout import SPLIT_WORDS, Part, find_parts, split_of
from segbench.data.formats.shared.listing import (
    Entry,
    Listing,
    check_depth,
    check_tolerance,
    choose,
    image_files,
)
from segbench.data.formats.shared.looks import other_pictures, values_of
from segbench.data.formats.shared.matching import Matched, check_objects, match, of_cases, propose_suffixes
from segbench.data.formats.shared.merged import merge_masks
from segbench.data.formats.shared.mixed import Keyed, Mixed, split_mixed
from segbench.data.formats.shared.multilabel import list_planes
from segbench.data.formats.shared.pair_lists import check_pair_lists
from segbench.data.formats.shared.pairing import file_key
from segbench.data.formats.shared.pairs import check_pattern, check_unpaired, with_groups, without_labels
from segbench.errors import DatasetError, shorten
from segbench.locale import join, message, plural
from segbench.types import Task

_COMPARED = 32  # cases whose masks are compared


def folder(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    task: str | None = None,
    background: str | bool | None = None,
    ignore: Sequence[Any] = (),
    image_suffix: str | None = None,
    mask_suffix: str | None = None,
    group: str | None = None,
    tolerance: int | Literal["nearest"] = 0,
    depth_range: Sequence[float] | None = None,
    unpaired: str = "error",
    missing_is_absent: bool = False,
) -> Listing:
    """Lists an ordinary folder: `images/` and `masks/` (or the like), or both in one folder with a mask suffix.

    Train, val and test subfolders, outside or inside of images and masks, become the official parts. Folders laid out
    alike are cases, patients or sites of one set, and its groups. Several mask files of an image, numbered or in a
    folder of its name, are merged: any value but 0 is the object.

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
        image_suffix: what the name of each image (`_sat`) has behind what it shares with its mask; None tries the usual
            ones, and what all names have in common.
        mask_suffix: the same of the masks (`_segmentation`); '' takes those named as their images.
        group: regular expression with one group, searched in each id; what it captures is the sample's group. None
            takes the folder of a case.
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
    notes: list[str] = []
    parts = find_parts(root, images, masks, notes)
    rule = _class_options(root, parts, classes, chosen_task, background, ignore, distance, notes)
    painter = None
    if chosen_task is Task.MULTILABEL:
        names, entries = list_planes(parts, classes, root, mask_suffix, unpaired, missing_is_absent, notes)
        class_map: Any = rule.multilabel(names)
    else:
        entries, matched = _paired(parts, root, image_suffix, mask_suffix, unpaired, notes)
        _check_one_set(entries, root)
        check_pair_lists(root, entries)
        class_map = rule
        if matched.several:
            merged = merge_masks({entry.id: matched.masks[entry.id] for entry in entries}, root, rule)
            class_map, painter = merged.class_map, merged.painting
            entries = [replace(entry, mask=merged.drawings[entry.id]) for entry in entries]
            notes.append(_merged_note(matched))
    return Listing(
        class_map=class_map,
        entries=with_groups(_with_splits(entries), group, root),
        painter=painter,
        notes=tuple(notes),
        depth_range=depth,
        tolerance=distance,
    )


def _merged_note(matched: Matched) -> str:
    several = [name for name in sorted(matched.images) if len(matched.masks.get(name, ())) > 1]
    return plural(
        "{n} image has several mask files, which were merged: any value but 0 is the object: {names}",
        "{n} images have several mask files, which were merged: any value but 0 is the object: {names}",
        n=len(several),
        names=shorten(several, 4),
    )


def _check_one_set(entries: Sequence[Entry], root: Path) -> None:
    """Raises DatasetError where folders that would be cases of one set hold masks of different kinds."""
    files: dict[str, list[Path]] = {}
    for entry in entries:
        if entry.group is not None and isinstance(entry.mask, Path):
            files.setdefault(entry.group, []).append(entry.mask)
    kinds: dict[str, list[str]] = {}
    for group in list(files)[:_COMPARED]:
        found = values_of(files[group]) - {0, (0, 0, 0)}
        if found:
            colours = any(isinstance(value, tuple) for value in found)
            kind = message("colours") if colours else message("0 and 255") if found == {255} else message("numbers")
            kinds.setdefault(kind, []).append(group)
    if len(kinds) > 1:
        held = [message("{names} hold {kind}", names=shorten(names, 3), kind=kind) for kind, names in kinds.items()]
        raise DatasetError(
            message(
                "the folders look like different data sets, for their masks differ ({held}); give the folder of one, "
                "such as {example}",
                held=join("; ", held),
                example=root / next(iter(files)),
            ),
            path=root,
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


@dataclass(frozen=True, kw_only=True)
class _Files:
    """The files of all parts.

    Attributes:
        images, masks: (key, file).
        part: file -> its part's place in the list of parts.
    """

    images: Keyed
    masks: Keyed
    part: dict[Path, int]


def _paired(
    parts: list[Part], root: Path, image_suffix: str | None, mask_suffix: str | None, unpaired: str, notes: list[str]
) -> tuple[list[Entry], Matched]:
    files = _collect(parts, root, image_suffix, mask_suffix, notes)
    places = {path: str(place) for path, place in files.part.items()}
    used = [parts[number] for number in sorted(set(files.part.values()))]
    cases = all(part.group is not None and not part.mixed for part in used)
    matched = of_cases(files.images, files.masks, places) if cases else None
    if matched is not None:
        check_objects(matched, lambda _, path: path.stem, root)
    else:
        matched = match(
            files.images, files.masks, root, image_suffix=image_suffix, mask_suffix=mask_suffix, parts=places
        )
    notes += matched.notes
    if len(parts) == 1 and not parts[0].mixed:
        check_class_folders(matched.images, matched.masks, parts[0].masks, root)
    check_unpaired(
        matched.images,
        matched.masks,
        root,
        unpaired,
        notes,
        by_suffix=True,
        elsewhere=lambda names: other_pictures(root, names),
        proposal=propose_suffixes(list(matched.images), list(matched.masks)),
    )
    entries = []
    for name, path in sorted(matched.images.items()):
        part = parts[files.part[path]]
        if name in matched.masks:
            mask = matched.masks[name]
            entries.append(Entry(id=name, image=path, mask=mask[0], split=part.split, group=part.group))
    return entries, matched


def _split_folder(key: str) -> str:
    """Returns the folder in a key that is an official part; empty where none is."""
    return next((folder for folder in key.split("/")[:-1] if split_of(folder)), "")


def _collect(
    parts: list[Part], root: Path, image_suffix: str | None, mask_suffix: str | None, notes: list[str]
) -> _Files:
    images: Keyed = []
    masks: Keyed = []
    mixed: list[Keyed] = []
    place: dict[Path, int] = {}
    for number, part in enumerate(parts):
        files = _keyed(part, part.images)
        if part.mixed:
            mixed.append(files)
            place |= {path: number for _, path in files}
            continue
        labels = _keyed(part, part.masks)
        inner = {path for _, path in labels}
        images += [item for item in files if item[1] not in inner]
        masks += labels
        place |= {path: number for _, path in (*files, *labels)}
    for found in _told_apart(mixed, bool(masks), root, image_suffix, mask_suffix):
        images += found.images
        masks += found.masks
        notes += found.notes
    if not images or not masks:
        where = ", ".join(sorted({str(part.masks.relative_to(root) if images else part.images) for part in parts}))
        raise DatasetError(f"found no {'mask' if images else 'image'} files in {where or 'this folder'}", path=root)
    images = _labelled(images, masks, notes)
    kept = {path for _, path in (*images, *masks)}
    return _Files(images=images, masks=masks, part={path: number for path, number in place.items() if path in kept})


def _labelled(images: Keyed, masks: Keyed, notes: list[str]) -> Keyed:
    """Returns the images without those of parts (`test/`) that have no mask at all, which are told."""
    labelled = {split_of(folder) for key, _ in masks if (folder := _split_folder(key))}
    bare: dict[str, set[Path]] = {}
    for key, path in images if labelled else []:
        folder = _split_folder(key)
        if folder and split_of(folder) not in labelled:
            bare.setdefault(folder, set()).add(path)
    notes += [without_labels(len(paths), folder) for folder, paths in bare.items()]
    left = set().union(*bare.values())
    return [(key, path) for key, path in images if path not in left]


def _keyed(part: Part, folder: Path) -> Keyed:
    return [(part.prefix + file_key(path, folder), path) for path in image_files(folder)]


def _told_apart(
    mixed: list[Keyed], others: bool, root: Path, image_suffix: str | None, mask_suffix: str | None
) -> list[Mixed]:
    """Returns the files of parts whose images and masks lie in one folder, as images and masks.

    Args:
        others: there are parts with masks in a folder of their own, so that these may be without any.
    Raises:
        DatasetError: no part tells them apart, and there are no others.
    """
    if not mixed:
        return []
    try:
        return [split_mixed([item for files in mixed for item in files], mask_suffix, image_suffix, root)]
    except DatasetError as error:
        found, trouble = [], error
    labelled = others
    for files in mixed:
        try:
            found.append(split_mixed(files, mask_suffix, image_suffix, root))
            labelled = True
        except DatasetError:  # the part has no masks; what it is told for is said below, where none has any
            found.append(Mixed(images=files, masks=[]))
    if not labelled:
        raise trouble
    return found


def _with_splits(entries: list[Entry]) -> list[Entry]:
    """Takes train, val and test folders inside of images and masks for official parts, when all entries lie in one."""
    first = [entry.id.partition("/")[0].lower() for entry in entries if "/" in entry.id]
    if len(first) < len(entries) or not all(word in SPLIT_WORDS for word in first):
        return entries
    return [replace(entry, split=entry.split or SPLIT_WORDS[word]) for entry, word in zip(entries, first, strict=True)]
