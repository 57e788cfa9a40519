"""A U-Net whose encoder is MobileNetV2, in two sets of conventions: Keras's, and those of torchvision's weights.

The same layers are computed a little differently by the two libraries, and published weights only fit their own:

===========  ======================  =============================  ======================  ====================
conventions  stride-2 3x3 padding    encoder's batch norm epsilon   input wanted            used with
===========  ======================  =============================  ======================  ====================
keras        0 before, 1 after       1e-3                           [-1, 1]                 `weights="none"`
torchvision  1 before, 1 after       1e-5                           ImageNet mean and std   `weights="imagenet"`
===========  ======================  =============================  ======================  ====================

Layers and their names are torchvision's (`features.0` the stem, `features.i + 1` Keras's block i), so its state dict
fits the encoder as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segbench.errors import OptionError, WeightsError, shorten
from segbench.models.base import SegmentationNetwork
from segbench.models.options import EncoderWeights, InChannels
from segbench.models.pretrained import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    adapt_filters,
    adapt_normalization,
    fetch_torchvision,
    sha256_of,
)
from segbench.options import Count, Probability, checked
from segbench.types import WeightsOrigin

Library: TypeAlias = Literal["auto", "keras", "torchvision"]
STRIDE_PX = 32
STEM_CHANNELS = 32
# Expansion, channels, blocks, stride of the first one (Sandler et al. 2018, table 2).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
SKIP_BLOCKS = (1, 3, 6, 13)
SKIP_CHANNELS = (96, 144, 192, 576)
BOTTLENECK_CHANNELS = 320
DECODER_CHANNELS = (512, 256, 128, 64)
DECODER_EPSILON = 1e-3
DECODER_INITIAL_STD = 0.02

# Layers of torchvision's classifier that the U-Net's encoder does not have.
_ONLY_TORCHVISION = re.compile(r"(^|\.)features\.18\.")
_BY_PATH = "`network: {name: mobilenet_v2_unet, conventions: torchvision}`"


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """How a library computes MobileNetV2; see the table in the module's docstring."""

    epsilon: float
    symmetric_padding: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]


KERAS = Conventions(epsilon=1e-3, symmetric_padding=False, mean=(0.5,) * 3, std=(0.5,) * 3)
TORCHVISION = Conventions(epsilon=1e-5, symmetric_padding=True, mean=IMAGENET_MEAN, std=IMAGENET_STD)


class EndPaddedConv2d(nn.Conv2d):
    """3x3 convolution of stride 2, padded by a row below and a column to the right: Keras's "same" for even sizes."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # nn.Conv2d's name for it
        """Returns (B, out_channels, H / 2, W / 2)."""
        return super().forward(F.pad(input, (0, 1, 0, 1)))


class CroppedConvTranspose2d(nn.ConvTranspose2d):
    """3x3 transposed convolution of stride 2 without its last row and column: Keras's "same", twice the size."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool) -> None:
        super().__init__(in_channels, out_channels, 3, stride=2, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002
        """Returns (B, out_channels, 2H, 2W)."""
        return super().forward(input, output_size)[..., :-1, :-1]


def conv_norm_relu6(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1, conventions: Conventions
) -> nn.Sequential:
    """Returns a convolution without bias, batch normalisation and ReLU6."""
    ends_only = stride == 2 and not conventions.symmetric_padding
    convolution = (EndPaddedConv2d if ends_only else nn.Conv2d)(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=0 if ends_only else kernel_size // 2,
        groups=groups,
        bias=False,
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels, eps=conventions.epsilon), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Block of MobileNetV2: 1x1 expansion, 3x3 depthwise, 1x1 projection without ReLU, a shortcut where shapes agree.

    Args:
        projection_norm: False leaves out the batch normalisation behind the projection, and with it the shortcut.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        stride: int,
        conventions: Conventions,
        projection_norm: bool = True,
    ) -> None:
        super().__init__()
        between = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers.append(conv_norm_relu6(in_channels, between, 1, conventions=conventions))
        layers.append(conv_norm_relu6(between, between, 3, stride=stride, groups=between, conventions=conventions))
        layers.append(nn.Conv2d(between, out_channels, 1, bias=False))
        if projection_norm:
            layers.append(nn.BatchNorm2d(out_channels, eps=conventions.epsilon))
        self.conv = nn.Sequential(*layers)
        self.expands = expansion > 1
        self.has_shortcut = projection_norm and stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the block's output and its expanded features after ReLU6 (`x` itself where it does not expand)."""
        expanded: Tensor = self.conv[0](x) if self.expands else x
        projected: Tensor = expanded
        for layer in list(self.conv)[1 if self.expands else 0 :]:
            projected = layer(projected)
        return (x + projected if self.has_shortcut else projected), expanded


