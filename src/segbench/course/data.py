"""Where the real sets of a lesson lie, if they are there; without them a lesson draws its own."""

from __future__ import annotations

import os
from pathlib import Path

from segbench.errors import DatasetError

VARIABLE = "SEGBENCH_DATA"  # the folder with the real sets, a folder each


def real(name: str) -> Path | None:
    """Returns the folder of a real set, or None where the environment variable SEGBENCH_DATA names no place for it.

    Args:
        name: of the folder below SEGBENCH_DATA, as the lesson says it: `ph2`, `oxford_pets`.
    Raises:
        DatasetError: SEGBENCH_DATA is set, and is no folder: a slip that would train on drawn images without a word.
    Example:
        >>> real("a_set_that_nobody_has") is None
        True
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    root = Path(given)
    if not root.is_dir():
        raise DatasetError(f"{VARIABLE} should be the folder that holds the real sets, and is none", path=root)
    folder = root / name
    return folder if folder.is_dir() else None
