"""The base of all networks: any image size in, logits of the same size out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segbench.models.layers import is_traced, pad_reflect
from segbench.models.options import InChannels
from segbench.options import Count, checked
from segbench.types import Normalization, WeightsOrigin

MIN_SIZE_PX = 32


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

    Example:
        >>> import torch
        >>> import segbench
        >>> class Tiny(segbench.SegmentationNetwork):
        ...     def __init__(self):
        ...         super().__init__(in_channels=3, out_channels=2, stride=1)
        ...         self.encoder = torch.nn.Conv2d(3, 2, 3, padding=1)
        ...
        ...     def compute_logits(self, image):
        ...         return self.encoder(image)
        >>> Tiny()(torch.rand(1, 3, 40, 50)).shape
        torch.Size([1, 2, 40, 50])
    """

    @checked
    def __init__(
        self,
        *,
        in_channels: InChannels,
        out_channels: Count,
        stride: int,
        smallest_px: int | None = None,
        smallest_training_batch: int = 1,
        normalization: Normalization | None = None,
        auxiliary_weights: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
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
        if not is_traced():  # where sizes stand for any
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
        >>> import torch
        >>> pad_to_stride(torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]), 4)[0, 0].tolist()
        [[1.0, 2.0, 3.0, 2.0], [4.0, 5.0, 6.0, 5.0], [1.0, 2.0, 3.0, 2.0], [4.0, 5.0, 6.0, 5.0]]
    """
    if is_traced():
        return image if stride == smallest_px == 1 else _pad_by_index(image, stride, smallest_px)
    height, width = (max(-(-size // stride), -(-smallest_px // stride)) * stride for size in image.shape[-2:])
    while image.shape[-2:] != (height, width):
        down = min(height - image.shape[-2], image.shape[-2] - 1)
        right = min(width - image.shape[-1], image.shape[-1] - 1)
        image = pad_reflect(image, (0, right, 0, down))
    return image


def _pad_by_index(image: Tensor, stride: int, smallest_px: int) -> Tensor:
    """Returns what `pad_to_stride` does, as one computation for every size: a graph that is traced has no loops."""
    for axis in (-2, -1):
        size: Any = torch.as_tensor(image.shape[axis])
        # Rounded up so, since ONNX divides negative integers towards zero.
        wanted = ((size + stride - 1) // stride * stride).clamp(min=-(-smallest_px // stride) * stride)
        position = torch.arange(wanted, device=image.device) % (2 * size - 2)
        image = image.index_select(axis, torch.minimum(position, 2 * size - 2 - position))
    return image
