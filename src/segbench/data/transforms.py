"""Random changes of a whole batch at once, image and mask by one geometry, on whichever device the batch lies.

What happens to a sample is drawn from (seed, epoch, index of the sample) and nothing else, so it is the same in any
batch, on any number of processes, and after a resume. Drawing is numpy's and exact everywhere; applying is torch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.config import AugmentConfig

F64: TypeAlias = npt.NDArray[np.float64]

_STREAM = 0xA06  # keeps these random numbers apart from others drawn from the same seed
_LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, with torchvision's digits


@dataclass(frozen=True, kw_only=True)
class AugmentParameters:
    """What happens to each of B samples, in this order: flips, rotation, scale, shift, window, then colour.

    Attributes:
        hflip, vflip: (B,) bool.
        angle_deg: (B,) counter-clockwise, about the image's centre.
        scale: (B,) above 1 enlarges.
        shift_px: (B, 2) down, right.
        window_px: (B, 2) top, left of the crop, whole pixels.
        size: (H, W) of the result.
        brightness, contrast, saturation: (B,) factors, 1 changes nothing.
        hue: (B,) share of the colour circle, 0 changes nothing.
    """

    hflip: npt.NDArray[np.bool_]
    vflip: npt.NDArray[np.bool_]
    angle_deg: F64
    scale: F64
    shift_px: F64
    window_px: npt.NDArray[np.int64]
    size: tuple[int, int]
    brightness: F64
    contrast: F64
    saturation: F64
    hue: F64

    @property
    def keeps_pixels(self) -> bool:
        """Whether every sample is only flipped and cropped, so that no pixel needs interpolating."""
        return not (self.angle_deg.any() or self.shift_px.any() or (self.scale != 1.0).any())

    @property
    def keeps_colors(self) -> bool:
        """Whether no sample's colours change."""
        factors = np.stack([self.brightness, self.contrast, self.saturation])
        return bool((factors == 1.0).all()) and not self.hue.any()


def draw_augmentation(
    config: AugmentConfig, seed: int, epoch: int, indices: Sequence[int] | npt.NDArray[np.int64], size: tuple[int, int]
) -> AugmentParameters:
    """Returns what to do to each sample.

    Args:
        seed, epoch: not negative.
        indices: (B,) index of each sample in its data set, not negative.
        size: (H, W) of the images before the crop, in pixels.
    Raises:
        ValueError: the crop is larger than the images.
    """
    crop = config.crop or size
    if crop[0] > size[0] or crop[1] > size[1]:
        raise ValueError(f"expected a crop of at most {size}, the images' height and width, got {crop}")
    # Every sample draws all twelve numbers, so switching one change on leaves the others as they were.
    u = np.stack([np.random.default_rng([_STREAM, seed, epoch, int(index)]).random(12) for index in indices])
    spread = 2.0 * u - 1.0  # [-1, 1)
    low, high = config.scale
    room = np.array([size[0] - crop[0] + 1, size[1] - crop[1] + 1])
    return AugmentParameters(
        hflip=u[:, 0] < config.hflip,
        vflip=u[:, 1] < config.vflip,
        angle_deg=config.rotate_deg * spread[:, 2],
        scale=low + (high - low) * u[:, 3],
        shift_px=config.translate_frac * spread[:, 4:6] * np.array(size),
        window_px=np.floor(u[:, 6:8] * room).astype(np.int64),
        size=(int(crop[0]), int(crop[1])),
        brightness=1.0 + config.brightness * spread[:, 8],
        contrast=1.0 + config.contrast * spread[:, 9],
        saturation=1.0 + config.saturation * spread[:, 10],
        hue=config.hue * spread[:, 11],
    )


