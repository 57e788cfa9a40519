"""Cross-entropy of the hardest pixels only (hard-pixel mining, online bootstrapping)."""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.losses._pixelwise import hard_shares, pixel_cross_entropy
from segbench.losses._targets import prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Over, Share
from segbench.options import checked
from segbench.types import IGNORE_INDEX


@checked
def top_k(
    logits: Tensor,
    target: Tensor,
    *,
    hard_frac: Share = 0.1,
    over: Over = "image",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Mean cross-entropy of the hardest pixels: the `hard_frac` of the counted ones with the largest values.

    Binary cross-entropy for binary and multilabel tasks (a pixel of each channel counts for itself), softmax
    cross-entropy for multiclass. Rounded up, so at least one pixel is hard. Pixels that tie at the limit share the
    places that are left, so their order does not matter. Labels that are wrong are hard as well: take a larger share,
    or add another loss, where masks are noisy.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        hard_frac: share of the pixels that are hard, above 0 to 1; 1 is `bce` or `cross_entropy`.
        over: the hardest of every `image`, then the mean over images; or the hardest of the whole `batch`.
        ignore_index: label of pixels that do not count.
    Returns:
        () float, 0 or more; 0 is perfect. An empty mask is nothing special. Images without a counted pixel are left
        out; 0 with zero gradient where all are.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Wu et al. 2016; differs: a fixed share, as nnU-Net's TopK has it (there over the batch), not a limit on the
        probability.
    Example:
        >>> logits = torch.tensor([[[[5.0, 4.0], [0.0, -1.0]]]])
        >>> round(top_k(logits, torch.ones(1, 2, 2, dtype=torch.int64), hard_frac=0.25).item(), 4)  # log(1 + e)
        1.3133
    """
    batch = prepare(logits, target, loss="top_k", ignore_index=ignore_index)
    groups = (batch.target.shape[0], -1) if over == "image" else (1, -1)
    values = pixel_cross_entropy(batch).reshape(groups)
    counted = batch.counted.reshape(groups)
    shares, hard_px = hard_shares(values.detach(), counted, hard_frac)
    means = (torch.where(counted, values, 0.0) * shares).sum(dim=1, keepdim=True) / hard_px.clamp(min=1)
    return means.sum() / (hard_px > 0).sum().clamp(min=1)


class TopK(LossModule, function=top_k):
    """Cross-entropy of the hardest pixels only (hard-pixel mining); every task. See `top_k`."""
