"""Changes of colour, sharpness and content of a batch of images; masks know nothing of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.data.augment.geometry import like
from segbench.data.augment.parameters import F64, NOISE, AugmentParameters, Flags

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, with torchvision's digits
_BLUR_REACH = 3.0  # in standard deviations


def recolor(images: Tensor, parameters: AugmentParameters) -> Tensor:
    """Returns the images changed; the samples that something happens to may be changed in place.

    Saturation, hue and grey exist for three channels only and leave any other number of them alone.

    Args:
        images: (B, C, H, W) float in [0, 1].
        parameters: for these B samples.
    """
    colored = images.shape[1] == len(_LUMA)
    steps: tuple[tuple[Flags, Callable[[Tensor, AugmentParameters], Tensor]], ...] = (
        (parameters.tinted, _tint),
        (np.asarray(parameters.grey & colored), _take_colors),
        (parameters.gamma != 1.0, _apply_gamma),
        (parameters.blur_px > 0.0, _blur),
        (parameters.noise > 0.0, _add_noise),
        (np.asarray(parameters.holes_px[:, :, 2].any(axis=1)), _cover),
    )
    for happens, change in steps:
        rows = np.flatnonzero(happens)
        if len(rows) == len(images):
            images = change(images, parameters)
        elif len(rows):
            index = torch.from_numpy(rows).to(images.device)
            images[index] = change(images[index], parameters.take(rows))
    return images


def _luma(channels: int) -> F64:
    """Returns each channel's share of the brightness."""
    return np.array(_LUMA) / sum(_LUMA) if channels == len(_LUMA) else np.full(channels, 1.0 / channels)


def _tint(images: Tensor, parameters: AugmentParameters) -> Tensor:
    """Changes brightness, contrast, saturation and hue by one linear map a sample, clamped once at the end.

    Each alone is torchvision's operation, but hue, which here turns about the grey axis and so keeps the luma.
    """
    channels = images.shape[1]
    luma = _luma(channels)
    chroma = np.eye(channels)[None]
    if channels == len(_LUMA):
        saturation = parameters.saturation[:, None, None]
        # rows: new R, G, B
        chroma = _turn_hue(parameters.hue, luma) @ (saturation * np.eye(3) + (1.0 - saturation) * luma)
    gain = parameters.brightness * parameters.contrast
    matrix = like(gain[:, None, None] * chroma, images)
    # Contrast pulls towards the mean luma of the brightened image. It is a grey, which saturation and hue leave alone.
    pixels = images.flatten(2)
    mean = torch.einsum("bcp,c->b", pixels, like(luma, images)) / pixels.shape[2]
    offset = mean * like((1.0 - parameters.contrast) * parameters.brightness, images)
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


def _take_colors(images: Tensor, parameters: AugmentParameters) -> Tensor:
    del parameters
    weights = like(_luma(images.shape[1]), images).view(1, -1, 1, 1)
    return (images * weights).sum(1, keepdim=True).expand_as(images).contiguous()


def _apply_gamma(images: Tensor, parameters: AugmentParameters) -> Tensor:
    return images.pow(like(parameters.gamma, images).view(-1, 1, 1, 1))


def _blur(images: Tensor, parameters: AugmentParameters) -> Tensor:
    """Convolves each image with its own Gaussian, columns and then rows, mirrored at the border."""
    blurred = torch.empty_like(images)
    for position, sigma in enumerate(parameters.blur_px):
        radius = min(math.ceil(_BLUR_REACH * sigma), min(images.shape[2:]) - 1)
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        planes = F.pad(images[position : position + 1], (radius,) * 4, mode="reflect")
        for axis in (2, 3):
            planes = _weighted(planes, kernel / kernel.sum(), axis)
        blurred[position] = planes[0]
    return blurred


def _weighted(planes: Tensor, weights: F64, axis: int) -> Tensor:
    """Returns sums of neighbours along an axis, which gets shorter; for few planes much quicker than a convolution."""
    length = planes.shape[axis] - len(weights) + 1
    total = planes.narrow(axis, 0, length) * float(weights[0])
    for start, weight in enumerate(weights[1:], 1):
        total.add_(planes.narrow(axis, start, length), alpha=float(weight))
    return total


@cache
def _normal_quantiles() -> npt.NDArray[np.float32]:
    """Returns 2^16 numbers, each as likely: drawing of them takes a fifth of the time of drawing real normal ones."""
    from scipy.special import ndtri  # type: ignore[import-untyped]

    return np.asarray(ndtri((np.arange(1 << 16) + 0.5) / (1 << 16)), dtype=np.float32)


def _add_noise(images: Tensor, parameters: AugmentParameters) -> Tensor:
    shape, quantiles = images.shape[1:], _normal_quantiles()
    ranks = [
        np.frombuffer(np.random.default_rng([NOISE, *key]).bytes(2 * math.prod(shape)), dtype="<u2")
        for key in parameters.keys
    ]
    noise = torch.from_numpy(quantiles[np.stack(ranks)]).view(images.shape).to(images.device, images.dtype)
    return torch.addcmul(images, noise, like(parameters.noise, images).view(-1, 1, 1, 1)).clamp_(0.0, 1.0)


def _cover(images: Tensor, parameters: AugmentParameters) -> Tensor:
    covered = images.clone()
    for new, old, holes in zip(covered, images, parameters.holes_px, strict=True):
        mean = old.mean((1, 2))[:, None, None]
        for top, left, height, width in holes[holes[:, 2] > 0]:
            new[:, top : top + height, left : left + width] = mean
    return covered
