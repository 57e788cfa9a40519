"""Which mask belongs to which image: by name, minus a suffix or prefix that most of the files carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from segbench.errors import shorten

MASK_WORDS = (
    "segmentation",
    "annotation",
    "annotations",
    "groundtruth",
    "lesion",
    "labels",
    "label",
    "masks",
    "mask",
    "trimap",
    "seg",
    "gt",
)
_IMAGE_WORDS = ("image", "img", "color", "colour", "photo", "rgb")
SEPARATORS = ("_", "-", ".", " ")

Rename = Callable[[str], str]


def file_key(path: Path, folder: Path) -> str:
    """Returns the path below `folder` without its last suffix, with forward slashes."""
    return path.relative_to(folder).with_suffix("").as_posix()


def find_renames(images: Sequence[str], masks: Sequence[str], mask_suffix: str | None) -> tuple[Rename, Rename]:
    """Returns (image key -> id, mask key -> id): the pair of shortenings under which most names agree.

    Args:
        images, masks: keys as `file_key` gives them.
        mask_suffix: given by the user; else common ones (`_mask`, `_segmentation`, ...) are tried.
    """
    if not mask_suffix and set(images) == set(masks):
        return _same, _same
    image_cut = _common_affix(images, _IMAGE_WORDS)
    mask_cut = _suffix_cut(mask_suffix) if mask_suffix else _common_affix(masks, MASK_WORDS)
    attempts: list[tuple[Rename, Rename]] = [(_same, mask_cut), (image_cut, mask_cut)]
    if not mask_suffix:
        attempts = [(_same, _same), *attempts, (image_cut, _same)]

    def agreement(cuts: tuple[Rename, Rename]) -> int:
        return len({cuts[0](key) for key in images} & {cuts[1](key) for key in masks})

    return max(attempts, key=agreement)  # the first of equals, so names are cut only where that pairs more


def unpaired_text(images: Sequence[str], masks: Sequence[str], bare: Sequence[str], orphans: Sequence[str]) -> str:
    """Returns one sentence about images without a mask (`bare`) and masks without an image (`orphans`)."""
    parts = []
    if bare:
        parts.append(f"{len(bare)} of {len(images)} images have no mask: {shorten(bare, 6)}")
    if orphans:
        parts.append(f"{len(orphans)} of {len(masks)} masks have no image: {shorten(orphans, 6)}")
    return "; ".join(parts)


def _same(key: str) -> str:
    return key


def _suffix_cut(suffix: str) -> Rename:
    return lambda key: key[: -len(suffix)] if key.lower().endswith(suffix.lower()) and key != suffix else key


def _prefix_cut(prefix: str) -> Rename:
    def cut(key: str) -> str:
        folder, slash, name = key.rpartition("/")
        if not name.lower().startswith(prefix) or name.lower() == prefix:
            return key
        return f"{folder}{slash}{name[len(prefix) :]}"

    return cut


def _common_affix(keys: Sequence[str], words: Sequence[str]) -> Rename:
    """Returns what takes off the suffix or prefix that more than half of the keys carry, or changes nothing."""
    cuts = [_suffix_cut(f"{sep}{word}") for word in words for sep in SEPARATORS]
    cuts += [_prefix_cut(f"{word}{sep}") for word in words for sep in SEPARATORS]
    best = max(cuts, key=lambda cut: sum(cut(key) != key for key in keys))
    return best if sum(best(key) != key for key in keys) * 2 > len(keys) else _same
