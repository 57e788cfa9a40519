"""One decoder of segmentation-models-pytorch as a row of the table: what it is, and which options it takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, TypeAlias, get_args

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
from segbench.options import Count, Probability

Encoder: TypeAlias = Annotated[str, Field(description="a name")]

_HALVING = "one whose maps halve in size from stage to stage, such as resnet34, mit_b2 or tu-convnext_tiny"


@dataclass(frozen=True, eq=False)
class Decoder:
    """One of smp's decoders; its signature has the options of the networks with it.

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

    def arguments(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
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
