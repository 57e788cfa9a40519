"""Lists that say which mask belongs to which image, a pair a line: they are compared with the pairs by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from segbench.data.formats.shared.image_names import head
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES, Entry
from segbench.errors import DatasetError
from segbench.locale import message

_SUFFIXES = (".txt", ".csv", ".lst")
_MOST_LISTS = 20
_BETWEEN = re.compile(r"[\t,;]| +(?=\S+$)")  # of a line's image and mask


def check_pair_lists(root: Path, entries: Sequence[Entry]) -> None:
    """Raises DatasetError where a list beside the images pairs them with other masks than their names do.

    Lists as of PaddleSeg (`images/a.jpg labels/a.png`) and tables of two columns are compared as far as both files are
    there; the first 64 kB of each.
    """
    masks = {entry.image: entry.mask for entry in entries if isinstance(entry.mask, Path)}
    for path in sorted(path for path in root.iterdir() if path.suffix.lower() in _SUFFIXES)[:_MOST_LISTS]:
        pairs = [(image, mask) for image, mask in _pairs(path, root) if image in masks]
        other = [(image, mask) for image, mask in pairs if masks[image] != mask]
        if other:
            image, mask = other[0]
            raise DatasetError(
                message(
                    "{list} pairs {n} of {total} images with other masks than their names do: {image} with {mask}, by "
                    "name {named}; if the list is right, rename the masks as it says, else take it out of this folder",
                    list=path.name,
                    n=len(other),
                    total=len(pairs),
                    image=image.relative_to(root).as_posix(),
                    mask=mask.relative_to(root).as_posix(),
                    named=masks[image].relative_to(root).as_posix(),
                ),
                path=root,
            )


def _pairs(path: Path, root: Path) -> Iterator[tuple[Path, Path]]:
    """Yields the image and the mask of each line that names two image files that are there."""
    for line in head(path).splitlines():
        parts = [part.strip().strip('"') for part in _BETWEEN.split(line.strip())]
        if len(parts) == 2 and all(part.lower().endswith(tuple(IMAGE_SUFFIXES)) for part in parts):
            image, mask = (root / part.lstrip("/") for part in parts)
            if image.is_file() and mask.is_file():
                yield image, mask
