"""What networks share: padding any image to their stride and back, convolutions, and checks of their options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segbench.types import Normalization, WeightsOrigin

Choice = TypeVar("Choice", bound=str)

MIN_SIZE_PX = 32
MAX_IN_CHANNELS = 16
NORMS = ("batch", "group", "none")
PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]
PADDING_MODES: tuple[PaddingMode, ...] = ("reflect", "replicate", "zeros", "circular")


class SegmentationNetwork(nn.Module):
    """Base of all networks: pads the image to their stride, crops the logits back, and says what they are made of.

    H and W are padded at the bottom and right, by mirroring the image without repeating its edge (repeatedly where it
    is smaller than the padding), to a multiple of `stride` and at least `smallest_px`. Sizes that fit are left alone.

    Subclasses implement `compute_logits`; those with an encoder keep it in `self.encoder` or override
    `encoder_modules`; those with published weights implement `load_pretrained`.

    Attributes:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        stride: how many input pixels one pixel of the coarsest map stands for; 1 where no padding is needed.
        smallest_px: images are padded to at least this; 2 * stride unless said: the coarsest map then has 2 x 2 pixels
            or more, which reflecting convolutions and batch statistics need.
        smallest_training_batch: 2 where a normalisation works on pooled maps of one pixel.
        normalization: how the network wants its input.
        auxiliary_weights: factors of the losses of auxiliary logits; empty where the network has none.
        unused_prefixes: of tensors that the library's own form of the network has and this one leaves out.
        weights_origin: which weights it was built with.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        stride: int,
        smallest_px: int | None = None,
        smallest_training_batch: int = 1,
        normalization: Normalization | None = None,
        auxiliary_weights: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.in_channels = check_count("in_channels", in_channels)
        self.out_channels = check_count("out_channels", out_channels)
        if in_channels > MAX_IN_CHANNELS:
            raise ValueError(f"in_channels must be 1 to {MAX_IN_CHANNELS}, got {in_channels}")
        self.stride = stride
        self.smallest_px = 2 * stride if smallest_px is None else smallest_px
        self.smallest_training_batch = smallest_training_batch
        self.normalization = normalization or Normalization.identity(in_channels)
        self.auxiliary_weights = tuple(auxiliary_weights)
        self.unused_prefixes: tuple[str, ...] = ()
        self.weights_origin = WeightsOrigin.random()

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns logits (B, out_channels, H, W) of an image (B, in_channels, H, W) float with H, W >= 32.

        In training mode a network with `auxiliary_weights` returns a tuple instead: these logits, then auxiliary ones
        of the same shape, one a weight.

        Raises:
            ValueError: not four axes, another number of channels, no floating-point numbers, H or W below 32, or a
                training batch too small.
        """
        check_image(image, self.in_channels)
        if self.training and len(image) < self.smallest_training_batch:
            raise ValueError(
                f"{type(self).__name__} normalises maps pooled to one pixel over the batch, so training batches need "
                f"{self.smallest_training_batch} images or more, got {len(image)}; raise batch_size"
            )
        height, width = image.shape[-2:]
        padded = pad_to_stride(image, self.stride, smallest_px=self.smallest_px)
        logits = self.compute_logits(padded)
        if isinstance(logits, Tensor):
            return logits if padded is image else logits[..., :height, :width]
        return tuple(part[..., :height, :width] for part in logits)

    def compute_logits(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns logits of the size of `image`, whose H and W are multiples of `stride`, at least `smallest_px`.

        In training mode, with `auxiliary_weights`: a tuple of these logits and the auxiliary ones.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement compute_logits")

    def encoder_modules(self) -> tuple[nn.Module, ...]:
        """Returns the parts that `freeze: encoder` freezes and `encoder_lr` is for; empty where there is no encoder."""
        encoder = getattr(self, "encoder", None)
        return (encoder,) if isinstance(encoder, nn.Module) else ()

    def load_pretrained(self) -> WeightsOrigin:
        """Loads the published weights that the builder's option `weights` named, and says what they were.

        Raises:
            WeightsError: they are not on this machine and cannot be fetched (says which file to put where).
        """
        raise NotImplementedError(f"{type(self).__name__} has no published weights")

    def rename_published(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the tensors of a weights file, under this network's names where a library calls them otherwise.

        Raises:
            ValueError: the file's form shows that its weights were made for other options than this network has.
        """
        return dict(tensors)


def check_image(image: Tensor, in_channels: int) -> None:
    """Raises ValueError unless `image` is (B, in_channels, H, W) float with H and W of at least 32 pixels."""
    if image.ndim != 4:
        raise ValueError(f"expected an image (B, {in_channels}, H, W), got {image.ndim} axes: {tuple(image.shape)}")
    if not image.is_floating_point():
        raise ValueError(
            f"expected an image of floating-point numbers, got {image.dtype}; divide values of 0-255 by 255 and "
            "normalise them as the network's `normalization` says"
        )
    channels, height, width = image.shape[1:]
    if channels != in_channels:
        raise ValueError(
            f"the network was built for {in_channels} input channels, got an image with {channels}: "
            f"{tuple(image.shape)}; build it with in_channels={channels} or convert the image"
        )
    if min(height, width) < MIN_SIZE_PX:
        raise ValueError(
            f"images must be at least {MIN_SIZE_PX} x {MIN_SIZE_PX} pixels, got {height} x {width} (H x W); "
            "enlarge or pad the image"
        )


def pad_to_stride(image: Tensor, stride: int, *, smallest_px: int = 1) -> Tensor:
    """Returns `image` mirrored at the bottom and right until H and W are multiples of `stride`; itself if they are.

    Args:
        image: (B, C, H, W) with H, W >= 2.
        stride: in pixels.
        smallest_px: H and W are padded to at least this, too.

    Example:
        >>> pad_to_stride(torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]), 4)[0, 0].tolist()
        [[1.0, 2.0, 3.0, 2.0], [4.0, 5.0, 6.0, 5.0], [1.0, 2.0, 3.0, 2.0], [4.0, 5.0, 6.0, 5.0]]
    """
    height, width = (max(-(-size // stride), -(-smallest_px // stride)) * stride for size in image.shape[-2:])
    while image.shape[-2:] != (height, width):
        down = min(height - image.shape[-2], image.shape[-2] - 1)
        right = min(width - image.shape[-1], image.shape[-1] - 1)
        image = pad_reflect(image, (0, right, 0, down))
    return image


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

    Args:
        x: (B, C, H, W).
        indices: (B, C, H, W) int64, what `F.max_pool2d(..., 2, return_indices=True)` of a (B, C, 2H, 2W) gave.
    """
    if x.is_cuda and torch.are_deterministic_algorithms_enabled():
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


def check_count(name: str, value: object) -> int:
    """Returns `value`, or raises ValueError unless it is an integer above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer above 0, got {value!r}")
    return value


def check_choice(name: str, value: object, choices: Sequence[Choice]) -> Choice:
    """Returns `value`, or raises ValueError unless it is one of `choices`."""
    for choice in choices:
        if value == choice:
            return choice
    raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_flag(name: str, value: object) -> bool:
    """Returns `value`, or raises ValueError unless it is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return value


def check_probability(name: str, value: object) -> float:
    """Returns `value` as a float, or raises ValueError unless it is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1.0:
        raise ValueError(f"{name} must be a probability of 0 or more and below 1, got {value!r}")
    return float(value)


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
