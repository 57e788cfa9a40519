"""Answers with a margin, the difference that does not matter in practice: better, equivalent, not worse, undecided."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from segbench.statistics.variance import FloatArray

Answer: TypeAlias = Literal["better", "worse", "equivalent", "not worse", "not better", "undecided"]
Bounds: TypeAlias = tuple[float, float]

_SHARE_MARGIN = 0.01
_EXTRA = 1 / 3


def default_margin(bounds: Bounds | None) -> float | None:
    """Returns the margin of a score with such a range: 0.01 where it lies in [0, 1], else None.

    >>> default_margin((0, 1)), default_margin((0, float("inf"))), default_margin(None)
    (0.01, None, None)
    """
    inside = bounds is not None and bounds[0] >= 0 and bounds[1] <= 1
    return _SHARE_MARGIN if inside else None


def mean_in_bounds(
    mean: FloatArray,
    variance: FloatArray,
    df: FloatArray,
    units: float,
    image: FloatArray,
    bounds: Bounds,
    level: float,
) -> tuple[FloatArray, FloatArray]:
    """Returns the ends of the interval of a mean score that has a lowest and a highest value.

    A t interval of few scores near an end of their range covers too seldom: the rare image with a far worse score is
    not in the sample. So the interval is made as if a third of an image more had the lowest, and a third the highest
    score, in the way of Agresti and Coull (1998) for shares. docs/explanation/statistics.md says how often it covers.

    Args:
        mean, variance, df: (...) as for a t interval.
        units: independent images or groups.
        image: (...) the part of the variance that the images make.
        bounds: lowest and highest score.
        level: of the interval.
    """
    low, high = bounds
    total = units + 2 * _EXTRA
    centre = (units * mean + _EXTRA * (low + high)) / total
    squares = (units - 1) * units * image + units * (mean - centre) ** 2
    squares = squares + _EXTRA * ((centre - low) ** 2 + (high - centre) ** 2)
    widened = variance + np.maximum(squares / (total - 1) / total - image, 0)
    half = stdtrit(df, (1 + level) / 2) * np.sqrt(widened)
    return np.clip(np.minimum(centre - half, mean), low, high), np.clip(np.maximum(centre + half, mean), low, high)


def answer_with_margin(lead: float, error: float, df: float, margin: float, alpha: float) -> Answer:
    """Returns what two one-sided tests (Schuirmann 1987) say of a lead that was not shown to be above or below 0.

    Args:
        lead: how much better the first is than the second; negative: worse.
        error, df: of the lead.
        margin: above 0.
        alpha: of each of the two tests: the interval that has to lie inside the margin is that of 1 - 2 alpha.
    """
    half = float(stdtrit(df, 1 - alpha)) * error
    not_worse, not_better = lead - half > -margin, lead + half < margin
    if not_worse and not_better:
        return "equivalent"
    return "not worse" if not_worse else "not better" if not_better else "undecided"
