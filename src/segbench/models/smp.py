"""The twelve decoders of segmentation-models-pytorch, each with any of its encoders or of timm's.

`encoder` is a name of smp's (`resnet34`, `mobilenet_v2`, `efficientnet-b0`, `mit_b0`, ...) or `tu-` and a name of
timm's (`tu-convnext_tiny`, with a tag `tu-resnet18.a1_in1k`); `weights: imagenet` loads what is published for the
encoder. Options not listed keep smp's defaults.
"""

from __future__ import annotations

from collections.abc import Sequence

from segbench.models._blocks import check_choice, check_count, check_probability
from segbench.models._smp_network import SmpNetwork, check_channels, check_depth

ATTENTIONS = ("none", "scse")
MERGES = ("add", "cat")
READOUTS = ("cat", "add", "ignore")
DECODER_CHANNELS = (256, 128, 64, 32, 16)
REASSEMBLE_CHANNELS = (256, 512, 1024, 1024)
ATROUS_RATES = (12, 24, 36)
GROUPS = 32  # of FPN's group normalisation


def unet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    encoder_depth: int = 5,
    decoder_channels: Sequence[int] | None = None,
    attention: str = "none",
    dropout: float = 0.0,
) -> SmpNetwork:
    """U-Net decoder on an encoder of choice (Ronneberger et al. 2015).

    Returns logits (B, out_channels, H, W); see `SmpNetwork`.

    Args:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        weights: of the encoder.
        encoder: its name.
        encoder_depth: stages of the encoder that are used, 3 to 5; each halves the size.
        decoder_channels: one count a stage, from coarse to fine; None: the last of 256, 128, 64, 32, 16.
        attention: `none`, or `scse` in every decoder block (Roy et al. 2018).
        dropout: of whole channels in front of the head.
    Example:
        >>> sum(parameter.numel() for parameter in unet().parameters())
        24436369
    """
    depth = check_depth(encoder_depth, (3, 4, 5))
    return SmpNetwork(
        "unet",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={
            "encoder_depth": depth,
            "decoder_channels": check_channels("decoder_channels", decoder_channels, depth, default=DECODER_CHANNELS),
            "decoder_attention_type": _attention(attention),
        },
    )


def unetplusplus(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    encoder_depth: int = 5,
    decoder_channels: Sequence[int] | None = None,
    attention: str = "none",
    dropout: float = 0.0,
) -> SmpNetwork:
    """UNet++: nested, densely connected skips (Zhou et al. 2018), without deep supervision.

    Returns logits (B, out_channels, H, W); options as `unet`. Any encoder but mit_b0 to mit_b5.
    """
    depth = check_depth(encoder_depth, (3, 4, 5))
    return SmpNetwork(
        "unetplusplus",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={
            "encoder_depth": depth,
            "decoder_channels": check_channels("decoder_channels", decoder_channels, depth, default=DECODER_CHANNELS),
            "decoder_attention_type": _attention(attention),
        },
    )


def manet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    encoder_depth: int = 5,
    decoder_channels: Sequence[int] | None = None,
    dropout: float = 0.0,
) -> SmpNetwork:
    """MA-Net: U-Net with attention over positions and over fused channels (Fan et al. 2020).

    Returns logits (B, out_channels, H, W); options as `unet`. Memory grows with the square of the image's pixels.
    """
    depth = check_depth(encoder_depth, (3, 4, 5))
    return SmpNetwork(
        "manet",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={
            "encoder_depth": depth,
            "decoder_channels": check_channels("decoder_channels", decoder_channels, depth, default=DECODER_CHANNELS),
        },
    )


def linknet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    encoder_depth: int = 5,
    dropout: float = 0.0,
) -> SmpNetwork:
    """LinkNet: skips are added, decoder blocks are narrow (Chaurasia and Culurciello 2017).

    Returns logits (B, out_channels, H, W); options as `unet`. Any encoder but mit_b0 to mit_b5.
    """
    return SmpNetwork(
        "linknet",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={"encoder_depth": check_depth(encoder_depth, (3, 4, 5))},
    )


