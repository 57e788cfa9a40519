"""The U-Net family: one encoder-decoder, three decisions (how to go down, how to go up, whether to keep skips).

Sources: Ronneberger et al. 2015 (U-Net), Badrinarayanan et al. 2017 (SegNet). They differ here as in the PH2 homework
the four names come from: convolutions keep the size (reflecting at the border) instead of shrinking the map, every
convolution is followed by batch normalisation, the widths are 16-32-64-128 instead of 64-1024, and SegNet's encoder is
two convolutions a stage instead of VGG-16. Initial weights are PyTorch's defaults.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segbench.models._blocks import (
    NORMS,
    PADDING_MODES,
    SameConv2d,
    SegmentationNetwork,
    check_choice,
    check_count,
    conv_norm_relu,
    make_norm,
    max_unpool,
)

DOWNSAMPLINGS = ("max", "strided")
UPSAMPLINGS = ("nearest", "unpool", "transposed")
SKIPS = ("concat", "none")
MAX_STAGES = 7


class UNet(SegmentationNetwork):
    """Encoder-decoder with one stage a width, each of two 3x3 convolutions; every stage halves H and W.

    With widths w1..wn: encoder stage i is conv(w(i-1), wi), conv(wi, wi), then 2x down; the bottleneck is conv(wn, wn);
    decoder stage i is 2x up, the skip behind it if there is one, conv(wi or 2wi, wi), conv(wi, w(i-1)). The last
    convolution of all, conv(w1, out_channels), has neither normalisation nor activation.

    Images of any H x W >= 16 are padded inside to the stride (2 ** n) and the logits cropped back, see
    `SegmentationNetwork`.

    Args:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        widths: channels of the stages, from fine to coarse; one to seven of them.
        downsampling: `max` pooling 2x2, or `strided`: Conv2d kernel 2 stride 2, normalisation, ReLU.
        upsampling: `nearest`; `unpool`, which puts each value where the pooled maximum was and zeros elsewhere (needs
            `downsampling="max"`); or `transposed`: ConvTranspose2d kernel 2 stride 2.
        skip: `concat` joins the encoder's map behind the upsampled one; `none` leaves it out.
        norm: `batch`, `group` (at most 8 groups) or `none`.
        padding_mode: of the 3x3 convolutions: reflect, replicate, zeros or circular.
    Raises:
        ValueError: an option out of its range; the message begins with the option's name.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128),
        downsampling: str = "max",
        upsampling: str = "nearest",
        skip: str = "concat",
        norm: str = "batch",
        padding_mode: str = "reflect",
    ) -> None:
        stages = _check_widths(widths)
        super().__init__(in_channels=in_channels, out_channels=out_channels, stride=2 ** len(stages))
        self.widths = stages
        self.downsampling = check_choice("downsampling", downsampling, DOWNSAMPLINGS)
        self.upsampling = check_choice("upsampling", upsampling, UPSAMPLINGS)
        self.skip = check_choice("skip", skip, SKIPS)
        self.norm = check_choice("norm", norm, NORMS)
        self.padding_mode = check_choice("padding_mode", padding_mode, PADDING_MODES)
        if upsampling == "unpool" and downsampling != "max":
            raise ValueError(f'upsampling "unpool" needs the positions of downsampling "max", got {downsampling!r}')
        self.encoder = nn.ModuleList()
        self.down = nn.ModuleList()  # empty for max pooling, which has no weights
        self.up = nn.ModuleList()  # from fine to coarse, as the encoder; empty unless transposed
        self.decoder = nn.ModuleList()
        finer = in_channels
        for level, width in enumerate(stages):
            self.encoder.append(nn.Sequential(self._conv(finer, width), self._conv(width, width)))
            if downsampling == "strided":
                self.down.append(
                    nn.Sequential(nn.Conv2d(width, width, 2, 2), *make_norm(norm, width), nn.ReLU(inplace=True))
                )
            if upsampling == "transposed":
                self.up.append(nn.ConvTranspose2d(width, width, 2, 2))
            joined = 2 * width if skip == "concat" else width
            last = SameConv2d(width, out_channels, padding_mode=self.padding_mode) if level == 0 else None
            self.decoder.append(nn.Sequential(self._conv(joined, width), last or self._conv(width, finer)))
            finer = width
        self.bottleneck = self._conv(finer, finer)

    def _conv(self, in_channels: int, out_channels: int) -> nn.Sequential:
        return conv_norm_relu(in_channels, out_channels, norm=self.norm, padding_mode=self.padding_mode)

    def compute_logits(self, image: Tensor) -> Tensor:
        """Returns logits of the size of `image`, whose H and W are multiples of `stride`, at least 2 * stride."""
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
        x = self.bottleneck(x)
        for level in reversed(range(len(self.decoder))):
            if self.upsampling == "unpool":
                x = max_unpool(x, positions[level])
            elif self.upsampling == "transposed":
                x = self.up[level](x)
            else:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            if self.skip == "concat":
                x = torch.cat([x, skips[level]], dim=1)
            x = self.decoder[level](x)
        return x


