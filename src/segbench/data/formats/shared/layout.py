"""Which folders hold the images and which the masks: the common layouts of an ordinary labelled folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.folder_names import FINDINGS, IMAGE_NAME, MASK_NAME, SPLIT_WORDS, is_split, split_of
from segbench.data.formats.shared.folder_pairs import find_pair, guess_pair, image_folders, only
from segbench.data.formats.shared.listing import image_files, missing_folder, subfolders
from segbench.data.formats.shared.looks import other_pictures
from segbench.errors import ChoiceError, DatasetError, shorten
from segbench.locale import listed, message
from segbench.types import SplitName

__all__ = ["IMAGE_NAME", "MASK_NAME", "SPLIT_WORDS", "Part", "find_parts", "split_of"]

_DEPTH = 4
_CASES_SHOWN = 6
_CLASS_LIST = re.compile(r"(class|label.?map|dataset|data\.ya?ml|meta).*(?<=\.)(csv|txt|json|yaml|yml)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A folder of images and its folder of masks.

    Attributes:
        images, masks: the same folder where both lie in one, or where it holds no masks.
        split: by the folder's name.
        prefix: of the ids: the folder below the root, where there are several, with a slash.
        group: the case, patient or site that the folder is.
    """

    images: Path
    masks: Path
    split: SplitName | None = None
    prefix: str = ""
    group: str | None = None

    @property
    def mixed(self) -> bool:
        """Whether images and masks lie in one folder."""
        return self.images == self.masks


def find_parts(root: Path, images: str | None, masks: str | None, notes: list[str] | None = None) -> list[Part]:
    """Returns where images and masks are: one part, or one for each of train, val and test, or for each case.

    A folder whose part is `mixed` may turn out to hold no masks at all.

    Args:
        images, masks: folder names given by the user, below `root` or below each folder of a part or case.
        notes: takes what a person should know about the choice.
    Raises:
        DatasetError: a named folder is not there, several folders could be meant, or none holds images and masks.
    """
    told: list[str] = [] if notes is None else notes
    found = _discover(root, _DEPTH, told) if images is None and masks is None else _named(root, images, masks)
    if found:
        return found
    raise DatasetError(_nothing_found(root), path=root)


def _named(root: Path, images: str | None, masks: str | None) -> list[Part]:
    """Returns the parts where the user names a folder, below the root or in each folder of a part or case."""
    named = [name for name in (images, masks) if name is not None]
    if all((root / name).is_dir() for name in named):
        pair = find_pair(root, images, masks)
        return [Part(images=pair[0], masks=pair[1])]
    for name in named:
        if not any((folder / name).is_dir() for folder in (root, *_below(root, _DEPTH))):
            raise missing_folder(root, name, "a folder given by the options images and masks")
    parts: list[Part] = []
    for folder in _below(root, _DEPTH):
        if all((folder / name).is_dir() for name in named):
            pair = find_pair(folder, images, masks)
            parts.append(_part_of(root, folder, *pair))
    labelled = {part.prefix for part in parts}
    for folder in _below(root, 1):  # a part that has images only: they are told, not read
        if split_of(folder.name) and not any(prefix.startswith(f"{folder.name}/") for prefix in labelled):
            bare = _image_folder(folder, images)
            parts += [_part_of(root, folder, bare, bare)] if bare is not None else []
    return parts


def _image_folder(folder: Path, images: str | None) -> Path | None:
    """Returns the images' folder in the folder of a part that has no masks, or None where nothing tells it."""
    if images is not None:
        return folder / images if (folder / images).is_dir() else None
    return next((item for item in image_folders(folder) if IMAGE_NAME.match(item.name)), None)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    for item in subfolders(folder):
        yield item
        if depth > 1:
            yield from _below(item, depth - 1)


