"""Oxford-IIIT Pet: cats and dogs with trimaps (Parkhi et al. 2012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.listing import Entry, Listing, by_stem, choose, missing_folder, read_lines
from segbench.data.formats.shared.published import choose_classes
from segbench.errors import DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import ClassMap, SplitName, Task

_PET, _BACKGROUND, _BORDER = 1, 2, 3  # what a trimap writes

CLASS_MAPS: dict[str, ClassMap] = {
    "class": ClassMap(
        names=("pet", "background", "border"),
        values=((_PET,), (_BACKGROUND,), (_BORDER,)),
        task=Task.MULTICLASS,
        colors=((230, 159, 0), (0, 0, 0), (86, 180, 233)),
        background=1,
    ),
    "ignore": ClassMap(
        names=("background", "pet"), values=((_BACKGROUND,), (_PET,)), task=Task.BINARY, ignore_values=(_BORDER,)
    ),
    "foreground": ClassMap(names=("background", "pet"), values=((_BACKGROUND,), (_PET, _BORDER)), task=Task.BINARY),
}

_LISTS: tuple[tuple[str, SplitName], ...] = (("trainval.txt", "train"), ("test.txt", "test"))


def oxford_pets(
    root: Path,
    *,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    border: str = "class",
    include_unlisted: bool = False,
) -> Listing:
    """Lists Oxford-IIIT Pet: `images/*.jpg`, `annotations/trimaps/*.png`, `annotations/trainval.txt` and `test.txt`.

    Args:
        root: the folder that holds `images` and `annotations`.
        classes: published names to keep, in this order; or name -> published name, list of them, or `rest` for all
            others. What is left counts nowhere. None takes all.
        border: what the trimap's third value becomes: `class` (pet, background, border), `ignore` (binary, counts
            nowhere) or `foreground` (binary, part of the pet).
        include_unlisted: also take the images that are in neither list; they belong to no official part.
    Returns:
        Entries with the official parts train (trainval.txt) and test; val is carved out when the set is divided.
    Raises:
        DatasetError: a folder or both lists missing, a listed image or trimap missing, a name in both lists.
    """
    choose(border, CLASS_MAPS, "border")
    layout = "images/, annotations/trimaps/ and annotations/trainval.txt, test.txt"
    for name in ("images", "annotations", "annotations/trimaps"):
        if not (root / name).is_dir():
            raise missing_folder(root, name, layout)
    notes: list[str] = []
    parts = _official_parts(root, notes)
    images = by_stem(root / "images", root, "image")
    masks = by_stem(root / "annotations" / "trimaps", root, "trimap")
    lost = [f"images/{name}" for name in parts if name not in images]
    lost += [f"annotations/trimaps/{name}" for name in parts if name not in masks]
    if lost:
        raise DatasetError(
            plural(
                "{n} file that the lists name is not there: {names}",
                "{n} files that the lists name are not there: {names}",
                n=len(lost),
                names=shorten(lost, 6),
            ),
            path=root,
        )
    unlisted = sorted(name for name in images if name not in parts)
    chosen = list(parts)
    if unlisted and include_unlisted:
        bare = [name for name in unlisted if name not in masks]
        chosen += [name for name in unlisted if name in masks]
        if bare:
            notes.append(f"{len(bare)} unlisted images have no trimap and were left out: {shorten(bare)}")
    elif unlisted:
        notes.append(
            plural(
                "{n} image is in no list and was left out: {names}",
                "{n} images are in no list and were left out: {names}",
                n=len(unlisted),
                names=shorten(unlisted),
            )
        )
    entries = tuple(Entry(id=name, image=images[name], mask=masks[name], split=parts.get(name)) for name in chosen)
    return Listing(class_map=choose_classes(CLASS_MAPS[border], classes), entries=entries, notes=tuple(notes))


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as Oxford-IIIT Pet: images, trimaps and a list; None where it is not."""
    lists = [file for file, _ in _LISTS if (root / "annotations" / file).is_file()]
    if not lists or not (root / "images").is_dir() or not (root / "annotations" / "trimaps").is_dir():
        return None
    return f"Oxford-IIIT Pet (images/, annotations/trimaps/, annotations/{lists[0]})"


def _official_parts(root: Path, notes: list[str]) -> dict[str, SplitName]:
    parts: dict[str, SplitName] = {}
    missing = [file for file, _ in _LISTS if not (root / "annotations" / file).is_file()]
    if len(missing) == len(_LISTS):
        raise missing_folder(root / "annotations", missing[0], "the official lists trainval.txt and test.txt")
    if missing:
        notes.append(
            message("there is no {file} in annotations/: only the images of the other list are read", file=missing[0])
        )
    for file, part in _LISTS:
        path = root / "annotations" / file
        for number, line in read_lines(path) if file not in missing else []:
            name = line.split()[0]
            if name in parts:
                raise DatasetError(f"line {number}: {name!r} is listed twice; a sample belongs to one part", path=path)
            parts[name] = part
    if not parts:
        raise DatasetError("the lists annotations/trainval.txt and test.txt name no image", path=root)
    return parts
