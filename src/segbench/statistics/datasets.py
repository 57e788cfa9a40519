"""The same K entries on D data sets: what holds on these sets, and what may be expected of others of their kind.

Sources: Demsar 2006, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (Friedman's test in the
form of Iman and Davenport 1980, Nemenyi's critical difference); Benavoli, Corani and Mangili 2016, Should we really use
post-hoc tests based on mean-ranks?, JMLR 17 (why the ranks are not what decides here).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

from segbench.errors import shorten
from segbench.locale import Message, Numbers, listed, message, plural
from segbench.statistics.arrays import compare_scores
from segbench.statistics.differences import LEVEL, Estimate, FloatArray, Groups, plain
from segbench.statistics.p_values import holm
from segbench.statistics.verdict import Verdict

FEWEST_FOR_RANKS = 5  # data sets: with fewer, Friedman's approximation and Nemenyi's have nothing to stand on


@dataclass(frozen=True, kw_only=True)
class AcrossPair:
    """One entry minus another, over D data sets that count alike.

    Attributes:
        first, second: indices of the entries as given.
        by_set: (D,) mean of the first minus mean of the second on every set.
        here: the mean of these, with the interval of these data sets: trained again, and on other images of them.
        elsewhere: the same mean, with the interval of other data sets of the kind: t over the sets, D - 1 degrees of
            freedom. How much sets differ is in it, and what images and seeds add to that.
        p_holm: `elsewhere.p` adjusted over all pairs (Holm 1979).
        wins, losses: on how many sets the first was shown to be better, and worse, by that set's own verdict.
        rank_p: Nemenyi's test of the mean ranks; with two entries Wilcoxon's signed-rank test over the sets; NaN below
            five sets.
    """

    first: int
    second: int
    by_set: tuple[float, ...]
    here: Estimate
    elsewhere: Estimate
    p_holm: float
    wins: int
    losses: int
    rank_p: float


@dataclass(frozen=True, kw_only=True, eq=False)
class DatasetsView:
    """K entries on D >= 2 data sets.

    Attributes:
        names: of the K entries.
        datasets: of the D sets.
        verdicts: D of them, one a set.
        means: (D, K) mean score.
        ranks: (D, K) rank of the mean on its set, 1 is best; equal means share the mean of their ranks.
        pairs: all K (K - 1) / 2, first < second.
        best: index of the best mean over the sets.
        winner: the best where its lead over every other is shown for other data sets of the kind (`elsewhere`,
            two-sided at 1 - level: rank verification, Hung and Fithian 2019); else None. One seed is enough here,
            since every set is a training of its own.
        friedman_p: of Friedman's test (Iman and Davenport); NaN below five sets or three entries.
        critical_difference: of mean ranks, Nemenyi; NaN likewise.
        higher_is_better: of the score.
        level: of the intervals.
    """

    names: tuple[str, ...]
    datasets: tuple[str, ...]
    verdicts: tuple[Verdict, ...] = field(repr=False)
    means: FloatArray = field(repr=False)
    ranks: FloatArray = field(repr=False)
    pairs: tuple[AcrossPair, ...] = field(repr=False)
    best: int
    winner: int | None
    friedman_p: float
    critical_difference: float
    higher_is_better: bool
    level: float

    @property
    def mean_ranks(self) -> FloatArray:
        """(K,) mean rank over the sets."""
        ranks: FloatArray = self.ranks.mean(axis=0)
        return ranks

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of the entries, the best mean over the sets first."""
        signed = self.means.mean(axis=0) * (1 if self.higher_is_better else -1)
        return tuple(np.argsort(-signed, kind="stable").tolist())

    @property
    def numbers(self) -> Numbers:
        """How its scores are written: as on the set that is known best."""
        return max((verdict.numbers for verdict in self.verdicts), key=lambda numbers: numbers.digits)

    @property
    def warnings(self) -> dict[Message, tuple[str, ...]]:
        """What a reader must know of the data sets, each sentence with the names of the sets it is about."""
        told: dict[Message, list[str]] = {}
        for name, verdict in zip(self.datasets, self.verdicts, strict=True):
            for warning in verdict.warnings:
                told.setdefault(warning, []).append(name)
        return {warning: tuple(names) for warning, names in told.items()}

    def pair(self, first: int, second: int) -> AcrossPair:
        """Returns the pair of two entries, in the order of `pairs`.

        Raises:
            ValueError: no such two entries.
        """
        for pair in self.pairs:
            if {pair.first, pair.second} == {first, second}:
                return pair
        raise ValueError(f"expected two different entries of {len(self.names)}, got {first} and {second}")

    def lead(self, over: int) -> Estimate:
        """Returns how far the best is ahead of another entry, for other data sets of the kind; above 0 is better."""
        return self._signed(over, "elsewhere")

    def lead_here(self, over: int) -> Estimate:
        """Returns how far the best is ahead of another entry on these data sets; above 0 is better."""
        return self._signed(over, "here")

    def _signed(self, over: int, which: str) -> Estimate:
        pair = self.pair(self.best, over)
        estimate: Estimate = getattr(pair, which)
        turned = (pair.first != self.best) == self.higher_is_better
        return _turned(estimate) if turned else estimate

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; None where there is no number."""
        return dict(plain(self)) | {"mean_ranks": self.mean_ranks.tolist()}

    def sentences(self) -> list[Message]:
        """Returns what holds over the sets in plain words, the outcome first."""
        return [*_outcome(self), *_by_set(self), *_ranks_told(self)]


def compare_datasets(
    scores: Mapping[str, Sequence[npt.ArrayLike]],
    *,
    names: Sequence[str] | None = None,
    groups: Mapping[str, Groups | None] | None = None,
    folds: Mapping[str, Groups | None] | None = None,
    collapsed: Mapping[str, Sequence[int] | None] | None = None,
    higher_is_better: bool = True,
    level: float = LEVEL,
    seed: int = 0,
    **options: Any,
) -> DatasetsView:
    """Returns what K entries show on each of D data sets, and over all of them.

    Every data set counts alike, however many images it has. Two questions have two intervals: what holds on *these*
    data sets (their images and seeds vary), and what to expect of *others of their kind* (the sets vary, too). The
    second decides who is named.

    Args:
        scores: data set -> K arrays (S_k, N_d) as `compare_scores` takes them, of the same K entries in the same order.
        names: of the entries.
        groups, folds: data set -> (N_d,) group, and fold of a cross-validation, of every image.
        collapsed: data set -> K numbers of trainings that predict one class only.
        higher_is_better, level, seed: see `compare_scores`.
        options: more of `compare_scores`, for every set.
    Raises:
        ValueError: fewer than two data sets, other numbers of entries, or what `compare_scores` refuses.
    Example:
        >>> import numpy as np
        >>> from segbench.statistics import compare_datasets
        >>> drawn = np.random.default_rng(0)
        >>> sets = {f"set {d}": drawn.normal([[[0.8]], [[0.7]]], 0.05, size=(2, 3, 40)) for d in range(6)}
        >>> print(compare_datasets(sets, names=["unet", "segnet"]).sentences()[0])
        Over 6 data sets the best is unet
    """
    sets = tuple(scores)
    counts = {name: len(scores[name]) for name in sets}
    if len(sets) < 2:
        raise ValueError(f"expected two data sets or more, got {len(sets)}")
    if len(set(counts.values())) > 1:
        raise ValueError(f"expected the same entries on every data set, got {shorten(counts.items())} of them")
    verdicts = []
    for name in sets:
        given: dict[str, Any] = {"groups": (groups or {}).get(name), "folds": (folds or {}).get(name)}
        given["collapsed"] = (collapsed or {}).get(name)
        given |= {"higher_is_better": higher_is_better, "level": level, "seed": seed, **options}
        try:
            verdicts.append(compare_scores(scores[name], names=names, **given))
        except ValueError as error:
            raise ValueError(f"data set {name}: {error}") from error
    means = np.array([[verdict.standing(k).mean.value for k in range(len(verdict.names))] for verdict in verdicts])
    sign = 1 if higher_is_better else -1
    ranks = stats.rankdata(-sign * means, axis=1)
    pairs = _pairs(verdicts, ranks, level)
    best = int(np.argmax(sign * means.mean(axis=0)))
    touching = [pair for pair in pairs if best in (pair.first, pair.second)]
    enough = len(sets) >= FEWEST_FOR_RANKS and means.shape[1] > 2
    return DatasetsView(
        names=verdicts[0].names,
        datasets=sets,
        verdicts=tuple(verdicts),
        means=means,
        ranks=ranks,
        pairs=pairs,
        best=best,
        winner=best if all(pair.elsewhere.p <= 1 - level for pair in touching) else None,
        friedman_p=friedman_p(ranks) if enough else math.nan,
        critical_difference=critical_difference(means.shape[1], len(sets), level) if enough else math.nan,
        higher_is_better=higher_is_better,
        level=level,
    )


def friedman_p(ranks: FloatArray) -> float:
    """Returns p of Friedman's test that K entries rank alike, in the form of Iman and Davenport (1980).

    Args:
        ranks: (D, K) of every data set, equal ones averaged.
    """
    sets, entries = ranks.shape
    spread = ((ranks - (entries + 1) / 2) ** 2).sum()
    if spread == 0:
        return 1.0
    # Friedman's statistic in its form for ties.
    chi2 = sets**2 * (entries - 1) * ((ranks.mean(axis=0) - (entries + 1) / 2) ** 2).sum() / spread
    most = sets * (entries - 1)
    if chi2 >= most * (1 - 1e-12):  # every set has the same order
        return float(math.factorial(entries) ** -(sets - 1.0))
    statistic = (sets - 1) * chi2 / (most - chi2)
    return float(stats.f.sf(statistic, entries - 1, (entries - 1) * (sets - 1)))


def critical_difference(entries: int, sets: int, level: float = LEVEL) -> float:
    """Returns by how much two mean ranks must differ (Nemenyi), family-wise over all pairs.

    The quantile of the studentized range is divided by the root of 2 (Demsar 2006, table 5: 2.343 for three entries).
    """
    quantile = float(stats.studentized_range.ppf(level, entries, np.inf)) / math.sqrt(2.0)
    return quantile * math.sqrt(entries * (entries + 1) / (6.0 * sets))


def _pairs(verdicts: Sequence[Verdict], ranks: FloatArray, level: float) -> tuple[AcrossPair, ...]:
    entries, sets = ranks.shape[1], len(verdicts)
    found = []
    for first, second in combinations(range(entries), 2):
        there = [verdict.pair(first, second) for verdict in verdicts]
        values = np.array([pair.difference.value for pair in there])
        errors = np.array([pair.difference.standard_error for pair in there])
        found.append(
            AcrossPair(
                first=first,
                second=second,
                by_set=tuple(values.tolist()),
                here=_estimate(values, errors, np.array([pair.difference.df for pair in there]), level),
                elsewhere=_estimate(values, None, np.array([sets - 1.0]), level),
                p_holm=math.nan,
                wins=sum(pair.better == first for pair in there),
                losses=sum(pair.better == second for pair in there),
                rank_p=_rank_p(ranks, first, second, values),
            )
        )
    adjusted = holm([pair.elsewhere.p for pair in found])
    return tuple(AcrossPair(**{**vars(pair), "p_holm": float(p)}) for pair, p in zip(found, adjusted, strict=True))


def _estimate(values: FloatArray, errors: FloatArray | None, df: FloatArray, level: float) -> Estimate:
    """Returns the mean over D sets: with the errors within the sets, or by the spread between them."""
    count, value = len(values), float(values.mean())
    if errors is None:
        error, freedom = float(values.std(ddof=1)) / math.sqrt(count), float(df[0])
    else:
        variances = errors**2
        error = math.sqrt(variances.sum()) / count
        freedom = float(variances.sum() ** 2 / (variances**2 / df).sum()) if error > 0 else float(df.min())
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(value) / error, freedom)) if error > 0 else float(value == 0)
    return Estimate(
        value=value, low=value - half, high=value + half, standard_error=error, df=freedom, p=p, level=level
    )


def _rank_p(ranks: FloatArray, first: int, second: int, values: FloatArray) -> float:
    sets, entries = ranks.shape
    if sets < FEWEST_FOR_RANKS:
        return math.nan
    if entries == 2:
        return float(stats.wilcoxon(values).pvalue) if values.any() else 1.0
    apart = abs(float(ranks[:, first].mean() - ranks[:, second].mean()))
    error = math.sqrt(entries * (entries + 1) / (6.0 * sets))
    return float(stats.studentized_range.sf(apart / error * math.sqrt(2.0), entries, np.inf))


def _turned(estimate: Estimate) -> Estimate:
    return Estimate(**{**vars(estimate), "value": -estimate.value, "low": -estimate.high, "high": -estimate.low})


def _outcome(view: DatasetsView) -> list[Message]:
    numbers, sets = view.numbers, len(view.datasets)
    best, following = view.names[view.best], view.order[1]
    if view.winner is not None:
        told = [message("Over {n} data sets the best is {name}", n=sets, name=best)]
    else:
        told = [message("Over {n} data sets no approach is shown to be the best", n=sets)]
    told.append(
        message(
            "{name} has the best mean over the sets, ahead of {second} by {here} on these data sets. On other data "
            "sets like these, {elsewhere} is to be expected.",
            name=best,
            second=view.names[following],
            here=numbers.interval(view.lead_here(following), signed=True),
            elsewhere=numbers.interval(view.lead(following), signed=True),
        )
    )
    if all(verdict.speaks_of == "these trained weights" for verdict in view.verdicts):
        told.append(
            message("One training each: the interval of these data sets speaks of these trained weights alone.")
        )
    if sets < FEWEST_FOR_RANKS:
        told.append(
            message(
                "{n} data sets say little about others: the interval for them rests on {df} degrees of freedom.",
                n=sets,
                df=sets - 1,
            )
        )
    return told


def _by_set(view: DatasetsView) -> list[Message]:
    shown = [name for name, verdict in zip(view.datasets, view.verdicts, strict=True) if verdict.winner == view.best]
    other = [
        message("{name} on {dataset}", name=view.names[verdict.winner], dataset=name)
        for name, verdict in zip(view.datasets, view.verdicts, strict=True)
        if verdict.winner is not None and verdict.winner != view.best
    ]
    told = [
        plural(
            "{name} is shown to be the best on {n} of {total} data sets.",
            "{name} is shown to be the best on {n} of {total} data sets.",
            n=len(shown),
            name=view.names[view.best],
            total=len(view.datasets),
        )
    ]
    if other:
        told.append(message("Other sets have another winner: {winners}.", winners=listed(other)))
    return told


def _ranks_told(view: DatasetsView) -> list[Message]:
    if math.isnan(view.friedman_p):
        return []
    apart = [pair for pair in view.pairs if pair.rank_p <= 1 - view.level]
    return [
        message(
            "By ranks (Friedman's test, {p}), {apart} of {total} pairs differ by more than the critical difference of "
            "{cd} mean ranks.",
            p=view.numbers.p_is(view.friedman_p),
            apart=len(apart),
            total=len(view.pairs),
            cd=f"{view.critical_difference:.2f}",
        )
    ]
