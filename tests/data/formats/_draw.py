"""Small made-up data for the tests of readers, and what a reader makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample


def draw(path: Path, values: ArrayLike = 90, size: tuple[int, int] = (6, 8)) -> Path:
    """Writes an image file; a number is a flat grey one of (H, W) pixels."""
    array = np.asarray(values, dtype=np.uint8)
    if array.ndim == 0:
        array = np.full(size, array)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(array)).save(path)
    return path


def draw_palette(path: Path, values: ArrayLike, colors: list[tuple[int, int, int]]) -> Path:
    """Writes a palette file of class numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, dtype=np.uint8)).convert("P")
    image.putpalette([part for color in colors for part in color])
    image.save(path)
    return path


def put(path: Path, text: str) -> Path:
    """Writes a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def labels(manifest: Manifest, name: str) -> NDArray[np.uint8]:
    """Returns the labels of the sample with this id."""
    return load_sample(manifest, next(sample for sample in manifest.samples if sample.id == name))[1]


def parts(manifest: Manifest) -> dict[str, str | None]:
    """Returns id -> official part."""
    return {sample.id: sample.split for sample in manifest.samples}
