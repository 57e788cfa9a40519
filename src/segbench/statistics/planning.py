"""How many images or seeds a difference takes: the variance of the comparison, with other numbers put in."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.special import stdtrit  # type: ignore[import-untyped]

from segbench.statistics.variance import LEVEL, VarianceParts

POWER = 0.8
# More than this is no plan: nobody trains ten times as many seeds, or finds a hundred times the images.
MOST_TIMES_SEEDS = 10
MOST_TIMES_IMAGES = 100
# Beyond these a number is as good as infinite: no data set, and no budget, has so many.
_MOST_IMAGES = 10**9
_MOST_SEEDS = 10**5


def minimum_detectable_difference(
    parts: VarianceParts,
    *,
    images: int,
    seeds: int,
    entries: int = 2,
    comparisons: int = 1,
    power: float = POWER,
    level: float = LEVEL,
) -> float:
    """Returns the smallest true lead over one other entry that is found with probability `power`.

    Found: the two-sided test at 1 - level, as for the best and the next. The usual sum of two t quantiles times the
    standard error, with Satterthwaite's degrees of freedom.

    Args:
        parts: of the difference of one training of each, see `PairDifference.parts`; NaN seed_sd: of these weights.
        images: N, or the number of groups where `parts` are of groups; 2 or more.
        seeds: S of every entry; 2 or more where seed_sd is known.
        entries: K, whose seeds together say how much seeds matter.
        comparisons: that share 1 - level, such as all K (K - 1) / 2 pairs on Holm's first step.
        power: such as 0.8.
        level: 1 - level is the error of all comparisons together.
    Raises:
        ValueError: too few images, seeds or entries.
    """
    error, df = _planned_error(parts, images, seeds, entries)
    critical = float(stdtrit(df, 1 - (1 - level) / 2 / comparisons))
    return (critical + float(stdtrit(df, power))) * error


def resolvable_margin(
    parts: VarianceParts,
    *,
    images: int,
    seeds: int,
    entries: int = 2,
    equivalent: bool = True,
    power: float = POWER,
    level: float = LEVEL,
) -> float:
    """Returns the smallest margin inside which two truly equal entries are shown to be, with probability `power`.

    Equivalent: by two one-sided tests at 1 - level each; otherwise one of them, that the first is not worse.
    Arguments and errors as for `minimum_detectable_difference`.
    """
    error, df = _planned_error(parts, images, seeds, entries)
    wanted = (1 + power) / 2 if equivalent else power
    return float(stdtrit(df, level) + stdtrit(df, wanted)) * error


def _planned_error(parts: VarianceParts, images: int, seeds: int, entries: int) -> tuple[float, float]:
    """Returns the standard error of a difference of two means, and its degrees of freedom."""
    for name, number, least in (
        ("images", images, 2),
        ("seeds", seeds, 1 if math.isnan(parts.seed_sd) else 2),
        ("entries", entries, 2),
    ):
        if number < least:
            raise ValueError(f"expected {least} {name} or more to plan with, got {number}")
    seed, image, residual = parts.seed_sd**2, parts.image_sd**2, parts.residual_sd**2
    if math.isnan(seed):
        return math.sqrt(image / images), images - 1.0
    shared = residual / (images * seeds)
    from_images, from_seeds = image / images + shared, seed / seeds + shared
    variance = image / images + seed / seeds + shared
    error = from_images**2 / (images - 1) + from_seeds**2 / (entries * (seeds - 1))
    return math.sqrt(variance), variance**2 / error if error > 0 else images - 1.0


def images_needed(
    difference: float,
    parts: VarianceParts,
    *,
    seeds: int,
    entries: int = 2,
    margin: bool = False,
    power: float = POWER,
    level: float = LEVEL,
) -> int | None:
    """Returns how many images (groups) show a true difference; None: no number suffices with so few seeds.

    Arguments as for `minimum_detectable_difference`. With `margin` the question is another: how many show that two
    equal entries differ by no more than `difference`, as `resolvable_margin` has it.
    """

    def enough(images: int) -> bool:
        found = _resolved(parts, margin, images=images, seeds=seeds, entries=entries, power=power, level=level)
        return found <= abs(difference)

    return smallest(enough, 2, _MOST_IMAGES)


def seeds_needed(
    difference: float,
    parts: VarianceParts,
    *,
    images: int,
    entries: int = 2,
    margin: bool = False,
    power: float = POWER,
    level: float = LEVEL,
) -> int | None:
    """Returns how many seeds show a true difference; None: no number suffices with so few images.

    Arguments as for `images_needed`; None, too, where the seed SD is not known.
    """
    if math.isnan(parts.seed_sd):
        return None

    def enough(seeds: int) -> bool:
        found = _resolved(parts, margin, images=images, seeds=seeds, entries=entries, power=power, level=level)
        return found <= abs(difference)

    return smallest(enough, 2, _MOST_SEEDS)


def _resolved(
    parts: VarianceParts, margin: bool, *, images: int, seeds: int, entries: int, power: float, level: float
) -> float:
    measure = resolvable_margin if margin else minimum_detectable_difference
    return measure(parts, images=images, seeds=seeds, entries=entries, power=power, level=level)


def half_width(images: int, spread: float, level: float = LEVEL) -> float:
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
