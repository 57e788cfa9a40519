"""Built-in data: drawn skin lesions and street scenes, written as ordinary folders of images and masks.

Every sample depends on (seed, index, size) alone, so a folder can be extended, resumed and made again elsewhere. The
scenes are hard on purpose where real ones are: a lesion may be faint, hairy, many-coloured or cut by the frame, a
street foggy, dark or crowded. `attributes.csv` says which is which, so that errors can be explained.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from segbench.data.synthetic.lesions import LESION_ATTRIBUTES, draw_lesion
from segbench.data.synthetic.streets import STREET_ATTRIBUTES, draw_street
from segbench.errors import DatasetError
from segbench.files import replacing, write_csv, write_json
from segbench.types import ClassMap, Progress, Task

U8: TypeAlias = npt.NDArray[np.uint8]
Drawer: TypeAlias = Callable[[np.random.Generator, tuple[int, int]], tuple[U8, U8, dict[str, float]]]

LESION_CLASSES = ClassMap(names=("skin", "lesion"), values=((0,), (255,)), task=Task.BINARY)
STREET_CLASSES = ClassMap(names=("background", "road", "building", "vehicle"), values=((0,), (1,), (2,), (3,)))
_VERSION = 1  # of the drawing; a folder drawn by another version is not mixed with this one
_RECORD_EVERY = 25  # samples between two writes of attributes.csv


def lesion(seed: int, index: int, size: tuple[int, int] = (192, 256)) -> tuple[U8, U8]:
    """Returns one dermoscopy-like picture and its mask.

    Args:
        seed, index: not negative; the same pair gives the same picture.
        size: (H, W) in pixels, each at least 32.
    Returns:
        image (H, W, 3) uint8 RGB; mask (H, W) uint8, 0 skin, 1 lesion (hairs over the lesion belong to it).
    Raises:
        ValueError: a negative seed or index, or a size below 32.
    """
    image, mask, _ = draw_lesion(_generator(seed, index, size), size)
    return image, mask


def street(seed: int, index: int, size: tuple[int, int] = (192, 256)) -> tuple[U8, U8]:
    """Returns one street-like picture and its class indices.

    Args:
        seed, index, size: as for `lesion`.
    Returns:
        image (H, W, 3) uint8 RGB; mask (H, W) uint8 indices into `STREET_CLASSES.names`. Background is everything that
        has no class of its own: sky, plants, pavement, poles, people.
    Raises:
        ValueError: a negative seed or index, or a size below 32.
    """
    image, mask, _ = draw_street(_generator(seed, index, size), size)
    return image, mask


def write_lesions(
    folder: str | Path,
    count: int = 150,
    size: tuple[int, int] = (192, 256),
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Writes `images/NAME.png`, `masks/NAME.png` (0 skin, 255 lesion) and `attributes.csv`, and returns the folder.

    Args:
        folder: made if missing; samples that are there already are kept, so an interrupted call goes on where it was.
        count: number of samples; a larger count than last time adds the missing ones.
        size, seed: see `lesion`.
        progress: called after every sample.
    Raises:
        DatasetError: the folder holds something else (other seed, size or kind, or more samples than asked for).
        ValueError: count below 1, or see `lesion`.

    Example:
        >>> import segbench
        >>> segbench.read_dataset(segbench.write_lesions("lesions", count=20))  # doctest: +SKIP
    """
    return _write(Path(folder), "lesions", draw_lesion, LESION_ATTRIBUTES, count, size, seed, progress)


def write_streets(
    folder: str | Path,
    count: int = 150,
    size: tuple[int, int] = (192, 256),
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Writes `images/NAME.png`, `masks/NAME.png` (palette PNG of class indices) and `attributes.csv`.

    Arguments, result and errors are those of `write_lesions`; the classes are `STREET_CLASSES`.

    Example:
        >>> import segbench
        >>> segbench.read_dataset(segbench.write_streets("streets", count=20))  # doctest: +SKIP
    """
    return _write(Path(folder), "streets", draw_street, STREET_ATTRIBUTES, count, size, seed, progress)


def _generator(seed: int, index: int, size: tuple[int, int]) -> np.random.Generator:
    if seed < 0 or index < 0:
        raise ValueError(f"expected seed and index of 0 or more, got seed {seed}, index {index}")
    if min(size) < 32:
        raise ValueError(f"expected a size (H, W) of at least 32 pixels each way, got {size}")
    return np.random.default_rng([seed, index])


def _write(
    folder: Path,
    kind: str,
    draw: Drawer,
    attributes: tuple[str, ...],
    count: int,
    size: tuple[int, int],
    seed: int,
    progress: Progress | None,
) -> Path:
    if count < 1:
        raise ValueError(f"expected a count of at least 1, got {count}")
    _generator(seed, 0, size)  # refuses a bad seed or size before a folder is made
    _claim(folder, {"kind": kind, "version": _VERSION, "seed": seed, "size": list(size)})
    table = folder / "attributes.csv"
    known = _read_rows(table, attributes)
    names = [f"{kind[:-1]}_{index:05d}" for index in range(count)]
    surplus = set(known) - set(names)
    if surplus:
        raise DatasetError(
            f"holds {len(known)} samples, more than the {count} asked for; choose another folder or a larger count",
            path=folder,
        )
    for index, name in enumerate(names):
        image_path, mask_path = folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png"
        if name not in known or not _intact(image_path, size) or not _intact(mask_path, size):
            image, mask, values = draw(_generator(seed, index, size), size)
            with replacing(image_path) as temporary:
                Image.fromarray(image).save(temporary, compress_level=4)
            with replacing(mask_path) as temporary:
                _mask_image(mask, kind).save(temporary)
            known[name] = [f"{values[attribute]:.6g}" for attribute in attributes]
        if (index + 1) % _RECORD_EVERY == 0 or index + 1 == count:
            write_csv(table, ("id", *attributes), [(each, *known[each]) for each in names if each in known])
        if progress is not None:
            progress(f"drawing {kind}", index + 1, count)
    return folder


def _mask_image(mask: U8, kind: str) -> Image.Image:
    if kind == "lesions":
        return Image.fromarray(mask * np.uint8(255))
    image = Image.fromarray(mask).convert("L")
    image.putpalette([channel for color in STREET_CLASSES.colors for channel in color])
    return image


def _claim(folder: Path, recipe: dict[str, Any]) -> None:
    """Records what the folder holds, or refuses a folder that holds something else."""
    path = folder / "synthetic.json"
    if not path.exists():
        if (folder / "images").exists() or (folder / "masks").exists():
            raise DatasetError(
                "has images or masks that segbench did not draw; choose an empty or new folder", path=folder
            )
        write_json(path, recipe)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot be read ({error}); delete the folder to draw it again", path=path) from error
    if found != recipe:
        raise DatasetError(f"expected a folder drawn with {recipe}, got one with {found}; choose another", path=folder)


def _read_rows(table: Path, attributes: tuple[str, ...]) -> dict[str, list[str]]:
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    if not rows or rows[0] != ["id", *attributes]:
        return {}
    return {row[0]: row[1:] for row in rows[1:] if len(row) == len(attributes) + 1}


def _intact(path: Path, size: tuple[int, int]) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
            return image.size == (size[1], size[0])
    except (OSError, SyntaxError):  # missing or cut short; PIL calls a broken PNG chunk a SyntaxError
        return False
