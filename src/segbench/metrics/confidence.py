"""Confidence of a batch of logits against its target, in bins, on the device the logits are on."""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.metrics.calibration import CALIBRATION_BINS, Calibration
from segbench.metrics.confusion import check_batch
from segbench.types import IGNORE_INDEX, Task


class CalibrationCollector:
    """Gathers the confidences of batches in a few bins; a GPU is waited for only in `calibration()`.

    Args:
        task: see `segbench.types`.
        bins: how many, equally wide.
        ignore_index: label of pixels in the target that do not count.
    Raises:
        ValueError: fewer than 1 bin.
    """

    def __init__(self, task: Task, *, bins: int = CALIBRATION_BINS, ignore_index: int = IGNORE_INDEX) -> None:
        if bins < 1:
            raise ValueError(f"bins: expected 1 or more, got {bins}")
        self.task = task
        self.bins = bins
        self.ignore_index = ignore_index
        self._images = 0
        self._sums: list[Tensor] | None = None

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Adds one batch.

        Args:
            logits: (B, C, H, W) float; C = 1 for a binary task.
            target: as in `segbench.metrics.confusion_from_logits`.
        Raises:
            ValueError: shapes that do not fit the task.
        """
        target = check_batch(logits, target, self.task)
        confidence, right = _confidence(logits.float(), target, self.task)
        # Bins are open below: 0.2 of 5 bins belongs to the first.
        which = ((confidence * self.bins).ceil().long() - 1).clamp(0, self.bins - 1)
        which = torch.where(target == self.ignore_index, self.bins, which)
        table = torch.bincount((2 * which + right).flatten(), minlength=2 * self.bins + 2).view(-1, 2)[: self.bins]
        # One pass a bin: weights in a bincount would be added up in another order on every run of a GPU.
        exact = torch.float32 if logits.device.type == "mps" else torch.float64
        parts = [torch.where(which == index, confidence, 0.0).sum(dtype=exact) for index in range(self.bins)]
        sums = [table.sum(dim=1), torch.stack(parts), table[:, 1]]
        self._sums = sums if self._sums is None else [old + new for old, new in zip(self._sums, sums, strict=True)]
        self._images += len(logits)

    def calibration(self) -> Calibration:
        """Returns the bins of everything added so far.

        Raises:
            ValueError: nothing was added.
        """
        if self._sums is None:
            raise ValueError("there is nothing to judge: no batch was added")
        pixels, confidence_sum, correct = (part.cpu().numpy() for part in self._sums)
        return Calibration(
            pixels=pixels,
            confidence_sum=confidence_sum.astype("float64"),
            correct=correct,
            n_images=self._images,
            task=self.task,
        )


def _confidence(logits: Tensor, target: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Returns the probability of every pixel's most probable label, and whether that label is right."""
    if task is Task.MULTICLASS:
        confidence, predicted = logits.softmax(dim=1).max(dim=1)
        return confidence, predicted == target
    values = logits.reshape(target.shape)
    return values.abs().sigmoid(), (values > 0) == (target == 1)  # max(p, 1 - p) is the sigmoid of |logit|
