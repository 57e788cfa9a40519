"""TIFF files of many pages: a stack of slices, and a stack of their masks."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.formats.shared.cases import find_cases, tell_unpaired
from segbench.data.formats.shared.listing import Listing, choose
from segbench.data.formats.shared.scan import files_of, mostly
from segbench.data.formats.shared.unpacked import unpack_once
from segbench.data.formats.shared.volumes import (
    Grey,
    all_problems,
    as_bytes,
    as_labels,
    class_rule,
    slice_entries,
    slice_name,
    write_slice,
)
from segbench.errors import DatasetError
from segbench.locale import message, plural, quoted
from segbench.types import SplitName

SUFFIXES = (".tif", ".tiff")

_VERSION = 1
_SNIFFED = 8  # files that are opened to recognise a folder
_SUBFILE_TYPE = 254  # TIFF tag: bit 0 marks a smaller copy of a page, bit 2 a transparency mask
_NO_PAGES = 0b101
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, kw_only=True)
class Pages:
    """A stack and its labels, `pages` each."""

    id: str
    split: SplitName | None
    image: Path
    labels: Path
    pages: int

    @property
    def group(self) -> str:
        """What its pages belong to: the stack."""
        return self.id


def looks_like(root: Path) -> str | None:
    """Returns "TIFF stacks (...)" where most of the first TIFF files have pages of one size; opens their headers."""
    number = mostly(root, SUFFIXES)
    some = files_of(root, SUFFIXES)[:: max(1, number // _SNIFFED)][:_SNIFFED] if number else []
    stacks = [count for path in some if (count := _sniffed(path)) > 1]
    if not some or len(stacks) * 2 <= len(some):
        return None
    return plural("{n} TIFF file of {pages} pages", "{n} TIFF files of {pages} pages", n=number, pages=max(stacks))


def tiff_stack(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    background: str | bool | None = None,
    ignore: Sequence[Any] = (),
    window: Sequence[float] | str | None = None,
    depth_range: Sequence[float] | None = None,
    empty_slices: str = "keep",
    unpaired: str = "error",
    group: str | None = None,
) -> Listing:
    """Lists the pages of TIFF stacks: `images/` and `masks/` of equal names, or `volume.tif` and `volume-labels.tif`.

    They are unpacked once into the cache as PNG files, a page each.

    Args:
        images: name of the stacks' folder; None looks for the usual names.
        masks: name of the label stacks' folder; None looks for the usual names, and for files as `train-labels.tif`.
        classes: names in the order of the label values 0, 1, ...; or a mapping from name to value or colour. None
            takes them from the labels.
        background: name of the background class, false for none.
        ignore: label values that count nowhere.
        window: [centre, width] of the grey values that are told apart; `volume` gives each stack its own range.
        depth_range: the same as [low, high]. None of both: 0.5 % of all values of the set become black, 0.5 % white;
            pages of 8 bit stay as they are.
        empty_slices: `keep`, or `skip` pages without any label but 0.
        unpaired: `error`, or `skip` to leave out stacks without labels and labels without stack, with a note.
        group: pattern whose group in the id says what belongs together; None takes the stack.
    Raises:
        DatasetError: nothing to pair, files without partner, numbers of pages that differ, damaged files.
        ConfigError: an option's value.
    """
    grey = Grey.chosen(window, depth_range)
    choose(unpaired, ("error", "skip"), "unpaired")
    found = find_cases(files_of(root, SUFFIXES), root, images, masks, "TIFF")
    notes: list[str] = []
    tell_unpaired(found, root, unpaired, notes)
    stacks: list[Pages] = []
    problems: list[str] = []
    for case in found.cases:
        (image, *others) = case.channels.values()
        try:
            pages, labelled = _count(image), _count(case.labels)
        except DatasetError as error:
            problems.append(f"{Path(error.path).relative_to(root).as_posix()}: {error.reason}")
            continue
        if others:
            problems.append(message("{case}: {n} files could be its image", case=case.id, n=1 + len(others)))
        elif pages != labelled or not pages:
            problems.append(
                message(
                    "{case}: {image} has {pages} pages, {labels} {labelled}",
                    case=case.id,
                    image=image.relative_to(root).as_posix(),
                    pages=pages,
                    labels=case.labels.relative_to(root).as_posix(),
                    labelled=labelled,
                )
            )
        stacks.append(Pages(id=case.id, split=case.split, image=image, labels=case.labels, pages=pages))
    all_problems(problems, len(found.cases), message("stacks"), root)
    made = unpack_once(
        root,
        stacks,
        _Unpacking(stacks, grey).write,
        sources=[path for stack in stacks for path in (stack.image, stack.labels)],
        recipe={"tiff_stack": _VERSION, "grey": grey.recipe, "stacks": [stack.id for stack in stacks]},
    )
    number = sum(stack.pages for stack in stacks)
    notes.append(message("{n} pages of {stacks} TIFF files", n=number, stacks=len(stacks)))
    notes += _grey_note(made.facts, grey)
    return Listing(
        class_map=class_rule(root, classes, background, ignore),
        entries=slice_entries(made, stacks, empty_slices, group, root, notes),
        notes=tuple(notes),
        root=made.folder,
    )


def _grey_note(facts: Sequence[Mapping[str, Any]], grey: Grey) -> list[str]:
    low, high = facts[0]["grey_range"]
    if grey.by_volume or (low, high) == (0.0, 255.0):
        return []
    return [message("grey values: {low:g} to {high:g} become black and white", low=low, high=high)]


class _Unpacking:
    """Writes one stack after the other; the range of the whole set is measured before the first one."""

    def __init__(self, stacks: Sequence[Pages], grey: Grey) -> None:
        self._stacks, self._grey = stacks, grey

    @cached_property
    def limits(self) -> tuple[float, float] | None:
        """The range of all stacks; None where each has its own."""
        return self._grey.measured(page for stack in self._stacks for page in _pages(stack.image))

    def write(self, folder: Path, stack: Pages) -> dict[str, Any]:
        """Writes the pages of a stack; returns its facts."""
        limits = self.limits or self._grey.own_range(np.concatenate([page.ravel() for page in _pages(stack.image)]))
        slices = []
        for number, (page, labels) in enumerate(zip(_pages(stack.image), _pages(stack.labels), strict=True)):
            if page.shape[:2] != labels.shape[:2]:
                raise DatasetError(
                    message(
                        "page {number} has {height} x {width} pixels, its labels {other_height} x {other_width}",
                        number=number,
                        height=page.shape[0],
                        width=page.shape[1],
                        other_height=labels.shape[0],
                        other_width=labels.shape[1],
                    ),
                    path=stack.image,
                )
            values = labels[:, :, 0] if labels.ndim == 3 and (labels == labels[:, :, :1]).all() else labels
            image = page if page.dtype == np.uint8 and page.ndim == 3 else as_bytes(page, limits)
            name = slice_name(stack.id, number, stack.pages)
            slices.append(
                write_slice(folder, name, image, values if values.ndim == 3 else as_labels(values, stack.labels))
            )
        return {"id": stack.id, "slices": slices, "grey_range": limits}


def _pages(path: Path) -> Iterator[NDArray[Any]]:
    """Yields (H, W) values or (H, W, 3) colours of each page; DatasetError where one is damaged."""
    with _opened(path) as image:
        for frame in _frames(image):
            image.seek(frame)
            if image.mode == "1":
                yield np.asarray(image.convert("L"))
            elif image.mode in ("L", "P", "I", "F") or image.mode.startswith("I;16"):
                yield np.asarray(image)
            else:
                yield np.asarray(image.convert("RGB"))


def _sniffed(path: Path) -> int:
    """Returns how many pages a file has; 0 where it cannot be read, which the reader says."""
    try:
        return _count(path)
    except DatasetError:
        return 0


def _count(path: Path) -> int:
    """Returns how many pages of one size a file has; DatasetError where it cannot be read."""
    with _opened(path) as image:
        return len(_frames(image))


def _frames(image: Any) -> list[int]:
    """Returns the numbers of the pages; () where they differ in size, as in pictures kept at several scales."""
    frames, sizes = [], set()
    for frame in range(image.n_frames):
        image.seek(frame)
        if not int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & _NO_PAGES:
            frames.append(frame)
            sizes.add(image.size)
    return frames if len(sizes) == 1 else []


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("TIFF",)) as image:
                yield image
    except _UNREADABLE as error:
        raise DatasetError(
            message("not a TIFF file that can be read ({reason}); copy it again", reason=quoted(str(error))), path=path
        ) from error
