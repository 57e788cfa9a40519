"""Small made-up GeoTIFF files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

GRID = Affine(10.0, 0.0, 600000.0, 0.0, -10.0, 5800000.0)


def save(path: Path, values: np.ndarray, **profile: Any) -> Path:
    """Writes (C, H, W) or (H, W) values; `crs=None` and `transform=None` leave the place out."""
    values = values[None] if values.ndim == 2 else values
    count, height, width = values.shape
    settings = {"crs": "EPSG:32633", "transform": GRID, **profile}
    settings = {key: value for key, value in settings.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **settings
        ) as target:
            target.write(values)
    return path


def scene(seed: int, *, bands: int = 5, size: tuple[int, int] = (64, 96)) -> tuple[np.ndarray, np.ndarray]:
    """Returns 16-bit values (bands, H, W) and labels (H, W) of 0 and 1: where the last band is bright."""
    rng = np.random.default_rng(seed)
    values = rng.integers(800, 1200, (bands, *size), dtype=np.uint16)
    labels = np.zeros(size, dtype=np.uint8)
    for _ in range(4):
        top, left = rng.integers(0, size[0] - 16), rng.integers(0, size[1] - 16)
        labels[top : top + 16, left : left + 16] = 1
    values[-1] += labels * np.uint16(2500)
    return values, labels


def scenes(root: Path, number: int = 4, **options: Any) -> Path:
    """Writes `number` pairs of `scene` as images/tile_0.tif and masks/tile_0.tif, and so on."""
    for place in range(number):
        values, labels = scene(place, **options)
        save(root / "images" / f"tile_{place}.tif", values)
        save(root / "masks" / f"tile_{place}.tif", labels)
    return root
