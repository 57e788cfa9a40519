"""Which folders hold the images and which the masks: the common layouts of an ordinary labelled folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segbench.data.files.hints import describe_value, set_option
from segbench.data.files.images import read_mask_values
from segbench.data.files.masks import count_values
from segbench.data.formats.shared.listing import image_files, missing_folder, subfolders
from segbench.errors import ChoiceError, DatasetError, shorten
from segbench.types import SplitName

SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}

MASK_NAME = re.compile(r"mask|label|annot|ground.?truth|segm|trimap|lesion|(^|[_-])gt([_-]|$)", re.IGNORECASE)
IMAGE_NAME = re.compile(r"^(images?|imgs?|colou?r|jpegimages|photos?|rgb|inputs?)$", re.IGNORECASE)
_DEPTH = 3


@dataclass(frozen=True, kw_only=True)
class Part:
    """A folder of images and its folder of masks (the same one where masks have a suffix); `split` by its name."""

    images: Path
    masks: Path
    split: SplitName | None = None
    prefix: str = ""


def find_parts(root: Path, images: str | None, masks: str | None) -> list[Part]:
    """Returns where images and masks are: one part, or one for each of train, val and test.

    Args:
        images, masks: folder names given by the user, below `root` or below each split folder.
    Raises:
        DatasetError: a named folder is not there, several folders could be meant, or none holds images.
    """
    splits = [folder for folder in subfolders(root) if folder.name.lower() in SPLIT_WORDS]
    named = [name for name in (images, masks) if name is not None]
    if splits and not all((root / name).is_dir() for name in named):
        splits = [folder for folder in splits if all((folder / name).is_dir() for name in named)]
        if splits:
            return list(_split_parts(splits, images, masks))
    for name in named:
        if not (root / name).is_dir():
            raise missing_folder(root, name, "a folder given by the options images and masks")
    if named:
        pair = _find_pair(root, images, masks)
        return [Part(images=pair[0], masks=pair[1])]
    return _discover(root, splits, _DEPTH)


def _discover(root: Path, splits: list[Path], depth: int) -> list[Part]:
    pair = _guess_pair(root)
    if pair is not None:
        return [Part(images=pair[0], masks=pair[1])]
    inner = [folder for folder in splits if _guess_pair(folder) is not None]
    if inner:
        return list(_split_parts(inner, None, None))
    if image_files(root, recursive=False):
        return [Part(images=root, masks=root)]
    holding = [folder for folder in subfolders(root) if image_files(folder)]
    if len(holding) == 1 and depth:
        below = holding[0]
        return _discover(below, [item for item in subfolders(below) if item.name.lower() in SPLIT_WORDS], depth - 1)
    if splits:
        return [
            Part(
                images=folder,
                masks=_beside(folder, holding),
                split=SPLIT_WORDS[folder.name.lower()],
                prefix=f"{folder.name}/",
            )
            for folder in splits
            if image_files(folder)
        ]
    if not holding:
        raise DatasetError("expected images and masks, but no image file is in this folder or below it", path=root)
    raise DatasetError(
        f"cannot tell images from masks among the folders {shorten(item.name for item in holding)}; name them with "
        f"{set_option('images')} and {set_option('masks')}",
        path=root,
    )


def _beside(folder: Path, holding: list[Path]) -> Path:
    """Returns `train_masks` or `trainannot` for `train`, or `train` itself where there is no such folder."""
    found = [item for item in holding if item.name.startswith(folder.name) and MASK_NAME.search(item.name)]
    return found[0] if len(found) == 1 else folder


def _split_parts(folders: list[Path], images: str | None, masks: str | None) -> Iterator[Part]:
    for folder in folders:
        pair = _find_pair(folder, images, masks)
        yield Part(images=pair[0], masks=pair[1], split=SPLIT_WORDS[folder.name.lower()], prefix=f"{folder.name}/")


def _find_pair(folder: Path, images: str | None, masks: str | None) -> tuple[Path, Path]:
    if images is not None and masks is not None:
        return folder / images, folder / masks
    others = [item for item in subfolders(folder) if item.name not in (images, masks) and image_files(item)]
    if images is not None:
        found = [item for item in others if MASK_NAME.search(item.name)] or others
        return folder / images, _only(folder, found, "masks")
    if masks is not None:
        found = [item for item in others if not MASK_NAME.search(item.name)]
        found = [item for item in found if IMAGE_NAME.match(item.name)] or found
        return _only(folder, found, "images"), folder / masks
    pair = _guess_pair(folder)
    assert pair is not None, "the caller has looked"
    return pair


def _guess_pair(folder: Path) -> tuple[Path, Path] | None:
    """Returns the images' and the masks' folder by their names, or None where the names say nothing."""
    holding = [item for item in subfolders(folder) if image_files(item)]
    if any(item.name == "SegmentationClass" for item in holding):  # what else VOC has holds objects, not classes
        holding = [item for item in holding if not item.name.startswith("SegmentationObject")]
    masks = [item for item in holding if MASK_NAME.search(item.name)]
    images = [item for item in holding if item not in masks and item.name.lower() not in SPLIT_WORDS]
    images = [item for item in images if IMAGE_NAME.match(item.name)] or images
    if not masks or not images:
        return None
    return _unwrapped(_only(folder, images, "images")), _unwrapped(_only(folder, masks, "masks"))


def _unwrapped(folder: Path) -> Path:
    """Returns `annotations/trimaps` for `annotations` that holds images in that one folder only."""
    holding = [item for item in subfolders(folder) if image_files(item)]
    if len(holding) != 1 or holding[0].name.lower() in SPLIT_WORDS or image_files(folder, recursive=False):
        return folder
    return holding[0]


def _only(folder: Path, found: list[Path], option: str) -> Path:
    if len(found) == 1:
        return found[0]
    if not found:
        raise DatasetError(
            f"found no folder that could hold the {option}; name it with {set_option(option)}", path=folder
        )
    names = ", ".join(item.name for item in found)
    choices = {item.name: _contents(item) if option == "masks" else "" for item in found}
    held = "; ".join(f"{name} holds {contents}" for name, contents in choices.items() if contents)
    raise ChoiceError(
        f"{len(found)} folders could hold the {option} ({names}); choose with {set_option(option, found[0].name)}"
        + (f"; {held}" if held else ""),
        option=option,
        choices=choices,
        path=folder,
    )


def _contents(folder: Path) -> str:
    """Returns how many files a folder holds, and the values of the first one."""
    files = image_files(folder)
    try:
        counts, distinct = count_values(read_mask_values(files[0]))
    except DatasetError as error:
        return f"{len(files)} files, of which {files[0].name} cannot be read ({error.reason})"
    values = shorten((describe_value(value) for value in sorted(counts, key=lambda value: -counts[value])), 4)
    kind = "colours" if any(isinstance(value, tuple) for value in counts) else "values"
    return f"{len(files)} files, {files[0].name} with {distinct} {kind} ({values})"
