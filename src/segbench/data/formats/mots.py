"""MOTS: objects of videos as PNG files that hold class and number of each (Voigtlaender et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.data.files.images import read_mask_values
from segbench.data.formats.shared.known_values import KnownValues
from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.listing import (
    Entry,
    Listing,
    by_key,
    choose,
    image_files,
    missing_folder,
    read_lines,
    subfolders,
)
from segbench.data.formats.shared.pairing import file_key
from segbench.data.formats.shared.pairs import paired
from segbench.errors import DatasetError
from segbench.types import MaskValue

_MASKS, _NAMES = "instances", "labels.txt"
_IMAGES = ("images", "image_02", "img1")
_PER_CLASS = 1000
_SNIFFED = 5
_OFFICIAL = {"background": 0, "car": 1, "pedestrian": 2, "ignored": 10}
_IGNORED = ("ignored", "ignore")


def mots(root: Path, *, classes: Sequence[str] | Mapping[str, Any] | None = None, unpaired: str = "error") -> Listing:
    """Lists MOTS: `images/VIDEO/NAME.jpg` and `instances/VIDEO/NAME.png`, which hold class * 1000 + object, of 16 bit.

    Args:
        root: the folder that holds `instances`, or parts that do (`train/instances`). `instances/labels.txt` names the
            classes 1, 2, ...; without it they are those of the challenge: car, pedestrian; 10 counts nowhere.
        classes: names to keep, in order, or class name -> name, list of names, or `rest`; the others count nowhere.
        unpaired: `error`, or `skip` to leave out images without mask and masks without image, with a note.
    Returns:
        Entries with the official part that a folder is named after, and the video as group.
    Raises:
        DatasetError: no such folders, files without partner, a mask with a class that there is not.
        ConfigError: an option's value.
    """
    choose(unpaired, ("error", "skip"), "unpaired")
    homes = _homes(root)
    if not homes:
        raise missing_folder(root, _MASKS, "the folders images/ and instances/ of MOTS")
    notes: list[str] = []
    entries: list[Entry] = []
    for home, folder in homes:
        images, masks = (
            by_key(((file_key(path, home / name), path) for path in image_files(home / name)), root, kind)
            for name, kind in ((folder, "image"), (_MASKS, "mask"))
        )
        prefix = "" if home == root else f"{home.name}/"
        entries += [
            Entry(
                id=prefix + name,
                image=images[name],
                mask=masks[name],
                group=prefix + name.rpartition("/")[0] if "/" in name else None,
                split=SPLIT_WORDS.get(home.name.lower()) if home != root else None,
            )
            for name in paired(images, masks, home, unpaired, notes)
        ]
    labels = _labels([home / _MASKS / _NAMES for home, _ in homes])
    rule = KnownValues(
        root=root,
        values=labels,
        chosen=classes,
        void=_IGNORED,
        background=next(iter(labels)),
        divisor=_PER_CLASS,
    )
    return Listing(class_map=rule, entries=tuple(entries), notes=tuple(notes))


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as MOTS: 16-bit files in `instances`, or its list of classes; or None."""
    for home, folder in _homes(root):
        where = "" if home == root else f"{home.name}/"
        if (home / _MASKS / _NAMES).is_file():
            return f"MOTS ({where}{folder}/, {where}{_MASKS}/{_NAMES})"
        if _hold_classes(image_files(home / _MASKS)[:_SNIFFED]):
            return f"MOTS ({where}{folder}/, {where}{_MASKS}/ with class * {_PER_CLASS} + object)"
    return None


def _homes(root: Path) -> list[tuple[Path, str]]:
    """Returns the folders that hold `instances`, this one or parts below it, with the name of their images' folder."""

    def found() -> Iterator[tuple[Path, str]]:
        for home in (
            root,
            *(folder for folder in subfolders(root) if folder.name.lower() in (*SPLIT_WORDS, "default")),
        ):
            images = next((name for name in _IMAGES if (home / name).is_dir()), None)
            if images is not None and (home / _MASKS).is_dir():
                yield home, images

    return list(found()) if root.is_dir() else []


def _hold_classes(paths: Sequence[Path]) -> bool:
    """Returns whether masks hold classes beside the numbers of objects; numbers alone are something else."""
    found: set[int] = set()
    for path in paths:
        try:
            values = read_mask_values(path)
        except DatasetError:
            return False  # its own reader says what is wrong with it
        if values.ndim == 3 or values.dtype != np.uint16:
            return False
        found |= set(np.unique(values).tolist())
    return any(found) and all(value == 0 or value >= _PER_CLASS for value in found)


def _labels(lists: Sequence[Path]) -> dict[str, tuple[MaskValue, ...]]:
    """Returns name -> number; the first is the background, which has number 0."""
    path = next((path for path in lists if path.is_file()), None)
    if path is None:
        return {name: (number,) for name, number in _OFFICIAL.items()}
    names = [line for _, line in read_lines(path)]
    if len(set(names)) < len(names) or not names:
        raise DatasetError(f"expected a name of its own for each class, got {', '.join(names) or 'none'}", path=path)
    named: dict[str, tuple[MaskValue, ...]] = {name: (number,) for number, name in enumerate(names, 1)}
    if "background" in named:
        named["background"] = (0, *named.pop("background"))
        return {"background": named.pop("background"), **named}
    return {"background": (0,), **named, **({} if "ignored" in named or len(names) > 9 else {"ignored": (10,)})}
