"""Images of more than 8 bit: which values mean black and white is asked before anything else is read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from segbench.data.facts.store import FactStore
from segbench.data.files.images import deep_ranges, file_look, too_deep
from segbench.data.formats.shared.listing import Listing
from segbench.errors import DatasetError

_LOOKED_AT = 8  # images whose headers tell whether there are deep ones
_DECODED = 200  # images, spread over the set, whose values are looked at


def ask_depth(listing: Listing, root: Path) -> None:
    """Raises DatasetError, with the range that fits them, where images hold more than 8 bit and nobody has said it."""
    if listing.depth_range is not None or listing.bands is not None:
        return
    images = list(dict.fromkeys(entry.image for entry in listing.entries))
    if not any(map(_is_deep, images[:: max(1, len(images) // _LOOKED_AT)])):
        return
    some = images[:: max(1, len(images) // _DECODED)]
    _, problems = FactStore(listing.root or root).images(some, depth_range=None, decode=True)
    ranges = deep_ranges(reason for _, reason in problems)
    if ranges:
        raise DatasetError(too_deep(ranges, len(some)), path=root)


def _is_deep(path: Path) -> bool:
    with suppress(DatasetError):  # what cannot be read is told by the reading itself
        return file_look(path).deep
    return False
