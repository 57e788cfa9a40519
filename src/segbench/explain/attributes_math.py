"""An image and its object as arrays, and the arithmetic of colours, lines and outlines that attributes need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage  # type: ignore[import-untyped]

from segbench.data.files.resize import resize_image, resize_mask

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

LONGER_SIDE_PX = 256  # colours, blur and hair are measured at this size: they depend on it, and it bounds the cost
BAND_FRAC = 0.02
COLOR_RADIUS = 12.0  # in Lab: what belongs to one dominant colour
COLOR_DISTANCE = 20.0  # in Lab: dominant colours are at least so far apart
COLOR_SHARE = 0.05  # of the object: what a dominant colour needs
_BIN = 5.0  # in Lab
_EIGHT = np.ones((3, 3), dtype=bool)
_HAIR_LINE_PX = 9  # longer than a hair is wide, at 256 px
_HAIR_DEPTH = 8.0  # in L*
_HAIR_LENGTH_PX = 24
_HAIR_RIM_PX = 5
# sRGB (IEC 61966-2-1) to CIE XYZ, divided by the white point D65.
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
) / np.array([[0.95047], [1.0], [1.08883]])
_CODES = np.arange(256) / 255.0
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """One image and where its object is.

    Attributes:
        lab: (h, w, 3) float32 CIE Lab, D65; the longer side at most `LONGER_SIDE_PX`.
        inside: (h, w) bool, the object at that size; `counted`: (h, w) bool, False where a pixel is ignored.
        full: (H, W) bool, the object at full size; `full_counted` likewise.
    """

    lab: FloatArray
    inside: BoolArray
    counted: BoolArray
    full: BoolArray
    full_counted: BoolArray

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Pixels of every object (8-connected component) at full size, the largest first."""
        labels, _ = ndimage.label(self.full, structure=_EIGHT)
        return -np.sort(-np.bincount(labels.ravel())[1:])

    @cached_property
    def largest(self) -> BoolArray:
        """(H, W) where the largest object is."""
        labels, _ = ndimage.label(self.full, structure=_EIGHT)
        mask: BoolArray = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
        return mask

    @cached_property
    def has_object(self) -> bool:
        """True when there is an object at both sizes."""
        return bool(self.inside.any())

    @cached_property
    def colors(self) -> FloatArray:
        """(n, 3) Lab of the object's pixels."""
        return self.lab[self.inside]

    @cached_property
    def dominant(self) -> FloatArray:
        """(k, 3) Lab of the object's dominant colours, the largest first."""
        return dominant_colors(self.colors)

    @property
    def band_px(self) -> int:
        """Width of a band along the border at the reduced size."""
        return max(1, round(BAND_FRAC * math.hypot(*self.inside.shape)))


def make_view(image: npt.NDArray[np.uint8], inside: BoolArray, counted: BoolArray) -> View:
    """Returns image (H, W, 3) and object (H, W) at full size and at the size at which colours are measured."""
    height, width = inside.shape
    scale = min(1.0, LONGER_SIDE_PX / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return View(
        lab=to_lab(resize_image(image, size)),
        inside=resize_mask(inside.astype(np.uint8), size) == 1,
        counted=resize_mask(counted.astype(np.uint8), size) == 1,
        full=inside,
        full_counted=counted,
    )


def to_lab(image: npt.NDArray[np.uint8]) -> FloatArray:
    """Returns CIE 1976 L*a*b* of sRGB (..., 3) uint8, white point D65: L* 0 to 100, a* and b* about -100 to 100."""
    xyz = _LINEAR[image] @ _TO_XYZ.T.astype(np.float32)
    bent = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = bent[..., 0], bent[..., 1], bent[..., 2]
    lab: FloatArray = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)
    return lab


