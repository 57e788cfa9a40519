"""Dice ratio of every pixel on its own: the PH2 homework's form, not an overlap of regions."""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.losses._planes import class_planes
from segbench.losses._targets import prepare
from segbench.losses.base import LossModule
from segbench.options import Positive, checked
from segbench.types import IGNORE_INDEX


@checked
def pixel_dice(logits: Tensor, target: Tensor, *, smooth: Positive = 0.01, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Dice ratio a pixel, 1 - (2 y p + smooth) / (y + p + smooth), mean over the counted pixels of all classes.

    No region takes part, so it says nothing about overlap; for that there is `dice`. On pixels that are not of the
    class (y = 0) it is p / (p + smooth), which is steep below a probability of `smooth` and nearly flat above.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        smooth: added above and below the ratio, above 0.
        ignore_index: label of pixels that do not count.
    Returns:
        () float in [0, 1]; 0 is perfect. An empty mask is nothing special; 0 with zero gradient where everything is
        ignored.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: the PH2 homework; differs: computed from what is wrong, so that it keeps its digits near 0.
    Example:
        >>> logits = torch.tensor([[[[100.0, -100.0]]]])
        >>> pixel_dice(logits, torch.tensor([[[1, 0]]])).item()
        0.0
        >>> round(pixel_dice(logits, torch.tensor([[[1, 1]]])).item(), 4)  # half of 1 - 0.01 / 1.01
        0.495
    """
    batch = prepare(logits, target, loss="pixel_dice", ignore_index=ignore_index)
    planes = class_planes(batch)
    # y + p - 2 y p is what is wrong: 1 - p where y = 1, p where y = 0.
    return planes.mean(planes.wrong / (planes.truth + torch.where(planes.counted, planes.probs, 0.0) + smooth))


class PixelDice(LossModule, function=pixel_dice):
    """Dice ratio of every pixel on its own, the PH2 homework's form; every task. See `pixel_dice`."""