def segnet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    widths: Sequence[int] = (16, 32, 64, 128),
    norm: str = "batch",
    padding_mode: str = "reflect",
) -> UNet:
    """SegNet: max pooling, unpooling to the same positions, no skips (Badrinarayanan et al. 2017).

    Returns logits (B, out_channels, H, W) for any H, W >= 16; see `UNet` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in segnet().parameters())
        736129
    """
    return UNet(
        in_channels=in_channels,
        out_channels=out_channels,
        widths=widths,
        upsampling="unpool",
        skip="none",
        norm=norm,
        padding_mode=padding_mode,
    )


def unet_unpool(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    widths: Sequence[int] = (16, 32, 64, 128),
    norm: str = "batch",
    padding_mode: str = "reflect",
) -> UNet:
    """U-Net with max pooling and unpooling to the same positions (Ronneberger et al. 2015; SegNet's way up).

    Returns logits (B, out_channels, H, W) for any H, W >= 16; see `UNet` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in unet_unpool().parameters())
        931969
    """
    return UNet(
        in_channels=in_channels,
        out_channels=out_channels,
        widths=widths,
        upsampling="unpool",
        norm=norm,
        padding_mode=padding_mode,
    )


def unet_nearest(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    widths: Sequence[int] = (16, 32, 64, 128),
    norm: str = "batch",
    padding_mode: str = "reflect",
) -> UNet:
    """U-Net with max pooling and nearest-neighbour upsampling (Ronneberger et al. 2015).

    Returns logits (B, out_channels, H, W) for any H, W >= 16; see `UNet` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in unet_nearest().parameters())
        931969
    """
    return UNet(in_channels=in_channels, out_channels=out_channels, widths=widths, norm=norm, padding_mode=padding_mode)


def unet_strided(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    widths: Sequence[int] = (16, 32, 64, 128),
    norm: str = "batch",
    padding_mode: str = "reflect",
) -> UNet:
    """U-Net with strided convolutions down and transposed convolutions up (Ronneberger et al. 2015, all learned).

    Returns logits (B, out_channels, H, W) for any H, W >= 16; see `UNet` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in unet_strided().parameters())
        1107009
    """
    return UNet(
        in_channels=in_channels,
        out_channels=out_channels,
        widths=widths,
        downsampling="strided",
        upsampling="transposed",
        norm=norm,
        padding_mode=padding_mode,
    )


def _check_widths(widths: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(widths, list | tuple) or not 1 <= len(widths) <= MAX_STAGES:
        raise ValueError(f"widths must be a list of 1 to {MAX_STAGES} channel counts, got {widths!r}")
    return tuple(check_count("widths", width) for width in widths)
