"""Rank correlation, means and differences of means, with intervals that respect groups of images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

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
    groups: Fisher's z with the cluster-robust variance of the correlation of ranks, t with groups - 1 df.
    """
    count = len(x)
    found = stats.spearmanr(x, y)
    rho = float(found.statistic)
    inside = min(max(rho, -1.0 + 1e-12), 1.0 - 1e-12)  # atanh is infinite at the ends
    z = math.atanh(inside)
    if groups is None:
        half = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt((1.0 + rho**2 / 2.0) / (count - 3))
        p = float(found.pvalue)
    else:
        u, v = (_standard(stats.rankdata(values)) for values in (x, y))
        influence = u * v - rho * (u**2 + v**2) / 2.0
        error, freedom = _clustered_error(influence / count, groups)
        error /= 1.0 - inside**2
        half = float(stats.t.ppf(0.5 + level / 2, freedom)) * error
        p = 2.0 * float(stats.t.sf(abs(z) / error, freedom)) if error > 0.0 else 0.0
    return Correlation(rho=rho, low=math.tanh(z - half), high=math.tanh(z + half), p=p, n=count)


def mean_with_interval(values: FloatArray, groups: Groups | None, level: float) -> tuple[float, float, float]:
    """Returns the mean of (n,) values and its t interval, over groups where there are any; NaN ends below two units."""
    count = len(values)
    mean = float(values.mean())
    units = np.arange(count) if groups is None else groups
    if len(np.unique(units)) < 2:
        return mean, math.nan, math.nan
    error, freedom = _clustered_error((values - mean) / count, units)
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * error
    return mean, mean - half, mean + half


def difference_of_means(
    values: FloatArray, chosen: npt.NDArray[np.bool_], groups: Groups | None, level: float
) -> tuple[float, float, float]:
    """Returns the mean of the chosen values minus that of the others, and its interval.

    Without groups Welch's t interval, with groups a cluster-robust one, t with groups - 1 df; NaN ends where a side has
    fewer than two values.
    """
    first, second = values[chosen], values[~chosen]
    difference = float(first.mean() - second.mean())
    if min(len(first), len(second)) < 2:
        return difference, math.nan, math.nan
    if groups is None:
        interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(level)
        return difference, float(interval.low), float(interval.high)
    influence = np.where(chosen, (values - first.mean()) / len(first), -(values - second.mean()) / len(second))
    error, freedom = _clustered_error(influence, groups)
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * error
    return difference, difference - half, difference + half


def _standard(ranks: FloatArray) -> FloatArray:
    centred: FloatArray = (ranks - ranks.mean()) / ranks.std()
    return centred


def _clustered_error(influence: FloatArray, groups: Groups) -> tuple[float, int]:
    """Returns the standard error of a sum of influences that are independent between groups, and groups - 1."""
    _, position = np.unique(groups, return_inverse=True)
    sums = np.bincount(position, weights=influence)
    count = len(sums)
    return math.sqrt(count / (count - 1) * float((sums**2).sum())), count - 1
