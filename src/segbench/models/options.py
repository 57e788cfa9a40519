"""Types of options that several networks share; `segbench.options` has the ranges of numbers. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

InChannels: TypeAlias = Annotated[int, Field(ge=1, le=16, description="an integer from 1 to 16")]
Norm: TypeAlias = Literal["batch", "group", "none"]
PaddingMode: TypeAlias = Literal["reflect", "replicate", "zeros", "circular"]
EncoderWeights: TypeAlias = Literal["none", "imagenet"]
