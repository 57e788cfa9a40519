"""What a folder of predicted masks says about itself: `classes.json` beside them. Imports no torch.

Whoever reads a mask of 0 and 1 cannot see whether those are class indices or the values of some data set's own masks.
"""

from __future__ import annotations

import json
from pathlib import Path

from segbench.errors import DatasetError
from segbench.files import write_json
from segbench.speech import argument
from segbench.types import ClassMap

MARKER = "classes.json"
_INDICES = "class indices"


def mark_indices(folder: str | Path, class_map: ClassMap) -> None:
    """Writes into a folder of masks that they hold class indices (multilabel: 0 and 1), and of which classes."""
    write_json(Path(folder) / MARKER, {"classes": list(class_map.names), "written_as": _INDICES})


def holds_indices(folder: str | Path, class_map: ClassMap) -> bool:
    """Tells whether a folder says that its masks hold class indices; False where it says nothing.

    Args:
        folder: of the masks.
        class_map: the classes that they should be of.
    Raises:
        DatasetError: what it says cannot be read, or its masks are of other classes.
    """
    file = Path(folder) / MARKER
    if not file.is_file():
        return False
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        names, written_as = list(plain["classes"]), plain["written_as"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"expected what `segbench predict` wrote about the masks, got {type(error).__name__}: {error}"
        raise DatasetError(
            f"{message}; predict again, or delete this file and say {argument('masks')}", path=file
        ) from error
    if names != list(class_map.names):
        there, here = ", ".join(map(str, names)), ", ".join(class_map.names)
        raise DatasetError(f"the masks are of the classes {there}, the test images of {here}", path=file)
    if written_as != _INDICES:
        message = f"expected masks written as {_INDICES}, got {written_as!r}"
        either = f"{argument('masks', 'values')} or {argument('masks', 'indices')}"
        raise DatasetError(f"{message}; delete this file and say {either}", path=file)
    return True
