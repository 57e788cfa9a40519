"""Movements of a batch: image and mask by one geometry, image pixels interpolated, labels never."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.data.augment.parameters import F64, AugmentParameters
from segbench.types import IGNORE_INDEX


def move(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> tuple[Tensor, Tensor]:
    """Returns the moved batch: samples that are only flipped and cropped keep their pixels exactly.

    Which way a sample goes is decided for it alone, so that its pixels don't depend on its batch.

    Args:
        images: (B, C, H, W) float or uint8.
        masks: (B, P, H, W) uint8.
        parameters: for these B samples.
    Returns:
        images (B, C, h, w), uint8 where none had to be interpolated, and masks (B, P, h, w) uint8.
    """
    moved = parameters.moved
    if not moved.any():
        images, masks = _flip_and_crop(images, masks, parameters)
    elif moved.all():
        images, masks = _resample(images, masks, parameters)
    else:
        images = to_float(images)
        results = (
            images.new_empty((*images.shape[:2], *parameters.size)),
            masks.new_empty((*masks.shape[:2], *parameters.size)),
        )
        for rows, way in ((np.flatnonzero(moved), _resample), (np.flatnonzero(~moved), _flip_and_crop)):
            index = torch.from_numpy(rows).to(images.device)
            for result, part in zip(results, way(images[index], masks[index], parameters.take(rows)), strict=True):
                result[index] = part
        images, masks = results
    turn(images, masks, parameters)
    return images, masks


def turn(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> None:
    """Makes the quarter turns, in place."""
    for turns in np.unique(parameters.turns[parameters.turns != 0]):
        index = torch.from_numpy(np.flatnonzero(parameters.turns == turns)).to(images.device)
        for planes in (images, masks):
            planes[index] = planes[index].rot90(int(turns), (2, 3))


def to_float(images: Tensor) -> Tensor:
    """Returns images in [0, 1]: bytes as float32, anything else as it is."""
    if images.is_floating_point():
        return images
    return images.to(torch.float32, memory_format=torch.contiguous_format).div_(255.0)


def like(values: F64, images: Tensor) -> Tensor:
    """Returns numbers as a tensor of the images' type, on their device."""
    return torch.from_numpy(values).to(images.dtype).to(images.device)  # in this order: MPS has no float64


