"""Masks in a folder a class, each with a file an image: what is asked about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.layout import split_of
from segbench.errors import DatasetError, shorten
from segbench.locale import message

_MOST = 0.5  # of the images have a file in one of the folders


def check_class_folders(images: Collection[str], masks: Iterable[str], folder: Path, root: Path) -> None:
    """Raises DatasetError where the masks lie in several folders, each with masks of the images' names.

    Args:
        images, masks: ids, as far as they could be cut.
        folder: of the masks.
        root: of the data set.
    """
    known = set(images)
    found: dict[str, set[str]] = defaultdict(set)
    for name in masks:
        first, slash, rest = name.partition("/")
        if slash and rest in known and name not in known and split_of(first) is None:
            found[first].add(rest)
    often = [name for name, held in found.items() if len(held) >= _MOST * len(known)]
    if len(found) < 2 or not often:
        return
    place = folder.relative_to(root).as_posix()
    raise DatasetError(
        message(
            "{folder} holds {n} folders with a mask an image each ({names}); if each is a class, set {task}; if one "
            "of them holds the labels, choose it with {masks}",
            folder=place,
            n=len(found),
            names=shorten(sorted(found), 6),
            task=set_option("task", "multilabel"),
            masks=set_option("masks", f"{place}/{often[0]}"),
        ),
        path=root,
    )
