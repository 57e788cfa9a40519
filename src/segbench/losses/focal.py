"""Focal loss: cross-entropy that easy pixels hardly count in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.losses._targets import Batch, one_hot, per_class, prepare
from segbench.losses.base import LossModule
from segbench.losses.options import ClassWeights
from segbench.options import Fraction, NonNegative, checked
from segbench.types import IGNORE_INDEX, Task


@checked
def focal(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: NonNegative = 2.0,
    alpha: Fraction | ClassWeights | None = None,
    modulate: Literal["both", "positive"] = "both",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Focal loss, -alpha_t (1 - p_t)^gamma log p_t, mean over the counted pixels (of all channels).

    p_t is the probability given to the true label: sigmoid, one channel at a time, for binary and multilabel tasks;
    softmax for multiclass. Computed from log-probabilities, so it stays finite where the probability rounds to 0 or 1.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        gamma: 0 or more; 0 is cross-entropy.
        alpha: binary and multilabel: weight of label 1 in [0, 1], label 0 weighs 1 - alpha; a number, or one a
            channel. Multiclass: one number of 0 or more a class. None: no weights.
        modulate: `both` labels by (1 - p_t)^gamma, or only the `positive` one (binary and multilabel), which leaves
            plain cross-entropy on the background.
        ignore_index: label of pixels that do not count.
    Returns:
        () float, 0 or more; 0 with zero gradient where everything is ignored.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range or made for another task.
    Source: Lin et al. 2017; differs: mean over pixels instead of over matched anchors, no alpha unless given.
    Example:
        >>> round(focal(torch.zeros(1, 1, 2, 2), torch.tensor([[[0, 1], [1, 255]]])).item(), 4)  # 0.25 * log 2
        0.1733
    """
    weights = None if alpha is None else tuple(alpha) if isinstance(alpha, Sequence) else (alpha,)
    batch = prepare(logits, target, loss="focal", ignore_index=ignore_index)
    if batch.task is Task.MULTICLASS:
        return batch.mean(_softmax_focal(batch, gamma, weights, modulate))
    return batch.mean(_sigmoid_focal(batch, gamma, weights, modulate))


class Focal(LossModule, function=focal):
    """Focal loss, in which easy pixels hardly count; every task. See `focal`."""


def _sigmoid_focal(batch: Batch, gamma: float, alpha: tuple[float, ...] | None, modulate: str) -> Tensor:
    positive = batch.target.bool()
    towards_label = torch.where(positive, batch.logits, -batch.logits)
    log_p = F.logsigmoid(towards_label)
    factor = torch.exp(gamma * F.logsigmoid(-towards_label))  # (1 - p_t) ** gamma
    if modulate == "positive":
        factor = torch.where(positive, factor, 1.0)
    if alpha is not None:
        channels = batch.logits.shape[1]
        alpha = alpha * channels if len(alpha) == 1 else alpha
        per_class("alpha", alpha, channels)
        if max(alpha) > 1:
            raise ValueError(f"alpha is the weight of label 1, from 0 to 1, in a {batch.task} task; got {max(alpha):g}")
        weight = batch.logits.new_tensor(alpha).view(-1, 1, 1)
        factor = factor * torch.where(positive, weight, 1 - weight)
    return -factor * log_p


def _softmax_focal(batch: Batch, gamma: float, alpha: tuple[float, ...] | None, modulate: str) -> Tensor:
    if modulate == "positive":
        raise ValueError('modulate "positive" is for binary and multilabel tasks: exclusive classes have no background')
    log_probs = batch.logits.log_softmax(dim=1)
    true_class = one_hot(batch.target, log_probs.shape[1])
    log_p = torch.where(true_class, log_probs, 0.0).sum(dim=1)
    log_others = log_probs.masked_fill(true_class, float("-inf")).logsumexp(dim=1)  # log(1 - p_t)
    per_pixel = -torch.exp(gamma * log_others) * log_p
    if alpha is None:
        return per_pixel
    per_class("alpha", alpha, log_probs.shape[1])
    return per_pixel * batch.logits.new_tensor(alpha)[batch.target]
