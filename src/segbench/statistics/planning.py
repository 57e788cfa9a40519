"""How many images or seeds a difference takes: the variance of the comparison, with other numbers put in."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.special import stdtrit  # type: ignore[import-untyped]

# Beyond these a number is as good as infinite: no data set, and no budget, has so many.
MOST_IMAGES = 10**9
MOST_SEEDS = 10**5


def detectable(
    variances: tuple[float, float, float], images: int, seeds: int, entries: int, power: float, level: float
) -> float:
    """Returns the smallest difference found with probability `power` on Holm's first step over all pairs.

    `variances` are those of `VarianceParts`, squared: between seeds (NaN: not known), images, and the residual.
    """
    seed, image, residual = variances
    comparisons = entries * (entries - 1) / 2
    if math.isnan(seed):
        variance, df = image / images, images - 1.0
    else:
        shared = residual / (images * seeds)
        from_images, from_seeds = image / images + shared, seed / seeds + shared
        variance = image / images + seed / seeds + shared
        error = from_images**2 / (images - 1) + from_seeds**2 / (entries * (seeds - 1))
        df = variance**2 / error if error > 0 else images - 1.0
    critical = float(stdtrit(df, 1 - (1 - level) / 2 / comparisons))
    return (critical + float(stdtrit(df, power))) * math.sqrt(variance)


def half_width(images: int, spread: float, level: float = 0.95) -> float:
    """Returns half of the t interval of a mean score over so many images; infinite for fewer than two.

    Args:
        images: independent of each other.
        spread: standard deviation of the score between images.
        level: of the interval.
    """
    if images < 2:
        return math.inf
    return float(stdtrit(images - 1, 0.5 + level / 2)) * spread / math.sqrt(images)


def smallest(enough: Callable[[int], bool], lowest: int, highest: int) -> int | None:
    """Returns the smallest number for which `enough` holds, as it does from there on; None: not even for that."""
    if not enough(highest):
        return None
    if enough(lowest):
        return lowest
    while highest - lowest > 1:
        middle = (lowest + highest) // 2
        lowest, highest = (lowest, middle) if enough(middle) else (middle, highest)
    return highest
