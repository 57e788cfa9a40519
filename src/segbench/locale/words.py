"""Words and numbers in the language of a report."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from segbench.locale import texts, texts_ru
from segbench.statistics.differences import Estimate

Language: TypeAlias = Literal["en", "ru"]
LANGUAGES: tuple[Language, ...] = ("en", "ru")

NO_VALUE = "–"
_TEXTS = {"en": texts.TEXTS, "ru": texts_ru.TEXTS}
_COUNTED = {"en": texts.COUNTED, "ru": texts_ru.COUNTED}


class Words:
    """Texts by key, and numbers with sensible digits.

    Numbers have a decimal point in every language, as in the files beside the report.

    Args:
        lang: `en` or `ru`.
        digits: decimals of a score.
    """

    def __init__(self, lang: Language, digits: int = 3) -> None:
        self.lang: Language = lang
        self.digits = digits

    def __call__(self, key: str, **values: object) -> str:
        """Returns the text of a key with its values filled in; an unknown key or value is an error of ours."""
        return _TEXTS[self.lang][key].format(**values)

    def has(self, key: str) -> bool:
        """Tells whether there is a text of that key."""
        return key in _TEXTS[self.lang]

    def count(self, noun: str, number: int) -> str:
        """Returns a number with its noun in the right form, for example `5 images`."""
        return f"{number:,} {form_of(self.lang, number, _COUNTED[self.lang][noun])}".replace(",", "\u202f")

    def mean_count(self, value: float) -> str:
        """Returns a mean of counts: with a decimal where it is small, in whole thousands with a blank, never as 1e3."""
        shown = f"{value:.1f}".removesuffix(".0") if value < 100 else f"{value:,.0f}"
        return shown.replace(",", "\u202f")

    def score(self, value: float) -> str:
        """Returns a score."""
        return NO_VALUE if math.isnan(value) else f"{value:.{self.digits}f}"

    def signed(self, value: float) -> str:
        """Returns a difference with its sign."""
        return NO_VALUE if math.isnan(value) else f"{value:+.{self.digits}f}".replace("-", "\u2212")

    def interval(self, estimate: Estimate, *, signed: bool = False) -> str:
        """Returns a number and its interval."""
        return self.between(estimate.value, estimate.low, estimate.high, signed=signed)

    def between(self, value: float, low: float, high: float, *, signed: bool = False) -> str:
        """Returns a number and the ends of its interval."""
        show = self.signed if signed else self.score
        return f"{show(value)} [{show(low)}, {show(high)}]"

    def p(self, value: float) -> str:
        """Returns a probability of a test."""
        if math.isnan(value):
            return NO_VALUE
        return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"

    def p_is(self, value: float) -> str:
        """Returns a probability of a test inside a sentence: `p = 0.012`."""
        shown = self.p(value)
        return f"p {shown}" if shown.startswith("<") else f"p = {shown}"

    def percent(self, share: float) -> str:
        """Returns a share in percent."""
        if math.isnan(share):
            return NO_VALUE
        if 0.0 < share < 0.0005:
            return "< 0.1\u00a0%"
        return (
            f"{share:.1%}".replace("%", "\u00a0%") if 0.0 < share < 0.0995 else f"{share:.0%}".replace("%", "\u00a0%")
        )

    def duration(self, seconds: float) -> str:
        """Returns a time in the unit that fits."""
        if math.isnan(seconds):
            return NO_VALUE
        for unit, size in (("h", 3600.0), ("min", 60.0)):
            if seconds >= 2.0 * size:
                return f"{_three_digits(seconds / size)}\u00a0{self(f'unit.{unit}')}"
        return f"{_three_digits(seconds)}\u00a0{self('unit.s')}"

    def large(self, number: float) -> str:
        """Returns a number of things, shortened from a million on."""
        if math.isnan(number):
            return NO_VALUE
        if number >= 1e6:
            return f"{_three_digits(number / 1e6)}\u00a0{self('unit.million')}"
        return f"{number:,.0f}".replace(",", "\u202f")

    def rate(self, value: float) -> str:
        """Returns a number with three digits."""
        return NO_VALUE if math.isnan(value) else _three_digits(value)

    def join(self, items: list[str] | tuple[str, ...], limit: int = 8) -> str:
        """Returns items separated by commas, and how many more there are."""
        more = len(items) - limit
        shown = ", ".join(items[:limit])
        return f"{shown} {self('and_more', n=more)}" if more > 0 else shown


def form_of(lang: Language, number: int, forms: tuple[str, ...]) -> str:
    """Returns the form of a noun that goes with a number.

    Args:
        lang: `en` has the forms one and many; `ru` one, few (2-4, 22-24) and many.
        number: 0 or more.
        forms: of the noun.
    Example:
        >>> [form_of("ru", n, ("запуск", "запуска", "запусков")) for n in (1, 3, 5, 11, 21, 112)]
        ['запуск', 'запуска', 'запусков', 'запусков', 'запуск', 'запусков']
    """
    if lang == "en":
        return forms[0] if number == 1 else forms[1]
    if number % 10 == 1 and number % 100 != 11:
        return forms[0]
    return forms[1] if 2 <= number % 10 <= 4 and not 12 <= number % 100 <= 14 else forms[2]


def _three_digits(value: float) -> str:
    if value == 0.0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 3)}f}".replace(",", "\u202f")
