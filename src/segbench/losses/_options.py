"""Checks of options that several losses share. Every message begins with the option's name, which becomes the key."""

from __future__ import annotations


def check_over(over: object) -> None:
    """Raises ValueError unless it is "image" or "batch"."""
    if over not in ("image", "batch"):
        raise ValueError(f'over must be "image" or "batch", got {over!r}')


def check_smooth(smooth: object) -> None:
    """Raises ValueError unless it is a finite number of 0 or more."""
    if not _is_number(smooth) or not 0.0 <= smooth < float("inf"):  # type: ignore[operator]
        raise ValueError(f"smooth must be a number of 0 or more, in pixels, got {smooth!r}")


def check_positive(name: str, value: object) -> None:
    """Raises ValueError unless it is a finite number above 0."""
    if not _is_number(value) or not 0.0 < value < float("inf"):  # type: ignore[operator]
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")


def check_include_background(include_background: object) -> None:
    """Raises ValueError unless it is true, false or None."""
    if include_background is not None and not isinstance(include_background, bool):
        raise ValueError(f"include_background must be true, false or left out, got {include_background!r}")


def check_unit(unit: object) -> None:
    """Raises ValueError unless it is "pixel" or "diagonal"."""
    if unit not in ("pixel", "diagonal"):
        raise ValueError(f'unit must be "pixel" or "diagonal", got {unit!r}')


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
