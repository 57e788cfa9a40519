"""Random changes of a whole batch at once, image and mask by one geometry, on whichever device the batch lies.

What happens to a sample is drawn from (seed, epoch, index of the sample) and nothing else, so it is the same in any
batch, on any number of processes, and after a resume. Drawing is numpy's and exact everywhere; applying is torch's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.data.augment.geometry import move, to_float
from segbench.data.augment.parameters import AugmentParameters, draw_augmentation
from segbench.data.augment.photometric import recolor

CACHED_PX = 1 << 17  # on a CPU so many pixels are worked on at once: what lies between the steps stays in its cache

__all__ = ["CACHED_PX", "AugmentParameters", "apply_augmentation", "draw_augmentation"]


def apply_augmentation(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> tuple[Tensor, Tensor]:
    """Returns changed copies of a batch; where a sample is moved, what comes in from outside is a mirror image.

    Flips, crops and quarter turns copy pixels exactly. Any other movement is one resampling: images bilinear, masks
    nearest on the same grid, so a mask holds only labels it held before, and `ignore_index` outside where the
    parameters ask for it. Nothing smooths an image that `scale` makes much smaller.

    Args:
        images: (B, C, H, W) float in [0, 1], or uint8.
        masks: (B, H, W) or (B, P, H, W) uint8.
        parameters: for these B samples, drawn for this H and W.
    Returns:
        images (B, C, h, w) float in [0, 1], float32 for uint8, and masks (B, h, w) or (B, P, h, w) uint8; (h, w) is
        `parameters.size`.
    Raises:
        ValueError: another shape or type.
    """
    _check(images, masks, parameters)
    planes = masks if masks.ndim == 4 else masks[:, None]
    step = len(images)
    if images.device.type == "cpu":
        step = max(1, CACHED_PX // (images.shape[2] * images.shape[3]))
    if step >= len(images):
        new_images, new_planes = _apply(images, planes, parameters)
    else:
        shape, dtype = parameters.size, images.dtype if images.is_floating_point() else torch.float32
        new_images = images.new_empty((*images.shape[:2], *shape), dtype=dtype)
        new_planes = planes.new_empty((*planes.shape[:2], *shape))
        for start in range(0, len(images), step):
            rows = slice(start, start + step)
            new_images[rows], new_planes[rows] = _apply(images[rows], planes[rows], parameters.take(rows))
    return new_images, new_planes if masks.ndim == 4 else new_planes[:, 0]


def _apply(images: Tensor, planes: Tensor, parameters: AugmentParameters) -> tuple[Tensor, Tensor]:
    images, planes = move(images, planes, parameters)
    return recolor(to_float(images), parameters), planes


def _check(images: Tensor, masks: Tensor, parameters: AugmentParameters) -> None:
    count, known = len(parameters.hflip), images.is_floating_point() or images.dtype == torch.uint8
    if images.ndim != 4 or len(images) != count or not known:
        raise ValueError(
            f"expected float or uint8 images (B, C, H, W) with B = {count}, got {images.dtype} {tuple(images.shape)}"
        )
    same = masks.shape[:1] == images.shape[:1] and masks.shape[-2:] == images.shape[-2:]
    if masks.ndim not in (3, 4) or masks.dtype != torch.uint8 or not same:
        raise ValueError(
            f"expected uint8 masks (B, H, W) or (B, P, H, W) of the images' B, H, W {tuple(images.shape)}, got "
            f"{masks.dtype} {tuple(masks.shape)}"
        )
    last = parameters.window_px.max(axis=0, initial=0) + parameters.size
    if last[0] > images.shape[2] or last[1] > images.shape[3]:
        raise ValueError(
            f"the parameters were drawn for larger images: a window ends at {tuple(last)}, the images are "
            f"{tuple(images.shape[2:])}"
        )
