"""Online hard example mining: cross-entropy of the pixels that the network is not sure of yet."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from segbench.losses._pixelwise import hard_shares, pixel_cross_entropy
from segbench.losses._targets import prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Over, Share
from segbench.options import checked
from segbench.types import IGNORE_INDEX


@checked
def ohem(
    logits: Tensor,
    target: Tensor,
    *,
    thresh: Share = 0.7,
    min_kept_frac: Share = 0.0625,
    over: Over = "batch",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Cross-entropy in which only hard pixels count: those whose true label is given a probability below `thresh`.

    Where these are fewer than `min_kept_frac` of the counted pixels, that many of the hardest are kept, so that a
    network that is sure of nearly everything still learns from something. The sum is divided by all counted pixels, so
    it falls whenever a pixel becomes surer; it becomes small, so its weight beside another loss matters. `top_k`, which
    keeps a fixed share, is the mean of what is kept. Binary cross-entropy for binary and multilabel tasks (a pixel of
    each channel counts for itself), softmax cross-entropy for multiclass.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        thresh: probability of the true label, above 0 to 1; pixels below it are hard.
        min_kept_frac: share of the counted pixels that is kept in any case, above 0 to 1, rounded up; pixels that tie
            at the limit share the places that are left. 1 is `bce` or `cross_entropy`.
        over: choose and average over the whole `batch`; or in every `image`, then the mean over images.
        ignore_index: label of pixels that do not count.
    Returns:
        () float, 0 or more; 0 is perfect. An empty mask is nothing special. Images without a counted pixel are left
        out; 0 with zero gradient where all are.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Shrivastava et al. 2016, for regions; for pixels as in mmsegmentation (`thresh`, `min_kept`); differs: the
        least number is a share of the counted pixels, since a number of pixels means something else at every size, and
        ignored pixels are not divided by. HRNet's code divides by the kept pixels, and rises when one becomes sure.
    Example:
        >>> logits = torch.tensor([[[[5.0, 4.0], [0.0, -1.0]]]])  # probabilities .993, .982, .5 and .269
        >>> round(ohem(logits, torch.ones(1, 2, 2, dtype=torch.int64)).item(), 4)  # (log 2 + log(1 + e)) / 4
        0.5016
    """
    batch = prepare(logits, target, loss="ohem", ignore_index=ignore_index)
    groups = (batch.target.shape[0], -1) if over == "image" else (1, -1)
    values = pixel_cross_entropy(batch).reshape(groups)
    counted = batch.counted.reshape(groups)
    hardest, _ = hard_shares(values.detach(), counted, min_kept_frac)
    unsure = counted & (values.detach() > -math.log(thresh))
    shares = torch.where(unsure, 1.0, hardest).to(values.dtype)
    total = counted.sum(dim=1)
    means = (torch.where(counted, values, 0.0) * shares).sum(dim=1) / total.clamp(min=1)
    return means.sum() / (total > 0).sum().clamp(min=1)


class OHEM(LossModule, function=ohem):
    """Cross-entropy of pixels that are not sure yet (online hard example mining); every task. See `ohem`."""
