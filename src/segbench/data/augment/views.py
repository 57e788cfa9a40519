"""One sample's look at an image that is larger than what the network sees: which part has to be read, and how it is.

The image may be of any size and is never read as a whole: what lies around the window is read where the image has it,
and mirrored at the image's edge alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.data.augment.geometry import grid_of, like, read_at, sources_px, to_float, turn
from segbench.data.augment.parameters import F64, I64, AugmentParameters
from segbench.data.augment.photometric import recolor
from segbench.data.augment.transforms import CACHED_PX
from segbench.types import IGNORE_INDEX

# Read at more than so many pixels of the image a new pixel, an image is first made smaller with all of its pixels:
# bilinear reading looks at 2 x 2 of them, which up to here leaves hardly any out.
SMOOTH_FROM = 1.5
_BEND_REACH = 1.9  # of the bicubic surface through points that move by 1 (a = -0.75: 1.375 a side, squared)


@dataclass(frozen=True)
class View:
    """Where one sample's pixels come from.

    Attributes:
        theta: (2, 3) (column, row, 1) of a new pixel -> (x, y) of its source, in pixels of the image.
        size: (H, W) of the image.
        corner: (top, left) of the part that has to be read.
        part: (height, width) of it.
        exact: the sample is only flipped and shifted by whole pixels, which are copied.
    """

    theta: F64
    size: tuple[int, int]
    corner: tuple[int, int]
    part: tuple[int, int]
    exact: bool


def plan_view(
    parameters: AugmentParameters,
    frame: tuple[int, int],
    origin: I64,
    size: tuple[int, int],
    version: tuple[int, int] | None = None,
) -> View:
    """Returns the view of one sample.

    Args:
        parameters: of this sample alone, drawn for an image of the size `frame`.
        frame: (H, W) of the window that stands for the image.
        origin: (2,) top, left of the window in the image.
        size: (H, W) of the image that `frame` and `origin` are measured in.
        version: (H, W) of the larger version of this image that is read instead; None reads the image itself.
    """
    read = version or size
    theta = sources_px(parameters, frame)[0]
    theta[:, 2] += (np.array(frame[::-1]) - 1) / 2 + origin[::-1]
    factor = np.array(read[::-1]) / np.array(size[::-1])
    theta *= factor[:, None]
    theta[:, 2] += factor / 2 - 0.5
    exact = not bool(parameters.moved[0]) and version is None
    (left, right), (top, bottom) = _extent(theta, parameters)
    rows, columns = (_needed(low, high, side) for low, high, side in ((top, bottom, read[0]), (left, right, read[1])))
    return View(
        theta=theta,
        size=read,
        corner=(rows[0], columns[0]),
        part=(rows[1] - rows[0], columns[1] - columns[0]),
        exact=exact,
    )


def _extent(theta: F64, parameters: AugmentParameters) -> F64:
    """Returns (2, 2): the smallest and largest x, and y, that is read."""
    reach = _BEND_REACH * np.abs(parameters.bend_px[0]).max(axis=(1, 2), initial=0.0)  # down, right
    height, width = parameters.size
    x, y = (-reach[1], width - 1 + reach[1]), (-reach[0], height - 1 + reach[0])
    corners = np.array([(column, row, 1.0) for column in x for row in y])
    points = theta @ corners.T
    extent: F64 = np.stack([points.min(axis=1), points.max(axis=1)], axis=1)
    return extent


def _needed(low: float, high: float, side: int) -> tuple[int, int]:
    """Returns the first and the last but one row to read for positions low to high, those mirrored back included."""
    first, last = int(np.floor(low)) - 1, int(np.ceil(high)) + 2
    start, end = min(first, 2 * side - last), max(last, -first)
    return max(0, start), min(side, end)


def apply_views(
    parts: Sequence[tuple[Tensor, Tensor]], views: Sequence[View], parameters: AugmentParameters
) -> tuple[Tensor, Tensor]:
    """Returns what samples become: images (B, C, h, w) float32 in [0, 1] and masks (B, P, h, w) uint8.

    Like `apply_augmentation`, but an image that is read at more than `SMOOTH_FROM` of its pixels a new pixel is made
    smaller first, with all of its pixels.

    Args:
        parts: of each sample's image, (height, width, C) uint8, and mask, (P, height, width) uint8, what its view asks
            for.
        views: of these B samples.
        parameters: the same they were planned with.
    """
    height, width = parameters.size
    (image, mask), count = parts[0], len(views)
    images = torch.empty((count, image.shape[2], height, width), device=image.device)
    masks = torch.empty((count, len(mask), height, width), dtype=torch.uint8, device=mask.device)
    step = max(1, CACHED_PX // (height * width)) if image.device.type == "cpu" else count
    for start in range(0, count, step):
        rows = range(start, min(start + step, count))
        for row in rows:
            _look(*parts[row], views[row], parameters.take(slice(row, row + 1)), images[row], masks[row])
        chunk = slice(start, rows.stop)
        seen, changes = images[chunk], parameters.take(chunk)
        turn(seen, masks[chunk], changes)
        changed = recolor(seen, changes)
        if changed is not seen:
            seen.copy_(changed)
    return images, masks


def _look(image: Tensor, mask: Tensor, view: View, parameters: AugmentParameters, seen: Tensor, labels: Tensor) -> None:
    """Writes what one sample sees before quarter turns and colours: into (C, h, w) float and (P, h, w) uint8."""
    if view.exact:
        _copy(image, mask, view, parameters, seen, labels)
        return
    pixels = to_float(image.permute(2, 0, 1)[None])
    step = np.hypot(view.theta[:, 0], view.theta[:, 1])[::-1]  # down, right
    if step.max() > SMOOTH_FROM:
        smaller = [
            max(1, round(side / each)) if each > 1.0 else side for side, each in zip(view.part, step, strict=True)
        ]
        pixels = F.interpolate(pixels, size=smaller, mode="bilinear", align_corners=False, antialias=True)
    theta = view.theta.copy()
    theta[:, 2] -= np.array(view.corner[::-1])
    half = np.array(view.part[::-1]) / 2
    theta[:, 2] += 0.5 - half  # from the part's centre
    grid = grid_of(like(theta / half[:, None], pixels)[None], parameters)
    [read], [nearest] = read_at(pixels, mask[None], grid, ignore_outside=parameters.ignore_outside)
    seen.copy_(read)
    labels.copy_(nearest)


def _copy(image: Tensor, mask: Tensor, view: View, parameters: AugmentParameters, seen: Tensor, labels: Tensor) -> None:
    pixels, planes = image.permute(2, 0, 1), mask
    for axis, length in enumerate(parameters.size, start=1):  # rows, then columns
        x_or_y = 2 - axis
        position = np.rint(view.theta[x_or_y, x_or_y] * np.arange(length) + view.theta[x_or_y, 2]).astype(np.int64)
        side, start = view.size[axis - 1], view.corner[axis - 1]
        beyond = np.flatnonzero((position < 0) | (position >= side))
        if not len(beyond):
            pixels, planes = (each.narrow(axis, int(position.min()) - start, length) for each in (pixels, planes))
            if view.theta[x_or_y, x_or_y] < 0:
                pixels, planes = pixels.flip(axis), planes.flip(axis)
            continue
        index = torch.from_numpy(_mirrored(position, side) - start).to(image.device)
        pixels, planes = pixels.index_select(axis, index), planes.index_select(axis, index)
        if parameters.ignore_outside:
            planes = planes.index_fill(axis, torch.from_numpy(beyond).to(planes.device), IGNORE_INDEX)
    labels.copy_(planes)
    seen.copy_(pixels)
    if not image.is_floating_point():
        seen.div_(255.0)


def _mirrored(position: I64, side: int) -> I64:
    """Returns which pixels of a side lie at positions, mirrored at its edges."""
    folded = position % (2 * side)
    return np.minimum(folded, 2 * side - 1 - folded)
