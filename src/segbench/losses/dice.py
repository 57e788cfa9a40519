"""Soft Dice loss: the overlap of regions."""

from __future__ import annotations

from torch import Tensor

from segbench.losses._planes import class_planes
from segbench.losses._regions import Regions
from segbench.losses._targets import prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Over, Smooth
from segbench.options import checked
from segbench.types import IGNORE_INDEX


@checked
def dice(
    logits: Tensor,
    target: Tensor,
    *,
    over: Over = "image",
    smooth: Smooth = 0.0,
    include_background: bool | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Soft Dice loss, 1 - (2 |Y P| + smooth) / (|Y| + |P| + smooth), averaged over regions.

    Y is the region of a class in the target and P the predicted probabilities (sigmoid, or softmax for exclusive
    classes), both summed over counted pixels. A class that has no pixel in the region has no overlap to measure; its
    term is the mean of P over the counted pixels instead: 0 when nothing is predicted, at most 1, and with the same
    gradient at every pixel, where the fraction's own would vanish.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        over: what is one region: a class in an `image` (every image weighs the same), or a class in the `batch` (every
            pixel does; steadier with many classes or tiny objects).
        smooth: added above and below the fraction, in pixels; 0 is set overlap as the Dice score has it.
        include_background: whether class 0 is averaged over. None: not in a binary task, where only the foreground
            counts; as any other class otherwise.
        ignore_index: label of pixels that do not count.
    Returns:
        () float in [0, 1]; 0 is perfect. Regions without a counted pixel are left out; 0 with zero gradient where all
        are.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Milletari et al. 2016 (V-Net); differs: no squares below the fraction, the rule for absent classes.
    Example:
        >>> import torch
        >>> logits = torch.tensor([[[[100.0, 100.0], [-100.0, -100.0]]]])
        >>> dice(logits, torch.tensor([[[1, 1], [0, 0]]])).item(), dice(logits, torch.tensor([[[1, 0], [1, 0]]])).item()
        (0.0, 0.5)
        >>> dice(logits, torch.tensor([[[0, 0], [0, 0]]])).item()  # no foreground: the mean probability
        0.5
    """
    batch = prepare(logits, target, loss="dice", ignore_index=ignore_index)
    regions = Regions(class_planes(batch, include_background), over)
    # Where a class is absent the fraction is not used, but its gradient would be NaN if it were 0 / 0.
    fraction = (2 * regions.true_positives + smooth) / (regions.true_px.clamp(min=1) + regions.predicted_px + smooth)
    return regions.mean(regions.costs(1 - fraction))


class Dice(LossModule, function=dice):
    """Soft Dice loss, the overlap of regions; every task. See `dice`."""
