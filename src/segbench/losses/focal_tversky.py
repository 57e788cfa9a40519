"""Focal Tversky loss: Tversky costs to a power, region by region."""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.losses._planes import class_planes
from segbench.losses._regions import Regions, tversky_costs
from segbench.losses._targets import prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Over, Smooth
from segbench.options import Positive, checked
from segbench.types import IGNORE_INDEX


@checked
def focal_tversky(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: Positive = 4 / 3,
    alpha: Positive = 0.3,
    beta: Positive = 0.7,
    over: Over = "image",
    smooth: Smooth = 0.0,
    include_background: bool | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Focal Tversky loss, the Tversky cost of a region to the power of 1 / gamma, averaged over regions.

    The cost of a region is that of `tversky`, of absent classes too. A gamma above 1 makes regions that are nearly
    right (a cost near 0) count more than they do in `tversky`; below 1, those that are wrong.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        gamma: above 0; the paper's, of which the exponent is the inverse. 1 is `tversky`.
        alpha: weight of false positives, above 0.
        beta: weight of false negatives, above 0.
        over: what is one region: a class in an `image`, or a class in the `batch`.
        smooth: added above and below the fraction, in pixels.
        include_background: whether class 0 is averaged over. None: not in a binary task; as any other class otherwise.
        ignore_index: label of pixels that do not count.
    Returns:
        () float in [0, 1]; 0 is perfect, with zero gradient there. Regions without a counted pixel are left out; 0 with
        zero gradient where all are.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Abraham and Khan 2019; differs: mean instead of sum over regions, the rule for absent classes, and alpha
        weighs false positives and beta false negatives, as in Salehi et al. 2017 (the paper swaps the letters).
    Example:
        >>> logits = torch.tensor([[[[100.0, 100.0], [-100.0, -100.0]]]])
        >>> round(focal_tversky(logits, torch.tensor([[[1, 0], [1, 0]]])).item(), 4)  # 0.5 ** 0.75
        0.5946
    """
    batch = prepare(logits, target, loss="focal_tversky", ignore_index=ignore_index)
    regions = Regions(class_planes(batch, include_background), over)
    costs = tversky_costs(regions, alpha=alpha, beta=beta, smooth=smooth)
    # The slope of x ** 0.75 is infinite at 0, and infinity times the probabilities' slope of 0 would be NaN.
    powers = torch.where(costs > 0, torch.where(costs > 0, costs, 1.0) ** (1 / gamma), 0.0)
    return regions.mean(powers)


class FocalTversky(LossModule, function=focal_tversky):
    """Focal Tversky loss, Tversky costs to a power, region by region; every task. See `focal_tversky`."""
