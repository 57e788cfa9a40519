"""Rank correlation, means and differences of means, with intervals that respect groups of images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]
from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]

from segbench.statistics.variance import units_of

FloatArray = npt.NDArray[np.float64]
Groups = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes:
        rho: of n pairs, -1 to 1; low, high: its interval.
        p: two-sided, of no correlation.
        n: pairs.
    """

    rho: float
    low: float
    high: float
    p: float
    n: int


def rank_correlation(x: FloatArray, y: FloatArray, groups: Groups | None, level: float) -> Correlation:
    """Returns Spearman's rank correlation of (n,) and (n,), neither constant.

    Without groups: Fisher's z with variance (1 + rho^2 / 2) / (n - 3) (Bonett and Wright 2000) and SciPy's p. With
    groups: Fisher's z with its jackknife error over groups, and the degrees of freedom of `units_of`, as in the
    verdict; where one group decides that there is a correlation at all, nothing is known: p = 1.
    """
    count = len(x)
    found = stats.spearmanr(x, y)
    rho = float(found.statistic)
    z = _fisher(rho)
    if groups is None:
        half = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt((1.0 + rho**2 / 2.0) / (count - 3))
        return Correlation(rho=rho, low=math.tanh(z - half), high=math.tanh(z + half), p=float(found.pvalue), n=count)
    units = units_of(groups, count)
    error = _jackknife_error(stats.rankdata(x), stats.rankdata(y), groups)
    half = float(stdtrit(units.df, 0.5 + level / 2)) * error
    p = 2.0 * float(stdtr(units.df, -abs(z) / error)) if error > 0.0 else 0.0
    return Correlation(rho=rho, low=math.tanh(z - half), high=math.tanh(z + half), p=p, n=count)


def _fisher(rho: float) -> float:
    return math.atanh(min(max(rho, -1.0 + 1e-12), 1.0 - 1e-12))  # infinite at the ends


def _jackknife_error(u: FloatArray, v: FloatArray, groups: Groups) -> float:
    """Returns the standard error of Fisher's z of two columns of ranks: each group left out once; may be infinite."""
    _, position = np.unique(groups, return_inverse=True)
    u, v = u - u.mean(), v - v.mean()
    left = len(u) - np.bincount(position)
    mean_u, mean_v = (-np.bincount(position, weights=column) / left for column in (u, v))
    both, own_u, own_v = (
        (float(product.sum()) - np.bincount(position, weights=product)) / left - shift
        for product, shift in ((u * v, mean_u * mean_v), (u * u, mean_u**2), (v * v, mean_v**2))
    )
    spread = np.maximum(own_u, 0.0) * np.maximum(own_v, 0.0)
    if (spread <= 1e-12 * float(u.var() * v.var())).any():  # without one group a column is constant
        return math.inf
    z = np.array([_fisher(rho) for rho in both / np.sqrt(spread)])
    return math.sqrt((len(z) - 1) / len(z) * float(((z - z.mean()) ** 2).sum()))


def mean_with_interval(values: FloatArray, groups: Groups | None, level: float) -> tuple[float, float, float]:
    """Returns the mean of (n,) values and its t interval, over groups where there are any; NaN ends below two units."""
    count = len(values)
    mean = float(values.mean())
    units = np.arange(count) if groups is None else groups
    if len(np.unique(units)) < 2:
        return mean, math.nan, math.nan
    error, df = _clustered_error(values - mean, units)
    half = float(stdtrit(df, 0.5 + level / 2)) * error
    return mean, mean - half, mean + half


def difference_of_means(
    values: FloatArray, chosen: npt.NDArray[np.bool_], groups: Groups | None, level: float
) -> tuple[float, float, float]:
    """Returns the mean of the chosen values minus that of the others, and its interval.

    Without groups Welch's t interval, with groups a cluster-robust one with the fewer degrees of freedom of the two
    sides; NaN ends where a side has fewer than two values (groups).
    """
    first, second = values[chosen], values[~chosen]
    difference = float(first.mean() - second.mean())
    if min(len(first), len(second)) < 2:
        return difference, math.nan, math.nan
    if groups is None:
        interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(level)
        return difference, float(interval.low), float(interval.high)
    if min(len(np.unique(groups[side])) for side in (chosen, ~chosen)) < 2:
        return difference, math.nan, math.nan
    count = len(values)
    influence = np.where(chosen, (values - first.mean()) / len(first), -(values - second.mean()) / len(second)) * count
    error, _ = _clustered_error(influence, groups)
    df = min(units_of(groups[side], int(side.sum())).df for side in (chosen, ~chosen))
    half = float(stdtrit(df, 0.5 + level / 2)) * error
    return difference, difference - half, difference + half


def _clustered_error(influence: FloatArray, groups: Groups) -> tuple[float, float]:
    """Returns the standard error of a mean of (n,) influences that are independent between groups, and its df."""
    units = units_of(groups, len(influence))
    return math.sqrt(units.factor * float((units.totals(influence) ** 2).sum())), units.df
