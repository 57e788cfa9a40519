"""CamVid in the 480x360, 11-class form made for SegNet (Brostow et al. 2009; Badrinarayanan et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from segbench.data.formats.shared.listing import Entry, Listing, image_files, missing_folder, read_lines, subfolders
from segbench.data.formats.shared.published import choose_classes
from segbench.errors import DatasetError, shorten
from segbench.locale import plural
from segbench.types import RGB, SPLITS, ClassMap, Task

_CLASSES: dict[str, RGB] = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
_VOID = 11

CLASS_MAP = ClassMap(
    names=tuple(_CLASSES),
    values=tuple((value,) for value in range(len(_CLASSES))),
    task=Task.MULTICLASS,
    colors=tuple(_CLASSES.values()),
    background=None,
    ignore_values=(_VOID,),
)


def camvid(root: Path, *, classes: Sequence[str] | Mapping[str, Any] | None = None) -> Listing:
    """Lists CamVid: `train.txt`, `val.txt`, `test.txt` with "IMAGE MASK" a line; 11 classes, void ignored.

    Args:
        root: the folder of the lists, or the one above it. Listed paths that do not exist (the original's are
            absolute) are found by their last components below the folder of the lists.
        classes: published names to keep, in this order; or name -> published name, list of them, or `rest` for all
            others. What is left counts nowhere. None takes all.
    Returns:
        Entries with their official part, and the video sequence as group. Where the official parts share a sequence
        they win, and a note says so.
    Raises:
        DatasetError: no list, a malformed line, listed files that are not there, or an image listed twice.
    """
    home = _home(root)
    entries: list[Entry] = []
    lost: list[str] = []
    seen: dict[str, str] = {}
    for split in SPLITS:
        path = home / f"{split}.txt"
        for number, line in read_lines(path) if path.is_file() else []:
            names = line.split()
            if len(names) != 2:
                raise DatasetError(f"line {number}: expected IMAGE MASK, two paths, got {line!r}", path=path)
            image, mask = (_resolve(home, name) for name in names)
            lost += [name for name, found in zip(names, (image, mask), strict=True) if found is None]
            if image is None or mask is None:
                continue
            if image.stem in seen:
                raise DatasetError(
                    f"line {number}: {image.stem!r} is listed in {seen[image.stem]} already; a frame has one part",
                    path=path,
                )
            seen[image.stem] = path.name
            entries.append(Entry(id=image.stem, image=image, mask=mask, group=_sequence(image.stem), split=split))
    if lost:
        raise DatasetError(f"{len(lost)} listed files are not there: {shorten(lost, 6)}", path=home)
    if not entries:
        raise DatasetError("the lists train.txt, val.txt and test.txt name no image", path=home)
    return Listing(class_map=choose_classes(CLASS_MAP, classes), entries=tuple(entries), notes=_unlisted(home, entries))


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as CamVid: a list, and a part's folders of images and masks; or None."""
    home = _find_home(root)
    if home is None:
        return None
    for split in SPLITS:
        if all((home / name).exists() for name in (f"{split}.txt", split, f"{split}annot")):
            return f"CamVid ({split}.txt, {split}/, {split}annot/)"
    return None


def _home(root: Path) -> Path:
    home = _find_home(root)
    if home is None:
        raise missing_folder(root, "train.txt", "CamVid's lists train.txt, val.txt and test.txt")
    return home


def _find_home(root: Path) -> Path | None:
    for folder in (root, *subfolders(root)):
        if any((folder / f"{split}.txt").is_file() for split in SPLITS):
            return folder
    return None


def _resolve(home: Path, name: str) -> Path | None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    tails = [parts[start:] for start in range(len(parts)) if parts[start] != "/"]
    for tail in tails[: max(1, len(tails) - 1)]:  # at least folder and file: the name alone is image and mask alike
        if (home.joinpath(*tail)).is_file():
            return home.joinpath(*tail)
    return None


def _sequence(stem: str) -> str:
    """`0016E5_07959` -> `0016E5`."""
    return stem.rpartition("_")[0] or stem


def _unlisted(home: Path, entries: list[Entry]) -> tuple[str, ...]:
    listed = {entry.image for entry in entries}
    unlisted = [
        f"{split}/{path.name}"
        for split in SPLITS
        if (home / split).is_dir()
        for path in image_files(home / split, recursive=False)
        if path not in listed
    ]
    if not unlisted:
        return ()
    return (
        plural(
            "{n} image is in no list and was left out: {names}",
            "{n} images are in no list and were left out: {names}",
            n=len(unlisted),
            names=shorten(unlisted),
        ),
    )