def _flip_and_crop(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> tuple[Tensor, Tensor]:
    height, width = parameters.size
    new_images = images.new_empty((*images.shape[:2], height, width))
    new_masks = masks.new_empty((*masks.shape[:2], height, width))
    per_sample = zip(parameters.hflip, parameters.vflip, parameters.window_px, strict=True)
    for position, (hflip, vflip, (top, left)) in enumerate(per_sample):
        axes = [axis for axis, flipped in ((1, vflip), (2, hflip)) if flipped]
        for old, new in ((images, new_images), (masks, new_masks)):
            # Flipped first, so the window is cut at its mirrored place.
            y = old.shape[2] - top - height if vflip else top
            x = old.shape[3] - left - width if hflip else left
            window = old[position, :, y : y + height, x : x + width]
            new[position] = window.flip(axes) if axes else window
    return new_images, new_masks


def _resample(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> tuple[Tensor, Tensor]:
    images = to_float(images)
    height, width = images.shape[-2:]
    theta = sources_px(parameters, (height, width)) / np.array([width / 2, height / 2])[None, :, None]
    return read_at(images, masks, grid_of(like(theta, images), parameters), ignore_outside=parameters.ignore_outside)


def grid_of(theta: Tensor, parameters: AugmentParameters) -> Tensor:
    """Returns (B, h, w, 2): where each new pixel comes from, x before y, in grid_sample's units of half an image.

    Args:
        theta: (B, 2, 3) (column, row, 1) of a new pixel -> (x, y) in these units.
        parameters: for these B samples, for the size of the result and the smooth displacement.
    """
    y = torch.arange(parameters.size[0], device=theta.device, dtype=theta.dtype)
    x = torch.arange(parameters.size[1], device=theta.device, dtype=theta.dtype)
    grid = (
        x[:, None] * theta[:, None, None, :, 0] + (y[:, None] * theta[:, None, :, 1] + theta[:, None, :, 2])[:, :, None]
    )
    _bend(grid, theta, parameters)
    return grid


def read_at(images: Tensor, masks: Tensor, grid: Tensor, *, ignore_outside: bool) -> tuple[Tensor, Tensor]:
    """Returns images (B, C, h, w) float and masks (B, P, h, w) uint8 read at a grid; both may have their own size."""
    new_images = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    # Labels are exact as floats, and so is the difference that makes what torch fills in outside, 0, the ignored label.
    outside = float(IGNORE_INDEX) if ignore_outside else 0.0
    padding = "zeros" if ignore_outside else "reflection"
    labels = masks.to(images.dtype) - outside
    moved = F.grid_sample(labels, grid, mode="nearest", padding_mode=padding, align_corners=False) + outside
    return new_images, moved.to(torch.uint8)


def _bend(grid: Tensor, theta: Tensor, parameters: AugmentParameters) -> None:
    """Adds the smooth displacement of the samples that have one."""
    rows = np.flatnonzero(parameters.bend_px.any(axis=(1, 2, 3)))
    if not len(rows):
        return
    points = like(parameters.bend_px[rows], grid)
    down, right = torch.einsum(
        "bpij,iy,jx->bpyx", points, *(_cubic(points.shape[-1], side, grid) for side in parameters.size)
    ).unbind(1)
    index = torch.from_numpy(rows).to(grid.device)
    across, along = theta[index][:, None, None, :, 0], theta[index][:, None, None, :, 1]
    grid[index] += right[..., None] * across + down[..., None] * along


def _cubic(points: int, length: int, grid: Tensor) -> Tensor:
    """Returns (points, length): how much each of some evenly spread points weighs at every pixel of a side."""
    unit = torch.eye(points, device=grid.device, dtype=grid.dtype)[None, None]
    return F.interpolate(unit, size=(points, length), mode="bicubic", align_corners=True)[0, 0]


def sources_px(parameters: AugmentParameters, size: tuple[int, int]) -> F64:
    """Returns (B, 2, 3): (column, row, 1) of a new pixel -> (x, y) of its source in pixels from the image's centre.

    Forward, about the centre: p' = scale * R * S * flip * (p - c) + c + shift, S the shear, and the window moves the
    origin. Angles and lengths are meant in pixels, so that a square stays a square.

    Args:
        parameters: for these B samples.
        size: (H, W) of the image.
    """
    height, width = size
    angle = np.deg2rad(parameters.angle_deg)
    cos, sin = np.cos(angle) / parameters.scale, np.sin(angle) / parameters.scale
    inverse = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)  # (B, 2, 2), y down
    slanted = parameters.shear_deg.any(axis=1)
    if slanted.any():
        inverse[slanted] = np.linalg.inv(_shear(parameters.shear_deg[slanted])) @ inverse[slanted]
    signs = np.where(np.stack([parameters.hflip, parameters.vflip], -1), -1.0, 1.0)
    inverse = inverse * signs[:, :, None]
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    origin = parameters.window_px[:, ::-1] - parameters.shift_px[:, ::-1] - center  # of column 0, row 0
    offset = np.einsum("bij,bj->bi", inverse, origin)
    source: F64 = np.concatenate([inverse, offset[:, :, None]], axis=2)
    return source


def _shear(degrees: F64) -> F64:
    """Returns (B, 2, 2): moves a pixel right by its row, then down by its (new) column; area stays."""
    tangent = np.tan(np.deg2rad(degrees))
    right, down = np.tile(np.eye(2), (2, len(degrees), 1, 1))
    right[:, 0, 1], down[:, 1, 0] = tangent[:, 0], tangent[:, 1]
    sheared: F64 = down @ right
    return sheared
