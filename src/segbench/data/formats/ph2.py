"""PH2: 200 dermoscopy cases, a skin lesion each (Mendonça et al. 2013)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.listing import Entry, Listing, image_files, missing_folder, subfolders
from segbench.data.formats.shared.published import choose_classes
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, Task

CLASS_MAP = ClassMap(names=("background", "lesion"), values=((0,), (255,)), task=Task.BINARY)

_INNER = "PH2 Dataset images"
_CASE = re.compile(r"IMD\d+")


def ph2(root: Path, *, classes: Sequence[str] | Mapping[str, Any] | None = None) -> Listing:
    """Lists PH2: `PH2 Dataset images/IMD002/IMD002_Dermoscopic_Image/IMD002.bmp` and `.../IMD002_lesion/`.

    Args:
        root: the folder above `PH2 Dataset images`, or that folder itself. Any image type will do.
        classes: published names to keep, in this order; or name -> published name, list of them, or `rest` for all
            others. What is left counts nowhere. None takes all.
    Returns:
        Binary entries (background, lesion), one a case, paired by the case's id; no groups, no official split.
    Raises:
        DatasetError: no case, or cases without exactly one image and one lesion mask (names them).
    """
    inner = root / _INNER if (root / _INNER).is_dir() else root
    cases = [folder for folder in subfolders(inner) if _CASE.fullmatch(folder.name)]
    if not cases:
        raise missing_folder(root, _INNER, "PH2 cases: 'PH2 Dataset images/IMD002/...' or folders named IMD002")
    entries: list[Entry] = []
    problems: list[str] = []
    for case in cases:
        name = case.name
        image = _only(case / f"{name}_Dermoscopic_Image", name)
        mask = _only(case / f"{name}_lesion", f"{name}_lesion")
        if isinstance(image, Path) and isinstance(mask, Path):
            entries.append(Entry(id=name, image=image, mask=mask))
        else:
            problems.extend(found for found in (image, mask) if isinstance(found, str))
    if problems:
        raise DatasetError(
            f"{len(problems)} files of {len(cases)} cases are missing or double: {shorten(problems, 6)}", path=root
        )
    return Listing(class_map=choose_classes(CLASS_MAP, classes), entries=tuple(entries))


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as PH2: a case with its folder of one image; None where it is not."""
    inner = root / _INNER if (root / _INNER).is_dir() else root
    for folder in subfolders(inner):
        picture = folder / f"{folder.name}_Dermoscopic_Image"
        if _CASE.fullmatch(folder.name) and picture.is_dir():
            return f"PH2 ({picture.relative_to(root).as_posix()}/)"
    return None


def _only(folder: Path, stem: str) -> Path | str:
    """Returns the one image file with this stem, or what is wrong."""
    found = [path for path in image_files(folder, recursive=False) if path.stem == stem] if folder.is_dir() else []
    if len(found) == 1:
        return found[0]
    where = f"{folder.parent.name}/{folder.name}"
    return f"{where} has no {stem}.bmp, .png or .jpg" if not found else f"{where} has {len(found)} files named {stem}"
