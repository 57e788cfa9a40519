"""ISIC challenges 2016 to 2018: dermoscopy with an outline of the lesion (Gutman et al. 2016; Codella et al. 2018)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.listing import Entry, Listing, by_key, choose, image_files, missing_folder, subfolders
from segbench.data.formats.shared.pairs import paired
from segbench.data.formats.shared.published import choose_classes
from segbench.errors import DatasetError
from segbench.types import ClassMap, SplitName, Task

CLASS_MAP = ClassMap(names=("background", "lesion"), values=((0,), (255,)), task=Task.BINARY)

_IMAGES = re.compile(r"IS(IC|BI).*?(Training|Validation|Test).*(Data|Input)$", re.IGNORECASE)
_MASKS = re.compile(r"IS(IC|BI).*?(Training|Validation|Test).*GroundTruth$", re.IGNORECASE)
_SUFFIX = "_segmentation"
_PARTS: dict[str, SplitName] = {"training": "train", "validation": "val", "test": "test"}


def isic(root: Path, *, classes: Sequence[str] | Mapping[str, Any] | None = None, unpaired: str = "error") -> Listing:
    """Lists ISIC's segmentation task: `ISIC-2017_Training_Data/NAME.jpg`, `..._GroundTruth/NAME_segmentation.png`.

    Superpixels, attribute masks and tables of diagnoses are left alone.

    Args:
        root: the folder of the images' and masks' folders, of any of the parts Training, Validation and Test.
        classes: published names to keep, in this order; or name -> published name, list of them, or `rest` for all
            others. What is left counts nowhere. None takes all.
        unpaired: `error`, or `skip` to leave out images without mask and masks without image, with a note.
    Returns:
        Binary entries (background, lesion) with their official part; parts without ground truth are left out.
    Raises:
        DatasetError: no such folders, several of one part, or files without partner.
    """
    choose(unpaired, ("error", "skip"), "unpaired")
    images, masks = _by_part(root, _IMAGES), _by_part(root, _MASKS)
    entries: list[Entry] = []
    notes: list[str] = []
    for part, folder in images.items():
        labels = _mask_files(masks[part]) if part in masks else []
        if not labels:
            notes.append(f"{folder.name} has no segmentation masks beside it and was left out")
            continue
        photos = by_key(((path.stem, path) for path in _photos(folder)), root, "image")
        outlines = by_key(((path.stem[: -len(_SUFFIX)], path) for path in labels), root, "mask")
        names = paired(photos, outlines, folder, unpaired, notes)
        entries += [Entry(id=name, image=photos[name], mask=outlines[name], split=part) for name in names]
    if not entries:
        raise missing_folder(
            root, "ISIC-2017_Training_Data", "ISIC's folders ..._Training_Data and ..._Training_Part1_GroundTruth"
        )
    _check_twice(entries, root)
    return Listing(class_map=choose_classes(CLASS_MAP, classes), entries=tuple(entries), notes=tuple(notes))


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as ISIC's: a part's folders of images and of masks; None otherwise."""
    folders = [folder.name for folder in subfolders(root)]
    images = [name for name in folders if _IMAGES.fullmatch(name)]
    masks = [name for name in folders if _MASKS.fullmatch(name) and _mask_files(root / name)]
    return f"ISIC ({images[0]}/, {masks[0]}/)" if images and masks else None


def _by_part(root: Path, pattern: re.Pattern[str]) -> dict[SplitName, Path]:
    found: dict[SplitName, Path] = {}
    for folder in subfolders(root):
        match = pattern.fullmatch(folder.name)
        if match is None or (pattern is _MASKS and not _mask_files(folder)):
            continue
        part = _PARTS[match[2].lower()]
        if part in found:
            raise DatasetError(
                f"{found[part].name} and {folder.name} are both of the part {part}; put one year or task into a folder "
                "of its own",
                path=root,
            )
        found[part] = folder
    return found


def _photos(folder: Path) -> list[Path]:
    return [path for path in image_files(folder, recursive=False) if not path.stem.lower().endswith("_superpixels")]


def _mask_files(folder: Path) -> list[Path]:
    return [path for path in image_files(folder, recursive=False) if path.stem.lower().endswith(_SUFFIX)]


def _check_twice(entries: list[Entry], root: Path) -> None:
    parts: dict[str, SplitName | None] = {}
    for entry in entries:
        if entry.id in parts:
            raise DatasetError(
                f"{entry.id} is in the parts {parts[entry.id]} and {entry.split}; an image has one part", path=root
            )
        parts[entry.id] = entry.split
