"""Made-up data sets for the checks: what is asked for, and nothing else that a check could complain of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segbench.doctor import Checkup, Finding, examine

SIDE = 48


def save(path: Path, array: np.ndarray, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path, **how)
    return path


def photo(seed: int, side: int = SIDE) -> np.ndarray:
    """Returns a smooth random picture that no other seed gives nearly."""
    coarse = np.random.default_rng(seed).integers(20, 235, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def blob(seed: int, side: int = SIDE, value: int = 255) -> np.ndarray:
    """Returns a mask with one rectangle of about a fifth of the pixels, off the border."""
    top, left = np.random.default_rng(seed).integers(3, side // 3, 2)
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[top : top + side // 2 + seed % 3, left : left + side // 2 - seed % 2] = value
    return mask


def pairs(
    root: Path, count: int = 8, mask: Callable[[int], np.ndarray] = blob, folder: str = "", name: str = "s{:02d}x"
) -> Path:
    """Writes images/ and masks/ (below `folder`) of `count` pairs."""
    first = sum(map(ord, folder)) * 1000
    for place in range(count):
        save(root / folder / "images" / f"{name.format(place)}.png", photo(first + place))
        save(root / folder / "masks" / f"{name.format(place)}.png", mask(place))
    return root


def split_pairs(root: Path, count: int = 4, mask: Callable[[int], np.ndarray] = blob) -> Path:
    for first, folder in enumerate(("train", "test")):
        pairs(root, count, lambda place, first=first: mask(place + 7 * first), folder, name=f"{folder}{{:02d}}")
    return root


def check(root: Path, **more: Any) -> Checkup:
    return examine(root, "folder", **more)


def finding(checkup: Checkup, code: str) -> Finding:
    found = [one for one in checkup.findings if one.code == code]
    assert len(found) == 1, f"{code} not among {codes(checkup)}"
    return found[0]


def codes(checkup: Checkup) -> list[str]:
    return [one.code for one in checkup.findings]
