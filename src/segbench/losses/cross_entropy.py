"""Cross-entropy over exclusive classes."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from segbench.losses._targets import Batch, infer_task, per_class, prepare
from segbench.losses.base import LossModule
from segbench.losses.class_weights import balanced_class_weights
from segbench.losses.options import Balanced, ClassWeights
from segbench.options import checked
from segbench.types import IGNORE_INDEX, Task

TASKS = frozenset({Task.MULTICLASS})
Smoothing: TypeAlias = Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")]


@checked
def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    class_weights: ClassWeights | Balanced | None = None,
    label_smoothing: Smoothing = 0.0,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Cross-entropy of the softmax over C classes, mean over the counted pixels.

    Args:
        logits: (B, C, H, W) float, C > 1.
        target: (B, H, W) integers in [0, C) or `ignore_index`.
        class_weights: one number of 0 or more a class; the mean then divides by the counted pixels' weights, as in
            torch. `"inverse_frequency"`: n / (K * n_class) among the counted pixels of this batch, K being the classes
            that occur in it.
        label_smoothing: share of the label spread evenly over all classes, in [0, 1).
        ignore_index: label of pixels that do not count.
    Returns:
        () float, 0 or more; 0 with zero gradient where everything is ignored (or weighs 0).
    Raises:
        ValueError: one-channel logits (use `bce`), shapes disagree, a label out of range, wrong weights.
    Example:
        >>> cross_entropy(torch.zeros(1, 4, 2, 2), torch.tensor([[[0, 1], [2, 255]]])).item()
        1.3862943649291992
    """
    if infer_task(logits, target) is Task.BINARY:
        raise ValueError(
            "cross_entropy needs one logit a class: the softmax over a single channel is always 1, so the loss would "
            f"always be 0; use bce for logits {tuple(logits.shape)}"
        )
    batch = prepare(logits, target, loss="cross_entropy", tasks=TASKS, ignore_index=ignore_index)
    weight = _weight(class_weights, batch)
    channels = batch.logits.shape[1]
    # One row a pixel: the (B, C, H, W) form of torch's own loss is refused where CUDA must be deterministic.
    rows, labels = batch.logits.permute(0, 2, 3, 1).reshape(-1, channels), batch.target.flatten()
    per_pixel = F.cross_entropy(rows, labels, weight=weight, label_smoothing=label_smoothing, reduction="none")
    per_pixel = per_pixel.view(batch.target.shape)
    if weight is None:
        return batch.mean(per_pixel)
    total = torch.where(batch.counted, weight[batch.target], 0.0).sum()
    return torch.where(batch.counted, per_pixel, 0.0).sum() / torch.where(total > 0, total, 1.0)


class CrossEntropy(LossModule, function=cross_entropy, tasks=TASKS):
    """Cross-entropy over exclusive classes; multiclass tasks. See `cross_entropy`."""


def _weight(weights: ClassWeights | Balanced | None, batch: Batch) -> Tensor | None:
    if weights is None:
        return None
    channels = batch.logits.shape[1]
    if isinstance(weights, str):
        pixels = torch.bincount(batch.target[batch.counted], minlength=channels)
        weights = balanced_class_weights(pixels.tolist())
    per_class("class_weights", weights, channels)
    return torch.tensor(weights, dtype=batch.logits.dtype, device=batch.logits.device)
