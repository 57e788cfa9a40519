"""Which rank could each entry have, with which probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from segbench.locale import Message, message
from segbench.statistics.differences import FloatArray, Groups
from segbench.statistics.variance import Prepared, contrast_variance, prepare

DRAWS = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class RankDistribution:
    """How surely each entry has each rank.

    Attributes:
        probabilities: (K, K) float64 [entry, rank], rank 0 the best; rows and columns sum to 1.
        expected: (K,) float64, mean rank, 1 the best.
        draws: how many studies were drawn.
        method: one sentence.
    """

    probabilities: FloatArray = field(repr=False)
    expected: FloatArray
    draws: int
    method: Message


def rank_distribution(
    values: Sequence[FloatArray],
    *,
    groups: Groups | None = None,
    higher_is_better: bool = True,
    draws: int = DRAWS,
    seed: int = 0,
) -> RankDistribution:
    """Returns the probability of every rank for each of the K entries.

    The entries' means are drawn around the estimates from a multivariate t distribution with the variances that the
    intervals use: for two entries, the probability that the better mean is truly better is 1 - p / 2. It is a
    statement about ranks given these data (a flat prior), not a test: among equal entries somebody looks best.

    Raises:
        ValueError: values that `decide` would refuse.
    """
    return rank_prepared(prepare(values, groups), higher_is_better, draws, seed)


def rank_prepared(prepared: Prepared, higher_is_better: bool, draws: int, seed: int) -> RankDistribution:
    """Returns what `rank_distribution` does, for values that were prepared."""
    parts, count = prepared.parts, len(prepared.values)
    random = np.random.default_rng(seed)
    df = _common_df(prepared)
    covariance = parts.image_cov.copy()
    if parts.knows_seeds:
        covariance = covariance + np.diag(parts.seed_variance / parts.seeds)
    # What all entries share moves no rank; without it, small differences keep their digits.
    centring = np.eye(count) - 1 / count
    size, axes = np.linalg.eigh(centring @ covariance @ centring)
    root = axes * np.sqrt(np.where(size > 1e-13 * np.trace(covariance), size, 0.0))
    noise = random.standard_normal((draws, count)) @ root.T
    noise *= np.sqrt(df / random.chisquare(df, draws))[:, None]
    drawn = (parts.means - parts.means.mean()) + noise
    # Equal entries share their ranks evenly: ties fall at random.
    chance = random.random((draws, count))
    order = np.lexsort((chance, -drawn if higher_is_better else drawn), axis=-1)
    ranks = np.argsort(order, axis=-1)
    probabilities = np.stack([(ranks == rank).mean(axis=0) for rank in range(count)], axis=1)
    return RankDistribution(
        probabilities=probabilities,
        expected=probabilities @ np.arange(1, count + 1),
        draws=draws,
        method=message(
            "{draws:,} draws from a multivariate t distribution with {df} degrees of freedom (the median over pairs) "
            "and "
            "the variances of the intervals; a probability given these data, not a test",
            draws=draws,
            df=f"{df:.1f}",
        ),
    )


def _common_df(prepared: Prepared) -> float:
    count = len(prepared.values)
    if count < 2:
        return prepared.parts.image_df
    weights = np.array([np.eye(count)[i] - np.eye(count)[j] for i, j in combinations(range(count), 2)])
    return float(np.median(contrast_variance(prepared.parts, weights)[2]))
