"""Which pixels of the image each position of one axis of a feature map can see, exactly and without borders.

A network repeats itself along an axis: where one position of a map sees the pixels a to b, the position `period`
further on sees a + `shift` to b + `shift`. So `period` intervals are the whole truth about an axis of any length. Every
operation is then a question of which input positions an output position reads (its taps), and the interval of an output
is the hull of the intervals of its taps. Nothing is estimated: nearest upsampling, for one, gives neighbouring pixels
different intervals, which the usual formula (kernel, stride, growth) cannot express.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Taps = Callable[[Positions], list[Positions]]  # positions of an output -> the input positions each of them reads

_LONGEST_PERIOD = 4096  # beyond this the two sizes have no common measure worth following


@dataclass(frozen=True)
class AxisField:
    """The interval of image pixels that each position of one axis sees; `low` and `high` both belong to it.

    Attributes:
        low, high: (period,) float64 first and last pixel; minus and plus infinity where it is the whole image.
        shift: how many pixels further the next period lies; `shift / period` is the stride.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    shift: float

    @classmethod
    def image(cls) -> AxisField:
        """Returns the axis of the image itself: each pixel sees itself."""
        return cls(np.zeros(1), np.zeros(1), 1.0)

    @property
    def period(self) -> int:
        """After how many positions it repeats."""
        return len(self.low)

    @property
    def stride_px(self) -> float:
        """How many pixels apart two neighbouring positions are."""
        return self.shift / self.period

    @property
    def size_px(self) -> float:
        """The most pixels that any position sees, from first to last; infinity for the whole image."""
        return float((self.high - self.low).max()) + 1.0

    def whole(self) -> AxisField:
        """Returns the same axis with every position seeing the whole image."""
        return AxisField(np.array([-np.inf]), np.array([np.inf]), self.stride_px)

    def gather(self, taps: Taps, *, every: int, out_of: int) -> AxisField:
        """Returns the axis of an output whose position i reads `taps(i)`.

        Args:
            taps: must satisfy taps(i + every) = taps(i) + out_of.
            every, out_of: so many positions of the output are as long as so many of the input.
        """
        turns = self.period // math.gcd(self.period, out_of)
        read = [self._at(positions) for positions in taps(np.arange(every * turns, dtype=np.int64))]
        low = np.min([low for low, _ in read], axis=0)
        high = np.max([high for _, high in read], axis=0)
        return AxisField(low, high, self.stride_px * out_of * turns).shortened()

    def shortened(self) -> AxisField:
        """Returns the same with the smallest period."""
        for period in range(1, self.period):
            if self.period % period:
                continue
            steps = np.repeat(np.arange(self.period // period), period) * (self.shift * period / self.period)
            if np.array_equal(np.resize(self.low[:period], self.period) + steps, self.low) and np.array_equal(
                np.resize(self.high[:period], self.period) + steps, self.high
            ):
                return AxisField(self.low[:period], self.high[:period], self.shift * period / self.period)
        return self

    def moved(self, start: int, step: int = 1) -> AxisField:
        """Returns the axis whose position i is position `start + step * i` of this one."""
        return self.gather(lambda i: [start + step * i], every=1, out_of=step)

    def joined(self, other: AxisField, size: int) -> AxisField:
        """Returns the axis of an output that reads the same position of both.

        Args:
            size: of the axis; where the strides differ (an odd size was resized), these positions count.
        """
        same = math.isclose(self.stride_px, other.stride_px, rel_tol=1e-9)
        period = math.lcm(self.period, other.period)
        positions = np.arange(period if same and period <= _LONGEST_PERIOD else size, dtype=np.int64)
        (low, high), (other_low, other_high) = self._at(positions), other._at(positions)
        shift = self.stride_px * len(positions)
        return AxisField(np.minimum(low, other_low), np.maximum(high, other_high), shift).shortened()

    def _at(self, positions: Positions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        turn, phase = np.divmod(positions, self.period)
        return self.low[phase] + turn * self.shift, self.high[phase] + turn * self.shift


def window(field: AxisField, *, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> AxisField:
    """Returns the axis behind a convolution or a pooling."""
    return field.gather(
        lambda i: [i * stride - padding + dilation * tap for tap in range(kernel)], every=1, out_of=stride
    )


def transposed_window(field: AxisField, *, kernel: int, stride: int, padding: int, dilation: int) -> AxisField:
    """Returns the axis behind a transposed convolution: input q is stamped on q * stride - padding + dilation * tap.

    Where the kernel is smaller than the stride, some outputs see nothing; they are given the input before them.
    """

    def taps(i: Positions) -> list[Positions]:
        reached, rest = np.divmod(i + padding - dilation * np.arange(kernel)[:, None], stride)
        before = (i + padding) // stride  # never before what is reached
        lowest = np.where(rest == 0, reached, before).min(axis=0)
        return [lowest, np.where(rest == 0, reached, lowest).max(axis=0)]

    return field.gather(taps, every=stride, out_of=1)


def resized(field: AxisField, before: int, after: int, mode: str, *, align_corners: bool = False) -> AxisField:
    """Returns the axis behind an interpolation from `before` to `after` positions.

    Args:
        mode: nearest, nearest-exact, bilinear, bicubic, or one of the last two with "-antialias"; adaptive for adaptive
            pooling.
    """
    if before == 1 or after == 1:  # one position means all: what it sees does not move along the axis
        everything = field.whole()
        return AxisField(everything.low, everything.high, field.stride_px * before / after)
    numerator, denominator = (before - 1, after - 1) if align_corners else (before, after)
    common = math.gcd(numerator, denominator)
    numerator, denominator = numerator // common, denominator // common
    return field.gather(
        lambda i: _resize_taps(i, numerator, denominator, mode, align_corners), every=denominator, out_of=numerator
    )


def _resize_taps(i: Positions, numerator: int, denominator: int, mode: str, align_corners: bool) -> list[Positions]:
    if mode == "adaptive":
        return _between(i * numerator // denominator, -(-(i + 1) * numerator // denominator) - 1)
    if mode == "nearest":
        return [i * numerator // denominator]
    if mode == "nearest-exact":
        return [(2 * i + 1) * numerator // (2 * denominator)]
    # the source position is top / bottom, kept as a fraction so that a weight of exactly 0 is seen
    bottom = 2 * denominator
    top = 2 * i * numerator if align_corners else (2 * i + 1) * numerator - denominator
    before, rest = np.divmod(top, bottom)
    reach = 2 if mode.startswith("bicubic") else 1
    if mode.endswith("-antialias") and numerator > denominator:
        radius = reach * numerator * 2  # in units of 1 / bottom
        return _between((top - radius) // bottom + 1, -(-(top + radius) // bottom) - 1)
    whole = rest == 0
    return [np.where(whole, before, before + 1 - reach), np.where(whole, before, before + reach)]


def _between(first: Positions, last: Positions) -> list[Positions]:
    return [first, last]  # the intervals move with the position, so the hull of both ends is the hull of all
