"""Which entry is best, which may be, and which ranks each may have. K entries; leading axes ("...") are studies."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from segbench.statistics.p_values import two_sided_p
from segbench.statistics.variance import FloatArray, Parts, contrast_variance

IntArray = npt.NDArray[np.intp]


def pair_weights(count: int) -> FloatArray:
    """Returns (K (K - 1) / 2, K) weights of every difference, first minus second."""
    identity = np.eye(count)
    return np.array([identity[i] - identity[j] for i, j in combinations(range(count), 2)])


def p_of_best(parts: Parts, higher_is_better: bool) -> tuple[IntArray, FloatArray]:
    """Returns (...,) index of the best mean and (..., K) two-sided p of its difference from each; 1 from itself.

    The best is the best of these means because they say so. That this costs no further correction, however many
    entries there are, is rank verification: the best is truly ahead of the next where a two-sided test of those two
    says so (Gutmann and Maymin 1987; Hung and Fithian 2019). That needs entries that vary alike. Where one varies more
    between seeds it comes out first more often; so every other entry is tested, not the next alone, and `parts` are
    those of `with_larger_seed_variances`: docs/explanation/statistics.md says how often that is wrong.
    """
    best = (parts.means if higher_is_better else -parts.means).argmax(axis=-1)
    count = parts.means.shape[-1]
    p = two_sided_p(*contrast_variance(parts, pair_weights(count)))
    square = np.ones((*p.shape[:-1], count, count))
    first, second = np.triu_indices(count, 1)
    square[..., first, second] = square[..., second, first] = p
    return best, np.take_along_axis(square, best[..., None, None], axis=-2)[..., 0, :]


def is_verified(p: FloatArray, alpha: float) -> npt.NDArray[np.bool_]:
    """Returns (...,) whether the best is a winner: its two-sided p against every other entry is at most alpha."""
    verified: npt.NDArray[np.bool_] = (p <= alpha).sum(axis=-1) == p.shape[-1] - 1
    return verified


def may_be_best(p: FloatArray, alpha: float) -> npt.NDArray[np.bool_]:
    """Returns (..., K) entries that may be the best: all that the best mean is not shown to be ahead of.

    One-sided tests at alpha / (K - 1) each, as in multiple comparisons with the best (Hsu 1996), and for two entries
    the two-sided test that decides. Where there is a winner, it alone.
    """
    left = p > 2 * min(alpha / 2, alpha / (p.shape[-1] - 1))
    found: npt.NDArray[np.bool_] = left & ~(is_verified(p, alpha)[..., None] & (p <= alpha))
    return found


def rank_sets(ahead: npt.NDArray[np.bool_], possible: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Returns the best and the worst rank that each of the K entries may have; 1 is best.

    Args:
        ahead: (K, K) bool, [i, j]: entry i was shown to be better than j, with a family-wise error over all pairs
            (Mogstad et al. 2024).
        possible: (K,) bool, entries that may be the best; one alone has rank 1 for itself. Where there are several, an
            entry outside may have a set that begins at 1: sets hold all together, and for entries that are equal, too.
    """
    ahead = ahead.copy()
    if possible.sum() == 1:
        ahead[possible], ahead[:, possible] = ~possible, False
    lowest, highest = 1 + ahead.sum(axis=0), len(ahead) - ahead.sum(axis=1)
    return tuple(zip(lowest.tolist(), highest.tolist(), strict=True))
