"""What may be done to a predicted mask before it is written: off by default, recorded wherever it was on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Postprocess:
    """Steps on each class of a mask, in this order.

    Attributes:
        fill_holes_px: holes of at most this area, in pixels, become the class around them; 0: none.
        smallest_px: connected regions (8 neighbours) below this area, in pixels, are taken away; 0: none.
        keep_largest: only the largest region of each class stays.
        smooth_px: radius, in pixels, of the majority filter that smooths outlines; 0: none.
    """

    fill_holes_px: int = 0
    smallest_px: int = 0
    keep_largest: bool = False
    smooth_px: int = 0

    def __post_init__(self) -> None:
        for name in ("fill_holes_px", "smallest_px", "smooth_px"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is a number of pixels, 0 or more, got {getattr(self, name)}")

    @property
    def is_off(self) -> bool:
        """Whether a mask stays as it is."""
        return self == Postprocess()

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Postprocess:
        """Returns what `to_dict` gave."""
        return cls(**plain)
