"""Several looks at one image, or several networks, whose probabilities are averaged: test-time augmentation, ensembles.

Probabilities are averaged, not logits: one look that is sure and wrong then weighs no more than one that is sure and
right. What comes out are logits again (of the averaged probability), so scores, thresholds and calibration are measured
as of any network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.models.base import MIN_SIZE_PX
from segbench.predict.decide import normalization_of, normalize
from segbench.types import Normalization, Task, Tta


class Look(NamedTuple):
    """What is done to an image before the network sees it, and undone of what it says.

    Attributes:
        mirrored: left to right, first.
        quarters: turns by 90 degrees, counterclockwise; of an odd number height and width change places.
        scale: of both sides, which do not become shorter than any network takes.
    """

    mirrored: bool = False
    quarters: int = 0
    scale: float = 1.0

    def take(self, images: Tensor) -> Tensor:
        """Returns images (B, C, H, W) so changed."""
        turned = _rotated(images.flip(3) if self.mirrored else images, self.quarters)
        if self.scale == 1.0:
            return turned
        size = [max(min(side, MIN_SIZE_PX), round(side * self.scale)) for side in turned.shape[2:]]
        return F.interpolate(turned, size=size, mode="bilinear", align_corners=False, antialias=self.scale < 1.0)

    def put_back(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Returns logits of such images as logits of the images themselves, which are of `size` (H, W)."""
        if self.scale != 1.0:
            logits = F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)
        turned = _rotated(logits, -self.quarters)
        return turned.flip(3) if self.mirrored else turned


def _rotated(images: Tensor, quarters: int) -> Tensor:
    """Returns `torch.rot90(images, quarters, (2, 3))`, of which ONNX has no word."""
    turns = quarters % 4
    if turns == 2:
        return images.flip((2, 3))
    return images.flip(3 if turns == 1 else 2).transpose(2, 3) if turns else images


LOOKS: dict[Tta, tuple[Look, ...]] = {
    "none": (Look(),),
    "hflip": (Look(), Look(mirrored=True)),
    "flips": (Look(), Look(mirrored=True), Look(mirrored=True, quarters=2), Look(quarters=2)),
    "rotations": tuple(Look(quarters=quarters) for quarters in range(4)),
    "flips_and_rotations": tuple(Look(mirrored, quarters) for mirrored in (False, True) for quarters in range(4)),
    "scales": (Look(), Look(scale=0.75), Look(scale=1.25)),
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
    """A network that looks at an image several times, and averages the probabilities put back.

    Simonyan and Zisserman 2015 average an image and its mirror image so; `flips` also turns it upside down, `rotations`
    by 90 degrees, which suits images without an up and down (from above, under a microscope); `scales` shows it smaller
    and larger, too, for objects of other sizes than the network learnt from.

    Args:
        network: normalised images -> logits (B, C, H, W); a module is kept in its mode.
        task: see `average_probabilities`.
        tta: `none` (one look), `hflip` (left and right: two), `flips` (both ways, and both together: four), `rotations`
            (four), `flips_and_rotations` (all eight) or `scales` (at 1, 0.75 and 1.25 times the size: three).
    """

    def __init__(self, network: Callable[[Tensor], Tensor], task: Task, tta: Tta) -> None:
        super().__init__()
        self.network = network
        self.task = task
        self.tta: Tta = tta
        self.training = getattr(network, "training", False)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits of the averaged probabilities; of the network itself for `none`."""
        if self.tta == "none":
            return self.network(images)
        size = images.shape[2:]
        every = (look.put_back(self.network(look.take(images)), size) for look in LOOKS[self.tta])
        return average_probabilities(every, self.task)


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
