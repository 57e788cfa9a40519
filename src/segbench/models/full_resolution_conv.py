"""Convolutions at full resolution, one after the other: every pixel is classified, but each sees little."""

from __future__ import annotations

from torch import Tensor, nn

from segbench.models.base import MIN_SIZE_PX, SegmentationNetwork
from segbench.models.layers import conv_norm_relu, initialize_for_relu, input_normalization
from segbench.models.options import InChannels, Norm
from segbench.options import Count, checked


class FullResolutionConv(SegmentationNetwork):
    """Baseline of 3x3 convolutions at full resolution: no pooling, a receptive field of 1 + 2 * depth pixels.

    `depth` convolutions, with ReLU behind all but the last; zeros around the image. Each layer widens what a logit sees
    by two pixels and costs multiply-adds at every pixel of the image, so a receptive field of an object's size is out
    of reach: that is what it is there to show beside `simple_fcn`.

    Source: a lecture's second way to classify pixels. Initial weights: He et al. 2015.

    Args:
        depth: number of convolutions, the last one included.
        width: channels between them.
        norm: after every convolution but the last: `none`, `batch` or `group`.
        center_input: take (image - 0.5) / 0.25 instead of the image from 0 to 1, see `input_normalization`.

    Attributes:
        receptive_field_px: side of the square of image pixels that one logit depends on, 1 + 2 * depth.

    Example:
        >>> FullResolutionConv(depth=6).receptive_field_px
        13
    """

    @checked
    def __init__(
        self,
        *,
        in_channels: InChannels = 3,
        out_channels: Count = 1,
        depth: Count = 6,
        width: Count = 32,
        norm: Norm = "none",
        center_input: bool = True,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=1,
            smallest_px=MIN_SIZE_PX,
            normalization=input_normalization(in_channels, center_input),
        )
        self.depth = depth
        self.receptive_field_px = 1 + 2 * depth
        layers: list[nn.Module] = []
        channels = in_channels
        for _ in range(depth - 1):
            layers.append(conv_norm_relu(channels, width, norm=norm, padding_mode="zeros"))
            channels = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Conv2d(channels, out_channels, 3, padding=1)
        initialize_for_relu(self, self.head)

    def compute_logits(self, image: Tensor) -> Tensor:
        """Returns logits of the size of `image`."""
        logits: Tensor = self.head(self.layers(image))
        return logits
