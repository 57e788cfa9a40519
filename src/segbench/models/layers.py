"""What several networks are made of: convolutions that keep the size, normalisation, unpooling, initial weights."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segbench.models.options import PaddingMode
from segbench.types import Normalization


def is_traced() -> bool:
    """Tells whether a graph is being traced for export: sizes are tensors then, and loops over them would be frozen."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def pad_reflect(x: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    """Returns `F.pad(x, padding, mode="reflect")` of a (B, C, H, W), also where CUDA must be deterministic.

    There the gradient of torch's own reflection padding is refused (torch 2.15; drop this when it no longer is).

    Args:
        padding: left, right, top, bottom in pixels, each below the size it mirrors.
    """
    if x.is_cuda and torch.are_deterministic_algorithms_enabled():
        return _pad_reflect_by_parts(x, padding)
    return F.pad(x, padding, mode="reflect")


def _pad_reflect_by_parts(x: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    left, right, top, bottom = padding
    for axis, before, after in ((2, top, bottom), (3, left, right)):
        size = x.shape[axis]
        parts = [x]
        if before:
            parts.insert(0, x.narrow(axis, 1, before).flip(axis))
        if after:
            parts.append(x.narrow(axis, size - 1 - after, after).flip(axis))
        x = torch.cat(parts, dim=axis) if len(parts) > 1 else x
    return x


def max_unpool(x: Tensor, indices: Tensor) -> Tensor:
    """Returns `F.max_unpool2d(x, indices, 2)`, also where CUDA must be deterministic (refused there, torch 2.15).

    A graph that is traced scatters, too: ONNX has no form of torch's own for any size.

    Args:
        x: (B, C, H, W).
        indices: (B, C, H, W) int64, what `F.max_pool2d(..., 2, return_indices=True)` of a (B, C, 2H, 2W) gave.
    """
    if is_traced() or (x.is_cuda and torch.are_deterministic_algorithms_enabled()):
        return _max_unpool_by_scatter(x, indices)
    return F.max_unpool2d(x, indices, [2, 2])


def _max_unpool_by_scatter(x: Tensor, indices: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    planes = x.new_zeros(batch, channels, 4 * height * width)
    return planes.scatter(2, indices.flatten(2), x.flatten(2)).view(batch, channels, 2 * height, 2 * width)


class SameConv2d(nn.Conv2d):
    """`nn.Conv2d` of an odd kernel that keeps H and W; see `pad_reflect` for the one difference."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, *, padding_mode: PaddingMode) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, padding_mode=padding_mode, bias=True
        )

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # nn.Conv2d's name for it
        """Returns (B, out_channels, H, W)."""
        if self.padding_mode != "reflect":
            return super().forward(input)
        side = self.kernel_size[0] // 2
        return F.conv2d(pad_reflect(input, (side, side, side, side)), self.weight, self.bias)


def make_norm(norm: str, channels: int) -> list[nn.Module]:
    """Returns the layers of one normalisation: batch, group (at most 8 groups that divide `channels`) or none."""
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    return [nn.GroupNorm(math.gcd(8, channels), channels)] if norm == "group" else []


def conv_norm_relu(in_channels: int, out_channels: int, *, norm: str, padding_mode: PaddingMode) -> nn.Sequential:
    """Returns a 3x3 convolution with bias that keeps the size, normalisation and ReLU."""
    convolution = SameConv2d(in_channels, out_channels, padding_mode=padding_mode)
    return nn.Sequential(convolution, *make_norm(norm, out_channels), nn.ReLU(inplace=True))


def input_normalization(in_channels: int, centered: bool) -> Normalization:
    """Returns how a network without normalisation layers wants its input: centred, or the image from 0 to 1 as it is.

    Uncentred, all pixels share a large mean that no layer takes away, and a step moves all logits together, far more
    than it tells them apart. With Dice alone, whose best constant answer is "all foreground", they can rise until the
    sigmoid is saturated and no gradient is left (docs/howto/studies.md has the trials). Source: LeCun et al. 1998,
    "Efficient BackProp", on centred inputs.
    """
    return Normalization.centered(in_channels) if centered else Normalization.identity(in_channels)


def initialize_for_relu(network: nn.Module, head: nn.Module) -> None:
    """Sets the weights of all convolutions and linear layers as He et al. 2015 for ReLU, and their biases to 0.

    Without normalisation PyTorch's defaults let the signal fade from layer to layer; these keep its size. Call it
    before published weights are loaded.

    Args:
        network: everything in it is set.
        head: its last layer, in `network`; no ReLU follows, so its weights are smaller by the square root of 2.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if module is head else "relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
