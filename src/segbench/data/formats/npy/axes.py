"""Which axis of an array is which: decided by the shapes of images and masks together, or asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LAYOUTS = ("hwc", "chw")
_MOST_CLASSES = 64  # planes of a mask that is written as one plane a class
_FEW = 16  # channels of an image


@dataclass(frozen=True)
class Axes:
    """What the axes of an array are, as letters: N images, H, W, C channels or planes."""

    letters: str

    def sizes(self, shape: tuple[int, ...]) -> dict[str, int]:
        """Returns letter -> size."""
        return dict(zip(self.letters, shape, strict=True))

    def ordered(self, values: NDArray[Any]) -> NDArray[Any]:
        """Returns (N, H, W, C) values, without copying; an axis that is not there has size 1."""
        for letter in "NC":
            if letter not in self.letters:
                values = values[..., None]
        letters = self.letters + "".join(letter for letter in "NC" if letter not in self.letters)
        return values.transpose([letters.index(letter) for letter in "NHWC"])


def fitting(image: tuple[int, ...], mask: tuple[int, ...], layout: str | None) -> list[tuple[Axes, Axes]]:
    """Returns the ways to read an image array and its mask array, the plain ones before masks of a plane a class.

    Args:
        image, mask: shapes.
        layout: `hwc` or `chw`, where the user says so.
    """
    plain: list[tuple[Axes, Axes]] = []
    planes: list[tuple[Axes, Axes]] = []
    for one in _readings(len(image), layout):
        sizes = one.sizes(image)
        if not 1 <= sizes.get("C", 1) <= _FEW:
            continue
        for other in _readings(len(mask), layout):
            told = other.sizes(mask)
            if any(sizes.get(letter, 1) != told.get(letter, 1) for letter in "NHW"):
                continue
            depth = told.get("C", 1)
            (plain if depth == 1 else planes if depth <= _MOST_CLASSES else []).append((one, other))
    return _distinct(plain, image, mask) or _distinct(planes, image, mask)


def _readings(axes: int, layout: str | None) -> Iterator[Axes]:
    letters = {2: ["HW"], 3: ["NHW", "HWC", "CHW"], 4: ["NHWC", "NCHW"]}.get(axes, [])
    for item in letters:
        if layout is None or "C" not in item or item.endswith("C") == (layout == "hwc"):
            yield Axes(item)


def _distinct(ways: list[tuple[Axes, Axes]], image: tuple[int, ...], mask: tuple[int, ...]) -> list[tuple[Axes, Axes]]:
    """Returns the ways that give other pixels: an axis of size 1 may be called N or C."""
    found: dict[tuple[Any, ...], tuple[Axes, Axes]] = {}
    for one, other in ways:
        key = tuple(
            tuple(letter for letter, size in axes.sizes(shape).items() if size > 1 or letter in "HW")
            for axes, shape in ((one, image), (other, mask))
        )
        found.setdefault(key, (one, other))
    return list(found.values())


def as_one_plane(planes: NDArray[Any]) -> NDArray[Any] | None:
    """Returns (H, W) labels of (H, W, C) planes: of one, itself; of one a class, the class; None where they overlap."""
    if planes.shape[2] == 1:
        return np.asarray(planes[:, :, 0])
    held = planes != 0
    return np.asarray(held.argmax(axis=2)) if (held.sum(axis=2) == 1).all() else None
