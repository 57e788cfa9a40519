"""Which bands of a file become the channels of an image, and how their values become 0-255."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

MAX_BANDS = 32

Range: TypeAlias = tuple[float, float]
Display: TypeAlias = tuple[int, int, int]

RGB_DISPLAY: Display = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Bands:
    """The channels of a data set whose files hold any number of bands of any depth.

    Attributes:
        numbers: the files' bands, from 1, in the order of the channels.
        ranges: for each channel the values (low, high) that become 0 and 255, linearly, clipped; None where the files
            have 8 bit and stay as they are.
        display: positions in the channels that are shown as red, green and blue.
        ignore_nodata: pixels without data count nowhere; else their labels count like any others.
    """

    numbers: tuple[int, ...]
    ranges: tuple[Range, ...] | None = None
    display: Display = RGB_DISPLAY
    ignore_nodata: bool = True

    def __post_init__(self) -> None:
        if not 1 <= len(self.numbers) <= MAX_BANDS or len(set(self.numbers)) < len(self.numbers):
            raise ValueError(f"expected 1 to {MAX_BANDS} different bands, got {list(self.numbers)}")
        if min(self.numbers) < 1:
            raise ValueError(f"bands are counted from 1, got {list(self.numbers)}")
        if self.ranges is not None and len(self.ranges) != len(self.numbers):
            raise ValueError(f"expected a range for each of {len(self.numbers)} bands, got {len(self.ranges)}")
        if self.ranges is not None and any(not low < high for low, high in self.ranges):
            raise ValueError(f"expected ranges (low, high) with low < high, got {list(self.ranges)}")
        if not all(0 <= place < len(self.numbers) for place in self.display):
            raise ValueError(f"display names positions in {len(self.numbers)} channels, got {self.display}")

    @property
    def channels(self) -> int:
        """How many channels an image has."""
        return len(self.numbers)

    def scale(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns values (C, H, W) as (H, W, C) uint8; ValueError for deep values without ranges."""
        if self.ranges is None:
            if values.dtype != np.uint8:
                raise ValueError(f"expected 8-bit values, or ranges, got {values.dtype}")
            return np.ascontiguousarray(values.transpose(1, 2, 0))
        scaled = np.empty((*values.shape[1:], len(values)), dtype=np.uint8)
        for channel, (low, high) in enumerate(self.ranges):  # one band at a time: a quarter of the memory
            level = (values[channel].astype(np.float64) - low) * (255.0 / (high - low))
            scaled[:, :, channel] = np.rint(np.clip(level, 0.0, 255.0)).astype(np.uint8)
        return scaled

    def decoding(self) -> dict[str, Any]:
        """Returns what decides pixels and labels, for hashes: all but what is for people."""
        return {key: value for key, value in self.to_dict().items() if key != "display"}

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; `from_dict` reads them back."""
        return {
            "numbers": list(self.numbers),
            "ranges": None if self.ranges is None else [list(pair) for pair in self.ranges],
            "display": list(self.display),
            "ignore_nodata": self.ignore_nodata,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Bands:
        """Returns what `to_dict` wrote."""
        ranges = plain["ranges"]
        red, green, blue = plain["display"]
        return cls(
            numbers=tuple(int(number) for number in plain["numbers"]),
            ranges=None if ranges is None else tuple((float(low), float(high)) for low, high in ranges),
            display=(int(red), int(green), int(blue)),
            ignore_nodata=bool(plain["ignore_nodata"]),
        )


def default_display(channels: int) -> Display:
    """Returns the first three channels; the last one again where there are fewer."""
    last = channels - 1
    return (0, min(1, last), min(2, last))


def shown(image: NDArray[np.uint8], display: Display | None = None) -> NDArray[np.uint8]:
    """Returns an image (H, W, C) as people see it, (H, W, 3) uint8.

    Args:
        display: positions of red, green and blue; None takes the first three.
    """
    if display is None:
        display = default_display(image.shape[2])
    return image if image.shape[2] == 3 and display == RGB_DISPLAY else np.ascontiguousarray(image[:, :, list(display)])
