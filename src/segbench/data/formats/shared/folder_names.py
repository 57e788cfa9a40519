"""What folders' names say: images, masks, and official parts."""

from __future__ import annotations

import re
from pathlib import Path

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

MASK_NAME = re.compile(
    r"mask|label|annot|ground.?truth|segm|trimap|lesion|(^|[_-])(gts?|anns?|gtfine|gtcoarse)([_-]|$)", re.IGNORECASE
)
IMAGE_NAME = re.compile(
    r"^((images?|imgs?|colou?r|jpegimages|photos?|rgb|inputs?|leftimg8bit)|(images?|imgs?)[_-]dir)$", re.IGNORECASE
)

# Folders named so sort images by what they show; images of such a folder are no group that belongs together.
FINDINGS = frozenset(
    {"benign", "malignant", "normal", "abnormal", "healthy", "positive", "negative", "good", "bad", "defect"}
)


def split_of(name: str) -> SplitName | None:
    """Returns the official part that a file's or folder's name says: `instances_val2017` -> val."""
    words = re.findall(r"[a-z]+", name.lower())
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else None


def is_split(folder: Path) -> bool:
    """Returns whether a folder's name says that it is an official part, and not the masks of one."""
    if MASK_NAME.search(folder.name) and folder.name.lower() not in SPLIT_WORDS:
        return False
    return split_of(folder.name) is not None
