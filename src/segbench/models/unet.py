"""The U-Net family: one encoder-decoder; how to go down, how to go up and what a skip does are options.

Sources: Ronneberger et al. 2015 (U-Net), Badrinarayanan et al. 2017 (SegNet). They differ here as in the PH2 homework
the four names come from: convolutions keep the size (reflecting at the border) instead of shrinking the map, every
convolution is followed by batch normalisation, the widths are 16-32-64-128 instead of 64-1024, and SegNet's encoder is
two convolutions a stage instead of VGG-16. Initial weights are PyTorch's defaults.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, Unpack

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from segbench.errors import OptionError
from segbench.models.base import SegmentationNetwork
from segbench.models.layers import SameConv2d, conv_norm_relu, make_norm, max_unpool
from segbench.models.options import FamilyOptions, InChannels, Norm, PaddingMode, StageWidths
from segbench.models.skips import joined_width, make_join
from segbench.options import Count, Probability, checked

Downsampling: TypeAlias = Literal["max", "strided"]
Upsampling: TypeAlias = Literal["nearest", "bilinear", "bicubic", "unpool", "transposed"]
Skip: TypeAlias = Literal["concat", "add", "none", "attention", "aff"]
Depth: TypeAlias = Annotated[int, Field(ge=1, le=7, description="an integer from 1 to 7")]


class UNet(SegmentationNetwork):
    """Encoder-decoder with one stage a width, each of two 3x3 convolutions; every stage halves H and W.

    With widths w1..wn: encoder stage i is conv(w(i-1), wi), conv(wi, wi), then 2x down; the bottleneck is conv(wn, wn);
    decoder stage i is 2x up, the join with the encoder's map, conv(wi or 2wi, wi), conv(wi, w(i-1)). The last
    convolution of all, conv(w1, out_channels), has neither normalisation nor activation.

    Images of any H x W >= 32 are padded inside to the stride (2 ** n) and the logits cropped back, see
    `SegmentationNetwork`.

    Args:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        widths: channels of the stages, from fine to coarse; one to seven of them.
        downsampling: `max` pooling 2x2, or `strided`: Conv2d kernel 2 stride 2, normalisation, ReLU.
        upsampling: `nearest`, `bilinear` or `bicubic` interpolation; `unpool`, which puts each value where the pooled
            maximum was and zeros elsewhere (needs `downsampling="max"`); or `transposed`: ConvTranspose2d kernel 2
            stride 2.
        skip: what happens to the encoder's map: `concat` joins it behind the upsampled one, `add` adds it, `none` drops
            it, `attention` weighs it pixel by pixel and then joins it (Oktay et al. 2018), `aff` mixes the two by
            attentional feature fusion (Dai et al. 2021).
        residual: add a shortcut around every pair of convolutions but the last (He et al. 2016).
        norm: `batch`, `group` (at most 8 groups) or `none`.
        dropout: probability in [0, 1) of a channel to be zeroed in training, after the bottleneck and after every
            decoder stage but the last.
        deep_supervision: while training, also returns logits of every coarser decoder stage, bilinearly enlarged, whose
            losses count 1/2, 1/4, ... (as in nnU-Net, Isensee et al. 2021).
        padding_mode: of the 3x3 convolutions: reflect, replicate, zeros or circular.
    Raises:
        OptionError: an option out of its range.
    """

    @checked
    def __init__(
        self,
        *,
        in_channels: InChannels = 3,
        out_channels: Count = 1,
        widths: StageWidths = (16, 32, 64, 128),
        downsampling: Downsampling = "max",
        upsampling: Upsampling = "nearest",
        skip: Skip = "concat",
        residual: bool = False,
        norm: Norm = "batch",
        dropout: Probability = 0.0,
        deep_supervision: bool = False,
        padding_mode: PaddingMode = "reflect",
    ) -> None:
        stages = tuple(widths)
        coarser = range(1, len(stages)) if deep_supervision else ()
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=2 ** len(stages),
            # Attentional fusion normalises a map pooled to one pixel.
            smallest_training_batch=2 if skip == "aff" and norm == "batch" else 1,
            auxiliary_weights=[0.5**level for level in coarser],
        )
        self.widths = stages
        self.downsampling = downsampling
        self.upsampling = upsampling
        self.skip = skip
        self.residual = residual
        self.norm = norm
        self.dropout = nn.Dropout2d(dropout)
        self.deep_supervision = deep_supervision
        self.padding_mode = padding_mode
        if upsampling == "unpool" and downsampling != "max":
            message = f'upsampling "unpool" needs the positions of downsampling "max", got {downsampling!r}'
            raise OptionError(message, option="upsampling")
        if deep_supervision and len(stages) == 1:
            message = "deep_supervision needs a coarser stage to supervise, but widths has one stage only"
            raise OptionError(message, option="deep_supervision")
        self.encoder = nn.ModuleList()
        self.down = nn.ModuleList()  # empty for max pooling, which has no weights
        self.up = nn.ModuleList()  # from fine to coarse, as the encoder; empty unless transposed
        self.joins = nn.ModuleList()
        self.decoder = nn.ModuleList()
        finer = in_channels
        for level, width in enumerate(stages):
            self.encoder.append(self._pair(finer, width, width))
            if downsampling == "strided":
                self.down.append(
                    nn.Sequential(nn.Conv2d(width, width, 2, 2), *make_norm(norm, width), nn.ReLU(inplace=True))
                )
            if upsampling == "transposed":
                self.up.append(nn.ConvTranspose2d(width, width, 2, 2))
            self.joins.append(make_join(skip, width, norm))
            joined = joined_width(skip, width)
            if level == 0:
                last = SameConv2d(width, out_channels, padding_mode=self.padding_mode)
                self.decoder.append(nn.Sequential(self._conv(joined, width), last))
            else:
                self.decoder.append(self._pair(joined, width, finer))
            finer = width
        self.bottleneck = self._conv(finer, finer)
        self.auxiliary = nn.ModuleList(nn.Conv2d(stages[level - 1], out_channels, 1) for level in coarser)

    def _conv(self, in_channels: int, out_channels: int) -> nn.Sequential:
        return conv_norm_relu(in_channels, out_channels, norm=self.norm, padding_mode=self.padding_mode)

    def _pair(self, in_channels: int, between: int, out_channels: int) -> nn.Module:
        first, second = self._conv(in_channels, between), self._conv(between, out_channels)
        if not self.residual:
            return nn.Sequential(first, second)
        shortcut = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), *make_norm(self.norm, out_channels))
        return Residual(nn.Sequential(first, second[:-1]), shortcut)

    def encoder_modules(self) -> tuple[nn.Module, ...]:
        """Returns the way down; the bottleneck belongs to the decoder."""
        return (self.encoder, self.down)

    def compute_logits(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns logits of the size of `image`; in training with deep supervision the auxiliary ones, too."""
        skips: list[Tensor] = []
        positions: list[Tensor] = []
        x: Tensor = image
        for level, stage in enumerate(self.encoder):
            x = stage(x)
            skips.append(x)
            if self.downsampling == "strided":
                x = self.down[level](x)
            elif self.upsampling == "unpool":
                x, indices = F.max_pool2d(x, 2, return_indices=True)
                positions.append(indices)
            else:
                x = F.max_pool2d(x, 2)
        x = self.dropout(self.bottleneck(x))
        auxiliary: list[Tensor] = []
        for level in reversed(range(len(self.decoder))):
            x = max_unpool(x, positions[level]) if positions else self._upsample(x, level)
            x = self.decoder[level](self.joins[level](x, skips[level]))
            if level == 0:
                break
            x = self.dropout(x)
            if self.deep_supervision and self.training:
                coarse = self.auxiliary[level - 1](x)
                auxiliary.insert(0, F.interpolate(coarse, image.shape[-2:], mode="bilinear", align_corners=False))
        return (x, *auxiliary) if auxiliary else x

    def _upsample(self, x: Tensor, level: int) -> Tensor:
        if self.upsampling == "transposed":
            enlarged: Tensor = self.up[level](x)
            return enlarged
        if self.upsampling == "nearest":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return F.interpolate(x, scale_factor=2.0, mode=self.upsampling, align_corners=False)


