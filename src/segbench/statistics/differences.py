"""Differences between entries with intervals that hold both the images and the seeds. NumPy and SciPy only.

An entry is one approach, trained with one or more seeds and scored on the same N test images as the others. `values` is
a sequence of K float64 arrays (S_k, N). The unit that is drawn from the population is the image, or the group of images
(patient, scene) where `groups` says so; never the pixel. docs/explanation/statistics.md explains the method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]
from scipy.special import stdtrit  # type: ignore[import-untyped]

from segbench.statistics.margin import Answer, Bounds, answer_with_margin
from segbench.statistics.p_values import holm as holm
from segbench.statistics.p_values import sign_flip, signed_rank_p, two_sided_p
from segbench.statistics.variance import LEVEL as LEVEL
from segbench.statistics.variance import FloatArray as FloatArray
from segbench.statistics.variance import Prepared, contrast_variance, prepare, with_larger_seed_variances
from segbench.statistics.variance import VarianceParts as VarianceParts

Groups: TypeAlias = Sequence[int] | Sequence[str] | npt.NDArray[Any]
Unit: TypeAlias = Literal["images", "groups"]
SpeaksOf: TypeAlias = Literal["the networks", "these trained weights"]

FEW_FOR_A_MEDIAN = 50


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the estimate.
        low, high: the two-sided t interval at `level`.
        standard_error: of the value.
        df: degrees of freedom of the t distribution (Satterthwaite).
        p: two-sided, of the value being 0; not adjusted for other comparisons.
        level: of the interval, such as 0.95.
    """

    value: float
    low: float
    high: float
    standard_error: float
    df: float
    p: float
    level: float


@dataclass(frozen=True, kw_only=True)
class PairDifference:
    """One entry minus another.

    Attributes:
        first, second: indices into the entries as they were given.
        difference: mean of the first minus mean of the second, in the score's own sign.
        p_holm: `difference.p` adjusted over all pairs of the comparison (Holm 1979).
        significant: p_holm is at most 1 - level, or the level of the look.
        better: index of the better one where the difference is significant, else None.
        answer: first against second with the margin; None without one. A significant difference is `better` or `worse`,
            however small it is.
        parts: variance parts of the difference of one training of each.
        wilcoxon_p: signed-rank test on seed-averaged differences of units; of these trained weights only.
        permutation_p: sign-flip test on the same; exact for 12 units or fewer.
        permutation_draws: 0: exact; otherwise how many sign patterns were drawn.
        effect_size: d_z, mean over SD of the seed-averaged differences of units; NaN where the SD is 0.
        first_better_frac: share of images on which the first is better, ties counted half.
    """

    first: int
    second: int
    difference: Estimate
    p_holm: float
    significant: bool
    better: int | None
    answer: Answer | None
    parts: VarianceParts
    wilcoxon_p: float
    permutation_p: float
    permutation_draws: int
    effect_size: float
    first_better_frac: float


@dataclass(frozen=True, kw_only=True)
class MedianInterval:
    """The median of per-image scores with an interval from order statistics.

    Attributes:
        median: of the values.
        low, high: two of the values; None where there is no interval, `note` says why.
        coverage: the exact probability with which such an interval covers, at least the level asked for where n allows.
        n: how many values.
        note: a warning for the reader; empty: none.
        method: one sentence.
    """

    median: float
    low: float | None
    high: float | None
    coverage: float
    n: int
    note: str
    method: str


def contrast(
    values: Sequence[FloatArray], weights: Sequence[float], *, groups: Groups | None = None, level: float = LEVEL
) -> Estimate:
    """Returns the weighted sum of the K entries' means, such as (1, -1) for a difference, with its t interval.

    All K entries help to estimate how much seeds matter, those of weight 0 too.

    Raises:
        ValueError: values that `decide` would refuse, or not one weight an entry.
    """
    if len(weights) != len(values):
        raise ValueError(f"expected one weight for each of the {len(values)} entries, got {len(weights)}")
    return estimate_contrasts(prepare(values, groups), np.array([weights], np.float64), level)[0]


def estimate_contrasts(prepared: Prepared, weights: FloatArray, level: float) -> list[Estimate]:
    """Returns M estimates for weights (M, K)."""
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, such as 0.95, got {level}")
    value, variance, df = contrast_variance(prepared.parts, weights)
    error = np.sqrt(variance)
    half = stdtrit(df, (1 + level) / 2) * error
    p = two_sided_p(value, variance, df)
    columns = (array.tolist() for array in (value, value - half, value + half, error, df, p))
    return [
        Estimate(value=v, low=low, high=high, standard_error=e, df=d, p=each, level=level)
        for v, low, high, e, d, each in zip(*columns, strict=True)
    ]


