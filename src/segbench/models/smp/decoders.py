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

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field

from segbench.errors import OptionError
from segbench.models.options import InChannels
from segbench.models.smp.options import (
    NAMES,
    NO_OPTIONS,
    TYPES,
    check_channels,
    is_sequence,
    option_type,
    read_parameters,
)
from segbench.options import Count, Probability, check_options, option_types

if TYPE_CHECKING:
    from segbench.models.smp.network import SmpNetwork

Encoder: TypeAlias = Annotated[str, Field(description="a name")]

_HALVING = "one whose maps halve in size from stage to stage, such as resnet34, mit_b2 or tu-convnext_tiny"
_NO_MIT = "another than mit_b0 to mit_b5, such as resnet34 or tu-convnext_tiny"
_DILATED = "one that can be dilated, such as resnet34, or another output_stride"
_PLAIN_VIT = "a plain vision transformer of timm with patches of 8 or 16 pixels, such as tu-vit_small_patch16_224"


@dataclass(frozen=True, eq=False)
class Decoder:
    """Builds the networks with one of smp's decoders; its signature has their options.

    Attributes:
        library_name: of smp's class.
        doc: docstring of the builder; the first line says what it is.
        folder: of the class in smp's `decoders/`; empty: its name in small letters.
        encoder: the default.
        fits: in words, encoders that fit.
        coarsest_px: images are padded so that the coarsest map of the encoder has at least this many pixels a side.
        stride: where it is not the encoder's.
        left_out: options of smp's that do not work with this decoder, or that nobody needs.
        types: of options, where they are not as in `TYPES` or smp's own.
        enlarged_from: smp's `upsampling` becomes 2 to the power of `encoder_depth` minus this; None leaves it alone.
        channel_groups: `decoder_channels` must be a multiple of it.
    """

    library_name: str
    doc: str
    folder: str = ""
    encoder: str = "resnet34"
    fits: str = _HALVING
    coarsest_px: int = 2
    stride: int | None = None
    left_out: tuple[str, ...] = ()
    types: Mapping[str, Any] = field(default_factory=dict)
    enlarged_from: int | None = None
    channel_groups: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.doc)

    @property
    def name(self) -> str:
        """The key of the table."""
        return self.library_name.lower()

    @cached_property
    def library_options(self) -> dict[str, inspect.Parameter]:
        """The name of an option -> what smp's class declares, its type narrowed to what works."""
        found: dict[str, inspect.Parameter] = {}
        for declared in read_parameters(self.folder or self.name, self.library_name):
            name = NAMES.get(declared.name, declared.name)
            if declared.name not in NO_OPTIONS and name not in self.left_out:
                hint = self.types.get(name, TYPES.get(name, declared.annotation))
                found[name] = declared.replace(annotation=option_type(name, hint))
        return found

    @cached_property
    def __signature__(self) -> inspect.Signature:
        own = {"in_channels": (InChannels, 3), "out_channels": (Count, 1), "weights": (str, "none")}
        options: dict[str, tuple[Any, Any]] = {**own}
        for name, declared in self.library_options.items():
            default = "none" if "none" in get_args(declared.annotation) else declared.default
            options[name] = (declared.annotation, None if is_sequence(declared.annotation) else default)
        options["encoder"] = (Encoder, self.encoder)
        options["dropout"] = (Probability, options.pop("dropout", (None, 0.0))[1])
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [inspect.Parameter(name, kind, annotation=hint, default=value) for name, (hint, value) in options.items()]
        )

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
            options=self._for_library(chosen),
        )

    def _for_library(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of smp's class."""
        depth = 0
        found: dict[str, Any] = {}
        for name, declared in self.library_options.items():
            if name == "encoder":
                continue
            value = chosen[name]
            if is_sequence(declared.annotation):  # encoder_depth is declared before them
                count = depth if name == "decoder_channels" else len(declared.default)
                value = check_channels(name, value, count, default=declared.default)
            elif value == "none":
                value = None  # as smp says it
            if name == "encoder_depth":
                depth = value
            if name == "decoder_channels" and not isinstance(value, tuple) and value % self.channel_groups:
                raise OptionError(f"{name} must be a multiple of {self.channel_groups}, got {value}", option=name)
            found[declared.name] = value
        if self.enlarged_from is not None:
            found["upsampling"] = 2 ** (depth - self.enlarged_from)
        return found


_ROWS = [
    Decoder("Unet", "U-Net decoder on an encoder of choice (Ronneberger et al. 2015)."),
    Decoder(
        "UnetPlusPlus",
        "UNet++: nested, densely connected skips (Zhou et al. 2018), without deep supervision.",
        fits=_NO_MIT,
    ),
    Decoder(
        "MAnet",
        "MA-Net: U-Net with attention over positions and over fused channels (Fan et al. 2020).\n\n"
        "Memory grows with the square of the image's pixels.",
    ),
    Decoder(
        "Linknet",
        "LinkNet: skips are added, decoder blocks are narrow (Chaurasia and Culurciello 2017).",
        fits=_NO_MIT,
    ),
    Decoder(
        "FPN",
        "Feature pyramid network, its four levels merged at the finest (Kirillov et al. 2019, Panoptic FPN).",
        types={"encoder_depth": Literal[4, 5]},  # four levels
        enlarged_from=3,
        channel_groups=32,  # of its group normalisation
    ),
    Decoder(
        "PSPNet",
        "PSPNet: pooled at four scales, then one convolution (Zhao et al. 2017), on the encoder's first three stages."
        "\n\nAs in smp the map of stride 8 is an early one; the paper dilates the whole encoder instead.",
        enlarged_from=0,
    ),
    Decoder(
        "DeepLabV3",
        "DeepLabV3: dilated encoder, atrous spatial pyramid pooling (Chen et al. 2017).",
        fits=_DILATED,
        left_out=("encoder_depth",),
    ),
    Decoder(
        "DeepLabV3Plus",
        "DeepLabV3+: DeepLabV3 with separable convolutions and a skip at a quarter of the size (Chen et al. 2018).",
        folder="deeplabv3",
        fits=_DILATED,
        left_out=("encoder_depth",),
    ),
    Decoder(
        "PAN",
        "PAN: pyramid attention on the coarsest map, global attention on the skips (Li et al. 2018).\n\n"
        "Images are padded to 8 pixels of the coarsest map, which it halves three times more.",
        fits=_DILATED,
        coarsest_px=8,
        left_out=("encoder_depth",),
    ),
    Decoder(
        "UPerNet", "UPerNet: feature pyramid with pyramid pooling at its top, all levels fused (Xiao et al. 2018)."
    ),
    Decoder(
        "Segformer",
        "SegFormer: all levels through linear layers, then fused; made for mit_b0 to mit_b5 (Xie et al. 2021).",
        encoder="mit_b0",
    ),
    Decoder(
        "DPT",
        "DPT: maps from four depths of a plain vision transformer, fused from coarse to fine (Ranftl et al. 2021).\n\n"
        "Position embeddings are interpolated to the image's size. The head has dropout 0.1 inside.",
        encoder="tu-vit_tiny_patch16_224",
        fits=_PLAIN_VIT,
        stride=32,  # it makes a map of half the tokens' grid of 16
        left_out=("encoder_depth", "encoder_output_indices"),  # four depths, evenly spread
    ),
]

DECODERS: dict[str, Decoder] = {decoder.name: decoder for decoder in _ROWS}
