"""Pascal VOC's layout: the challenge itself (Everingham et al. 2010), and what CVAT, Datumaro and LabelMe export."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.classes import ClassOptions, parse_values
from segbench.data.formats.shared.layout import IMAGE_NAME, SPLIT_WORDS
from segbench.data.formats.shared.listing import (
    IMAGE_SUFFIXES,
    ClassMapRule,
    Defect,
    Entry,
    Listing,
    by_key,
    defect_notes,
    image_files,
    missing_folder,
    read_lines,
    subfolders,
)
from segbench.data.formats.shared.pairing import file_key
from segbench.data.formats.shared.pairs import with_groups
from segbench.data.formats.voc.classes import read_classes
from segbench.errors import DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import SPLITS, SplitName

_IMAGES, _MASKS, _LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
_NAMES = ("class_names.txt", "labelmap.txt")
_OFFICIAL_ID = re.compile(r"\d{4}_\d{6}")  # 2007_000032


def voc(
    root: Path,
    *,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    ignore: Sequence[Any] = (),
    images: str | None = None,
    masks: str = _MASKS,
    include_unlisted: bool = False,
    group: str | None = None,
) -> Listing:
    """Lists Pascal VOC's layout: `JPEGImages/`, `SegmentationClass/`, `ImageSets/Segmentation/train.txt` and so on.

    Masks hold class numbers (palette or grey) or VOC's colours; 255, the colour of borders, counts nowhere. The classes
    are those of `labelmap.txt` or `class_names.txt` where there is one, else the 21 of the challenge where the names of
    the images or the masks' palette are the challenge's.

    Args:
        root: the folder that holds `JPEGImages`, or the one above (`VOCdevkit`, `VOC2012`).
        classes: names in the order of the mask values, or name -> value, values or colour; see the reader `folder`.
        ignore: mask values that count nowhere, where `classes` is given, or none of a list's classes.
        images: name of the images' folder; None takes `JPEGImages`, or the one that is called like images.
        masks: name of the masks' folder (`SegmentationClassAug`).
        include_unlisted: also take the masks that are in no list; they belong to no official part.
        group: regular expression with one group, searched in each id; what it captures is the sample's group.
    Returns:
        Entries with the official part; an image that two lists name stays in the first of train, val and test. Where
        there are no lists, all masks, in no part.
    Raises:
        DatasetError: a folder is missing, no listed image has a mask, masks without image, damaged lists of classes,
            masks of which nothing says which classes they hold.
    """
    home = _home(root, images)
    photos = images or _images_name(home) or _IMAGES
    for name in (photos, masks):
        if not (home / name).is_dir():
            raise missing_folder(home, name, f"Pascal VOC's folders {photos}/ and {masks}/")
    labels = by_key(_keyed(home / masks), root, "mask")
    found = by_key(_keyed(home / photos), root, "image")
    notes: list[str] = []
    defects: list[Defect] = []
    parts = _parts(home / _LISTS, labels.keys() | found.keys(), defects, notes)
    chosen = [name for name in parts if name in labels] if parts else sorted(labels)
    unlisted = sorted(labels.keys() - parts.keys()) if parts else []
    if unlisted and include_unlisted:
        chosen += unlisted
    elif unlisted:
        notes.append(
            plural(
                "{n} mask is in no list and was left out: {names}",
                "{n} masks are in no list and were left out: {names}",
                n=len(unlisted),
                names=shorten(unlisted, 4),
            )
        )
    bare = sorted(parts.keys() - labels.keys())
    if bare:
        notes.append(
            plural(
                "{n} listed image has no mask in {masks} and was left out: {names}",
                "{n} listed images have no mask in {masks} and were left out: {names}",
                n=len(bare),
                masks=masks,
                names=shorten(bare, 4),
            )
        )
    lost = [name for name in chosen if name not in found]
    if lost:
        raise DatasetError(
            plural(
                "{n} mask has no image in {photos}: {names}",
                "{n} masks have no image in {photos}: {names}",
                n=len(lost),
                photos=photos,
                names=shorten(lost, 6),
            ),
            path=home,
        )
    if not chosen:
        raise DatasetError(f"no image has a mask in {masks}; the lists name {shorten(parts, 4)}", path=home)
    entries = [Entry(id=name, image=found[name], mask=labels[name], split=parts.get(name)) for name in chosen]
    return Listing(
        class_map=_class_map(home, root, classes, ignore, [entry.id for entry in entries]),
        entries=with_groups(entries, group, root),
        notes=(*notes, *defect_notes(defects)),
        defects=tuple(defects),
    )


def _class_map(
    home: Path, root: Path, classes: Sequence[str] | Mapping[str, Any] | None, ignore: Sequence[Any], ids: Sequence[str]
) -> ClassMapRule:
    """Returns the rule: the user's classes, else the file's, else the challenge's where they can be."""
    if classes is not None:
        return ClassOptions(
            root=root,
            classes=classes,
            task=None,
            background=None,
            ignore=[*ignore, *_border(ignore, classes)],
            tolerance=0,
        )
    files = [path for path in (home / name for name in _NAMES) if path.is_file()]
    official = all(_OFFICIAL_ID.fullmatch(name.rpartition("/")[2]) for name in ids)
    return read_classes(files, root, official=official, ignore=parse_values(list(ignore), False, "ignore"))


