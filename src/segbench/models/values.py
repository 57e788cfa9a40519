"""Whether the values of a builder's options are in their range; messages begin with the option's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice", bound=str)


def check_count(name: str, value: object) -> int:
    """Returns `value`, or raises ValueError unless it is an integer above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer above 0, got {value!r}")
    return value


def check_choice(name: str, value: object, choices: Sequence[Choice]) -> Choice:
    """Returns `value`, or raises ValueError unless it is one of `choices`."""
    for choice in choices:
        if value == choice:
            return choice
    raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_flag(name: str, value: object) -> bool:
    """Returns `value`, or raises ValueError unless it is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return value


def check_probability(name: str, value: object) -> float:
    """Returns `value` as a float, or raises ValueError unless it is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1.0:
        raise ValueError(f"{name} must be a probability of 0 or more and below 1, got {value!r}")
    return float(value)
