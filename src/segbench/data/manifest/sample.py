"""Small steps by which a manifest's samples are made, whatever they are stored in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segbench.data.files.images import deep_ranges, too_deep
from segbench.data.formats import Entry
from segbench.data.manifest.manifest import Manifest
from segbench.errors import DatasetError
from segbench.locale import join
from segbench.types import SPLITS, ClassMap, SplitName, Task

LISTED = 10  # files named in one error
CHANGED = "{} has changed since the manifest was made; read the data set again"


def foreground_frac(counted: Mapping[int, int], class_map: ClassMap) -> float | None:
    """Returns the share of the counted pixels that are not background; None where there is no background.

    Args:
        counted: pixels a class index, ignored ones under `ignore_index`.
    """
    if class_map.background is None or class_map.task is Task.MULTILABEL:
        return None
    total = sum(pixels for position, pixels in counted.items() if position != class_map.ignore_index)
    return 1.0 - counted.get(class_map.background, 0) / total if total else None


def relative_name(path: Path, root: Path) -> str:
    """Returns a path below `root` with forward slashes; DatasetError for one outside."""
    if not path.is_relative_to(root):
        raise DatasetError(f"expected files below {root}, got one outside", path=path)
    name = path.relative_to(root).as_posix()
    if not name.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in name):
        raise DatasetError("the file's name is not UTF-8; rename it", path=path.parent / ascii(path.name))
    return name


def size_text(height: int, width: int, mask_height: int, mask_width: int) -> str:
    """Returns how a mask's size differs from its image's, and what may have happened."""
    text = f"the mask is {mask_height} x {mask_width} pixels (height x width), its image {height} x {width}"
    if (mask_height, mask_width) == (width, height):
        return (
            f"{text}: the sides are swapped; one of the two was rotated, or its EXIF orientation was lost: save both "
            "upright"
        )
    if mask_height * width == mask_width * height:
        return f"{text}: the same picture at {mask_height / height:.4g} times the size; resize one (masks: nearest)"
    return f"{text}; they are not of the same picture, or one was cropped: check the pairing"


def raise_problems(problems: Sequence[tuple[Path, str]], root: Path, total: int) -> None:
    """Raises DatasetError for (file, reason) of files that cannot be used; the first ones are named.

    Args:
        total: image/mask pairs there are.
    """
    if not problems:
        return
    ranges = deep_ranges(why for _, why in problems)
    others = [(path, why) for path, why in problems if not deep_ranges([why])]
    lines = [f"  {path.relative_to(root) if path.is_relative_to(root) else path}: {why}" for path, why in others]
    if ranges:  # the same question for each of them
        raise DatasetError(join("\n", [too_deep(ranges, total), *([_first(lines)] if lines else [])]), path=root)
    raise DatasetError(
        f"{len(problems)} file{'s' if len(problems) > 1 else ''} of {total} image/mask pairs cannot be used:\n"
        f"{_first(lines)}",
        path=root,
    )


def raise_undecodable(problems: Sequence[str], manifest: Manifest, kept: str) -> None:
    """Raises DatasetError for samples that cannot be decoded, a text each; `kept` says what of the others remains."""
    if problems:
        lines = _first([f"  {problem}" for problem in problems])
        raise DatasetError(
            f"{len(problems)} of {len(manifest.samples)} samples cannot be decoded:\n{lines}\n"
            f"mend or remove these files and read the data set again; {kept}",
            path=manifest.root,
        )


def _first(lines: Sequence[str]) -> str:
    return "\n".join([*lines[:LISTED], *[f"  and {len(lines) - LISTED} more"] * (len(lines) > LISTED)])


def shared_groups(entries: Sequence[Entry]) -> list[str]:
    """Returns a note where the official parts share groups."""
    parts: dict[str, set[SplitName]] = {}
    for entry in entries:
        if entry.group is not None and entry.split is not None:
            parts.setdefault(entry.group, set()).add(entry.split)
    shared = [
        f"{group} in {', '.join(split for split in SPLITS if split in found)}"
        for group, found in sorted(parts.items())
        if len(found) > 1
    ]
    if not shared:
        return []
    return [
        f"the official parts share groups, so scores may flatter ({'; '.join(shared)}); the official lists are kept"
    ]