def _border(ignore: Sequence[Any], classes: Sequence[str] | Mapping[str, Any]) -> list[int]:
    """Returns 255, the value of borders, where the user says nothing about it and numbers classes by other values."""
    given = classes.values() if isinstance(classes, Mapping) else ()
    numbers = all(isinstance(value, int) for value in (*given, *ignore))
    return [255] if numbers and 255 not in (*given, *ignore) else []


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as VOC's layout: its folders, and lists or names of classes; or None."""
    homes = _find_homes(root)
    if not homes:
        return None
    home = homes[0]
    sign = next((name for name in (_LISTS, *_NAMES) if (home / name).exists()), None)
    inner = "" if home == root else f"{home.relative_to(root).as_posix()}/"
    photos = _images_name(home)
    return None if sign is None else f"Pascal VOC ({inner}{photos}/, {inner}{_MASKS}/, {inner}{sign})"


def _images_name(home: Path) -> str | None:
    """Returns the name of the images' folder: JPEGImages, or the only one beside the masks that is called like "
    "images."""
    if (home / _IMAGES).is_dir():
        return _IMAGES
    found = [folder.name for folder in subfolders(home) if IMAGE_NAME.match(folder.name)]
    return found[0] if len(found) == 1 and (home / _MASKS).is_dir() else None


def _home(root: Path, images: str | None) -> Path:
    if images is not None and (root / images).is_dir():
        return root
    homes = _find_homes(root)
    if not homes:
        raise missing_folder(root, _IMAGES, f"Pascal VOC's folders {_IMAGES}/ and {_MASKS}/")
    if len(homes) > 1:
        names = ", ".join(folder.name for folder in homes)
        raise DatasetError(f"{names} are years of their own; name one of these folders", path=root)
    return homes[0]


def _find_homes(root: Path) -> list[Path]:
    """Returns the folders of the images' folder: this one, or the years below it."""
    if _images_name(root) is not None:
        return [root]
    devkit = root / "VOCdevkit" if (root / "VOCdevkit").is_dir() else root
    years = [folder for folder in subfolders(devkit) if re.fullmatch(r"VOC\d{4}", folder.name)]
    return [folder for folder in years if (folder / _MASKS).is_dir()]


def _keyed(folder: Path) -> Iterable[tuple[str, Path]]:
    return ((file_key(path, folder), path) for path in image_files(folder))


def _parts(
    folder: Path, known: Collection[str], defects: list[Defect], notes: list[str]
) -> dict[str, SplitName | None]:
    """Returns name -> part of every listed image, in the lists' order; None for lists that are no part."""
    lists = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    parts: dict[str, SplitName | None] = {}
    official = sorted(
        (path for path in lists if path.stem.lower() in SPLIT_WORDS),
        key=lambda path: SPLITS.index(SPLIT_WORDS[path.stem.lower()]),
    )
    others = [path for path in lists if path not in official]
    unknown = [path.name for path in others if path.stem.lower() not in ("trainval", "all")]
    if unknown:
        notes.append(f"{len(unknown)} lists are called like no part, and give none: {shorten(unknown)}")
    for path in (*official, *others):
        split = SPLIT_WORDS.get(path.stem.lower())
        for _, line in read_lines(path, comments=False):
            name = _listed_name(line, known)
            if name.startswith("#") and name not in known:
                continue
            before = parts.setdefault(name, split)
            if split is not None and before != split:
                text = message("in {part}.txt and {file}; taken as {part}", part=before, file=path.name)
                defects.append(Defect(code="overlapping_lists", path=path, where=name, text=text))
    return parts


def _listed_name(line: str, known: Collection[str]) -> str:
    """Returns the name in a line: CVAT writes names with blanks in quotes, others a path with its suffix."""
    if line.startswith('"'):
        return _bare(line[1:].partition('"')[0])
    return next((name for name in (line, _bare(line)) if name in known), _bare(line.split()[0]))


def _bare(name: str) -> str:
    name = name.removeprefix("/").removeprefix(f"{_IMAGES}/")
    stem, dot, suffix = name.rpartition(".")
    return stem if f"{dot}{suffix}".lower() in IMAGE_SUFFIXES else name
