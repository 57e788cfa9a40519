"""What the sections of a config share: frozen values, strict keys, and ranges with a name."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
SMALLEST_PX = 32  # what every network takes
LARGEST_PX = 8192
SizePx = Annotated[int, Field(ge=SMALLEST_PX, le=LARGEST_PX)]


class Section(BaseModel):
    """Frozen, and strict about keys: a typo is an error, not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses `epochs: true`, which Python would take for 1."""
        parts = value if isinstance(value, list | tuple) else [value]
        annotation = cls.model_fields[str(info.field_name)].annotation
        if annotation is not bool and annotation is not Any and any(isinstance(part, bool) for part in parts):
            raise ValueError(f"expected no true or false here, got {value!r}")
        return value
