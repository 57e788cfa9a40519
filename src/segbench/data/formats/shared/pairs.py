"""Which files belong together: pairs by name, what is told of files without partner, and groups of samples."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.listing import Entry
from segbench.data.formats.shared.pairing import unpaired_text
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import message, plural


def paired(
    images: Mapping[str, Path], masks: Mapping[str, Path], root: Path, unpaired: str, notes: list[str]
) -> list[str]:
    """Returns the names that have an image and a mask, sorted; the others are an error, or with `skip` a note.

    Raises:
        DatasetError: files without partner, or none that has one.
    """
    check_unpaired(images, masks, root, unpaired, notes)
    return sorted(images.keys() & masks.keys())


def check_unpaired(
    images: Mapping[str, Any],
    masks: Mapping[str, Any],
    root: Path,
    unpaired: str,
    notes: list[str],
    *,
    by_suffix: bool = False,
    elsewhere: Callable[[Collection[str]], str] | None = None,
    proposal: str = "",
) -> None:
    """Adds a note on the names that have no partner, when `unpaired` is `skip`.

    Args:
        by_suffix: the reader has the option `mask_suffix`, which may help.
        elsewhere: names without folder and suffix -> "12 .heic files" that have these names, and are not read.
        proposal: options under which more names would agree, ready to be set.
    Raises:
        DatasetError: files without partner unless they are skipped, or none that has one.
    """
    others = ""
    bare, orphans = sorted(set(images) - set(masks)), sorted(set(masks) - set(images))
    if orphans and elsewhere is not None:
        others = elsewhere({PurePosixPath(name).name for name in orphans})
    if others:
        others = message(
            "; there are {others} of these masks' names, which are not read: convert them to PNG or JPEG", others=others
        )
    if len(bare) == len(images):
        options = f"set {proposal or set_option('mask_suffix')}, or check the options images and masks"
        raise DatasetError(
            f"no image has a mask of its name: {len(images)} images named like {shorten(bare, 3)}, {len(masks)} masks "
            f"named like {shorten(orphans, 3)}; {options if by_suffix else 'check the folders'}{others}",
            path=root,
        )
    text = unpaired_text(list(images), list(masks), bare, orphans)
    if text and unpaired == "error":
        suffix = f"set {set_option('mask_suffix')}, " if by_suffix else ""
        raise DatasetError(
            f"{text}; mend the names, {suffix}or leave these files out with {set_option('unpaired', 'skip')}{others}",
            path=root,
        )
    if text:
        notes.append(f"{text}; left out")


def without_labels(number: int, folder: str) -> str:
    """Returns the note on a part that holds images only."""
    return plural(
        "{n} image without labels in {folder}/, for predict",
        "{n} images without labels in {folder}/, for predict",
        n=number,
        folder=folder,
    )


def with_groups(entries: Sequence[Entry], group: str | None, root: Path) -> tuple[Entry, ...]:
    """Returns the entries with the group that the user's pattern finds in their ids; unchanged without a pattern."""
    pattern = check_pattern(group)
    if pattern is None:
        return tuple(entries)
    groups = find_groups([entry.id for entry in entries], pattern, root)
    return tuple(replace(entry, group=groups[entry.id]) for entry in entries)


def check_pattern(group: str | None) -> re.Pattern[str] | None:
    """Returns the compiled pattern; ConfigError where it is none, or has not exactly one group."""
    if group is None:
        return None
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ConfigError(f"not a regular expression: {group!r} ({error})", key="data.options.group") from error
    if pattern.groups != 1:
        raise ConfigError(
            f"expected one group in the pattern, as in '^(patient\\d+)_', got {pattern.groups} in {group!r}",
            key="data.options.group",
        )
    return pattern


def find_groups(ids: Sequence[str], pattern: re.Pattern[str], root: Path) -> dict[str, str]:
    """Returns id -> group; DatasetError where the pattern finds none in an id."""
    matches = {name: pattern.search(name) for name in ids}
    without = [name for name, match in matches.items() if match is None or match[1] is None]
    if without:
        raise DatasetError(
            f"the pattern {pattern.pattern!r} (option group) finds no group in {len(without)} of {len(ids)} ids: "
            f"{shorten(without, 6)}",
            path=root,
        )
    return {name: match[1] for name, match in matches.items() if match is not None}
