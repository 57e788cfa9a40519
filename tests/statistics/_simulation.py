"""Studies whose truth is known: skewed scores in [0, 1], drawn by the thousand and judged by the product's own code.

Score of seed s of entry k on image i: base_i + b_ki + a_ks + e_ksi. The base (shared by all entries), what entry k
makes of image i, the seed's effect and the residual are independent, bounded, and so small that nothing is clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from segbench.statistics.differences import holm
from segbench.statistics.p_values import two_sided_p
from segbench.statistics.variance import Parts, contrast_variance, decompose, units_of, with_larger_seed_variances

FloatArray = npt.NDArray[np.float64]
CHUNK_VALUES = 4_000_000

# Scores lie below 1 with a tail towards 0: powers of a uniform number, which are Beta(1 / power, 1) distributed.
POWERS = {"mild": 2, "strong": 5}
EFFECT_SCALE = {"mild": (0.06, 0.06), "strong": (0.10, 0.05)}  # of b_ki: entries 0, 2, ... and entries 1, 3, ...
BASE_SCALE, RESIDUAL_SCALE = 0.55, 0.05


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One cell of the simulation.

    Attributes:
        entries, seeds, images: K, S, N.
        seed_sd: SD between seeds, in standard errors that images alone give a difference of two entries.
        shape: `mild` or `strong` skewness.
        unstable: how many times larger the first entry's seed SD is.
        skewed_seeds: seeds fail sometimes and never shine.
        ahead: how much better the first entry truly is, in standard errors of a difference, images and seeds together.
        groups: images come in so many equal groups, half of whose variance is shared within a group; None: they do not.
    """

    entries: int
    seeds: int
    images: int
    seed_sd: float
    shape: str = "mild"
    unstable: float = 1.0
    skewed_seeds: bool = False
    ahead: float = 0.0
    groups: int | None = None

    @property
    def group_of(self) -> npt.NDArray[np.intp] | None:
        """(N,) group of every image."""
        return None if self.groups is None else np.arange(self.images) % self.groups

    @property
    def image_error(self) -> float:
        """Standard error of the difference of entries 0 and 1 by images alone."""
        effect = sum(scale**2 for scale in EFFECT_SCALE[self.shape]) * _variance(POWERS[self.shape])
        units = 1 / self.images if self.groups is None else (1 / self.groups + 1 / self.images) / 2
        return float(np.sqrt(effect * units + 2 * RESIDUAL_SCALE**2 / 12 / self.seeds / self.images))

    @property
    def error(self) -> float:
        """Standard error of a difference of two stable entries."""
        return self.image_error * float(np.sqrt(1 + 2 * self.seed_sd**2 / self.seeds))


def _variance(power: int) -> float:
    return 1 / (2 * power + 1) - 1 / (power + 1) ** 2


def _tail(random: np.random.Generator, shape: tuple[int, ...], power: int) -> FloatArray:
    """Returns numbers of mean 0 with a tail to the left."""
    return 1 / (power + 1) - random.random(shape) ** power


def _per_image(random: np.random.Generator, setting: Setting, shape: tuple[int, ...], power: int) -> FloatArray:
    if setting.groups is None:
        return _tail(random, (*shape, setting.images), power)
    shared = _tail(random, (*shape, setting.groups), power)[..., setting.group_of]
    return (shared + _tail(random, (*shape, setting.images), power)) / np.sqrt(2)


