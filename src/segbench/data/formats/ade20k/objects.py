"""Which objects an image of ADE20K has: the class numbers in its mask, and their names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segbench.data.files.images import read_bytes, read_mask_values
from segbench.data.formats.shared.annotated import wrong_key
from segbench.errors import DatasetError


@dataclass
class Objects:
    """The classes met so far: number -> name and name -> number, the same in all files of a release."""

    names: dict[int, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, number: int, name: str, path: Path) -> None:
        """Remembers a class; DatasetError where the number has another name already."""
        if self.names.setdefault(number, name) != name and number:
            raise DatasetError(
                f"the class number {number} is {name!r} here and {self.names[number]!r} elsewhere; these files are not "
                "of one release",
                path=path,
            )
        self.numbers.setdefault(name, number)


def read_objects(path: Path, mask: Path, known: Objects, wrong: list[DatasetError]) -> set[int]:
    """Returns the class numbers of an image's whole objects, and adds their names to `known`.

    Args:
        path: NAME.json, which has the numbers; or NAME_atr.txt, which has names only: a mask is decoded where it has
            names not met before.
        mask: NAME_seg.png.
        wrong: takes what is wrong with single objects, which are left out.
    Raises:
        DatasetError: a damaged file.
    """
    text = _text(path)
    if path.suffix == ".json":
        found = _json_objects(text, path, wrong)
        for number, name in found.items():
            known.add(number, name, path)
        return set(found)
    names = _listed_names(text, path, wrong)
    if any(name not in known.numbers for name in names.values()):
        for instance, number in _numbers_in(mask).items():
            if instance in names:
                known.add(number, names[instance], path)
    return {known.numbers[name] for name in names.values() if name in known.numbers}


def _text(path: Path) -> str:
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # some files of the releases are


def _json_objects(text: str, path: Path, wrong: list[DatasetError]) -> dict[int, str]:
    try:
        plain = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DatasetError(f"damaged JSON: {error}; download the file again", path=path) from error
    annotation = plain.get("annotation") if isinstance(plain, dict) else None
    objects = annotation.get("object") if isinstance(annotation, dict) else None
    if not isinstance(objects, list):
        raise wrong_key(path, "annotation.object", "a list of objects", objects)
    found: dict[int, str] = {}
    for index, item in enumerate(objects):
        if not isinstance(item, dict):
            wrong.append(wrong_key(path, f"annotation.object[{index}]", "an object", item))
            continue
        if _part_level(item) > 0:
            continue
        number, name = item.get("name_ndx"), item.get("name")
        if not isinstance(number, int) or not isinstance(name, str):
            expected = "name_ndx, a number, and name, a text"
            wrong.append(wrong_key(path, f"annotation.object[{index}]", expected, (number, name)))
            continue
        found[number] = name
    return found


def _part_level(item: dict[str, Any]) -> int:
    parts = item.get("parts")
    level = parts.get("part_level", 0) if isinstance(parts, dict) else 0
    return level if isinstance(level, int) else 0


def _listed_names(text: str, path: Path, wrong: list[DatasetError]) -> dict[int, str]:
    """Returns instance -> name of the whole objects in lines `001 # 0 # 0 # sky # sky # ""`."""
    names: dict[int, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("#")]
        if len(cells) < 5 or not cells[0].isdigit() or not cells[1].isdigit():
            expected = "INSTANCE # PART LEVEL # OCCLUDED # CLASS # NAME # ATTRIBUTES"
            wrong.append(wrong_key(path, f"line {number}", expected, line))
            continue
        if int(cells[1]) == 0:
            names[int(cells[0])] = cells[3]
    return names


def _numbers_in(mask: Path) -> dict[int, int]:
    """Returns instance -> class number; the mask's blue values are the instances in order, 0 is none."""
    values = read_mask_values(mask, colors=True)
    if values.ndim != 3:
        return {}
    wide = values.astype(np.int64)
    packed = np.unique((wide[:, :, 0] // 10 * 256 + wide[:, :, 1]) + (wide[:, :, 2] << 32))
    blue = packed >> 32
    ranks = {int(value): rank for rank, value in enumerate(np.unique(np.append(blue, 0)))}
    return {ranks[int(part)]: int(whole & 0xFFFFFFFF) for part, whole in zip(blue, packed, strict=True) if part}
