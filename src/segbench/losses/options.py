"""Types of options that several losses share; `segbench.options` has the ranges of numbers. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from segbench.options import NonNegative, Positive

Over: TypeAlias = Literal["image", "batch"]
Unit: TypeAlias = Literal["pixel", "diagonal"]
Share: TypeAlias = Annotated[float, Field(gt=0, le=1, description="a number above 0 to 1")]
Smooth: TypeAlias = Annotated[NonNegative, Field(description="a number of 0 or more, in pixels")]


def _not_all_zero(weights: Sequence[float]) -> Sequence[float]:
    if not any(weights):
        raise ValueError("nothing would count")
    return weights


# From the counts of the whole training part where a config says it, of the batch where a loss is called with it.
Balanced: TypeAlias = Literal["inverse_frequency"]
PosWeights: TypeAlias = Annotated[
    Sequence[Positive], Field(min_length=1, description="a list of such numbers (one a class)")
]
ClassWeights: TypeAlias = Annotated[
    Sequence[NonNegative],
    AfterValidator(_not_all_zero),
    Field(description="a list of finite numbers of 0 or more (one a class, not all 0)"),
]