def at_level(estimate: Estimate, level: float) -> Estimate:
    """Returns the estimate with its t interval at another level."""
    half = float(stdtrit(estimate.df, (1 + level) / 2)) * estimate.standard_error
    return replace(estimate, low=estimate.value - half, high=estimate.value + half, level=level)


def bound(estimate: Estimate, bounds: Bounds | None) -> Estimate:
    """Returns the estimate with an interval that does not go beyond the bounds; None: there are none."""
    if bounds is None:
        return estimate
    return replace(estimate, low=max(estimate.low, bounds[0]), high=min(estimate.high, bounds[1]))


def compare_pairs(
    values: Sequence[FloatArray],
    *,
    groups: Groups | None = None,
    higher_is_better: bool = True,
    level: float = LEVEL,
    seed: int = 0,
    margin: float | None = None,
) -> tuple[PairDifference, ...]:
    """Returns every pair (first < second) of the K entries, in order: K (K - 1) / 2 differences.

    Args:
        values: K arrays (S_k, N), scores of the same N images in the same order; no NaN.
        groups: (N,) group of every image, or None.
        higher_is_better: of the score.
        level: of the intervals; 1 - level is the family-wise error over all pairs.
        seed: of the permutation tests.
        margin: difference that does not matter in practice; None: no answers.
    Raises:
        ValueError: values that `decide` would refuse.
    """
    prepared = prepare(values, groups)
    prepared = replace(prepared, parts=with_larger_seed_variances(prepared.parts))
    return compare_prepared(prepared, higher_is_better, level, seed, margin=margin)


def compare_prepared(
    prepared: Prepared,
    higher_is_better: bool,
    level: float,
    seed: int,
    *,
    alpha: float | None = None,
    margin: float | None = None,
) -> tuple[PairDifference, ...]:
    """Returns what `compare_pairs` does, for values that were prepared; `alpha` of the tests, None: 1 - level."""
    alpha = 1 - level if alpha is None else alpha
    pairs = list(combinations(range(len(prepared.values)), 2))
    weights = np.zeros((len(pairs), len(prepared.values)))
    for row, (first, second) in enumerate(pairs):
        weights[row, first], weights[row, second] = 1, -1
    estimates = estimate_contrasts(prepared, weights, level)
    differences = np.stack([_difference(prepared, first, second) for first, second in pairs])
    permuted, draws = sign_flip(prepared.units.totals(differences), seed)
    # Differences without any variation have no t test; how few they may be is what sign flips know.
    estimates = [
        replace(estimate, p=max(estimate.p, float(p))) if _is_constant(each) else estimate
        for estimate, p, each in zip(estimates, permuted, differences, strict=True)
    ]
    adjusted = holm([estimate.p for estimate in estimates])
    sign = 1 if higher_is_better else -1
    of_units = prepared.units.totals(differences) / prepared.units.weights
    ranked = signed_rank_p(of_units)
    found = []
    for row, (first, second) in enumerate(pairs):
        spread, significant = float(of_units[row].std(ddof=1)), bool(adjusted[row] <= alpha)
        lead = sign * estimates[row].value
        better = first if lead > 0 else second
        found.append(
            PairDifference(
                first=first,
                second=second,
                difference=estimates[row],
                p_holm=float(adjusted[row]),
                significant=significant,
                better=better if significant else None,
                answer=None if margin is None else _answer(estimates[row], lead, significant, margin, alpha),
                parts=pair_parts(prepared, first, second),
                wilcoxon_p=float(ranked[row]),
                permutation_p=float(permuted[row]),
                permutation_draws=draws,
                effect_size=float(of_units[row].mean()) / spread if spread > 0 else math.nan,
                first_better_frac=float((np.sign(sign * differences[row]).mean() + 1) / 2),
            )
        )
    return tuple(found)


def _answer(estimate: Estimate, lead: float, significant: bool, margin: float, alpha: float) -> Answer:
    if significant:
        return "better" if lead > 0 else "worse"
    return answer_with_margin(lead, estimate.standard_error, estimate.df, margin, alpha)


_TURNED: dict[Answer | None, Answer] = {
    "better": "worse",
    "worse": "better",
    "not worse": "not better",
    "not better": "not worse",
}


def _is_constant(differences: FloatArray) -> bool:
    return bool(np.ptp(differences) <= 1e-12 * np.abs(differences).max())


