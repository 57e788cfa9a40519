"""The plainest fully convolutional network: down by pooling, classified coarsely, enlarged in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from segbench.models.base import MIN_SIZE_PX, SegmentationNetwork
from segbench.models.layers import conv_norm_relu, initialize_for_relu, input_normalization
from segbench.models.options import InChannels, Norm
from segbench.options import Count, checked

# After five stages 32 pixels are one.
Widths: TypeAlias = Annotated[
    Sequence[Count], Field(min_length=1, max_length=5, description="a list of 1 to 5 channel counts above 0")
]


class SimpleFCN(SegmentationNetwork):
    """Fully convolutional baseline: pooling stages, 1x1 classifier, bilinear enlargement (after Long et al. 2015).

    Each stage is a 3x3 convolution with ReLU and 2x2 max pooling, so that four of them leave a map of 1/16; its logits
    are enlarged to the image in one step (`align_corners=False`). Any H x W works unpadded; odd sizes are rounded up.

    Source: Long et al. 2015 (FCN-32s), in the form of a lesson's baseline; differs: one convolution a stage and random
    He weights instead of VGG-16, fixed instead of learned enlargement.

    Args:
        widths: channels of the stages, from fine to coarse; one to five of them.
        convolutions: how many 3x3 convolutions a stage has.
        norm: after every convolution but the last: `none`, `batch` or `group`.
        center_input: take (image - 0.5) / 0.25 instead of the image from 0 to 1, see `input_normalization`.

    Example:
        >>> sum(parameter.numel() for parameter in SimpleFCN().parameters())
        1551489
    """

    @checked
    def __init__(
        self,
        *,
        in_channels: InChannels = 3,
        out_channels: Count = 1,
        widths: Widths = (64, 128, 256, 512),
        convolutions: Count = 1,
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
        self.widths = tuple(widths)
        stages: list[nn.Module] = []
        channels = in_channels
        for width in self.widths:
            for _ in range(convolutions):
                stages.append(conv_norm_relu(channels, width, norm=norm, padding_mode="zeros"))
                channels = width
            # Rounded up: an odd last row or column is pooled alone instead of being lost.
            stages.append(nn.MaxPool2d(2, ceil_mode=True))
        self.encoder = nn.Sequential(*stages)
        self.head = nn.Conv2d(channels, out_channels, 1)
        initialize_for_relu(self, self.head)

    def compute_logits(self, image: Tensor) -> Tensor:
        """Returns logits of the size of `image`, smooth over 2 ** stages pixels."""
        return F.interpolate(self.head(self.encoder(image)), image.shape[-2:], mode="bilinear", align_corners=False)
