"""Which of the folders beside each other hold the images and which the masks: by names and by what they hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.folder_names import IMAGE_NAME, MASK_NAME, SPLIT_WORDS, is_split
from segbench.data.formats.shared.listing import image_files, subfolders
from segbench.data.formats.shared.looks import contents, looks_like_labels, looks_like_pictures, other_pictures
from segbench.errors import ChoiceError, DatasetError
from segbench.locale import join, message


def image_folders(folder: Path) -> list[Path]:
    """Returns the folders right below that hold image files, themselves or deeper."""
    return [item for item in subfolders(folder) if image_files(item)]


def find_pair(folder: Path, images: str | None, masks: str | None) -> tuple[Path, Path]:
    """Returns the images' and the masks' folder, of which the user names at least one.

    Raises:
        DatasetError: none or several could be the other one.
    """
    if images is not None and masks is not None:
        return folder / images, folder / masks
    given = [folder / name for name in (images, masks) if name is not None]
    others = [item for item in image_folders(folder) if not any(item == path or item in path.parents for path in given)]
    if images is not None:
        found = [item for item in others if MASK_NAME.search(item.name)]
        return folder / images, _unwrapped(folder, only(folder, found or others, "masks"), "masks")
    assert masks is not None, "the caller has looked"
    found = [item for item in others if not MASK_NAME.search(item.name)] or others
    found = [item for item in found if IMAGE_NAME.match(item.name)] or found
    if len(found) > 1:
        found = [item for item in found if not looks_like_labels(image_files(item))] or found
    return _unwrapped(folder, only(folder, found, "images"), "images"), folder / masks


def guess_pair(folder: Path, holding: list[Path], notes: list[str]) -> tuple[Path, Path] | None:
    """Returns the images' and the masks' folder, by their names or by what they hold; None where nothing tells.

    Raises:
        DatasetError: several folders could hold the masks, or the images.
    """
    if any(item.name == "SegmentationClass" for item in holding):  # what else VOC has holds objects, not classes
        holding = [item for item in holding if not item.name.startswith("SegmentationObject")]
    masks = [item for item in holding if MASK_NAME.search(item.name)]
    others = [item for item in holding if item not in masks and item.name.lower() not in SPLIT_WORDS]
    images = [item for item in others if IMAGE_NAME.match(item.name)]
    if masks and not others:
        _check_readable(folder, masks)
    if masks and others:
        rivals = _rivals([item for item in others if item not in images], images or others)
        images = images or [item for item in others if item not in rivals] or others
        masks = sorted({*masks, *(item for item in rivals if item not in images)})
    elif len(others) >= 2 and len(others) == len(holding):
        images, masks = _by_values(others, notes)
    if not masks or not images:
        return None
    pair = only(folder, images, "images"), only(folder, masks, "masks")
    return _unwrapped(folder, pair[0], "images"), _unwrapped(folder, pair[1], "masks")


def _rivals(folders: list[Path], images: list[Path]) -> list[Path]:
    """Returns the folders not named like masks that could be the labels: as many files as there are images, few values.

    A field of view, named `mask`, lies beside vessels in `1st_manual`.
    """
    pictures = max((image_files(item) for item in images), key=len, default=[])
    return [
        item
        for item in folders
        if 2 * len(files := image_files(item)) >= len(pictures)
        and _of_the_same(pictures, files)
        and looks_like_labels(files)
    ]


def _of_the_same(images: Sequence[Path], files: Sequence[Path]) -> bool:
    """Returns whether half of the files are named like images, at least in their first or last piece."""
    pieces = [[re.split(r"[_\-. ]", path.stem.lower()) for path in paths] for paths in (images, files)]
    for read in ("".join, itemgetter(0), itemgetter(-1)):
        ours, theirs = ({read(names) for names in side} for side in pieces)
        if len(ours) > 1 and 2 * len(ours & theirs) >= len(files):
            return True
    return False


def _by_values(folders: list[Path], notes: list[str]) -> tuple[list[Path], list[Path]]:
    """Returns (images, masks) of folders whose names say nothing, where they hold files of the same names."""
    files = [image_files(folder) for folder in folders]
    if not all(_of_the_same(files[0], other) for other in files[1:]):
        return [], []
    masks = [folder for folder in folders if looks_like_labels(image_files(folder))]
    images = [folder for folder in folders if looks_like_pictures(image_files(folder))]
    if len(images) != 1 or len(images) + len(masks) < len(folders):
        return [], []
    if len(masks) == 1:
        notes.append(
            message(
                "{masks}/ was taken for the masks by its few values: {held}",
                masks=masks[0].name,
                held=contents(image_files(masks[0])),
            )
        )
    return images, masks


def _check_readable(folder: Path, masks: list[Path]) -> None:
    """Raises DatasetError where the images are there, in files that cannot be read."""
    for item in subfolders(folder):
        found = other_pictures(item) if item not in masks and not image_files(item) else ""
        if found:
            raise DatasetError(
                message(
                    "{masks}/ holds masks, but {images}/ holds no image file that can be read, only {found}; convert "
                    "them to PNG or JPEG under the same names",
                    masks=masks[0].name,
                    images=item.name,
                    found=found,
                ),
                path=folder,
            )


def _unwrapped(root: Path, folder: Path, option: str) -> Path:
    """Returns `annotations/trimaps` for `annotations` that holds images in that one folder only.

    Raises:
        DatasetError: it holds several folders that are no parts and could each be meant.
    """
    holding = image_folders(folder)
    if image_files(folder, recursive=False) or any(is_split(item) for item in holding):
        return folder
    if len(holding) == 1:
        return _unwrapped(root, holding[0], option)
    several = [item for item in holding if MASK_NAME.search(item.name) or re.search("colou?r", item.name, re.I)]
    if option == "masks" and len(several) == len(holding):
        return only(root, holding, option)
    return folder


def only(folder: Path, found: list[Path], option: str) -> Path:
    """Returns the one folder that was found for an option.

    Args:
        folder: below which the option names it.
    Raises:
        ChoiceError: several were found; DatasetError: none.
    """
    if len(found) == 1:
        return found[0]
    if not found:
        raise DatasetError(
            message(
                "found no folder that could hold the {option}; name it with {choice}",
                option=option,
                choice=set_option(option),
            ),
            path=folder,
        )
    files = {item.relative_to(folder).as_posix(): image_files(item) for item in found}
    choices = {name: contents(paths) if option == "masks" else "" for name, paths in files.items()}
    text = message(
        "{n} folders could hold the {option} ({names}); choose with {choice}",
        n=len(found),
        option=option,
        names=", ".join(choices),
        choice=set_option(option, yaml_text(next(iter(choices)))),
    )
    held = [message("{name} holds {held}", name=name, held=held) for name, held in choices.items() if held]
    raise ChoiceError(join("; ", [text, *held]), option=option, choices=choices, path=folder)