def _difference(prepared: Prepared, first: int, second: int) -> FloatArray:
    """Returns (N,) seed-averaged differences; what rounding alone makes of a tie is a tie."""
    one, other = prepared.averaged[first], prepared.averaged[second]
    return np.where(np.abs(one - other) <= 1e-12 * np.maximum(np.abs(one), np.abs(other)), 0.0, one - other)


def variance_parts(values: FloatArray, groups: Groups | None = None) -> VarianceParts:
    """Returns the standard deviations of one entry's scores (S, N), from its own seeds alone."""
    return entry_parts(prepare([values], groups), 0)


def entry_parts(prepared: Prepared, index: int) -> VarianceParts:
    """Returns the standard deviations of one entry's scores, from its own seeds alone."""
    parts, count = prepared.parts, prepared.units.count
    image, seeds = float(parts.image_cov[index, index]), int(parts.seeds[index])
    if seeds < 2:
        return VarianceParts(seed_sd=math.nan, image_sd=math.sqrt(image * count), residual_sd=math.nan)
    residual = float(parts.residual[index])
    return VarianceParts(
        seed_sd=math.sqrt(max(float(parts.seed_ms[index]) - residual, 0)),
        image_sd=math.sqrt(max(image - residual / seeds, 0) * count),
        residual_sd=math.sqrt(residual * count),
    )


def pair_parts(prepared: Prepared, first: int, second: int) -> VarianceParts:
    """Returns the parts of the difference of one training of each, with the seed variances that intervals use."""
    parts, count, both = prepared.parts, prepared.units.count, [first, second]
    image = float(np.array([1, -1]) @ parts.image_cov[np.ix_(both, both)] @ np.array([1, -1]))
    if not parts.knows_seeds:
        return VarianceParts(seed_sd=math.nan, image_sd=math.sqrt(max(image, 0) * count), residual_sd=math.nan)
    residual = parts.residual[both]
    return VarianceParts(
        seed_sd=math.sqrt(float(parts.seed_variance[both].sum())),
        image_sd=math.sqrt(max(image - float((residual / parts.seeds[both]).sum()), 0) * count),
        residual_sd=math.sqrt(float(residual.sum()) * count),
    )


def reverse(pair: PairDifference) -> PairDifference:
    """Returns the same comparison as second minus first."""
    estimate = pair.difference
    turned = replace(estimate, value=-estimate.value, low=-estimate.high, high=-estimate.low)
    return replace(
        pair,
        first=pair.second,
        second=pair.first,
        difference=turned,
        answer=_TURNED.get(pair.answer, pair.answer),
        effect_size=-pair.effect_size,
        first_better_frac=1 - pair.first_better_frac,
    )


def median_interval(
    values: Sequence[float] | FloatArray, *, groups: Groups | None = None, level: float = LEVEL
) -> MedianInterval:
    """Returns the median of (N,) values, or of (S, N) averaged over seeds, with its interval.

    Two of the sorted values, by the binomial distribution: right for every distribution, and never narrower than it
    must be. It speaks of images alone, not of seeds. Groups of several images have no such interval.

    Raises:
        ValueError: no value, a value that is not finite, or not one group a value.
    """
    array = np.atleast_2d(np.asarray(values, np.float64)).mean(axis=0)
    n = len(array)
    if n == 0 or not np.isfinite(array).all():
        raise ValueError(f"expected one finite value or more, got {n}, {int((~np.isfinite(array)).sum())} not finite")
    if groups is not None and len(groups) != n:
        raise ValueError(f"expected one group for each of the {n} values, got {len(groups)}")
    median = float(np.median(array))
    if groups is not None and len(np.unique(np.asarray(groups))) < n:
        note = "no interval: images of one group are not independent, and order statistics need independent ones"
        return MedianInterval(median=median, low=None, high=None, coverage=math.nan, n=n, note=note, method=_MEDIAN)
    cut = max(int(stats.binom.ppf((1 - level) / 2, n, 0.5)), 1)  # so many values lie outside, on each side
    coverage = 1 - 2 * float(stats.binom.cdf(cut - 1, n, 0.5))
    sorted_values = np.sort(array)
    note = f"{n} values are few for a median: its interval is wide" if n < FEW_FOR_A_MEDIAN else ""
    if coverage < level:
        note = f"{n} values are too few for {level:.0%}: smallest to largest covers with {coverage:.1%}"
    low, high = float(sorted_values[cut - 1]), float(sorted_values[n - cut])
    return MedianInterval(median=median, low=low, high=high, coverage=coverage, n=n, note=note, method=_MEDIAN)


_MEDIAN = "order statistics of seed-averaged values, with their exact binomial coverage; images alone, not seeds"


def plain(value: Any) -> Any:
    """Returns dataclasses, arrays and numbers as JSON has them; None for a number that is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
