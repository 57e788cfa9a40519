"""Kvasir-SEG: 1000 colonoscopy images with polyps, masks stored as JPEG (Jha et al. 2020)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from segbench.data.formats.shared.listing import (
    Entry,
    Listing,
    by_stem,
    check_tolerance,
    choose,
    image_files,
    missing_folder,
    read_lines,
)
from segbench.data.formats.shared.pairs import paired
from segbench.data.formats.shared.published import choose_classes
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, SplitName, Task

CLASS_MAP = ClassMap(names=("background", "polyp"), values=((0,), (255,)), task=Task.BINARY)

_INNER = "Kvasir-SEG"
_NAME = re.compile(r"c[jk][0-9a-z]{23}")
_SNIFFED = 20
_LISTS: tuple[tuple[str, SplitName], ...] = (("train.txt", "train"), ("val.txt", "val"), ("test.txt", "test"))


def kvasir(
    root: Path,
    *,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    tolerance: int | Literal["nearest"] = "nearest",
    unpaired: str = "error",
) -> Listing:
    """Lists Kvasir-SEG: `Kvasir-SEG/images/NAME.jpg` and `Kvasir-SEG/masks/NAME.jpg`; background and polyp.

    Args:
        root: the folder above `Kvasir-SEG`, or that folder itself. `train.txt`, `val.txt` and `test.txt` with a name a
            line, where they are there, give the parts.
        classes: published names to keep, in this order; or name -> published name, list of them, or `rest` for all
            others. What is left counts nowhere. None takes all.
        tolerance: mask values at most this far from 0 or 255 become it: JPEG has blurred them. 127 takes every value,
            which is a threshold in the middle; how many were moved is told.
        unpaired: `error`, or `skip` to leave out images without mask and masks without image, with a note.
    Raises:
        DatasetError: no such folders, files without partner, a name in two lists.
    """
    choose(unpaired, ("error", "skip"), "unpaired")
    distance = check_tolerance(tolerance)
    home = root / _INNER if (root / _INNER).is_dir() else root
    for name in ("images", "masks"):
        if not (home / name).is_dir():
            raise missing_folder(home, name, "Kvasir-SEG's images/ and masks/")
    images, masks = (by_stem(home / f"{kind}s", root, kind) for kind in ("image", "mask"))
    notes: list[str] = []
    names = paired(images, masks, home, unpaired, notes)
    parts = _parts(home, set(images), notes)
    return Listing(
        class_map=choose_classes(CLASS_MAP, classes),
        entries=tuple(Entry(id=name, image=images[name], mask=masks[name], split=parts.get(name)) for name in names),
        notes=tuple(notes),
        tolerance=distance,
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as Kvasir-SEG: JPEG masks with the set's kind of names; or None."""
    home = root / _INNER if (root / _INNER).is_dir() else root
    if not (home / "images").is_dir() or not (home / "masks").is_dir():
        return None
    masks = image_files(home / "masks", recursive=False)[:_SNIFFED]
    if not masks or not all(_NAME.fullmatch(path.stem) and path.suffix.lower() == ".jpg" for path in masks):
        return None
    return f"Kvasir-SEG ({masks[0].relative_to(root).as_posix()})"


def _parts(home: Path, known: set[str], notes: list[str]) -> dict[str, SplitName]:
    parts: dict[str, SplitName] = {}
    lost: list[str] = []
    for file, part in _LISTS:
        path = home / file
        for number, line in read_lines(path) if path.is_file() else []:
            name = line.removesuffix(".jpg")
            if parts.get(name, part) != part:
                raise DatasetError(
                    f"line {number}: {name!r} is in another list already; an image has one part", path=path
                )
            if name not in known:
                lost.append(name)
            parts[name] = part
    if lost:
        notes.append(f"{len(lost)} names in the lists have no image: {shorten(lost)}")
    return parts
