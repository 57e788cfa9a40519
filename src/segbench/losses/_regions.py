"""Soft counts of regions: what dice, jaccard and tversky share, the rule for absent classes among it."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from segbench.losses._planes import Planes


class Regions:
    """Pixels of every region, in which a pixel counts with its probability.

    A region is a class in an image, or a class in the batch; every attribute has one value a region.

    Attributes:
        true_px: int64, counted pixels of the class.
        counted_px: int64, counted pixels.
        predicted_px: sum of the probabilities.
    """

    def __init__(self, planes: Planes, over: str) -> None:
        self._planes = planes
        self._axes = (2, 3) if over == "image" else (0, 2, 3)
        self.true_px = planes.truth.sum(self._axes)
        self.counted_px = planes.counted.sum(self._axes)
        self.predicted_px = torch.where(planes.counted, planes.probs, 0.0).sum(self._axes)

    @cached_property
    def true_positives(self) -> Tensor:
        """Sum of the probabilities on pixels of the class."""
        return torch.where(self._planes.truth, self._planes.probs, 0.0).sum(self._axes)

    @cached_property
    def false_positives(self) -> Tensor:
        """Sum of the probabilities on counted pixels that are not of the class."""
        outside = self._planes.counted & ~self._planes.truth
        return torch.where(outside, self._planes.probs, 0.0).sum(self._axes)

    @cached_property
    def false_negatives(self) -> Tensor:
        """Sum of what is missing to probability 1 on pixels of the class."""
        return torch.where(self._planes.truth, self._planes.rest, 0.0).sum(self._axes)

    def costs(self, present_costs: Tensor) -> Tensor:
        """Returns these costs where the class is present, the mean probability where it is absent.

        A class without a pixel has no overlap to measure, and the gradient of its fraction would vanish (or be NaN at
        0 / 0). The mean of the probabilities is 0 when nothing is predicted, at most 1, and has the same gradient with
        respect to the probability of every pixel.

        Args:
            present_costs: finite also where the class is absent, though not used there.
        """
        return torch.where(self.true_px > 0, present_costs, self.predicted_px / self.counted_px.clamp(min=1))

    def mean(self, costs: Tensor) -> Tensor:
        """Returns the mean over regions with a counted pixel; 0 where there is none."""
        return costs.sum() / (self.counted_px > 0).sum().clamp(min=1)


def tversky_costs(regions: Regions, *, alpha: float, beta: float, smooth: float) -> Tensor:
    """Returns 1 - the Tversky index of every region; Jaccard is alpha = beta = 1.

    The complement is computed from what is wrong, not as 1 - fraction, so it keeps its digits near 0.
    """
    wrong = alpha * regions.false_positives + beta * regions.false_negatives
    everything = regions.true_positives + wrong + smooth
    return regions.costs(wrong / torch.where(regions.true_px > 0, everything, 1.0))
