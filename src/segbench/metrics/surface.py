"""Masks -> how far apart two outlines are: boundary IoU, HD95, ASSD and NSD of one image. NumPy and SciPy only.

The contour of a mask is taken between pixels: its elements are the corners at which the four pixels around do not all
agree, each as long as the piece of outline through it (1/2 sqrt 2, 1 or sqrt 2 px). Mask and complement have the same
contour, a single pixel has one, and the edge of the image is contour where the mask touches it. Distances are between
elements, in pixels.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage  # type: ignore[import-untyped]
from scipy.spatial import cKDTree  # type: ignore[import-untyped]

from segbench.metrics._arrays import FloatArray
from segbench.metrics.families import SURFACE_MEASURES
from segbench.metrics.image_values import ImageValues
from segbench.types import ClassMap, Task

BoolArray: TypeAlias = npt.NDArray[np.bool_]

SURFACE_VALUES = tuple(measure.key for measure in SURFACE_MEASURES)

_DIAGONAL = math.sqrt(0.5)
# Contour length at a corner, by which of the four pixels around it are inside: 8 top left, 4 top right, 2 bottom
# left, 1 bottom right. A mask and its complement have the same contour, so the second half mirrors the first.
_HALF = (0.0, _DIAGONAL, _DIAGONAL, 1.0, _DIAGONAL, 1.0, 2 * _DIAGONAL, _DIAGONAL)
_LENGTHS = np.array([*_HALF, *reversed(_HALF)])


@dataclass(frozen=True, kw_only=True)
class SurfaceSettings:
    """What surface scores depend on; they are part of every definition.

    Attributes:
        boundary_width_frac: width of the band in which boundary IoU looks, as a share of the image diagonal; rounded
            to whole pixels, at least 1.
        tolerance_px: contours up to so far apart count as agreeing in NSD.
    """

    boundary_width_frac: float = 0.02
    tolerance_px: float = 2.0

    def __post_init__(self) -> None:
        if not 0.0 < self.boundary_width_frac <= 1.0:
            raise ValueError(
                f"boundary_width_frac: expected a share of the diagonal above 0 and at most 1, "
                f"got {self.boundary_width_frac}"
            )
        if not (self.tolerance_px >= 0.0 and math.isfinite(self.tolerance_px)):
            raise ValueError(f"tolerance_px: expected 0 or more pixels, got {self.tolerance_px}")

    def to_dict(self) -> dict[str, float]:
        """Returns plain values for JSON."""
        return asdict(self)


_DEFAULTS = SurfaceSettings()


def measure_surfaces(
    prediction: npt.NDArray[Any],
    target: npt.NDArray[Any],
    *,
    counted: npt.NDArray[np.bool_] | None = None,
    settings: SurfaceSettings = _DEFAULTS,
) -> dict[str, float]:
    """Returns every measure of the family `surface`, such as hd95_px, of one mask against the true one.

    Args:
        prediction, target: (H, W) bool, or integers where everything but 0 is inside.
        counted: (H, W) bool, False where a pixel is ignored: both masks are empty there. So whatever is predicted on
            an ignored pixel changes nothing, and along an ignored area both contours run together.
        settings: band width and tolerance.
    Returns:
        boundary_iou: intersection over union of the parts of both masks within the band along their own contour.
        hd95_px: the larger of two 95th percentiles (of contour length): prediction to truth, truth to prediction.
        assd_px: mean distance over both contours together, by length.
        nsd: share of the length of both contours that lies within the tolerance of the other one.
        Both masks empty: all NaN. One empty: what is in pixels is the image diagonal, the others are 0.
    Raises:
        ValueError: shapes that differ, or are not (H, W).
    Source: Cheng et al. 2021 (boundary IoU, with the 3x3 erosion of the authors' code); Nikolov et al. 2018 (NSD,
        and the contour elements that all distances here use); Maier-Hein et al. 2024 (HD95 as a maximum of two).
    Example:
        >>> target = np.zeros((20, 20), bool)
        >>> target[5:15, 5:15] = True
        >>> measure_surfaces(np.roll(target, 3, axis=1), target)["hd95_px"]
        3.0
    """
    prediction, target = _counted_masks(prediction, target, counted)
    diagonal = math.hypot(*target.shape)
    inside = _bounding_box(prediction | target)
    if inside is None:
        return dict.fromkeys(SURFACE_VALUES, math.nan)
    prediction, target = prediction[inside], target[inside]  # all that is left outside lies in neither mask
    if not (prediction.any() and target.any()):
        return {measure.key: diagonal if measure.unit == "px" else 0.0 for measure in SURFACE_MEASURES}
    outlines = Outlines(prediction, target, diagonal)
    return {measure.key: measure.value(outlines, settings) for measure in SURFACE_MEASURES}


class Outlines:
    """The outlines of two masks that both hold something, and how far apart they are.

    Args:
        prediction, target: (H, W) bool, cut to where either of them is.
        diagonal_px: of the whole image.
    """

    def __init__(self, prediction: BoolArray, target: BoolArray, diagonal_px: float) -> None:
        self._masks = (prediction, target)
        self._diagonal_px = diagonal_px
        self._distances, self._lengths = _contour_distances(prediction, target)
        self._both, self._length = np.concatenate(self._distances), np.concatenate(self._lengths)

    def band_iou(self, width_frac: float) -> float:
        """Returns the IoU of the bands along the inside of both contours, as wide as a share of the diagonal."""
        return _boundary_iou(*self._masks, max(1, round(width_frac * self._diagonal_px)))

    def percentile(self, share: float) -> float:
        """Returns the larger of the two distances, px, within which a share of a contour lies from the other one."""
        return max(_percentile(*pair, share) for pair in zip(self._distances, self._lengths, strict=True))

    def mean(self) -> float:
        """Returns the mean distance, px, over both contours together, by length."""
        return float((self._both * self._length).sum() / self._length.sum())

    def share_within(self, tolerance_px: float) -> float:
        """Returns the share of the length of both contours that lies within a tolerance of the other one."""
        return float(self._length[self._both <= tolerance_px].sum() / self._length.sum())


class SurfaceCollector:
    """Measures images one at a time and keeps four numbers an image and class, nothing else.

    Args:
        class_map: of the masks; its `ignore_index` in the target is left out.
        settings: band width and tolerance.
        classes: indices of the classes to measure, by default `class_map.scored_classes`; the others stay NaN.
    """

    def __init__(
        self, class_map: ClassMap, settings: SurfaceSettings = _DEFAULTS, classes: Sequence[int] | None = None
    ) -> None:
        self.class_map = class_map
        self.settings = settings
        self.classes = class_map.scored_classes if classes is None else tuple(classes)
        self._ids: list[str] = []
        self._numbers = array("d")  # 8 bytes a number: a million images of two classes are 64 MB

    def add(self, name: str, prediction: npt.NDArray[Any], target: npt.NDArray[Any]) -> None:
        """Measures one image.

        Args:
            name: its id.
            prediction, target: (H, W) class indices, or (C, H, W) in {0, 1} for a multilabel task.
        Raises:
            ValueError: shapes that do not fit (names the image).
        """
        prediction, target = np.asarray(prediction), np.asarray(target)
        planes = self.class_map.task is Task.MULTILABEL
        if prediction.shape != target.shape or target.ndim != (3 if planes else 2):
            wanted = "(C, H, W)" if planes else "(H, W)"
            raise ValueError(f"image {name!r}: expected two masks {wanted}, got {prediction.shape} and {target.shape}")
        if planes and len(target) != self.class_map.num_classes:
            raise ValueError(f"image {name!r}: expected {self.class_map.num_classes} planes, got {len(target)}")
        counted = target != self.class_map.ignore_index
        rows = np.full((len(SURFACE_VALUES), self.class_map.num_classes), np.nan)
        for index in self.classes:
            if planes:
                pair, where = (prediction[index] == 1, target[index] == 1), counted[index]
            else:
                pair, where = (prediction == index, target == index), counted
            measured = measure_surfaces(*pair, counted=where, settings=self.settings)
            rows[:, index] = [measured[key] for key in SURFACE_VALUES]
        self._ids.append(name)
        self._numbers.frombytes(rows.tobytes())

    def values(self) -> ImageValues:
        """Returns what was measured so far: every key of `SURFACE_VALUES` -> (N, C)."""
        table = np.frombuffer(self._numbers.tobytes(), dtype=np.float64)
        table = table.reshape(len(self._ids), len(SURFACE_VALUES), self.class_map.num_classes)
        return ImageValues(
            ids=tuple(self._ids),
            values={key: np.ascontiguousarray(table[:, index]) for index, key in enumerate(SURFACE_VALUES)},
        )


def _counted_masks(
    prediction: npt.NDArray[Any], target: npt.NDArray[Any], counted: BoolArray | None
) -> tuple[BoolArray, BoolArray]:
    """Returns both masks as bool, empty where a pixel does not count; ValueError where shapes differ."""
    prediction, target = np.asarray(prediction) != 0, np.asarray(target) != 0
    if target.ndim != 2 or prediction.shape != target.shape:
        raise ValueError(f"expected two masks (H, W) of one shape, got {prediction.shape} and {target.shape}")
    if counted is None:
        return prediction, target
    if counted.shape != target.shape:
        raise ValueError(f"counted: expected the shape {target.shape}, got {counted.shape}")
    return prediction & counted, target & counted


def _bounding_box(mask: BoolArray) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _boundary_iou(prediction: BoolArray, target: BoolArray, width_px: int) -> float:
    """Returns the IoU of the bands of `width_px` along the inside of both contours."""
    bands = []
    for mask in (prediction, target):
        # Eroding `width_px` times with 3x3 keeps what lies more than `width_px` steps (diagonal ones too) inside.
        depth = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
        bands.append(mask & (depth <= width_px))
    return float((bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum())


def _contour_distances(prediction: BoolArray, target: BoolArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Returns the distance to the other contour, and the length, of every element; prediction first, then target."""
    lengths = [_LENGTHS[_codes(mask)] for mask in (prediction, target)]
    elements = [length > 0 for length in lengths]
    # A tree is quick for an ordinary outline, a distance transform where most corners are contour; both are exact.
    if 6 * (int(elements[0].sum()) + int(elements[1].sum())) < elements[0].size:
        points = [np.argwhere(element) for element in elements]
        distances = [cKDTree(points[1 - k]).query(points[k])[0] for k in (0, 1)]
    else:
        distances = [ndimage.distance_transform_edt(~elements[1 - k])[elements[k]] for k in (0, 1)]
    return distances, [length[element] for length, element in zip(lengths, elements, strict=True)]


def _codes(mask: BoolArray) -> npt.NDArray[np.uint8]:
    """Returns (H + 1, W + 1): which of the four pixels around every corner are inside."""
    grid = np.pad(mask.astype(np.uint8), 1)
    return 8 * grid[:-1, :-1] + 4 * grid[:-1, 1:] + 2 * grid[1:, :-1] + grid[1:, 1:]


def _percentile(distances: FloatArray, lengths: FloatArray, share: float) -> float:
    """Returns the smallest distance within which `share` of the contour length lies."""
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(lengths[order])
    position = np.searchsorted(reached / reached[-1], share)
    return float(distances[order][min(int(position), len(order) - 1)])