def apply_augmentation(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> tuple[Tensor, Tensor]:
    """Returns changed copies of a batch; where a sample is moved, what comes in from outside is a mirror image.

    Flips and crops alone copy pixels exactly. Any other movement is one resampling: images bilinear, masks nearest on
    the same grid, so a mask holds only labels it held before. Nothing smooths an image that `scale` makes much smaller.

    Args:
        images: (B, 3, H, W) float in [0, 1], or uint8.
        masks: (B, H, W) or (B, C, H, W) uint8.
        parameters: for these B samples, drawn for this H and W.
    Returns:
        images (B, 3, h, w) float in [0, 1], float32 for uint8, and masks (B, h, w) or (B, C, h, w) uint8; (h, w) is
        `parameters.size`.
    Raises:
        ValueError: another shape or type.
    """
    _check(images, masks, parameters)
    planes = masks if masks.ndim == 4 else masks[:, None]
    move = _flip_and_crop if parameters.keeps_pixels else _resample
    images, planes = move(images, planes, parameters)
    images = _to_float(images)
    if not parameters.keeps_colors:
        images = _recolor(images, parameters)
    return images, planes if masks.ndim == 4 else planes[:, 0]


def _check(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> None:
    count, known = len(parameters.hflip), images.is_floating_point() or images.dtype == torch.uint8
    if images.ndim != 4 or images.shape[1] != 3 or len(images) != count or not known:
        raise ValueError(
            f"expected float or uint8 images (B, 3, H, W) with B = {count}, got {images.dtype} {tuple(images.shape)}"
        )
    same = masks.shape[:1] == images.shape[:1] and masks.shape[-2:] == images.shape[-2:]
    if masks.ndim not in (3, 4) or masks.dtype != torch.uint8 or not same:
        raise ValueError(
            f"expected uint8 masks (B, H, W) or (B, C, H, W) of the images' B, H, W {tuple(images.shape)}, got "
            f"{masks.dtype} {tuple(masks.shape)}"
        )
    last = parameters.window_px.max(axis=0, initial=0) + parameters.size
    if last[0] > images.shape[2] or last[1] > images.shape[3]:
        raise ValueError(
            f"the parameters were drawn for larger images: a window ends at {tuple(last)}, the images are "
            f"{tuple(images.shape[2:])}"
        )


def _flip_and_crop(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> tuple[Tensor, Tensor]:
    height, width = parameters.size
    new_images = images.new_empty((len(images), 3, height, width))
    new_masks = masks.new_empty((len(masks), masks.shape[1], height, width))
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


def _to_float(images: Tensor) -> Tensor:
    if images.is_floating_point():
        return images
    return images.to(torch.float32, memory_format=torch.contiguous_format).div_(255.0)


def _resample(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> tuple[Tensor, Tensor]:
    images = _to_float(images)
    height, width = images.shape[-2:]
    theta = _like(_source_of(parameters, (height, width)), images)
    y = torch.arange(parameters.size[0], device=images.device, dtype=images.dtype)
    x = torch.arange(parameters.size[1], device=images.device, dtype=images.dtype)
    # (B, h, w, 2): where each new pixel comes from, x before y, in grid_sample's units of half an image
    grid = (
        x[:, None] * theta[:, None, None, :, 0] + (y[:, None] * theta[:, None, :, 1] + theta[:, None, :, 2])[:, :, None]
    )
    new_images = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    labels = masks.to(images.dtype)  # whole numbers up to 255: exact
    moved = F.grid_sample(labels, grid, mode="nearest", padding_mode="reflection", align_corners=False)
    return new_images, moved.to(torch.uint8)


def _source_of(parameters: AugmentParameters, size: tuple[int, int]) -> F64:
    """Returns (B, 2, 3): (column, row, 1) of a new pixel -> (x, y) of its source, -1 and 1 being the image's edges.

    Forward, about the centre: p' = scale * R * flip * (p - c) + c + shift, and the window moves the origin. Angles and
    lengths are meant in pixels; only the last step divides by width and height, so a square stays a square.
    """
    height, width = size
    angle = np.deg2rad(parameters.angle_deg)
    cos, sin = np.cos(angle) / parameters.scale, np.sin(angle) / parameters.scale
    inverse = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)  # (B, 2, 2), y down
    signs = np.where(np.stack([parameters.hflip, parameters.vflip], -1), -1.0, 1.0)
    inverse = inverse * signs[:, :, None]
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    origin = parameters.window_px[:, ::-1] - parameters.shift_px[:, ::-1] - center  # of column 0, row 0
    offset = np.einsum("bij,bj->bi", inverse, origin)
    half = np.array([width / 2, height / 2])
    source: F64 = np.concatenate([inverse, offset[:, :, None]], axis=2) / half[None, :, None]
    return source


def _recolor(images: Tensor, parameters: AugmentParameters) -> Tensor:
    """Changes brightness, contrast, saturation and hue by one linear map a sample, clamped once at the end.

    Each alone is torchvision's operation, but hue, which here turns about the grey axis and so keeps the luma.
    """
    luma = np.array(_LUMA) / sum(_LUMA)
    chroma = _turn_hue(parameters.hue, luma)
    saturation = parameters.saturation[:, None, None]
    chroma = chroma @ (saturation * np.eye(3) + (1.0 - saturation) * luma)  # rows: new R, G, B
    gain = parameters.brightness * parameters.contrast
    matrix = _like(gain[:, None, None] * chroma, images)
    # Contrast pulls towards the mean luma of the brightened image. It is a grey, which saturation and hue leave alone.
    pixels = images.flatten(2)
    mean = torch.einsum("bcp,c->b", pixels, _like(luma, images)) / pixels.shape[2]
    offset = mean * _like((1.0 - parameters.contrast) * parameters.brightness, images)
    changed = torch.baddbmm(offset[:, None, None], matrix, pixels)
    return changed.clamp_(0.0, 1.0).view(images.shape)


def _turn_hue(hue: F64, luma: F64) -> F64:
    """Returns (B, 3, 3): turns colours about the grey axis in the plane of equal luma (the YIQ colour space)."""
    to_yiq = np.array([luma, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
    cos, sin = np.cos(2 * np.pi * hue), np.sin(2 * np.pi * hue)
    turn = np.zeros((len(hue), 3, 3))
    turn[:, 0, 0] = 1.0
    turn[:, 1, 1], turn[:, 1, 2], turn[:, 2, 1], turn[:, 2, 2] = cos, sin, -sin, cos  # red towards yellow, as HSV
    return np.asarray(np.linalg.inv(to_yiq) @ turn @ to_yiq, dtype=np.float64)


def _like(values: F64, images: Tensor) -> Tensor:
    return torch.from_numpy(values).to(images.dtype).to(images.device)  # in this order: MPS has no float64
