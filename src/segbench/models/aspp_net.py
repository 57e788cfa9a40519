"""VGG-13's convolutions, one atrous spatial pyramid, one skip: DeepLabV3+ in small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from segbench.models.base import MIN_SIZE_PX, SegmentationNetwork
from segbench.models.layers import conv_norm_relu, initialize_for_relu, input_normalization, make_norm
from segbench.models.options import InChannels, Norm
from segbench.options import Count, Probability, checked

STAGE_FACTORS = (1, 2, 4, 8, 8)  # channels of the encoder's stages, in units of `width`
SKIP_STAGE = 2
Dilations: TypeAlias = Annotated[
    Sequence[Count], Field(min_length=1, description="a list of one or more distances in pixels, integers above 0")
]


class ASPPBlock(nn.Module):
    """Atrous spatial pyramid pooling: one map seen at several distances, joined by a 1x1 convolution.

    Parallel: a 1x1 convolution, and a 3x3 one a dilation, each with ReLU. A dilation as large as the map or larger sees
    only zeros around its centre and is a 1x1 convolution in effect.
    """

    def __init__(self, in_channels: int, out_channels: int, *, dilations: Sequence[int], norm: str) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(in_channels, out_channels, 1)]
        convolutions += [
            nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation) for dilation in dilations
        ]
        self.branches = nn.ModuleList(
            nn.Sequential(convolution, *make_norm(norm, out_channels), nn.ReLU(inplace=True))
            for convolution in convolutions
        )
        self.project = _pointwise(len(convolutions) * out_channels, out_channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, out_channels, H, W)."""
        joined: Tensor = self.project(torch.cat([branch(x) for branch in self.branches], dim=1))
        return joined


class ASPPNet(SegmentationNetwork):
    """VGG-13 encoder, atrous spatial pyramid and one skip, any H x W unpadded (after DeepLabV3+, Chen et al. 2018).

    Five stages of two 3x3 convolutions with ReLU, of 64, 128, 256, 512, 512 channels and 2x2 max pooling between; a
    pyramid of a 1x1 and three dilated 3x3 convolutions on the last (1/16); bilinear to 1/4, joined with the third
    stage's map in 48 channels; two 3x3 convolutions of 256 channels, a 1x1 one to the logits; bilinear to the image.
    Odd sizes are rounded up by the pooling, and bilinear is `align_corners=False`.

    Source: Chen et al. 2018, in the form of a Keras lesson; differs: VGG-13 as encoder, at 1/16, without normalisation;
    no pooled-image branch, plain 3x3 convolutions. Initial weights: He et al. 2015, with which it trains without
    normalisation, where the lesson has Glorot's.

    Args:
        width: channels of the first stage; all others follow in proportion.
        dilations: of the pyramid's 3x3 convolutions, in pixels of the 1/16 map. 18 on a 256 x 256 image (16 x 16 there)
            reaches outside everywhere: it sees its centre only.
        norm: after every convolution but the last: `none` (the lesson's), `batch`, `group`.
        dropout: probability in [0, 1) of a channel to be zeroed in training, in front of the last convolution.
        center_input: take (image - 0.5) / 0.25 instead of the image from 0 to 1, see `input_normalization`.

    Example:
        >>> sum(parameter.numel() for parameter in ASPPNet().parameters())
        14641777
    """

    @checked
    def __init__(
        self,
        *,
        in_channels: InChannels = 3,
        out_channels: Count = 1,
        width: Count = 64,
        dilations: Dilations = (6, 12, 18),
        norm: Norm = "none",
        dropout: Probability = 0.0,
        center_input: bool = True,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=1,
            smallest_px=MIN_SIZE_PX,
            normalization=input_normalization(in_channels, center_input),
        )
        self.width = width
        self.dilations = tuple(dilations)
        self.norm = norm
        self.encoder = nn.ModuleList()
        channels = in_channels
        for factor in STAGE_FACTORS:
            self.encoder.append(_conv_pair(channels, factor * width, norm))
            channels = factor * width
        joined, skipped = 4 * width, max(1, 3 * width // 4)
        self.aspp = ASPPBlock(channels, joined, dilations=self.dilations, norm=norm)
        self.skip = _pointwise(STAGE_FACTORS[SKIP_STAGE] * width, skipped, norm)
        self.decoder = _conv_pair(joined + skipped, joined, norm)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(joined, out_channels, 1)
        initialize_for_relu(self, self.head)

    def compute_logits(self, image: Tensor) -> Tensor:
        """Returns logits of the size of `image`."""
        x, skipped = image, image
        for level, stage in enumerate(self.encoder):
            # Rounded up: an odd last row or column is pooled alone instead of being lost.
            x = stage(x if level == 0 else F.max_pool2d(x, 2, ceil_mode=True))
            if level == SKIP_STAGE:
                skipped = x
        x = _resize(self.aspp(x), skipped)
        x = self.decoder(torch.cat([x, self.skip(skipped)], dim=1))
        return _resize(self.head(self.dropout(x)), image)


def _conv_pair(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    return nn.Sequential(
        conv_norm_relu(in_channels, out_channels, norm=norm, padding_mode="zeros"),
        conv_norm_relu(out_channels, out_channels, norm=norm, padding_mode="zeros"),
    )


def _pointwise(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, 1)
    return nn.Sequential(convolution, *make_norm(norm, out_channels), nn.ReLU(inplace=True))


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
