"""Long lists of file names in a few lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from segbench.locale.message import message

_FEW = 4  # names of one pattern that are rather written out
_NUMBER = re.compile(r"\d+")


def folded(names: Sequence[str], limit: int) -> list[str]:
    """Returns all names where they are at most `limit`; else a line for those that differ in their numbers alone.

    A folded line has the first and the last name and how many there are. Lines beyond `limit` are counted in the last.

    >>> folded([f"images/IMG_{number:04d}.jpg" for number in range(1, 757)], 8)
    ['images/IMG_0001.jpg ... IMG_0756.jpg (756 files)']
    """
    if len(names) <= limit:
        return list(names)
    patterns: dict[str, list[str]] = {}
    for name in names:
        folder, slash, file = name.rpartition("/")
        patterns.setdefault(f"{folder}{slash}{_NUMBER.sub('#', file)}", []).append(name)
    lines: list[tuple[str, int]] = []
    for alike in patterns.values():
        if len(alike) < _FEW:
            lines += [(name, 1) for name in alike]
            continue
        first, last = alike[0], alike[-1].rpartition("/")[2]
        lines.append((message("{first} ... {last} ({n} files)", first=first, last=last, n=len(alike)), len(alike)))
    shown = [line for line, _ in lines[:limit]]
    more = sum(count for _, count in lines[limit:])
    return [*shown, message("and {n} more", n=more)] if more else shown
