"""Which kinds of files a folder holds, by their names, looked up quickly; and packages that few data sets need."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType

from segbench.data.formats.shared.listing import IMAGE_SUFFIXES
from segbench.errors import DatasetError
from segbench.locale import message

_DEPTH = 4  # of folders that are looked through
_MOST = 2000  # files that are looked at to recognise a folder


def files_of(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Returns the visible files below a folder whose names end so, sorted."""
    found = (Path(folder, name) for folder, name in _walk(root) if name.lower().endswith(tuple(suffixes)))
    return sorted(found)


def mostly(root: Path, suffixes: Sequence[str], *, equal: bool = False) -> int:
    """Returns how many files in the first folders end so; 0 where there are as many pictures, or more.

    Args:
        equal: as many pictures may be there, which are the masks.
    """
    wanted, pictures = tuple(suffixes), tuple(IMAGE_SUFFIXES)
    found = images = 0
    for _, name in islice(_walk(root, _DEPTH), _MOST):
        fits = name.lower().endswith(wanted)
        found += fits
        images += not fits and name.lower().endswith(pictures)
    return found if found > images or (equal and found == images) else 0


def first_file(root: Path) -> Path | None:
    """Returns the first visible file in the first folders."""
    return next((Path(folder, name) for folder, name in _walk(root, _DEPTH)), None)


def _walk(root: Path, depth: int = 99) -> Iterator[tuple[str, str]]:
    """Yields (folder, name) of the visible files; a path of each takes ten times as long."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if len(Path(folder).relative_to(root).parts) >= depth:
            below[:] = []
        yield from ((folder, name) for name in sorted(names) if not name.startswith("."))


def needed(package: str, extra: str, what: str, root: Path) -> ModuleType:
    """Returns an optional package.

    Args:
        extra: of segbench, that brings it.
        what: the folder holds, such as "12 NIfTI volumes".
    Raises:
        DatasetError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise DatasetError(
            message("this folder holds {what}; to read them: pip install 'segbench[{extra}]'", what=what, extra=extra),
            path=root,
        ) from error