def draw(setting: Setting, studies: int, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Returns scores (studies, K, S, N) in [0, 1], and the true means (K,)."""
    count, power = setting.entries, POWERS[setting.shape]
    scale_of_base = BASE_SCALE if setting.groups is None else 0.4  # sums of two reach further
    base = scale_of_base * _per_image(random, setting, (studies, 1), power)
    even, odd = EFFECT_SCALE[setting.shape]
    scale = np.where(np.arange(count) % 2 == 0, even, odd)
    effect = scale[:, None] * _per_image(random, setting, (studies, count), power)
    sd = setting.seed_sd * setting.image_error * np.where(np.arange(count) == 0, setting.unstable, 1.0)
    shape = (studies, count, setting.seeds)
    seeds = _tail(random, shape, 7) / np.sqrt(_variance(7)) if setting.skewed_seeds else _bell(random, shape)
    residual = RESIDUAL_SCALE * (random.random((*shape, setting.images)) - 0.5)
    means = 0.62 + np.where(np.arange(count) == 0, setting.ahead * setting.error, 0.0)
    fixed = means[:, None] + sd[:, None] * seeds
    values = (base + effect)[:, :, None, :] + fixed[..., None] + residual
    assert values.min() >= 0
    assert values.max() <= 1
    return values, means


def _bell(random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    return (random.beta(3, 3, shape) - 0.5) * np.sqrt(28)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of many studies: shares of them.

    Attributes:
        pair: intervals of pair differences that hold the truth, all pairs.
        first_pairs, other_pairs: those of pairs with the first entry, and of the others; NaN where there is none.
        mean: intervals of one entry's mean that hold the truth, all entries.
        family: studies with a pair wrongly called different.
        excluded: studies in which some entry is told apart from the best mean.
        found: pairs of the first entry, where it is ahead, called different after Holm.
        half_width: median half width of a pair's interval, in true standard errors.
    """

    pair: float
    first_pairs: float
    other_pairs: float
    mean: float
    family: float
    excluded: float
    found: float
    half_width: float


def pair_weights(entries: int) -> FloatArray:
    """Returns (pairs, K) weights of all differences, first minus second."""
    return np.array([np.eye(entries)[i] - np.eye(entries)[j] for i, j in combinations(range(entries), 2)])


Change = Callable[[Parts], Parts]


def ignore_seeds(parts: Parts) -> Parts:
    """Returns parts from which intervals are made of the images alone, as if seeds could not matter."""
    return replace(parts, seeds=np.ones_like(parts.seeds))


def simulate(
    setting: Setting, studies: int, seed: int = 0, level: float = 0.95, change: Change | None = None
) -> Outcome:
    """Returns how often intervals and verdicts are right; `change` puts another method in the place of segbench's."""
    random = np.random.default_rng(seed)
    units = units_of(setting.group_of, setting.images)
    chunk = max(CHUNK_VALUES // (setting.entries * setting.seeds * setting.images), 1)
    parts = []
    for start in range(0, studies, chunk):
        values, means = draw(setting, min(chunk, studies - start), random)
        split = decompose([values[:, k] for k in range(setting.entries)], units)
        split = (change or with_larger_seed_variances)(split)
        parts.append(_judge(split, means, level, setting))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    inside, own, wrong, excluded, found, width = columns
    first = pair_weights(setting.entries)[:, 0] == 1
    return Outcome(
        pair=float(inside.mean()),
        first_pairs=float(inside[:, first].mean()),
        other_pairs=float(inside[:, ~first].mean()) if not first.all() else float("nan"),
        mean=float(own.mean()),
        family=float(wrong.mean()),
        excluded=float(excluded.mean()),
        found=float(found.mean()),
        half_width=float(np.median(width)),
    )


def _judge(split: Parts, means: FloatArray, level: float, setting: Setting) -> list[FloatArray]:
    weights = pair_weights(setting.entries)
    value, variance, df = contrast_variance(split, weights)
    half = stdtrit(df, (1 + level) / 2) * np.sqrt(variance)
    truth = weights @ means
    own_value, own_variance, own_df = contrast_variance(split, np.eye(setting.entries))
    own_half = stdtrit(own_df, (1 + level) / 2) * np.sqrt(own_variance)
    different = holm(two_sided_p(value, variance, df)) <= 1 - level
    best = split.means.argmax(axis=-1)
    involved = weights[None] * np.eye(setting.entries)[best][:, None, :] != 0
    return [
        np.abs(value - truth) <= half,
        np.abs(own_value - means) <= own_half,
        (different & (truth == 0)).any(axis=-1),
        (different & involved.any(axis=-1) & (truth == 0)).any(axis=-1),
        different[:, weights[:, 0] == 1],
        half / setting.error,
    ]


def bootstrap_coverage(setting: Setting, studies: int, seed: int = 0, draws: int = 500) -> float:
    """Returns how often the plain two-way percentile bootstrap of two entries' difference holds the truth (0)."""
    random = np.random.default_rng(seed)
    values, _ = draw(setting, studies, random)
    inside = 0
    for study in values:
        images = random.multinomial(setting.images, np.full(setting.images, 1 / setting.images), draws)
        one, other = (
            random.multinomial(setting.seeds, np.full(setting.seeds, 1 / setting.seeds), draws) for _ in range(2)
        )
        drawn = ((one @ study[0] - other @ study[1]) * images).sum(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        inside += bool(low <= 0 <= high)
    return inside / studies
