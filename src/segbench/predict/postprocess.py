"""What may be done to a predicted mask before it is written: off by default, recorded wherever it was on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.types import ClassMap, Task

_EIGHT = np.ones((3, 3), dtype=bool)  # neighbours over sides and corners

Plane = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Postprocess:
    """Steps on each class of a mask but the background, in this order.

    Attributes:
        fill_holes_px: holes of at most this area, in pixels, become the class around them; 0: none. A hole is
            background that one class encloses (4 neighbours); what holds another class is none. Where there is no
            background, it is a region of any class.
        smallest_px: connected regions (8 neighbours) below this area, in pixels, are taken away; 0: none.
        keep_largest: only the largest region of each class stays.
        smooth_px: radius, in pixels, of the majority filter that smooths outlines; 0: none.

    What is taken away becomes what is next to it: the label of the nearest pixel that stays.
    """

    fill_holes_px: int = 0
    smallest_px: int = 0
    keep_largest: bool = False
    smooth_px: int = 0

    def __post_init__(self) -> None:
        for name in ("fill_holes_px", "smallest_px", "smooth_px"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is a number of pixels, 0 or more, got {getattr(self, name)}")

    @property
    def is_off(self) -> bool:
        """Whether a mask stays as it is."""
        return self == Postprocess()

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Postprocess:
        """Returns what `to_dict` gave."""
        return cls(**plain)

    def apply(self, mask: NDArray[np.uint8], class_map: ClassMap) -> NDArray[np.uint8]:
        """Returns a mask after these steps; the mask itself is left as it is.

        Args:
            mask: (H, W) uint8 class indices, multilabel (C, H, W) uint8 in {0, 1}, whose planes know nothing of each
                other.
            class_map: names the background, which is no class to keep or to clean.
        """
        if self.is_off:
            return mask
        if class_map.task is Task.MULTILABEL:
            return np.stack([self._cleaned(plane, (1,), 0) for plane in mask])
        classes = tuple(index for index in np.unique(mask).tolist() if index != class_map.background)
        return self._cleaned(mask, classes, class_map.background)

    def _cleaned(
        self, labels: NDArray[np.uint8], classes: tuple[int, ...], background: int | None
    ) -> NDArray[np.uint8]:
        """Returns (H, W) labels after all steps.

        Args:
            classes: labels that are cleaned.
            background: label that holes have; None: any.
        """
        labels = labels.copy()
        if self.fill_holes_px:
            for index in classes:
                labels[_holes(labels, index, self.fill_holes_px, background)] = index
        if self.smallest_px or self.keep_largest:
            taken = np.zeros(labels.shape, dtype=bool)
            for index in classes:
                taken |= _small_regions(labels == index, self.smallest_px, self.keep_largest)
            labels = _as_nearest(labels, taken, background)
        return smoothed(labels, self.smooth_px) if self.smooth_px else labels


def _holes(labels: NDArray[np.uint8], index: int, largest_px: int, background: int | None) -> Plane:
    """Returns (H, W): the holes of a class that are filled."""
    from scipy import ndimage  # type: ignore[import-untyped]  # slow to import, and only needed here

    plane = labels == index
    regions, _ = ndimage.label(~plane)
    fits = np.bincount(regions.ravel()) <= largest_px
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        fits[edge] = False
    if background is not None:
        fits[regions[labels != background]] = False
    fits[0] = False  # the class itself
    found: Plane = fits[regions]
    return found


def _small_regions(plane: Plane, smallest_px: int, keep_largest: bool) -> Plane:
    """Returns (H, W): the regions of a plane that are taken away."""
    from scipy import ndimage

    regions, number = ndimage.label(plane, structure=_EIGHT)
    if not number:
        return np.zeros(plane.shape, dtype=bool)
    areas = np.bincount(regions.ravel())
    gone = areas < smallest_px
    if keep_largest:
        gone |= np.arange(len(areas)) != 1 + areas[1:].argmax()
    gone[0] = False
    found: Plane = gone[regions]
    return found


def _as_nearest(labels: NDArray[np.uint8], taken: Plane, background: int | None) -> NDArray[np.uint8]:
    """Returns labels in which the taken pixels have the label of the nearest other one.

    Where none is left, all become background, or stay where there is no background.
    """
    from scipy import ndimage

    if taken.all():
        return labels if background is None else np.full_like(labels, background)
    if not taken.any():
        return labels
    rows, columns = ndimage.distance_transform_edt(taken, return_distances=False, return_indices=True)
    nearest: NDArray[np.uint8] = labels[rows, columns]
    return nearest


def smoothed(labels: NDArray[np.uint8], radius_px: int) -> NDArray[np.uint8]:
    """Returns the label that most pixels of a disc around each pixel have; a tie keeps the pixel's own."""
    from scipy import ndimage

    offsets = np.arange(-radius_px, radius_px + 1)
    disc = (offsets[:, None] ** 2 + offsets**2 <= radius_px**2).astype(np.float32)
    best = np.full(labels.shape, -1.0, dtype=np.float32)
    result = labels.copy()
    for index in np.unique(labels).tolist():
        own = labels == index
        votes = ndimage.correlate(own.astype(np.float32), disc, mode="nearest") + 0.5 * own
        wins = votes > best
        result[wins] = index
        best[wins] = votes[wins]
    return result
