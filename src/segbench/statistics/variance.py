"""Images and seeds as two crossed samples: the parts that a mean, or a difference of means, varies by.

Everything but `prepare` works over leading axes ("..."), so that thousands of simulated studies go through the very
code that judges a real one. K entries, S_k seeds, N images, G units (images, or groups of them).

Sources: Searle, Casella, McCulloch 1992, Variance Components (two-way crossed classification); Satterthwaite 1946;
Bell and McCaffrey 2002 (degrees of freedom with unequal groups).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc, stdtrit  # type: ignore[import-untyped]

from segbench.statistics.folds import shared_training_factor

FloatArray: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.95  # of intervals, where nobody asks for another
# An entry keeps its own seed variance where an F test against the others finds it larger at this level. A stricter
# level misses unstable entries, a more lenient one takes power from stable ones: docs/explanation/statistics.md.
KEEP_OWN_LEVEL = 0.05
# It leaves the pool, too, at this level, shared among the entries: the pool is worth more than what chance takes out.
LEAVE_POOL_LEVEL = 0.005
# An SD between seeds this many times the median of all is no chance, and never pooled, however few the seeds.
_NEVER_POOLED = 10
# A variance below this share of the variances it is the difference of is rounding: the entries are the same.
_ROUNDING = 1e-13


@dataclass(frozen=True, kw_only=True)
class VarianceParts:
    """Where a score, or a difference of two, varies: standard deviations in the score's own unit.

    Attributes:
        seed_sd: between trainings that differ in the seed alone; NaN with one seed.
        image_sd: between images (groups, where there are some), the same for every seed. With one seed it holds the
            residual too.
        residual_sd: of one seed on one image (group), beyond both; NaN with one seed.
    """

    seed_sd: float
    image_sd: float
    residual_sd: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """What was drawn independently from the population: images, or groups of them.

    Attributes:
        order: (N,) images sorted by group; None: every image is a unit.
        starts: (G,) where each group starts in `order`.
        weights: (G,) share of the images that each unit holds.
        factor: makes a sum of squared unit totals an unbiased variance of the mean; G / (G - 1) for equal units.
        df: degrees of freedom of that variance; G - 1 for equal units.
    """

    order: npt.NDArray[np.intp] | None
    starts: npt.NDArray[np.intp]
    weights: FloatArray
    factor: float
    df: float

    @property
    def count(self) -> int:
        """G."""
        return len(self.weights)

    def totals(self, values: FloatArray) -> FloatArray:
        """Returns (..., G): what each unit adds to the mean over the N images of (..., N)."""
        shares: FloatArray = values / values.shape[-1]
        if self.order is None:
            return shares
        return np.add.reduceat(shares[..., self.order], self.starts, axis=-1)


def units_of(groups: Sequence[Any] | npt.NDArray[Any] | None, n_images: int) -> Units:
    """Returns the units of N images.

    With unequal groups the mean over images weighs them unequally. Factor and degrees of freedom are then those of
    groups whose means vary alike (Bell and McCaffrey 2002, for a mean).

    Raises:
        ValueError: not one group an image, or fewer than two units.
    """
    if groups is None:
        index, counts = np.arange(n_images), np.ones(n_images, np.intp)
    elif len(groups) != n_images:
        raise ValueError(f"expected one group for each of the {n_images} images, got {len(groups)}")
    else:
        _, index, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(counts) < 2:
        what = "groups of images" if groups is not None else "images"
        raise ValueError(f"expected at least 2 {what} to judge by, got {len(counts)}")
    weights = counts / n_images
    # Totals of centred group means x have squares x' A x with A = (I - 1 w')' diag(w^2) (I - 1 w').
    s2, s3, s4, s5 = (float((weights**power).sum()) for power in (2, 3, 4, 5))
    trace = s2 - 2 * s3 + s2**2
    trace_of_square = s4 - 4 * s5 + 4 * s2 * s4 + 2 * s3**2 - 4 * s2**2 * s3 + s2**4
    return Units(
        order=None if groups is None else np.argsort(index, kind="stable"),
        starts=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp),
        weights=weights,
        factor=s2 / trace,
        df=len(counts) - 1.0 if counts.min() == counts.max() else trace**2 / trace_of_square,  # the same, exactly
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What the means of K entries are and vary by. Variances are of means over all N images.

    Attributes:
        means: (..., K).
        seeds: (K,) S_k.
        image_cov: (..., K, K) covariance of the seed-averaged means over draws of images; holds the residual too.
        image_df: of it.
        seed_ms: (..., K) variance of one seed's mean over seeds; holds the residual too; NaN with one seed.
        residual: (..., K) the residual's share of that. Entries with one seed take the mean of the others; NaN where
            every entry has one.
        used_ms: (..., K) `seed_ms` as it is used: pooled, or an entry's own; 0 for a fixed entry; NaN where
            all have one.
        used_df: (..., K) of `used_ms`.
        keeps_own: (..., K) bool, entries that keep their own seed variance although the others pool theirs.
        pooled: seed variances were pooled.
        shared: some entries use one and the same estimate of the seed variance.
        lends: (K,) bool, entries whose seed variance may stand for that of others.
    """

    means: FloatArray
    seeds: npt.NDArray[np.intp]
    image_cov: FloatArray
    image_df: float
    seed_ms: FloatArray
    residual: FloatArray
    used_ms: FloatArray
    used_df: FloatArray
    keeps_own: npt.NDArray[np.bool_]
    pooled: bool
    shared: bool
    lends: npt.NDArray[np.bool_]

    @property
    def knows_seeds(self) -> bool:
        """Whether some entry has two seeds or more."""
        return bool((self.seeds > 1).any())

    @property
    def seed_variance(self) -> FloatArray:
        """(..., K): variance of an entry's score between seeds as it is used, without the residual; at least 0."""
        return np.maximum(self.used_ms - self.residual, 0)


