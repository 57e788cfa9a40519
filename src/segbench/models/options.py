"""Types of options that several networks share; `segbench.options` has the ranges of numbers. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias, TypedDict

from pydantic import Field

from segbench.options import Count

InChannels: TypeAlias = Annotated[int, Field(ge=1, le=16, description="an integer from 1 to 16")]
Norm: TypeAlias = Literal["batch", "group", "none"]
PaddingMode: TypeAlias = Literal["reflect", "replicate", "zeros", "circular"]
EncoderWeights: TypeAlias = Literal["none", "imagenet"]
StageWidths: TypeAlias = Annotated[
    Sequence[Count], Field(min_length=1, max_length=7, description="a list of 1 to 7 channel counts above 0")
]


class FamilyOptions(TypedDict, total=False):
    """What every named member of the U-Net family takes; see `UNet`, whose defaults they are."""

    in_channels: InChannels
    out_channels: Count
    widths: StageWidths
    norm: Norm
    padding_mode: PaddingMode