def dominant_colors(colors: FloatArray) -> FloatArray:
    """Returns (k, 3) the dominant ones of (n, 3) Lab colours, the one with most pixels first.

    Colours are counted in cubes of 5 units. Again and again the cube with most pixels within 12 units about it is taken
    (its colour is their mean), and those pixels are set aside, until no such ball holds 5 % of all pixels. A ball whose
    centre or mean lies nearer than 20 to a colour already taken is no new colour: it is that colour's noise.
    """
    cubes, counts = np.unique(np.floor(colors / _BIN).astype(np.int16), axis=0, return_counts=True)
    centres = (cubes.astype(np.float32) + 0.5) * np.float32(_BIN)
    squares = (centres**2).sum(axis=1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares - 2 * centres @ centres.T, 0.0))
    near = distance <= COLOR_RADIUS
    left = counts.astype(np.float64)
    allowed = np.ones(len(centres), dtype=bool)
    found: list[npt.NDArray[np.float64]] = []
    while allowed.any():
        mass = np.where(allowed, near @ left, -1.0)
        best = int(np.argmax(mass))
        if mass[best] < COLOR_SHARE * len(colors):
            break
        ball = near[best] & (left > 0)
        mean = (centres[ball] * left[ball, None]).sum(axis=0) / left[ball].sum()
        if any(float(np.linalg.norm(mean - other)) < COLOR_DISTANCE for other in found):
            allowed[best] = False
            continue
        found.append(mean)
        left[near[best]] = 0.0
        allowed &= ((centres - mean) ** 2).sum(axis=1) >= COLOR_DISTANCE**2
    return np.array(found, dtype=np.float32).reshape(-1, 3)


def border_contrast(view: View) -> float:
    """Returns the mean Lab distance, along the border, between the mean colours a band inside and outside of it."""
    outside = ~view.inside & view.counted
    edge = view.inside & ndimage.maximum_filter(outside, 3, mode="constant")
    if not edge.any():
        return math.nan  # the object fills the image, or meets nothing but ignored pixels
    side = 2 * view.band_px + 1
    means = []
    for mask in (view.inside, outside):
        weight = ndimage.uniform_filter(mask.astype(np.float32), side, mode="constant")[edge]
        sums = [ndimage.uniform_filter(view.lab[..., c] * mask, side, mode="constant")[edge] / weight for c in range(3)]
        means.append(np.stack(sums, axis=-1))
    return float(np.linalg.norm(means[0] - means[1], axis=-1).mean())


def hair_share(lightness: FloatArray) -> float:
    """Returns the share of pixels on thin, dark, long lines.

    Black top-hats (closing minus image) with lines of 9 px in 4 directions: across a thin dark line it is deep, along
    it there is none; a dark spot is deep in all. Where the deepest exceeds the shallowest by 8 units of L* is a line;
    8-connected pieces with a box diagonal below 24 px are texture. The outermost 5 px are left out: scans and
    dermoscopes often have a dark rim. After DullRazor (Lee et al. 1997), which closes in 3 directions.
    """
    length = _HAIR_LINE_PX
    diagonal = np.eye(length * 5 // 7 // 2 * 2 + 1, dtype=bool)  # as long on the slant
    closings = [
        ndimage.grey_closing(lightness, size=(1, length)),
        ndimage.grey_closing(lightness, size=(length, 1)),
        ndimage.grey_closing(lightness, footprint=diagonal),
        ndimage.grey_closing(lightness, footprint=diagonal[::-1]),
    ]
    lines = np.max(closings, axis=0) - np.min(closings, axis=0) > _HAIR_DEPTH
    rim = np.ones(lines.shape, dtype=bool)
    rim[_HAIR_RIM_PX:-_HAIR_RIM_PX, _HAIR_RIM_PX:-_HAIR_RIM_PX] = False
    lines[rim] = False
    labels, count = ndimage.label(lines, structure=_EIGHT)
    if not count:
        return 0.0
    boxes = ndimage.find_objects(labels)
    long = [math.hypot(*(part.stop - part.start for part in box)) >= _HAIR_LENGTH_PX for box in boxes]
    return float(np.array([False, *long])[labels].mean())


def blur(lightness: FloatArray) -> float:
    """Returns minus the decimal logarithm of the variance of the Laplacian of L*; 4 for a flat image."""
    return -math.log10(float(ndimage.laplace(lightness.astype(np.float64)).var()) + 1e-4)


def perimeter_px(mask: BoolArray) -> float:
    """Returns the length of the outline by Crofton's formula in 4 directions; a circle is within 2 %, a square 5 %."""
    grid = np.pad(mask, 1)
    straight = (grid[:, 1:] != grid[:, :-1]).sum() + (grid[1:] != grid[:-1]).sum()
    slanted = (grid[1:, 1:] != grid[:-1, :-1]).sum() + (grid[1:, :-1] != grid[:-1, 1:]).sum()
    return float(math.pi / 8 * (straight + slanted / math.sqrt(2.0)))