def fpn(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    encoder_depth: int = 5,
    pyramid_channels: int = 256,
    decoder_channels: int = 128,
    merge: str = "add",
    dropout: float = 0.2,
) -> SmpNetwork:
    """Feature pyramid network, its four levels merged at the finest (Kirillov et al. 2019, Panoptic FPN).

    Returns logits (B, out_channels, H, W); see `SmpNetwork`.

    Args:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        weights: of the encoder.
        encoder: its name.
        encoder_depth: 4 or 5; the finest of the four levels has half or a quarter of the image's size.
        pyramid_channels: of every level.
        decoder_channels: of the merged map, a multiple of 32.
        merge: `add` the levels, or `cat`enate them.
        dropout: of whole channels in front of the head.
    """
    depth = check_depth(encoder_depth, (4, 5))
    if check_count("decoder_channels", decoder_channels) % GROUPS:
        raise ValueError(f"decoder_channels must be a multiple of {GROUPS}, got {decoder_channels}")
    return SmpNetwork(
        "fpn",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        options={
            "encoder_depth": depth,
            "decoder_pyramid_channels": check_count("pyramid_channels", pyramid_channels),
            "decoder_segmentation_channels": decoder_channels,
            "decoder_merge_policy": check_choice("merge", merge, MERGES),
            "decoder_dropout": check_probability("dropout", dropout),
            "upsampling": 2 ** (depth - 3),
        },
    )


def pspnet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    encoder_depth: int = 3,
    decoder_channels: int = 512,
    dropout: float = 0.2,
) -> SmpNetwork:
    """PSPNet: pooled at four scales, then one convolution (Zhao et al. 2017), on the encoder's first three stages.

    Returns logits (B, out_channels, H, W); see `SmpNetwork`. As in smp the map of stride 8 is an early one; the paper
    dilates the whole encoder instead.

    Args:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        weights: of the encoder.
        encoder: its name.
        encoder_depth: stages of the encoder that are used, 3 to 5: logits have 1/8 to 1/32 of the image's size before
            they are enlarged.
        decoder_channels: in front of the head.
        dropout: of whole channels in front of the head.
    """
    depth = check_depth(encoder_depth, (3, 4, 5))
    return SmpNetwork(
        "pspnet",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        options={
            "encoder_depth": depth,
            "psp_out_channels": check_count("decoder_channels", decoder_channels),
            "psp_dropout": check_probability("dropout", dropout),
            "upsampling": 2**depth,
        },
    )


def deeplabv3(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    output_stride: int = 8,
    decoder_channels: int = 256,
    atrous_rates: Sequence[int] = ATROUS_RATES,
    aspp_dropout: float = 0.5,
    dropout: float = 0.0,
) -> SmpNetwork:
    """DeepLabV3: dilated encoder, atrous spatial pyramid pooling (Chen et al. 2017).

    Returns logits (B, out_channels, H, W); see `SmpNetwork`. Training batches have 2 images or more.

    Args:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        weights: of the encoder, which must be one that can be dilated.
        encoder: its name.
        output_stride: of the encoder's last map, 8 or 16.
        decoder_channels: of every branch of the pyramid.
        atrous_rates: three dilations, in pixels of the last map.
        aspp_dropout: of single values behind the pyramid.
        dropout: of whole channels in front of the head.
    """
    return SmpNetwork(
        "deeplabv3",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={
            "encoder_output_stride": _output_stride(output_stride, (8, 16)),
            "decoder_channels": check_count("decoder_channels", decoder_channels),
            "decoder_atrous_rates": check_channels("atrous_rates", atrous_rates, 3, default=ATROUS_RATES),
            "decoder_aspp_dropout": check_probability("aspp_dropout", aspp_dropout),
        },
    )


def deeplabv3plus(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    output_stride: int = 16,
    decoder_channels: int = 256,
    atrous_rates: Sequence[int] = ATROUS_RATES,
    aspp_dropout: float = 0.5,
    dropout: float = 0.0,
) -> SmpNetwork:
    """DeepLabV3+: DeepLabV3 with separable convolutions and a skip at a quarter of the size (Chen et al. 2018).

    Returns logits (B, out_channels, H, W); options as `deeplabv3`. Training batches have 2 images or more.
    """
    return SmpNetwork(
        "deeplabv3plus",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={
            "encoder_output_stride": _output_stride(output_stride, (8, 16)),
            "decoder_channels": check_count("decoder_channels", decoder_channels),
            "decoder_atrous_rates": check_channels("atrous_rates", atrous_rates, 3, default=ATROUS_RATES),
            "decoder_aspp_dropout": check_probability("aspp_dropout", aspp_dropout),
        },
    )