def decompose(
    values: Sequence[FloatArray],
    units: Units,
    fixed: npt.NDArray[np.bool_] | None = None,
    apart: npt.NDArray[np.bool_] | None = None,
) -> Parts:
    """Returns the parts of K arrays (..., S_k, N).

    `fixed` (K,) are entries that nobody trains again, `apart` (K,) those whose seed variance says nothing about others.
    """
    seeds = np.array([array.shape[-2] for array in values], np.intp)
    averaged = np.stack([array.mean(axis=-2) for array in values], axis=-2)
    means = averaged.mean(axis=-1)
    totals = units.totals(averaged - means[..., None])
    seed_ms, residual = (np.full(means.shape, np.nan) for _ in range(2))
    for k, array in enumerate(values):
        if seeds[k] < 2:
            continue
        each = array.mean(axis=-1)
        off = array - averaged[..., k, None, :] - (each - means[..., k, None])[..., None]
        seed_ms[..., k] = each.var(axis=-1, ddof=1)
        residual[..., k] = units.factor * (units.totals(off) ** 2).sum(axis=(-1, -2)) / (seeds[k] - 1)
    known = seeds > 1
    if known.any():
        residual = np.where(known, residual, residual[..., known].mean(axis=-1, keepdims=True))
    candidates = known if apart is None else known & ~apart
    used_ms, used_df, keeps_own = use_seed_variances(seed_ms, seeds - 1, candidates)
    if fixed is not None and known.any():
        used_ms, residual = np.where(fixed, 0.0, used_ms), np.where(fixed, 0.0, residual)
    return Parts(
        means=means,
        seeds=seeds,
        image_cov=units.factor * totals @ np.swapaxes(totals, -1, -2),
        image_df=units.df,
        seed_ms=seed_ms,
        residual=residual,
        used_ms=used_ms,
        used_df=used_df,
        keeps_own=keeps_own,
        pooled=_pools(candidates),
        shared=_pools(candidates) or (bool(known.any()) and not known.all()),
        lends=candidates,
    )


def _pools(candidates: npt.NDArray[np.bool_]) -> bool:
    return int(candidates.sum()) >= 3