class Residual(nn.Module):
    """ReLU of a branch plus a shortcut."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, out_channels, H, W)."""
        return torch.relu(self.branch(x) + self.shortcut(x))


@checked
def unet(
    *,
    in_channels: InChannels = 3,
    out_channels: Count = 1,
    width: Count = 16,
    depth: Depth = 4,
    widths: StageWidths | None = None,
    downsampling: Downsampling = "max",
    upsampling: Upsampling = "nearest",
    skip: Skip = "concat",
    residual: bool = False,
    norm: Norm = "batch",
    dropout: Probability = 0.0,
    deep_supervision: bool = False,
    padding_mode: PaddingMode = "reflect",
) -> UNet:
    """U-Net family by options: upsampling, downsampling, skips with attention, residual, deep supervision.

    `skip="attention"` is Attention U-Net (Oktay et al. 2018), `skip="aff"` fuses as Dai et al. 2021, `residual=True` is
    a residual U-Net. See `UNet` for the other options.

    Args:
        width: channels of the finest stage; every coarser one has twice as many.
        depth: number of stages, 1 to 7.
        widths: channels of the stages one by one, instead of `width` and `depth`.

    Example:
        >>> sum(parameter.numel() for parameter in unet(skip="attention").parameters())
        954581
    """
    if widths is None:
        widths = [width * 2**level for level in range(depth)]
    return UNet(
        in_channels=in_channels,
        out_channels=out_channels,
        widths=widths,
        downsampling=downsampling,
        upsampling=upsampling,
        skip=skip,
        residual=residual,
        norm=norm,
        dropout=dropout,
        deep_supervision=deep_supervision,
        padding_mode=padding_mode,
    )


def segnet(**options: Unpack[FamilyOptions]) -> UNet:
    """SegNet: max pooling, unpooling to the same positions, no skips (Badrinarayanan et al. 2017).

    Returns logits (B, out_channels, H, W) for any H, W >= 32; see `UNet` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in segnet().parameters())
        736129
    """
    return UNet(upsampling="unpool", skip="none", **options)


def unet_unpool(**options: Unpack[FamilyOptions]) -> UNet:
    """U-Net with max pooling and unpooling to the same positions (Ronneberger et al. 2015; SegNet's way up).

    Returns logits (B, out_channels, H, W) for any H, W >= 32; see `UNet` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in unet_unpool().parameters())
        931969
    """
    return UNet(upsampling="unpool", **options)


def unet_nearest(**options: Unpack[FamilyOptions]) -> UNet:
    """U-Net with max pooling and nearest-neighbour upsampling (Ronneberger et al. 2015).

    Returns logits (B, out_channels, H, W) for any H, W >= 32; see `UNet` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in unet_nearest().parameters())
        931969
    """
    return UNet(**options)


def unet_strided(**options: Unpack[FamilyOptions]) -> UNet:
    """U-Net with strided convolutions down and transposed convolutions up (Ronneberger et al. 2015, all learned).

    Returns logits (B, out_channels, H, W) for any H, W >= 32; see `UNet` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in unet_strided().parameters())
        1107009
    """
    return UNet(downsampling="strided", upsampling="transposed", **options)
