"""Noise, blending and camera faults that the drawn data sets share."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

F32: TypeAlias = npt.NDArray[np.float32]


def fractal_noise(rng: np.random.Generator, size: tuple[int, int], cell_frac: float, octaves: int) -> F32:
    """Returns (H, W) smooth noise of mean about 0 and deviation 1.

    Args:
        cell_frac: size of the largest blobs, as a share of the shorter side.
        octaves: every further one has half the size and half the strength.
    """
    height, width = size
    total = np.zeros(size, dtype=np.float32)
    cell = max(cell_frac * min(size), 1.0)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = rng.standard_normal((int(height / step) + 3, int(width / step) + 3)).astype(np.float32)
        box = (0.5, 0.5, 0.5 + width / step, 0.5 + height / step)
        layer = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC, box=box)
        total += np.asarray(layer, dtype=np.float32) / 2**octave
    spread = float(total.std())
    return np.asarray((total - total.mean()) / max(spread, 1e-6), dtype=np.float32)


def smooth_step(t: npt.NDArray[np.floating]) -> F32:
    """Returns 0 below 0, 1 above 1, and a curve without corners between."""
    t = np.clip(t, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def blend(image: F32, color: npt.NDArray[np.floating], share: F32) -> F32:
    """Returns (H, W, 3): `image` where `share` (H, W) is 0, `color` where it is 1."""
    return np.asarray(image + (color - image) * share[..., None], dtype=np.float32)


def photograph(rng: np.random.Generator, image: F32, unit: float) -> tuple[npt.NDArray[np.uint8], float, float]:
    """Returns the (H, W, 3) uint8 picture a camera takes of 0-1 `image`, its blur in pixels and its noise (0-1).

    Args:
        unit: pixels that one pixel of a 192-pixel picture has here.
    """
    blur_px = float(rng.uniform(0.3, 0.7) if rng.random() < 0.75 else rng.uniform(0.8, 1.4)) * unit
    noise = float(rng.uniform(0.004, 0.02) if rng.random() < 0.75 else rng.uniform(0.02, 0.04))
    balance = rng.normal(1.0, 0.018, 3) * rng.uniform(0.9, 1.08)
    picture = Image.fromarray((np.clip(image * balance, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
    seen = np.asarray(picture.filter(ImageFilter.GaussianBlur(blur_px)), dtype=np.float32) / 255.0
    shape = image.shape[:2]
    seen = seen + noise * (0.8 * rng.standard_normal((*shape, 1)) + 0.45 * rng.standard_normal((*shape, 3)))
    return (np.clip(seen, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8), blur_px, noise
