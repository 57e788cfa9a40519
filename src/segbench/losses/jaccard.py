"""Soft Jaccard (IoU) loss: the overlap of regions."""

from __future__ import annotations

from torch import Tensor

from segbench.losses._planes import class_planes
from segbench.losses._regions import Regions, tversky_costs
from segbench.losses._targets import prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Over, Smooth
from segbench.options import checked
from segbench.types import IGNORE_INDEX


@checked
def jaccard(
    logits: Tensor,
    target: Tensor,
    *,
    over: Over = "image",
    smooth: Smooth = 0.0,
    include_background: bool | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Soft Jaccard loss, 1 - (TP + smooth) / (TP + FP + FN + smooth), averaged over regions.

    TP, FP and FN are sums of probabilities (sigmoid, or softmax for exclusive classes) over counted pixels. A class
    that has no pixel in the region costs the mean of its probabilities instead, as in `dice`.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        over: what is one region: a class in an `image`, or a class in the `batch`.
        smooth: added above and below the fraction, in pixels.
        include_background: whether class 0 is averaged over. None: not in a binary task; as any other class otherwise.
        ignore_index: label of pixels that do not count.
    Returns:
        () float in [0, 1]; 0 is perfect. Regions without a counted pixel are left out; 0 with zero gradient where all
        are.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Rahman and Wang 2016; differs: mean over regions, the rule for absent classes.
    Example:
        >>> import torch
        >>> logits = torch.tensor([[[[100.0, 100.0], [-100.0, -100.0]]]])
        >>> round(jaccard(logits, torch.tensor([[[1, 0], [1, 0]]])).item(), 4)  # 1 pixel shared of 3
        0.6667
    """
    batch = prepare(logits, target, loss="jaccard", ignore_index=ignore_index)
    regions = Regions(class_planes(batch, include_background), over)
    return regions.mean(tversky_costs(regions, alpha=1.0, beta=1.0, smooth=smooth))


class Jaccard(LossModule, function=jaccard):
    """Soft Jaccard (IoU) loss, the overlap of regions; every task. See `jaccard`."""