def _part_of(root: Path, folder: Path, images: Path, masks: Path) -> Part:
    """Returns the part that a folder below the root is, with its official part and its case by the folders' names."""
    names = folder.relative_to(root).parts
    split = next((found for name in names if (found := split_of(name))), None)
    cases = [name for name in names if not split_of(name)]
    return Part(
        images=images,
        masks=masks,
        split=split,
        prefix=f"{'/'.join(names)}/",
        group=None if not cases or set(map(str.lower, cases)) <= FINDINGS else "/".join(names),
    )


def _discover(folder: Path, depth: int, notes: list[str], *, inside: bool = False) -> list[Part]:
    """Returns the parts below a folder; [] where nothing in it can be told for images and masks.

    Args:
        depth: of folders that are looked into.
        inside: the folder is a part or a case, so that the names of folders in it tell samples apart.
    """
    holding = image_folders(folder)
    named = _named_by_split(holding)
    if named:
        return named
    pair = guess_pair(folder, holding, notes)
    if pair is not None:
        return [Part(images=pair[0], masks=pair[1])]
    own = image_files(folder, recursive=False)
    masks = [item for item in holding if MASK_NAME.search(item.name)]
    if own and masks and masks == holding:
        return [Part(images=folder, masks=only(folder, masks, "masks"))]
    if own and (not holding or depth == 0 or _ends_alike(own)):
        return [Part(images=folder, masks=folder)]
    if depth == 0:
        return []
    splits = [item for item in holding if is_split(item)]
    found = _in_splits(splits, holding, depth, notes) if splits else []
    if not found and len(holding) == 1:
        name = f"{holding[0].name}/" if inside else ""
        inner = _discover(holding[0], depth - 1, notes, inside=inside)
        return [replace(part, prefix=name + part.prefix) for part in inner]
    found = found or _in_cases(holding, depth, notes)
    return found or ([Part(images=folder, masks=folder)] if own else [])


def _named_by_split(holding: list[Path]) -> list[Part]:
    """Returns the parts of `train_images` beside `train_masks`, and so on; [] where folders are not named so."""
    parts = []
    for split in dict.fromkeys(split_of(item.name) for item in holding):
        if split is None:
            continue
        ours = [item for item in holding if split_of(item.name) == split]
        masks = [item for item in ours if MASK_NAME.search(item.name)]
        images = [item for item in ours if item not in masks]
        if len(masks) == 1 and len(images) == 1:
            name = images[0].name
            parts.append(Part(images=images[0], masks=masks[0], split=split, prefix=f"{name}/"))
        elif len(images) == 1 and image_files(images[0], recursive=False):
            parts.append(Part(images=images[0], masks=images[0], split=split, prefix=f"{images[0].name}/"))
        elif images or masks:
            return []
    if len(parts) == 1 and len(holding) == 2:
        return [replace(parts[0], split=None, prefix="")]  # ISIC-2017_Training_Data and its ..._GroundTruth
    return parts if any(not part.mixed for part in parts) else []


def _in_splits(splits: list[Path], holding: list[Path], depth: int, notes: list[str]) -> list[Part]:
    """Returns the parts in the folders train, val and test; a folder without masks is one whose part is mixed."""
    parts: list[Part] = []
    for folder in splits:
        masks = _beside(folder, holding)
        inner = (
            [Part(images=folder, masks=masks)]
            if masks is not None
            else _discover(folder, depth - 1, notes, inside=True)
        )
        for part in inner or [Part(images=folder, masks=folder)]:
            prefix = f"{folder.name}/{part.prefix}"
            group = None if part.group is None else f"{folder.name}/{part.group}"
            parts.append(replace(part, split=split_of(folder.name), prefix=prefix, group=group))
    if any(part.group is not None for part in parts):  # a part of one case has a group, too
        parts = [
            replace(part, group=part.group or (part.prefix.rstrip("/") if part.prefix.count("/") > 1 else None))
            for part in parts
        ]
    return parts


def _beside(folder: Path, holding: list[Path]) -> Path | None:
    """Returns `train_masks` or `trainannot` for `train`; None where there is no such folder."""
    found = [
        item
        for item in holding
        if item != folder and item.name.lower().startswith(folder.name.lower()) and MASK_NAME.search(item.name)
    ]
    return found[0] if len(found) == 1 else None


