"""The twelve decoders of segmentation-models-pytorch, a row each; imports no torch.

A row is a builder whose options are those of smp's class, read from smp's source: an option of a newer smp is there by
itself. Options that several decoders have:

    encoder: a name of smp's (`resnet34`, `mobilenet_v2`, `efficientnet-b0`, `mit_b0`, ...) or `tu-` and a name of
        timm's (`tu-convnext_tiny`, with a tag `tu-resnet18.a1_in1k`).
    encoder_depth: stages of the encoder that are used; each halves the size.
    output_stride: of the encoder's last map, whose last stages are dilated for 8 and 16.
    decoder_channels: one count a stage, from coarse to fine, or one count for all; None: smp's, of which a smaller
        `encoder_depth` takes the last.
    dropout: probability that a whole channel is zeroed in front of the head.
    weights: of the encoder: `none`, or published ones (`imagenet`, for some encoders others, too).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from segbench.models.smp.decoder import Decoder
from segbench.options import check_options, option_types

if TYPE_CHECKING:
    from segbench.models.smp.network import SmpNetwork

_NO_MIT = "another than mit_b0 to mit_b5, such as resnet34 or tu-convnext_tiny"
_DILATED = "one that can be dilated, such as resnet34, or another output_stride"
_PLAIN_VIT = "a plain vision transformer of timm with patches of 8 or 16 pixels, such as tu-vit_small_patch16_224"


class Builder(Decoder):
    """Builds the networks with one of smp's decoders."""

    def __call__(self, **options: Any) -> SmpNetwork:
        """Returns the network.

        Raises:
            TypeError: an option it does not have.
            OptionError: an option out of its range, or an encoder that does not fit.
        """
        from segbench.models.smp.network import SmpNetwork  # imports torch

        bound = self.__signature__.bind(**options)
        check_options(option_types(self), options)
        bound.apply_defaults()
        chosen = bound.arguments
        return SmpNetwork(
            self,
            encoder=chosen["encoder"],
            in_channels=chosen["in_channels"],
            out_channels=chosen["out_channels"],
            weights=chosen["weights"],
            dropout=None if "dropout" in self.library_options else chosen["dropout"],
            options=self.arguments(chosen),
        )


_ROWS = [
    Builder("Unet", "U-Net decoder on an encoder of choice (Ronneberger et al. 2015)."),
    Builder(
        "UnetPlusPlus",
        "UNet++: nested, densely connected skips (Zhou et al. 2018), without deep supervision.",
        fits=_NO_MIT,
    ),
    Builder(
        "MAnet",
        "MA-Net: U-Net with attention over positions and over fused channels (Fan et al. 2020).\n\n"
        "Memory grows with the square of the image's pixels.",
    ),
    Builder(
        "Linknet",
        "LinkNet: skips are added, decoder blocks are narrow (Chaurasia and Culurciello 2017).",
        fits=_NO_MIT,
    ),
    Builder(
        "FPN",
        "Feature pyramid network, its four levels merged at the finest (Kirillov et al. 2019, Panoptic FPN).",
        types={"encoder_depth": Literal[4, 5]},  # four levels
        enlarged_from=3,
        channel_groups=32,  # of its group normalisation
    ),
    Builder(
        "PSPNet",
        "PSPNet: pooled at four scales, then one convolution (Zhao et al. 2017), on the encoder's first three stages."
        "\n\nAs in smp the map of stride 8 is an early one; the paper dilates the whole encoder instead.",
        enlarged_from=0,
    ),
    Builder(
        "DeepLabV3",
        "DeepLabV3: dilated encoder, atrous spatial pyramid pooling (Chen et al. 2017).",
        fits=_DILATED,
        left_out=("encoder_depth",),
    ),
    Builder(
        "DeepLabV3Plus",
        "DeepLabV3+: DeepLabV3 with separable convolutions and a skip at a quarter of the size (Chen et al. 2018).",
        folder="deeplabv3",
        fits=_DILATED,
        left_out=("encoder_depth",),
    ),
    Builder(
        "PAN",
        "PAN: pyramid attention on the coarsest map, global attention on the skips (Li et al. 2018).\n\n"
        "Images are padded to 8 pixels of the coarsest map, which it halves three times more.",
        fits=_DILATED,
        coarsest_px=8,
        left_out=("encoder_depth",),
    ),
    Builder(
        "UPerNet", "UPerNet: feature pyramid with pyramid pooling at its top, all levels fused (Xiao et al. 2018)."
    ),
    Builder(
        "Segformer",
        "SegFormer: all levels through linear layers, then fused; made for mit_b0 to mit_b5 (Xie et al. 2021).",
        encoder="mit_b0",
    ),
    Builder(
        "DPT",
        "DPT: maps from four depths of a plain vision transformer, fused from coarse to fine (Ranftl et al. 2021).\n\n"
        "Position embeddings are interpolated to the image's size. The head has dropout 0.1 inside.",
        encoder="tu-vit_tiny_patch16_224",
        fits=_PLAIN_VIT,
        stride=32,  # it makes a map of half the tokens' grid of 16
        left_out=("encoder_depth", "encoder_output_indices"),  # four depths, evenly spread
    ),
]

DECODERS: dict[str, Builder] = {decoder.name: decoder for decoder in _ROWS}
