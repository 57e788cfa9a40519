"""Several looks at one image, or several networks, whose probabilities are averaged: test-time flips and ensembles.

Probabilities are averaged, not logits: one look that is sure and wrong then weighs no more than one that is sure and
right. What comes out are logits again (of the averaged probability), so scores, thresholds and calibration are measured
as of any network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.predict.decide import normalization_of, normalize
from segbench.types import Normalization, Task, Tta

# Axes of (B, C, H, W) that each look turns round.
_LOOKS: dict[Tta, tuple[tuple[int, ...], ...]] = {
    "none": ((),),
    "hflip": ((), (3,)),
    "flips": ((), (3,), (2,), (2, 3)),
}


def average_probabilities(every: Iterable[Tensor], task: Task) -> Tensor:
    """Returns logits of the mean of the probabilities that logits stand for.

    Sums of logarithms throughout, so that it is finite and exact for sure logits, too; one at a time, so that many need
    no more memory than two.

    Args:
        every: logits (B, C, H, W), one at least.
        task: multiclass: softmax over C, else a sigmoid per channel.
    Returns:
        (B, C, H, W) float32; multiclass: the logarithms of the mean probabilities.
    Raises:
        ValueError: there is nothing to average.
    """
    sums: tuple[Tensor, ...] = ()
    number = 0
    for logits in every:
        parts = _log_probabilities(logits.float(), task)
        sums = tuple(map(torch.logaddexp, sums, parts)) if number else parts
        number += 1
    if not number:
        raise ValueError("expected logits to average, got none")
    return sums[0] - math.log(number) if task is Task.MULTICLASS else sums[0] - sums[1]


def _log_probabilities(logits: Tensor, task: Task) -> tuple[Tensor, ...]:
    """Returns the logarithms of all probabilities; or of those of yes, and those of no."""
    if task is Task.MULTICLASS:
        return (F.log_softmax(logits, dim=1),)
    return F.logsigmoid(logits), F.logsigmoid(-logits)


class FlipAverage(nn.Module):
    """A network that looks at an image and its mirror images, and averages the probabilities turned back.

    Simonyan and Zisserman 2015 average an image and its mirror image so; `flips` also turns it upside down, which suits
    images without an up and down (from above, under a microscope).

    Args:
        network: normalised images -> logits (B, C, H, W); a module is kept in its mode.
        task: see `average_probabilities`.
        tta: `none` (one look), `hflip` (left and right: two) or `flips` (both ways, and both together: four).
    """

    def __init__(self, network: Callable[[Tensor], Tensor], task: Task, tta: Tta) -> None:
        super().__init__()
        self.network = network
        self.task = task
        self.tta: Tta = tta
        self.training = getattr(network, "training", False)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits of the averaged probabilities; of the network itself for `none`."""
        looks = _LOOKS[self.tta]
        if self.tta == "none":
            return self.network(images)
        return average_probabilities((_turned(self.network(_turned(images, axes)), axes) for axes in looks), self.task)


class Ensemble(nn.Module):
    """Several networks as one: the mean of their probabilities (Lakshminarayanan et al. 2017).

    Args:
        networks: of the same classes; each carries its own `normalization`.
        task: see `average_probabilities`.

    Attributes:
        normalization: none, since every network's own is applied inside.
    """

    def __init__(self, networks: Sequence[nn.Module], task: Task) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.task = task
        self._normalizations = [normalization_of(network) for network in networks]
        self.normalization = Normalization.identity(len(self._normalizations[0].mean))

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits of the averaged probabilities, from images (B, C, H, W) in [0, 1]."""
        pairs = zip(self.networks, self._normalizations, strict=True)
        return average_probabilities(
            (network(normalize(images, normalization)) for network, normalization in pairs), self.task
        )


def _turned(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    return values.flip(axes) if axes else values
