"""Lovász loss: a convex stand-in for the IoU of hard predictions."""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.losses._planes import class_planes
from segbench.losses._targets import Batch, prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Over
from segbench.options import checked
from segbench.types import IGNORE_INDEX, Task


@checked
def lovasz(logits: Tensor, target: Tensor, *, over: Over = "image", ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Lovász extension of the Jaccard loss: hinge for binary and multilabel tasks, softmax for multiclass.

    Errors are sorted from the largest down, and each is weighed by how much the Jaccard loss grows when that pixel
    becomes wrong after those before it. An error is max(0, 1 - logit) where the label is 1 and max(0, 1 + logit) where
    it is 0 (hinge, every channel for itself), or 1 - probability and probability (softmax, every class for itself).

    A mask without foreground costs its single worst pixel under the hinge. The softmax form averages over the classes
    present in the region; a class that is absent costs through what it takes from those.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        over: the IoU that is stood in for: of every `image`, then the mean; or of the `batch` as if one image.
        ignore_index: label of pixels that do not count.
    Returns:
        () float, 0 or more; 0 is perfect. Hinge: exactly 0 with zero gradient from a margin of 1 on, and without upper
        bound; softmax: at most 1. Images without a counted pixel are left out; 0 with zero gradient where all are.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Berman et al. 2018; differs: multilabel channels one by one, a class in every image by default.
    Example:
        >>> logits = torch.tensor([[[[3.0, -0.5], [-3.0, -3.0]]]])
        >>> lovasz(logits, torch.tensor([[[1, 1], [0, 0]]])).item()  # error 1.5, and IoU would fall from 1 to 1/2
        0.75
    """
    batch = prepare(logits, target, loss="lovasz", ignore_index=ignore_index)
    errors, truth, counted = (_rows(part, over) for part in _errors(batch))
    # The weights are constant between two orders of the errors, so their gradient is 0.
    losses = (errors * _weights(errors.detach(), truth)).sum(dim=2)
    averaged = (truth if batch.task is Task.MULTICLASS else counted).any(dim=2)
    per_group = torch.where(averaged, losses, 0.0).sum(dim=1) / averaged.sum(dim=1).clamp(min=1)
    if batch.task is Task.MULTICLASS:
        return per_group.sum() / averaged.any(dim=1).sum().clamp(min=1)
    return torch.where(averaged, losses, 0.0).sum() / averaged.sum().clamp(min=1)


class Lovasz(LossModule, function=lovasz):
    """Lovász loss, a convex stand-in for the IoU of hard predictions; every task. See `lovasz`."""


def _errors(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Returns errors (0 where ignored), truth and counted, each (B, C, H, W)."""
    if batch.task is Task.MULTICLASS:
        planes = class_planes(batch)
        return planes.wrong, planes.truth, planes.counted
    truth = batch.target.bool()
    margins = torch.where(truth, batch.logits, -batch.logits)
    return torch.where(batch.counted, (1 - margins).relu(), 0.0), truth, batch.counted


def _rows(planes: Tensor, over: str) -> Tensor:
    """Returns (groups, C, pixels of a group) of (B, C, H, W)."""
    if over == "image":
        return planes.flatten(2)
    return planes.transpose(0, 1).flatten(1).unsqueeze(0)


def _weights(errors: Tensor, truth: Tensor) -> Tensor:
    """Returns the gradient of the Lovász extension at these errors; each (groups, C, pixels).

    Ignored pixels, of error 0 and not labelled, come last, where they change no weight that is multiplied by an error.
    """
    order = errors.argsort(dim=2, descending=True, stable=True)
    truth = truth.gather(2, order)
    true_px = truth.sum(dim=2, keepdim=True)
    # Jaccard loss after k wrong pixels: 1 - left / union. Counted in integers, and the step from one pixel to the next
    # as its own fraction, as the difference of two nearly equal numbers would lose its digits.
    left = (true_px - truth.cumsum(dim=2)).to(errors.dtype)
    union = (true_px + (~truth).cumsum(dim=2)).to(errors.dtype)
    steps = torch.where(truth, 1 / union, left / (union * (union - 1)).clamp(min=1))
    first = (torch.arange(errors.shape[2], device=errors.device) == 0) & (true_px == 0)
    steps = torch.where(first, 1.0, steps)
    return torch.zeros_like(errors).scatter(2, order, steps)
