"""A model with everything around it as one computation: an image's bytes in, class ids and probabilities out.

What `segbench.predict.pipeline` does with files, NumPy and Pillow is here said in tensors, so that it can be traced:
the same resizing to the last bit, normalisation, network, temperature, enlarging, decision.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.models.base import MIN_SIZE_PX
from segbench.predict.decide import normalize, probabilities, tempered
from segbench.predict.pipeline import PipelineSettings
from segbench.types import ORIGINAL, SizePolicy, Task

Form: TypeAlias = Literal["full", "plain", "qgis"]
_BITS = 22  # after the point of Pillow's weights
_HALF = 2 ** (_BITS // 2)


class FullForm(nn.Module):
    """`image` (B, H, W, C) uint8 -> `mask` and `probabilities`, as `Pipeline` gives them.

    Args:
        network: normalised images (B, C, h, w) -> logits (B, K, h, w).
        settings: of the pipeline; `postprocess` is left out.
        policy: `resize`: to `settings.size` and back; `whole`: to the scale of training and back; `tiles`: as it is,
            for a tile that somebody else cuts.
    """

    def __init__(self, network: nn.Module, settings: PipelineSettings, policy: SizePolicy) -> None:
        super().__init__()
        self.network, self.settings, self.policy = network, settings, policy

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (B, H, W) uint8, multilabel (B, K, H, W), and (B, K, H, W) float32 in [0, 1]; K is 1 for binary."""
        task = self.settings.class_map.task
        height, width = image.shape[1], image.shape[2]
        size = self._size_seen(height, width)
        seen = image.permute(0, 3, 1, 2).float()
        seen = seen if size is None else resize_exactly(seen, size)
        images = normalize(seen / 255.0, self.settings.normalization)
        logits = self.network(images if self.policy == "resize" else mirrored_to(images, MIN_SIZE_PX))
        logits = logits[:, :, : seen.shape[2], : seen.shape[3]]
        probs = probabilities(logits, task)
        given = tempered(probs, self.settings.temperature, task)  # what is said of a mask, which it does not decide
        if size is not None:
            alike = given is probs
            probs = F.interpolate(probs, (height, width), mode="bilinear", align_corners=False)
            given = probs if alike else F.interpolate(given, (height, width), mode="bilinear", align_corners=False)
        if task is Task.MULTICLASS:
            return probs.argmax(dim=1).to(torch.uint8), given
        above = (probs > self.settings.threshold).to(torch.uint8)
        return (above[:, 0] if task is Task.BINARY else above), given

    def _size_seen(self, height: Any, width: Any) -> tuple[Any, Any] | None:
        """Returns the (h, w) that the network sees; None: those of the image."""
        trained, before = self.settings.size, self.settings.training_px
        if self.policy == "tiles" or trained == ORIGINAL:
            return None
        if self.policy == "resize":
            return trained
        if before is None:
            return None
        return _scaled(height, trained[0], before[0]), _scaled(width, trained[1], before[1])


class TileForm(nn.Module):
    """`image` (B, C, H, W) float32 in [0, 1] -> `probabilities` (B, K, H, W) float32: what Deepness (QGIS) asks for.

    It decides masks by them, so the temperature is left out.
    """

    def __init__(self, network: nn.Module, settings: PipelineSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, image: Tensor) -> Tensor:
        """Returns the probabilities at the image's size."""
        logits = self.network(normalize(image, self.settings.normalization))
        return probabilities(logits, self.settings.class_map.task)


def resize_exactly(images: Tensor, wanted: tuple[Any, Any]) -> Tensor:
    """Returns images resized bit for bit as Pillow does it (bilinear, antialiased, 8 bit).

    Pillow's weights have 22 bits after the point, and each of its two passes, columns first, rounds to 8 bit. That
    takes whole numbers, since sums of fractions fall on either side of a half; products of matrices of small whole
    numbers are exact in float32, and much quicker than gathering. Exact for images that become at most 30 times
    smaller.

    Args:
        images: (B, C, H, W) float32, whole numbers of 0-255.
        wanted: (h, w); numbers, or tensors of one while a graph is traced.
    Returns:
        (B, C, h, w) float32, whole numbers of 0-255.
    """
    high, low = _weights(images.shape[3], wanted[1])
    images = _rounded(images @ high.transpose(0, 1), images @ low.transpose(0, 1))
    high, low = _weights(images.shape[2], wanted[0])
    return _rounded(high @ images, low @ images)


def _weights(size: Any, wanted: Any) -> tuple[Tensor, Tensor]:
    """Returns two (wanted, size) float32 of whole numbers: 2 ** 11 times the first plus the second is Pillow's weight.

    Lengths are in units of 1 / (2 * wanted) pixels, in which every centre is a whole number. The triangle's half width
    is a pixel of the coarser of the two grids.
    """
    size, wanted = torch.as_tensor(size), torch.as_tensor(wanted)
    centres = (2 * torch.arange(wanted)[:, None] + 1) * size
    apart = ((2 * torch.arange(size)[None] + 1) * wanted - centres).abs()
    heights = (2 * torch.maximum(size, wanted) - apart).clamp(min=0)
    total = heights.sum(dim=1, keepdim=True)
    # Long division in two digits of 11 bits, rounded half up: some runtimes compute whole numbers in 32 bits only.
    high, rest = _divided(heights * _HALF, total)
    low, rest = _divided(rest * _HALF, total)
    low = low + (2 * rest >= total).to(torch.int64)
    carried = (low >= _HALF // 2).to(torch.int64)  # digits around 0 leave room for more pixels in a sum
    return (high + carried).float(), (low - carried * _HALF).float()


def _divided(dividend: Tensor, divisor: Tensor) -> tuple[Tensor, Tensor]:
    """Returns quotient and rest of whole numbers; put right where a runtime divides in float32, as OpenVINO does."""
    quotient = dividend // divisor
    rest = dividend - quotient * divisor
    off = (rest >= divisor).to(torch.int64) - (rest < 0).to(torch.int64)
    return quotient + off, rest - off * divisor


def _rounded(high: Tensor, low: Tensor) -> Tensor:
    """Returns `(2 ** 11 * high + low) / 2 ** 22`, rounded half up; every step is exact in float32."""
    carried = high + (low / _HALF).floor()
    rounded: Tensor = ((carried + _HALF // 2) / _HALF).floor()
    return rounded


def _scaled(side: Any, seen: int, before: int) -> Any:
    """Returns `max(1, round(side * seen / before))`, half to even as Python rounds."""
    product = torch.as_tensor(side) * seen
    whole, twice = product // before, 2 * (product % before)
    up = (twice > before) | ((twice == before) & (whole % 2 == 1))
    return (whole + up.to(torch.int64)).clamp(min=1)


def mirrored_to(images: Tensor, smallest_px: int) -> Tensor:
    """Returns (B, C, H, W) mirrored at the bottom and right until H and W are `smallest_px` or more."""
    for axis in (2, 3):
        size: Any = torch.as_tensor(images.shape[axis])
        position = torch.arange(size.clamp(min=smallest_px)) % (2 * size)
        images = images.index_select(axis, torch.minimum(position, 2 * size - 1 - position))
    return images
