"""Cross-entropy of every pixel, for losses that weigh or choose pixels; and the choice of the hardest."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.losses._targets import Batch
from segbench.types import Task


def pixel_cross_entropy(batch: Batch) -> Tensor:
    """Returns -log of the probability given to the true label, of the target's shape; arbitrary where ignored.

    Softmax over the channels for multiclass, one sigmoid a channel otherwise.
    """
    if batch.task is not Task.MULTICLASS:
        return F.binary_cross_entropy_with_logits(batch.logits, batch.target.to(batch.logits.dtype), reduction="none")
    # One row a pixel: the (B, C, H, W) form of torch's own loss is refused where CUDA must be deterministic.
    rows = batch.logits.permute(0, 2, 3, 1).reshape(-1, batch.logits.shape[1])
    return F.cross_entropy(rows, batch.target.flatten(), reduction="none").view(batch.target.shape)


def hard_shares(values: Tensor, counted: Tensor, hard_frac: float) -> tuple[Tensor, Tensor]:
    """Returns which of each row's counted pixels are the hardest, and how many they are.

    Args:
        values: (G, N) float, larger is harder.
        counted: (G, N) bool.
        hard_frac: share of the counted ones that is hard; rounded up.
    Returns:
        (G, N) float: 1 for hard ones, 0 for others, between where some tie at the limit; and each row's sum, (G, 1).
    """
    # In Python's doubles: 0.1 * 30 is above 3 in float32. The small number takes back what doubles round up.
    numbers = [math.ceil(number * hard_frac * (1 - 1e-12)) for number in counted.sum(dim=1).tolist()]
    hard_px = torch.tensor(numbers, device=values.device).unsqueeze(1)
    values = values.masked_fill(~counted, float("-inf"))
    limit = values.sort(dim=1, descending=True).values.gather(1, (hard_px - 1).clamp(min=0))
    harder, tied = values > limit, (values == limit) & counted
    left = hard_px - harder.sum(dim=1, keepdim=True)
    tied_share = left / tied.sum(dim=1, keepdim=True).clamp(min=1)
    shares = torch.where(harder, 1.0, torch.where(tied, tied_share.to(values.dtype), 0.0)).to(values.dtype)
    return shares, hard_px