def pan(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    output_stride: int = 16,
    decoder_channels: int = 32,
    dropout: float = 0.0,
) -> SmpNetwork:
    """PAN: pyramid attention on the coarsest map, global attention on the skips (Li et al. 2018).

    Returns logits (B, out_channels, H, W); see `SmpNetwork`. Training batches have 2 images or more; images are padded
    to 8 pixels of the coarsest map, 128 or 256.

    Args:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        weights: of the encoder.
        encoder: its name.
        output_stride: of the encoder's last map: 16 dilates it, 32 works with every encoder.
        decoder_channels: of every level.
        dropout: of whole channels in front of the head.
    """
    return SmpNetwork(
        "pan",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={
            "encoder_output_stride": _output_stride(output_stride, (16, 32)),
            "decoder_channels": check_count("decoder_channels", decoder_channels),
        },
    )


def upernet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "resnet34",
    encoder_depth: int = 5,
    decoder_channels: int = 256,
    dropout: float = 0.0,
) -> SmpNetwork:
    """UPerNet: feature pyramid with pyramid pooling at its top, all levels fused (Xiao et al. 2018).

    Returns logits (B, out_channels, H, W); options as `unet`, with `decoder_channels` of every level. Training batches
    have 2 images or more.
    """
    return SmpNetwork(
        "upernet",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={
            "encoder_depth": check_depth(encoder_depth, (3, 4, 5)),
            "decoder_channels": check_count("decoder_channels", decoder_channels),
        },
    )


def segformer(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "mit_b0",
    encoder_depth: int = 5,
    decoder_channels: int = 256,
    dropout: float = 0.0,
) -> SmpNetwork:
    """SegFormer: all levels through linear layers, then fused; made for mit_b0 to mit_b5 (Xie et al. 2021).

    Returns logits (B, out_channels, H, W); options as `unet`, with `decoder_channels` of every level.
    """
    return SmpNetwork(
        "segformer",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={
            "encoder_depth": check_depth(encoder_depth, (3, 4, 5)),
            "decoder_segmentation_channels": check_count("decoder_channels", decoder_channels),
        },
    )


def dpt(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str = "none",
    encoder: str = "tu-vit_tiny_patch16_224",
    decoder_channels: int = 256,
    reassemble_channels: Sequence[int] | None = None,
    readout: str = "cat",
    dropout: float = 0.0,
) -> SmpNetwork:
    """DPT: maps from four depths of a plain vision transformer, fused from coarse to fine (Ranftl et al. 2021).

    Returns logits (B, out_channels, H, W); see `SmpNetwork`. Position embeddings are interpolated to the image's size.

    Args:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        weights: of the encoder.
        encoder: `tu-` and the name of a plain vision transformer of timm.
        decoder_channels: of every fused map.
        reassemble_channels: of the four maps, from fine to coarse; None: 256, 512, 1024, 1024.
        readout: what becomes of the class token: `cat`enated to every pixel, `add`ed, or `ignore`d.
        dropout: of whole channels in front of the head, which has dropout 0.1 inside.
    """
    return SmpNetwork(
        "dpt",
        encoder=encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        dropout=dropout,
        options={
            "decoder_fusion_channels": check_count("decoder_channels", decoder_channels),
            "decoder_intermediate_channels": check_channels(
                "reassemble_channels", reassemble_channels, 4, default=REASSEMBLE_CHANNELS
            ),
            "decoder_readout": check_choice("readout", readout, READOUTS),
        },
    )


def _attention(attention: str) -> str | None:
    return None if check_choice("attention", attention, ATTENTIONS) == "none" else attention


def _output_stride(value: object, allowed: tuple[int, int]) -> int:
    for stride in allowed:
        if value == stride and not isinstance(value, bool):
            return stride
    raise ValueError(f"output_stride must be {allowed[0]} or {allowed[1]}, got {value!r}")
