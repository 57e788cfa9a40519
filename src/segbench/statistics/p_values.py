"""p values, Holm's adjustment of them, and how large a share may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats  # type: ignore[import-untyped]
from scipy.special import stdtr  # type: ignore[import-untyped]

from segbench.statistics.variance import FloatArray

EXACT_UNITS = 12  # sign patterns of so many units are all counted: 4,096
_MOST_SUMS = 4_000_000  # in memory at once: 200 entries have 19,900 pairs
PERMUTATION_DRAWS = 10_000
_ROWS_AT_ONCE = 1_000


def two_sided_p(value: FloatArray, variance: FloatArray, df: FloatArray) -> FloatArray:
    """Returns the p values of estimates being 0; without any variance: 1 for 0, and 0 for anything else."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(variance > 0, np.abs(value) / np.sqrt(variance), np.where(value == 0, 0.0, np.inf))
    return np.asarray(2 * stdtr(df, -t), np.float64)


def holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Returns Holm's adjusted p values in the order given, over the last axis: (..., M)."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, axis=-1)
    steps = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1), -1)
    return adjusted


def signed_rank_p(differences: FloatArray) -> FloatArray:
    """Returns the p values (M,) of Wilcoxon's signed-rank test of (M, N) differences; 1 where no difference is left.

    Many rows at once, as a call for every pair of 200 entries takes half a minute. Rows with zeros or ties are asked
    apart from the others: SciPy chooses one method, exact or not, for all rows of a call.
    """
    p = np.ones(len(differences))
    size = np.sort(np.abs(differences), axis=1)
    tied = (np.diff(size, axis=1) == 0).any(axis=1) | (size[:, 0] == 0)
    for rows in (np.flatnonzero(~tied), np.flatnonzero(tied & (size[:, -1] > 0))):
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            p[some] = stats.wilcoxon(differences[some], axis=1).pvalue
    return p


def sign_flip(totals: FloatArray, seed: int) -> tuple[FloatArray, int]:
    """Returns two-sided p values (M,) of M sums over units (M, G) if each sign were a coin, and the draws; 0: exact."""
    units = totals.shape[1]
    observed = np.abs(totals.sum(axis=1))
    reached = observed * (1 - 1e-12)  # a pattern that gives the same sum counts, whatever the rounding
    if units <= EXACT_UNITS:
        signs = 1.0 - 2.0 * (np.arange(2**units)[:, None] >> np.arange(units) & 1)
        return np.mean(np.abs(signs @ totals.T) >= reached, axis=0), 0
    random = np.random.default_rng(seed)
    as_large = np.zeros(len(totals))
    at_once = max(1, min(PERMUTATION_DRAWS // 10, _MOST_SUMS // len(totals)))
    for done in range(0, PERMUTATION_DRAWS, at_once):
        signs = 1.0 - 2.0 * random.integers(0, 2, (min(at_once, PERMUTATION_DRAWS - done), units))
        as_large += (np.abs(signs @ totals.T) >= reached).sum(axis=0)
    return (1 + as_large) / (1 + PERMUTATION_DRAWS), PERMUTATION_DRAWS


def upper_limit(count: int, total: int, level: float) -> float:
    """Returns the upper limit of the share behind `count` of `total`, one-sided (Clopper and Pearson 1934).

    >>> round(upper_limit(0, 3, 0.95), 2), upper_limit(0, 0, 0.95)
    (0.63, 1.0)
    """
    return 1.0 if count >= total else float(stats.beta.ppf(level, count + 1, total - count))
