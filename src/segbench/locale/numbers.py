"""Numbers as people read them: one rule for the terminal, Markdown and the pages.

Each is a `Number`: it has a decimal point, as in CSV, LaTeX and the terminal, until a page puts its language's mark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from segbench.locale.message import Number, join, message

NO_VALUE = "–"


class Interval(Protocol):
    """A number and the ends of its interval."""

    @property
    def value(self) -> float: ...  # noqa: D102

    @property
    def low(self) -> float: ...  # noqa: D102

    @property
    def high(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Numbers:
    """Numbers with sensible digits; NaN is `–`.

    Args:
        digits: decimals of a score, its differences and their intervals: the same wherever one comparison is told.
        intervals: False: numbers alone, as there are too few images or groups for an interval that says anything.
    """

    digits: int = 3
    intervals: bool = True

    def score(self, value: float) -> Number:
        """Returns a score."""
        return _number(value, f".{self.digits}f")

    def signed(self, value: float) -> Number:
        """Returns a difference with its sign."""
        return _number(value, f"+.{self.digits}f")

    def interval(self, estimate: Interval, *, signed: bool = False) -> str:
        """Returns a number and its interval, such as `0.861 [0.842, 0.880]`."""
        return self.between(estimate.value, estimate.low, estimate.high, signed=signed)

    def between(self, value: float, low: float, high: float, *, signed: bool = False) -> str:
        """Returns a number and the ends of its interval."""
        show = self.signed if signed else self.score
        if not self.intervals:
            return show(value)
        return join(" ", [show(value), self.ends(low, high, signed=signed)])

    def ends(self, low: float, high: float, *, signed: bool = False) -> str:
        """Returns the ends of an interval, such as `[0.842, 0.880]`, for a column of its own."""
        show = self.signed if signed else self.score
        return message("[{low}, {high}]", low=show(low), high=show(high)) if self.intervals else NO_VALUE

    def p(self, value: float) -> Number:
        """Returns a probability of a test."""
        return Number("< 0.001") if value < 0.001 else _number(value, ".3f" if value < 0.1 else ".2f")

    def p_is(self, value: float) -> Number:
        """Returns a probability of a test inside a sentence: `p = 0.012`."""
        shown = self.p(value)
        return Number(f"p {shown}" if shown.startswith("<") else f"p = {shown}")

    def level(self, level: float) -> Number:
        """Returns the level of an interval."""
        return Number(f"{100.0 * level:g}\u00a0%")

    def percent(self, share: float) -> Number:
        """Returns a share in percent."""
        if math.isnan(share):
            return Number(NO_VALUE)
        if 0.0 < share < 0.0005:
            return Number("< 0.1\u00a0%")
        return Number(f"{100.0 * share:.{1 if 0.0 < share < 0.0995 else 0}f}\u00a0%")

    def rate(self, value: float) -> Number:
        """Returns a number with three digits."""
        decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if value and not math.isnan(value) else 0
        return _number(value, f",.{min(decimals, 3)}f")

    def mean_count(self, value: float) -> Number:
        """Returns a mean of counts: with a decimal where it is small, in whole thousands with a blank, never as 1e3."""
        return Number(f"{value:.1f}".removesuffix(".0") if value < 100 else grouped(value))

    def duration(self, seconds: float) -> str:
        """Returns a time in the unit that fits."""
        if math.isnan(seconds):
            return NO_VALUE
        if seconds >= 7200.0:
            return message("{time}\u00a0h", time=self.rate(seconds / 3600.0))
        if seconds >= 120.0:
            return message("{time}\u00a0min", time=self.rate(seconds / 60.0))
        return message("{time}\u00a0s", time=self.rate(seconds))

    def large(self, number: float) -> str:
        """Returns a number of things, shortened from a million on."""
        if math.isnan(number):
            return NO_VALUE
        return message("{millions}\u00a0M", millions=self.rate(number / 1e6)) if number >= 1e6 else grouped(number)


def _number(value: float, form: str) -> Number:
    """Returns a number in a form of `format`, with a true minus and narrow spaces between thousands."""
    if math.isnan(value):
        return Number(NO_VALUE)
    return Number(format(value, form).replace("-", "\u2212").replace(",", "\u202f"))


def grouped(number: float) -> str:
    """Returns a whole number with a narrow space between thousands: `12 345`."""
    return f"{number:,.0f}".replace(",", "\u202f")


def listed(texts: Sequence[str], limit: int = 8) -> str:
    """Returns texts separated by commas, and how many more than `limit` there are."""
    shown = join(", ", texts[:limit])
    more = len(texts) - limit
    return message("{items} and {n} more", items=shown, n=more) if more > 0 else shown
