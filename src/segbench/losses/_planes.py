"""A batch as one plane a class: what the losses that compare regions start from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from segbench.losses._targets import Batch, one_hot
from segbench.types import Task


@dataclass(frozen=True, eq=False)
class Planes:
    """Probabilities and truth, each (B, C, H, W), of the classes that a loss averages over.

    Attributes:
        probs: of the class; sigmoid, or softmax for exclusive classes.
        rest: 1 - probs; of a sigmoid computed from the logit, so it keeps its digits where probs rounds to 1.
        truth: bool; False where ignored.
        counted: bool; not ignored.
    """

    probs: Tensor
    rest: Tensor
    truth: Tensor
    counted: Tensor

    @property
    def wrong(self) -> Tensor:
        """The probability given to the wrong answer, |truth - probs|; 0 without gradient where ignored."""
        return torch.where(self.counted, torch.where(self.truth, self.rest, self.probs), 0.0)

    def mean(self, per_pixel: Tensor) -> Tensor:
        """Returns the mean over the counted pixels of all planes; 0 where there is none."""
        return torch.where(self.counted, per_pixel, 0.0).sum() / self.counted.sum().clamp(min=1)


def class_planes(batch: Batch, include_background: bool | None = None) -> Planes:
    """Returns the planes of a batch.

    Args:
        batch: from `prepare`.
        include_background: whether there is a plane for class 0. None: not in a binary task, where only the foreground
            counts; as for any other class otherwise.
    """
    if batch.task is Task.MULTICLASS:
        probs = batch.logits.softmax(dim=1)
        rest = 1 - probs
        counted = batch.counted.unsqueeze(1).expand_as(probs)
        truth = one_hot(batch.target, probs.shape[1]) & counted
    else:
        probs, rest = batch.logits.sigmoid(), (-batch.logits).sigmoid()
        truth, counted = batch.target.bool(), batch.counted
        if batch.task is Task.BINARY and include_background:
            probs, rest = torch.cat([rest, probs], dim=1), torch.cat([probs, rest], dim=1)
            truth = torch.cat([~truth & counted, truth], dim=1)
            counted = counted.expand_as(probs)
    if include_background is False and batch.task is not Task.BINARY:
        probs, rest, truth, counted = probs[:, 1:], rest[:, 1:], truth[:, 1:], counted[:, 1:]
    return Planes(probs, rest, truth, counted)
