"""Binary cross-entropy, one sigmoid a channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.losses._targets import Batch, per_class, prepare
from segbench.losses.base import LossModule
from segbench.losses.class_weights import balanced_pos_weights
from segbench.losses.options import Balanced, PosWeights
from segbench.options import Positive, checked
from segbench.types import IGNORE_INDEX, Task

TASKS = frozenset({Task.BINARY, Task.MULTILABEL})


@checked
def bce(
    logits: Tensor,
    target: Tensor,
    *,
    pos_weight: Positive | PosWeights | Balanced | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Binary cross-entropy in its numerically stable form, mean over the counted pixels of all channels.

    Args:
        logits: (B, 1, H, W) float for a binary task, (B, C, H, W) for a multilabel one.
        target: (B, H, W) or (B, C, H, W) integers in {0, 1} or `ignore_index`.
        pos_weight: factor on the pixels labelled 1; a number, or one a channel. `"inverse_frequency"`: for every
            channel (pixels labelled 0) / (pixels labelled 1) among the counted pixels of this batch, 1 where either is
            0. The mean is over pixels, not over weights, as in torch.
        ignore_index: label of pixels that do not count.
    Returns:
        () float, 0 or more; 0 with zero gradient where everything is ignored.
    Raises:
        ValueError: shapes disagree, several classes with one label a pixel, a label out of range, wrong weights.
    Example:
        >>> bce(torch.zeros(1, 1, 2, 2), torch.tensor([[[0, 1], [1, 255]]])).item()
        0.6931471824645996
    """
    batch = prepare(logits, target, loss="bce", tasks=TASKS, ignore_index=ignore_index)
    per_pixel = F.binary_cross_entropy_with_logits(
        batch.logits,
        batch.target.to(batch.logits.dtype),
        pos_weight=_pos_weight(pos_weight, batch),
        reduction="none",
    )
    return batch.mean(per_pixel)


class BCE(LossModule, function=bce, tasks=TASKS):
    """Binary cross-entropy; binary and multilabel tasks. See `bce`."""


def _pos_weight(option: Positive | PosWeights | Balanced | None, batch: Batch) -> Tensor | None:
    if option is None:
        return None
    channels = batch.logits.shape[1]
    if isinstance(option, str):
        positives = batch.target.sum(dim=(0, 2, 3))  # ignored pixels hold 0 there
        negatives = batch.counted.sum(dim=(0, 2, 3)) - positives
        weight = balanced_pos_weights(positives.tolist(), negatives.tolist())
    else:
        weight = [*option] if isinstance(option, Sequence) else [option]
        weight = weight * channels if len(weight) == 1 else weight
    per_class("pos_weight", weight, channels)
    return torch.tensor(weight, dtype=batch.logits.dtype, device=batch.logits.device).view(-1, 1, 1)
