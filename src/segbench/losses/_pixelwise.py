"""Cross-entropy of every pixel, for losses that weigh or choose pixels."""

from __future__ import annotations

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