def _in_cases(holding: list[Path], depth: int, notes: list[str]) -> list[Part]:
    """Returns the parts of folders that are cases, patients or sites of one set: all laid out alike; else []."""
    found: dict[Path, list[Part]] = {}
    asked: list[ChoiceError] = []
    for folder in holding:
        try:
            found[folder] = _discover(folder, depth - 1, [], inside=True)
        except ChoiceError as error:
            asked.append(error)
            found[folder] = []
    if asked and len(asked) == len(holding):
        raise asked[0]  # each case has the same question
    if len({_own_lists(folder) for folder in holding}) > 1:
        return []  # sets with classes of their own
    shapes: dict[Path, set[tuple[str, str]]] = {
        folder: {_shape(part, folder) for part in parts if _is_labelled(part)} for folder, parts in found.items()
    }
    labelled = [folder for folder, shape in shapes.items() if shape]
    if len(labelled) < 2 or len({frozenset(shapes[folder]) for folder in labelled}) > 1:
        return []
    by_finding = {folder.name.lower() for folder in holding} <= FINDINGS
    parts = []
    for folder in holding:
        for part in found[folder] or [Part(images=folder, masks=folder)]:
            inner = part.group or (part.prefix.rstrip("/") if part.split is None else "")
            group = None if by_finding else "/".join(filter(None, (folder.name, inner)))
            parts.append(replace(part, prefix=f"{folder.name}/{part.prefix}", group=group))
    notes.append(
        message(
            "{n} folders laid out alike were read as one set: {names}",
            n=len(labelled),
            names=listed([folder.name for folder in labelled], _CASES_SHOWN),
        )
    )
    return parts


def _own_lists(folder: Path) -> frozenset[tuple[str, bytes]]:
    """Returns the lists of classes right in a folder, with what they hold."""
    return frozenset(
        (path.name, path.read_bytes()) for path in folder.iterdir() if _CLASS_LIST.search(path.name) and path.is_file()
    )


def _is_labelled(part: Part) -> bool:
    return not part.mixed or _ends_alike(image_files(part.images))


def _ends_alike(files: Sequence[Path]) -> bool:
    """Returns whether files in one folder are images beside masks by their names, at least for a part of them."""
    stems = {path.stem.lower() for path in files}
    return len(stems) < len(files) or any(
        MASK_NAME.search(path.stem) and len(_before_mask(path.stem.lower(), stems)) > 0 for path in files
    )


def _before_mask(stem: str, stems: set[str]) -> list[str]:
    """Returns other names in the folder that a mask's name may belong to: `x` or `x_sat` for `x_mask`, `image`."""
    at = [match.start() for match in MASK_NAME.finditer(stem)]
    begin = stem[: at[-1]].rstrip("_-. ") if at else stem
    return [name for name in stems if name != stem and name.startswith(begin) and not MASK_NAME.search(name)]


def _shape(part: Part, folder: Path) -> tuple[str, str]:
    """Returns where a case's images and masks lie, without the case's own name: the same for cases of one set."""
    name = re.compile(re.escape(folder.name), re.IGNORECASE)
    images, masks = (
        name.sub("*", path.relative_to(folder).as_posix().lower()) if path != folder else ""
        for path in (part.images, part.masks)
    )
    return images, masks


def _nothing_found(root: Path) -> str:
    holding = image_folders(root)
    if holding:
        return message(
            "cannot tell images from masks among the folders {names}; name them with {images} and {masks}",
            names=shorten(item.name for item in holding),
            images=set_option("images"),
            masks=set_option("masks"),
        )
    others = other_pictures(root)
    if others:
        return message(
            "expected images and masks, but no image file that can be read is in this folder or below it, only "
            "{others}; convert them to PNG",
            others=others,
        )
    return message("expected images and masks, but no image file is in this folder or below it")