def use_seed_variances(
    seed_ms: FloatArray, df: npt.NDArray[np.intp], candidates: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Returns the seed variances (..., K) to work with, their degrees of freedom, and which entries keep their own.

    Three entries or more with two seeds pool theirs, but an entry whose variance is larger than that of the others (F
    test) keeps its own; where it is so much larger that chance can hardly be it, it leaves the pool, too. With fewer
    entries each has its own. An entry with one seed borrows the pooled variance. Only `candidates` (K,) may share:
    entries with two seeds or more that did not collapse.
    """
    known = df > 0
    keeps_own = np.zeros(seed_ms.shape, np.bool_)
    if not known.any():
        return seed_ms, np.zeros(seed_ms.shape), keeps_own
    squares = np.where(known, seed_ms, 0.0) * df.astype(np.float64)
    if not _pools(candidates):
        lenders = candidates if candidates.any() else known
        total = (df * lenders).sum()
        pooled = (squares * lenders).sum(axis=-1, keepdims=True) / total
        return np.where(known, seed_ms, pooled), np.where(known, df, total) * np.ones(seed_ms.shape), keeps_own
    inside = _stay_in_pool(squares, df, candidates)
    keeps_own = known & (~inside | (_larger_p(squares, df, inside) < KEEP_OWN_LEVEL))
    total = (df * inside).sum(axis=-1, keepdims=True)
    pooled = (squares * inside).sum(axis=-1, keepdims=True) / total
    return np.where(keeps_own, seed_ms, pooled), np.where(keeps_own, df, total).astype(np.float64), keeps_own


def _stay_in_pool(
    squares: FloatArray, df: npt.NDArray[np.intp], candidates: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Returns (..., K) which entries share their seed variance.

    One collapsed training must not widen the intervals of everybody. The worst is taken out again and again, and then
    all those that came out up to the last one that is larger than the rest: two that collapsed do not hide each other
    (as in Rosner 1983). At least half stay.
    """
    own = np.where(candidates, squares / np.maximum(df, 1), np.nan)
    typical = np.nanmedian(own, axis=-1, keepdims=True)
    inside = candidates & ~((own > _NEVER_POOLED**2 * typical) & (typical > 0))
    steps = inside
    for _ in range(int(candidates.sum()) // 2):
        p = np.where(steps, _larger_p(squares, df, steps), 2.0)
        worst = p.argmin(axis=-1)[..., None]
        steps = steps.copy()
        np.put_along_axis(steps, worst, False, axis=-1)
        inside = np.where(p.min(axis=-1, keepdims=True) < LEAVE_POOL_LEVEL / candidates.sum(), steps, inside)
    return inside


def _larger_p(squares: FloatArray, df: npt.NDArray[np.intp], inside: npt.NDArray[np.bool_]) -> FloatArray:
    """Returns (..., K) p values of an entry's seed variance being no larger than that of the others in the pool."""
    own, pool = squares * inside, df * inside
    others_df = np.maximum(pool.sum(axis=-1, keepdims=True) - pool, 1)
    others = (own.sum(axis=-1, keepdims=True) - own) / others_df
    one = np.maximum(df, 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # seeds that change nothing: 0 / 0 is not larger
        p = fdtrc(one, others_df, squares / one / others)
    return np.where(np.isnan(p), 1.0, p)


def with_larger_seed_variances(parts: Parts) -> Parts:
    """Returns parts in which every entry has the larger of its own and the pooled seed variance, with the pool's df.

    That is what two entries are compared with. The entry that varies more between seeds is more often the best by
    chance, so a test must not trust a small variance of two or three seeds; nor may an entry have so few degrees of
    freedom that nobody can ever be ahead of it. Two entries pool theirs, too. Who lends to nobody has its own.
    """
    known, df = parts.seeds > 1, (parts.seeds - 1).astype(np.float64)
    if not known.any():
        return parts
    squares = np.where(known, parts.seed_ms, 0.0) * df
    lenders = parts.lends if parts.lends.any() else known
    inside = lenders & np.ones(squares.shape, np.bool_)
    if _pools(lenders):
        inside = _stay_in_pool(squares, parts.seeds - 1, lenders)
    total = (df * inside).sum(axis=-1, keepdims=True)
    pooled = (squares * inside).sum(axis=-1, keepdims=True) / total
    borrowed = np.where(parts.used_ms == 0, 0.0, pooled)  # masks that nobody trains again have no seed variance
    used = np.where(known, np.fmax(parts.seed_ms, pooled), borrowed)
    used_df = np.where(known & ~lenders, df, total) * np.ones(used.shape)
    return replace(parts, used_ms=used, used_df=used_df, shared=True)


def contrast_variance(parts: Parts, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns estimate, variance and degrees of freedom, (..., M) each, of M weighted sums (M, K) of the K means."""
    estimate = parts.means @ weights.T
    image = np.einsum("mk,...kl,ml->...m", weights, parts.image_cov, weights, optimize=True)
    scale = np.diagonal(parts.image_cov, axis1=-2, axis2=-1) @ (weights**2).T
    image = np.where(image <= _ROUNDING * scale, 0.0, image)
    if not parts.knows_seeds:
        return estimate, image, np.full(image.shape, parts.image_df)
    shares = weights**2 / parts.seeds
    seed, residual = parts.used_ms @ shares.T, parts.residual @ shares.T
    # The residual stands in the image part already. What falls below 0 is cut, but stays in the degrees of freedom.
    variance = image + np.maximum(seed - residual, 0)
    spread = parts.used_ms / np.sqrt(parts.used_df)
    # One shared estimate errs in the same direction for all entries; separate ones do not.
    seed_error = (spread @ shares.T) ** 2 if parts.shared else spread**2 @ (shares**2).T
    error = seed_error + (parts.residual**2 / residual_df(parts)) @ (shares**2).T + image**2 / parts.image_df
    df = _satterthwaite(variance, error, parts.image_df)
    # Where seeds hardly matter, the difference seed - residual is noise and leaves few degrees of freedom. The residual
    # counted twice is an upper bound on the variance that is known better: the narrower of two right intervals.
    bound = image + seed
    bound_df = _satterthwaite(bound, seed_error + image**2 / parts.image_df, parts.image_df)
    use = stdtrit(bound_df, 0.975) * np.sqrt(bound) < stdtrit(df, 0.975) * np.sqrt(variance)
    return estimate, np.where(use, bound, variance), np.where(use, bound_df, df)


def _satterthwaite(variance: FloatArray, error: FloatArray, otherwise: float) -> FloatArray:
    """Returns degrees of freedom, at least 1, of a variance whose own error variance is half of `error`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where((error > 0) & (variance > 0), variance**2 / error, otherwise)
    return np.maximum(df, 1.0)


def residual_df(parts: Parts) -> FloatArray:
    """Returns (K,) degrees of freedom of the residuals; entries with one seed have those of the others together."""
    own = (parts.seeds - 1) * parts.image_df
    return np.where(own > 0, own, max(float(own.sum()), 1.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """K entries, checked and taken apart.

    Attributes:
        values: K arrays (S_k, N) float64.
        averaged: (K, N) mean over seeds.
        units: what was drawn.
        grouped: units are groups of images.
        parts: of the means.
        fixed: (K,) bool, entries that nobody trains again.
        collapsed: (K,) how many trainings of each predict one class only.
        fold_factor: what the images' variance was multiplied by in a cross-validation; 1 without.
    """

    values: tuple[FloatArray, ...]
    averaged: FloatArray
    units: Units
    grouped: bool
    parts: Parts
    fixed: npt.NDArray[np.bool_]
    collapsed: npt.NDArray[np.intp]
    fold_factor: float = 1.0


def prepare(
    values: Sequence[npt.ArrayLike],
    groups: Sequence[Any] | npt.NDArray[Any] | None,
    fixed: Sequence[bool] | None = None,
    collapsed: Sequence[int] | None = None,
    folds: Sequence[Any] | npt.NDArray[Any] | None = None,
) -> Prepared:
    """Returns checked values and their parts.

    Args:
        values: K arrays (S_k, N).
        groups: (N,) or None.
        fixed: K flags: an entry of one row that stands for itself, such as masks that somebody drew; its score does not
            vary between seeds, since there are none. None: no entry is.
        collapsed: K numbers of trainings that predict one class only; None: nobody looked. How much such an entry
            varies between seeds says nothing about the others, so it shares its seed variance with nobody.
        folds: (N,) fold of every image in a cross-validation, see `segbench.statistics.folds`; None: one training part.
    Raises:
        ValueError: no entry, an array that is not (seeds, images), other images in one entry, a value that is not
            finite, groups that do not fit, or fewer than two units.
    """
    arrays = tuple(np.asarray(array, np.float64) for array in values)
    if not arrays:
        raise ValueError("expected the scores of one entry or more, got none")
    for k, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[0] < 1:
            raise ValueError(f"expected scores of shape (seeds, images), got {array.shape} for entry {k}")
        if array.shape[1] != arrays[0].shape[1]:
            raise ValueError(
                f"expected the same images for every entry: entry 0 has {arrays[0].shape[1]}, entry {k} "
                f"{array.shape[1]}"
            )
        if not np.isfinite(array).all():
            count = int((~np.isfinite(array)).any(axis=0).sum())
            raise ValueError(
                f"entry {k} has no score on {count} images; leave those images out for every entry, and say so"
            )
    units = units_of(groups, arrays[0].shape[1])
    flags = np.zeros(len(arrays), np.bool_) if fixed is None else np.asarray(fixed, np.bool_)
    if flags.shape != (len(arrays),) or any(flag and len(array) > 1 for flag, array in zip(flags, arrays, strict=True)):
        raise ValueError(
            f"expected one flag for each of {len(arrays)} entries, True only where one row of scores is given"
        )
    failed = np.zeros(len(arrays), np.intp) if collapsed is None else np.asarray(collapsed, np.intp)
    if failed.shape != (len(arrays),) or any(not 0 <= n <= len(array) for n, array in zip(failed, arrays, strict=True)):
        raise ValueError(f"expected for each of {len(arrays)} entries how many of its trainings collapsed")
    parts, factor = decompose(arrays, units, flags, failed > 0), 1.0
    if folds is not None:
        factor = shared_training_factor(folds, groups)
        parts = replace(parts, image_cov=factor * parts.image_cov)
    return Prepared(
        values=arrays,
        averaged=np.stack([array.mean(axis=0) for array in arrays]),
        units=units,
        grouped=groups is not None,
        parts=parts,
        fixed=flags,
        collapsed=failed,
        fold_factor=factor,
    )
