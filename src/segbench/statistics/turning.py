"""Noisy curves over epochs: the running median, and whether a rise or a fall at the end is more than noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# A rise of 4 standard errors: the largest of many windows is looked for, so 2 would be noise in every third run. Curves
# without a turn exceed it in 0 to 3 % of cases (up to 6 % when neighbouring epochs correlate by 0.5), as
# tests/explain/test_overfitting.py measures.
RISE_LIMIT = 4.0
FALL_LIMIT = 2.5  # two fixed windows are compared here, none is searched for
_MEDIAN_ERROR = math.sqrt(math.pi / 2)  # standard error of a median over that of a mean


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Where a curve is lowest, and what it does afterwards.

    Attributes:
        window: epochs of the running median.
        position: centre of the lowest window, from 0.
        rise: last window minus lowest window, 0 or more.
        late_fall: a window a quarter of the epochs earlier (at least the one before) minus the last; negative when it
            rises.
        noise: standard deviation of one epoch.
        error: standard error of one window, with correlation of neighbouring epochs.
    """

    window: int
    position: int
    rise: float
    late_fall: float
    noise: float
    error: float

    @property
    def rise_in_errors(self) -> float:
        """The rise in standard errors of a window; infinite for a rise without any noise."""
        return _ratio(self.rise, self.error)

    @property
    def rises(self) -> bool:
        """True when the rise is more than noise."""
        return self.rise_in_errors > RISE_LIMIT

    @property
    def still_falls(self) -> bool:
        """True when the curve falls at its end by more than noise."""
        return _ratio(self.late_fall, self.error) > FALL_LIMIT * math.sqrt(2.0)


def window_of(count: int) -> int:
    """Returns the window of the running median: a tenth of the epochs, odd, at least 5."""
    return max(5, count // 10 // 2 * 2 + 1)


def smooth(values: FloatArray, window: int) -> FloatArray:
    """Returns the running median, (n - window + 1,): entry i is that of `values[i : i + window]`."""
    medians: FloatArray = np.median(np.lib.stride_tricks.sliding_window_view(values, window), axis=-1)
    return medians


def find_turn(values: FloatArray) -> Turn:
    """Returns where a curve of at least 10 epochs is lowest, and whether it rises from there.

    The noise is that of the epochs from the lowest window on (at least a third of all): their spread about straight
    lines through half of the epochs each, with the lag-1 correlation of what is left over.
    """
    count, window = len(values), window_of(len(values))
    smoothed = smooth(values, window)
    lowest = int(np.flatnonzero(smoothed == smoothed.min())[-1])  # of equals the last: it has not risen before
    start = max(0, min(lowest, count - max(window + 2, count // 3)))
    noise, correlation = _noise(values[start:], max(2 * window + 1, count // 2))
    inflation = math.sqrt((1.0 + correlation) / (1.0 - correlation))
    return Turn(
        window=window,
        position=lowest + window // 2,
        rise=float(smoothed[-1] - smoothed[lowest]),
        late_fall=float(smoothed[max(0, len(smoothed) - 1 - max(window, count // 4))] - smoothed[-1]),
        noise=noise,
        error=_MEDIAN_ERROR * noise * inflation / math.sqrt(window),
    )


def level_at(values: FloatArray, position: int, window: int) -> float:
    """Returns the running median about a position, of the nearest whole window at the ends."""
    start = min(max(position - window // 2, 0), len(values) - window)
    return float(np.median(values[start : start + window]))


def _noise(values: FloatArray, width: int) -> tuple[float, float]:
    """Returns the standard deviation about local straight lines, and the correlation of neighbours, 0 to 0.9."""
    count = len(values)
    width = min(width, count)
    epoch = np.arange(count, dtype=np.float64)
    start = np.clip(epoch - width // 2, 0, count - width)[:, None]
    near = ((epoch >= start) & (epoch < start + width)).astype(np.float64) / width
    mean_epoch, mean_value = near @ epoch, near @ values
    spread = near @ epoch**2 - mean_epoch**2
    slope = (near @ (epoch * values) - mean_epoch * mean_value) / spread
    leverage = (1.0 + (epoch - mean_epoch) ** 2 / spread) / width
    left_over = (values - mean_value - slope * (epoch - mean_epoch)) / np.sqrt(1.0 - leverage)
    power = float((left_over**2).mean())
    if math.sqrt(power) <= 1e-9 * float(np.abs(values).max()):
        return 0.0, 0.0  # rounding, not noise
    raw = float((left_over[1:] * left_over[:-1]).mean()) / power
    # What a fit leaves over correlates less than the noise did: the bias of Kendall 1954, and two lost per line.
    correlation = raw + (1.0 + 3.0 * raw) / count + 2.0 / width
    return math.sqrt(power), min(max(correlation, 0.0), 0.9)


def _ratio(value: float, error: float) -> float:
    if error > 0.0:
        return value / error
    return math.copysign(math.inf, value) if value else 0.0
