"""Sets that are recognised by their folders and names, with the classes that their publishers give."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from segbench.data.files.hints import set_option
from segbench.data.files.images import read_mask_values
from segbench.data.files.masks import as_color, count_values
from segbench.data.formats.published.table import SETS, PublishedSet
from segbench.data.formats.shared.classes import parse_values
from segbench.data.formats.shared.image_names import short_ids
from segbench.data.formats.shared.known_values import KnownValues
from segbench.data.formats.shared.listing import (
    IMAGE_SUFFIXES,
    Entry,
    Listing,
    by_key,
    choose,
    image_files,
    missing_folder,
    read_lines,
    subfolders,
)
from segbench.data.formats.shared.pairs import check_unpaired
from segbench.data.formats.shared.values import part_of
from segbench.errors import ChoiceError, DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import SPLITS, SplitName

_DEPTH = 4  # of folders that are searched
_MOST_FOLDERS = 64  # beside each other that are looked into
_MOST_IN_ALL = 1000
_SNIFFED = 4
_VOID = ("unlabeled", "conflicting")


@dataclass(frozen=True)
class _Home:
    """A set's folders of images and masks beside each other; `masks` is None in a part without."""

    images: Path
    masks: Path | None


def published(
    root: Path,
    *,
    name: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    ignore: Sequence[Any] = (),
    unpaired: str = "error",
) -> Listing:
    """Lists a published set by its own folders and names: LoveDA, iSAID, Potsdam, UAVid, FloodNet and others.

    The classes are the publisher's; what the publisher does not score counts nowhere.

    Args:
        root: the set's folder, or one above it.
        name: which set it is; None recognises it.
        classes: names to keep, in order, or class name -> name, list of names, or `rest`; the others count nowhere.
        ignore: further numbers or colours of masks that count nowhere.
        unpaired: `error`, or `skip` to leave out images without mask and masks without image, with a note.
    Returns:
        Entries with the official part that a folder is named after, and the video or picture they are from as group.
        Parts without masks are left out, with a note.
    Raises:
        DatasetError: no set or several are recognised, files without partner, two files of one name.
        ConfigError: an option's value.
    """
    choose(unpaired, ("error", "skip"), "unpaired")
    if name is not None:
        choose(name, SETS, "name")
    folders = _folders(root)
    found = {key: homes for key in (SETS if name is None else [name]) if (homes := _homes(folders, SETS[key]))}
    if not found:
        titles = ", ".join(item.title.partition(" (")[0] for item in SETS.values())
        raise missing_folder(
            root, SETS[name].images if name else "images", f"the folders of a published set ({titles})"
        )
    if len(found) > 1:
        text = message(
            "{names} could be meant; choose with {option}",
            names=", ".join(found),
            option=set_option("name", next(iter(found))),
        )
        raise ChoiceError(text, option="name", choices={key: SETS[key].title for key in found}, path=root)
    ((key, homes),) = found.items()
    known = SETS[key]
    notes: list[str] = []
    pairs: dict[Path, Path] = {}
    for home in homes:
        images = _named(home.images, known.image, root, "image")
        if home.masks is None:
            notes.append(_for_predict(home.images, root, len(images)))
            continue
        masks = _named(home.masks, known.mask, root, "mask")
        check_unpaired(images, masks, root, unpaired, notes)
        pairs |= {images[item]: masks[item] for item in sorted(images.keys() & masks.keys())}
    listed = _listed([home.images.parent for home in homes], {image.stem for image in pairs}, notes)
    ids = short_ids(list(pairs), root)
    rule = KnownValues(
        root=root,
        values={label: (value,) for label, value in known.classes.items()},
        chosen=classes,
        void=_VOID,
        ignore=(
            *known.ignore,
            *parse_values(list(ignore), isinstance(next(iter(known.classes.values())), tuple), "ignore"),
        ),
        colors={label: value for label, value in known.classes.items() if isinstance(value, tuple)},
        background=known.background,
    )
    entries = tuple(
        Entry(
            id=ids[image],
            image=image,
            mask=mask,
            group=_group(known, image, root),
            split=listed.get(image.stem) or part_of(image.relative_to(root).parts[:-1]),
        )
        for image, mask in pairs.items()
    )
    return Listing(class_map=rule({}), entries=entries, notes=tuple(notes))


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as a published set: its folders' names and its files'; or None."""
    folders = _folders(root)
    for known in SETS.values():
        for home in _homes(folders, known):
            if home.masks is not None and _hold_known_values(home.masks, known):
                where = (path.relative_to(root).as_posix() for path in (home.images, home.masks))
                return f"{known.title} ({'/, '.join(where)}/)"
    return None


def _folders(root: Path) -> list[Path]:
    """Returns a folder and those a few levels below."""
    found = [root] if root.is_dir() else []
    level = found
    for _ in range(_DEPTH):
        level = [inner for folder in level for inner in subfolders(folder)[:_MOST_FOLDERS]][:_MOST_IN_ALL]
        found = [*found, *level]
    return found


def _homes(folders: Sequence[Path], known: PublishedSet) -> list[_Home]:
    """Returns the places of a set's folders, by their names and their first file's; [] where none holds masks."""
    homes: list[_Home] = []
    for folder in folders:
        if not fnmatchcase(folder.name, known.images) or not re.fullmatch(known.home or ".*", folder.parent.name):
            continue
        both = known.images == known.masks
        beside = [item for item in folders if item.parent == folder.parent and (item == folder) == both]
        masks = [item for item in beside if fnmatchcase(item.name, known.masks) and _holds(item, known.mask)]
        taken = any(home.images.parent == folder.parent for home in homes)  # the same pictures in other bands
        if not taken and _holds(folder, known.image):
            homes.append(_Home(folder, masks[0] if masks else None))
    return homes if any(home.masks is not None for home in homes) else []


def _holds(folder: Path, pattern: str) -> bool:
    """Returns whether the first image file of a folder, or of the first below it that has any, is called so."""
    for _, inner, names in os.walk(folder):
        inner.sort()
        images = sorted(name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES)
        if images:
            return any(re.fullmatch(pattern, Path(name).stem) for name in images[:_SNIFFED])
    return False


def _hold_known_values(folder: Path, known: PublishedSet) -> bool:
    """Returns whether the first mask holds nothing but what the publisher says; others name their folders alike."""
    first = next((path for path in image_files(folder) if re.fullmatch(known.mask, path.stem)), None)
    if first is None:
        return False
    values = {*known.classes.values(), *known.ignore}
    colors = any(isinstance(value, tuple) for value in values)
    try:
        found, _ = count_values(read_mask_values(first, colors=colors))
    except DatasetError:
        return True  # reading says what is wrong with it
    return {as_color(value) if colors else value for value in found} <= values


def _named(folder: Path, pattern: str, root: Path, kind: str) -> dict[str, Path]:
    """Returns what images and masks share -> file; files of other names are no part of the set."""
    matches = ((re.fullmatch(pattern, path.stem), path) for path in image_files(folder))
    return by_key(((match[1], path) for match, path in matches if match is not None), root, kind)


def _listed(folders: Sequence[Path], known: Collection[str], notes: list[str]) -> dict[str, SplitName]:
    """Returns name -> part of the lists train.txt, val.txt and test.txt beside the images' folders.

    Raises:
        DatasetError: a name in two lists.
    """
    parts: dict[str, SplitName] = {}
    for folder in dict.fromkeys(folders):
        for part in SPLITS:
            path = folder / f"{part}.txt"
            for number, line in read_lines(path) if path.is_file() else []:
                if parts.get(line, part) != part:
                    raise DatasetError(
                        message(
                            "line {number}: {name!r} is in another list already; an image has one part",
                            number=number,
                            name=line,
                        ),
                        path=path,
                    )
                parts[line] = part
    lost = [name for name in parts if name not in known]
    if lost:
        notes.append(
            plural(
                "{n} name in the lists has no image: {names}",
                "{n} names in the lists have no image: {names}",
                n=len(lost),
                names=shorten(lost, 4),
            )
        )
    return parts


def _group(known: PublishedSet, image: Path, root: Path) -> str | None:
    match = re.search(known.group, image.relative_to(root).as_posix()) if known.group else None
    return match[1] if match is not None else None


def _for_predict(folder: Path, root: Path, number: int) -> str:
    return plural(
        "{folder}/ has {n} image without labels: it is left out here, for `predict`",
        "{folder}/ has {n} images without labels: they are left out here, for `predict`",
        n=number,
        folder=folder.relative_to(root).as_posix(),
    )
