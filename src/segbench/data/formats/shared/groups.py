"""The option `group`: which samples belong together (patient, scene, video), by a pattern in their ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from segbench.errors import ConfigError, DatasetError, shorten


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
