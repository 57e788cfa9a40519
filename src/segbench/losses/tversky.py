"""Tversky loss: the overlap of regions, false positives and false negatives weighed apart."""

from __future__ import annotations

from torch import Tensor

from segbench.losses._planes import class_planes
from segbench.losses._regions import Regions, tversky_costs
from segbench.losses._targets import prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Over, Smooth
from segbench.options import Positive, checked
from segbench.types import IGNORE_INDEX


@checked
def tversky(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Positive = 0.3,
    beta: Positive = 0.7,
    over: Over = "image",
    smooth: Smooth = 0.0,
    include_background: bool | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Tversky loss, 1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth), averaged over regions.

    TP, FP and FN are sums of probabilities (sigmoid, or softmax for exclusive classes) over counted pixels. With
    alpha = beta = 0.5 it is the Dice loss (of twice the smooth), with 1 and 1 the Jaccard loss. A class that has no
    pixel in the region costs the mean of its probabilities instead, as in `dice`.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        alpha: weight of false positives, above 0.
        beta: weight of false negatives, above 0; larger than alpha favours recall, which small objects need.
        over: what is one region: a class in an `image`, or a class in the `batch`.
        smooth: added above and below the fraction, in pixels.
        include_background: whether class 0 is averaged over. None: not in a binary task; as any other class otherwise.
        ignore_index: label of pixels that do not count.
    Returns:
        () float in [0, 1]; 0 is perfect. Regions without a counted pixel are left out; 0 with zero gradient where all
        are.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Salehi et al. 2017; differs: mean over regions, the rule for absent classes.
    Example:
        >>> import torch
        >>> logits = torch.tensor([[[[100.0, 100.0], [-100.0, -100.0]]]])
        >>> target = torch.tensor([[[1, 0], [1, 0]]])  # TP = FP = FN = 1
        >>> tversky(logits, target).item(), round(tversky(logits, target, alpha=1, beta=1).item(), 4)
        (0.5, 0.6667)
    """
    batch = prepare(logits, target, loss="tversky", ignore_index=ignore_index)
    regions = Regions(class_planes(batch, include_background), over)
    return regions.mean(tversky_costs(regions, alpha=alpha, beta=beta, smooth=smooth))


class Tversky(LossModule, function=tversky):
    """Tversky loss, false positives and false negatives weighed apart; every task. See `tversky`."""