class MobileNetV2Encoder(nn.Module):
    """The five feature maps of MobileNetV2 that the labs' decoder works on."""

    def __init__(self, in_channels: int, conventions: Conventions) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_norm_relu6(in_channels, STEM_CHANNELS, 3, stride=2, conventions=conventions)]
        channels = STEM_CHANNELS
        for stage, (expansion, out_channels, blocks, stride) in enumerate(STAGES):
            for block in range(blocks):
                layers.append(
                    InvertedResidual(
                        channels,
                        out_channels,
                        expansion=expansion,
                        stride=stride if block == 0 else 1,
                        conventions=conventions,
                        projection_norm=stage < len(STAGES) - 1,
                    )
                )
                channels = out_channels
        self.features = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # as the published weights began; BatchNorm makes the scale unimportant
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns maps of 96, 144, 192, 576 and 320 channels at 1/2, 1/4, 1/8, 1/16, 1/32; the last not normalised."""
        stem, *blocks = self.features
        x: Tensor = stem(image)
        maps: list[Tensor] = []
        for number, block in enumerate(blocks):
            x, expanded = block(x)
            if number in SKIP_BLOCKS:
                maps.append(expanded)
        return (*maps, x)


class MobileNetV2UNet(SegmentationNetwork):
    """U-Net on a MobileNetV2 encoder, ImageNet weights to be had (Sandler et al. 2018; the pets lab).

    Skips are the expanded features of inverted-residual blocks 1, 3, 6 and 13 (96, 144, 192, 576 channels at 1/2 to
    1/16), the bottleneck is the projection of block 16 before its batch normalisation (320 channels at 1/32). Decoder:
    four times a 3x3 transposed convolution of stride 2, batch normalisation, dropout and ReLU, with 512, 256, 128, 64
    channels, each joined with the skip; then a transposed convolution to the logits.
    H and W are padded to a multiple of 32 (64 at least) and cropped back.

    Source: the TensorFlow tutorial "Image segmentation" (decoder blocks of Isola et al. 2017, pix2pix); differs: batch
    statistics move by 0.1 a step instead of 0.001 (encoder) and 0.01 (decoder), which short trainings never catch up
    with, and the random encoder starts as torchvision's.

    Args:
        weights: `none`, or `imagenet`: torchvision's `MobileNet_V2_Weights.IMAGENET1K_V1` for the encoder.
        dropout: probability in [0, 1) of a value to be zeroed in training, in every decoder block; 0.5 in the lab.
        conventions: padding, epsilon and normalisation as `keras` or `torchvision` has them; `auto`: torchvision with
            `imagenet`, else keras. Name them when you start from a file of weights: shapes do not tell them apart.
            A file of torchvision's whole MobileNetV2, and a run's file of other conventions, are refused.

    Example:
        >>> sum(parameter.numel() for parameter in MobileNetV2UNet(out_channels=3).parameters())
        6471395
    """

    @checked
    def __init__(
        self,
        *,
        in_channels: InChannels = 3,
        out_channels: Count = 1,
        weights: EncoderWeights = "none",
        dropout: Probability = 0.0,
        conventions: Library = "auto",
    ) -> None:
        fitting = "torchvision" if weights == "imagenet" else "keras"
        if weights == "imagenet" and conventions == "keras":
            message = 'conventions must be "auto" or "torchvision" with weights "imagenet", got "keras"'
            raise OptionError(message, option="conventions")
        computed_as = TORCHVISION if (fitting if conventions == "auto" else conventions) == "torchvision" else KERAS
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=STRIDE_PX,
            normalization=adapt_normalization(computed_as.mean, computed_as.std, in_channels),
        )
        self.conventions = conventions
        self.dropout = dropout
        self.encoder = MobileNetV2Encoder(in_channels, computed_as)
        self.decoder = nn.ModuleList()  # from coarse to fine
        channels = BOTTLENECK_CHANNELS
        for width, skipped in zip(DECODER_CHANNELS, reversed(SKIP_CHANNELS), strict=True):
            self.decoder.append(_up_block(channels, width, self.dropout))
            channels = width + skipped
        self.head = CroppedConvTranspose2d(channels, out_channels, bias=True)
        nn.init.xavier_uniform_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def compute_logits(self, image: Tensor) -> Tensor:
        """Returns logits of the size of `image`."""
        *skips, x = self.encoder(image)
        for block, skipped in zip(self.decoder, reversed(skips), strict=True):
            x = torch.cat([block(x), skipped], dim=1)
        logits: Tensor = self.head(x)
        return logits

    def rename_published(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns `tensors`; nothing is called otherwise.

        Raises:
            ValueError: they are torchvision's MobileNetV2, but its conventions are not asked for.
        """
        if self.conventions == "auto" and any(_ONLY_TORCHVISION.search(name) for name in tensors):
            raise ValueError(
                "holds torchvision's MobileNetV2, whose weights only work with torchvision's padding, epsilon and "
                f"input; set {_BY_PATH}"
            )
        return dict(tensors)

    def load_pretrained(self) -> WeightsOrigin:
        """Loads torchvision's ImageNet weights into the encoder.

        Another number of input channels than three gets the first convolution's weights summed (one channel), or
        repeated and scaled by 3 / channels.

        Raises:
            WeightsError: not on this machine and not to be fetched, or the file there is another network's.
        """
        # Slow to import, and only needed here.
        from torchvision.models import MobileNet_V2_Weights  # type: ignore[import-untyped]

        weights = MobileNet_V2_Weights.IMAGENET1K_V1
        published, file = fetch_torchvision(weights, what="ImageNet weights of MobileNetV2", by_path=f" and {_BY_PATH}")
        wanted = self.encoder.state_dict()
        tensors = {name: published[name] for name in wanted if name in published}
        stem = "features.0.0.weight"
        if stem in tensors:
            tensors[stem] = adapt_filters(tensors[stem], self.in_channels)
        wrong = [name for name in wanted if name not in tensors or tensors[name].shape != wanted[name].shape]
        if wrong:
            raise WeightsError(
                f"expected torchvision's MobileNetV2 ({weights.url}), but {len(wrong)} of its {len(wanted)} tensors "
                f"are missing or of another shape: {shorten(wrong, 3)}; delete the file and fetch it again",
                file=file,
            )
        self.encoder.load_state_dict(tensors)
        return WeightsOrigin(
            source="imagenet",
            part="encoder",
            provider=f"torchvision {weights}",
            file=file.name,
            sha256=sha256_of(file) if file.is_file() else "",
            tensors=len(tensors),
            left_out=len(published) - len(tensors),
        )


def _up_block(in_channels: int, out_channels: int, dropout: float) -> nn.Sequential:
    convolution = CroppedConvTranspose2d(in_channels, out_channels, bias=False)
    nn.init.normal_(convolution.weight, 0.0, DECODER_INITIAL_STD)
    return nn.Sequential(
        convolution, nn.BatchNorm2d(out_channels, eps=DECODER_EPSILON), nn.Dropout(dropout), nn.ReLU(inplace=True)
    )
