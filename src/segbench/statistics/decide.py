"""K entries x seeds x images -> the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from segbench.errors import shorten
from segbench.locale import Message, message
from segbench.statistics.caveats import method_messages, warning_messages
from segbench.statistics.differences import (
    LEVEL,
    Estimate,
    FloatArray,
    Groups,
    PairDifference,
    bound,
    compare_prepared,
    entry_parts,
    estimate_contrasts,
    reverse,
)
from segbench.statistics.looks import Look
from segbench.statistics.margin import Bounds, default_margin, mean_in_bounds
from segbench.statistics.p_values import holm, upper_limit
from segbench.statistics.planning import (
    MOST_TIMES_IMAGES,
    MOST_TIMES_SEEDS,
    POWER,
    images_needed,
    minimum_detectable_difference,
    resolvable_margin,
    seeds_needed,
)
from segbench.statistics.ranking import is_verified, may_be_best, p_of_best, rank_sets
from segbench.statistics.variance import Prepared, contrast_variance, decompose, prepare, with_larger_seed_variances
from segbench.statistics.verdict import MORE_IS_BETTER, Needed, Standing, Verdict

_ROUNDING = 1e-6  # of scores at the ends of their range, which others keep as float32


def decide(
    names: Sequence[str],
    values: Sequence[FloatArray],
    *,
    groups: Groups | None = None,
    folds: Groups | None = None,
    costs: Mapping[str, Sequence[float]] | None = None,
    higher_is_better: bool = True,
    baseline: str | None = None,
    fixed: Sequence[bool] | None = None,
    collapsed: Sequence[int] | None = None,
    margin: float | None = None,
    bounds: Bounds | None = None,
    look: Look | None = None,
    level: float = LEVEL,
    seed: int = 0,
    score: str = message("score"),
    warnings: Sequence[Message] = (),
    all_judged: bool = True,
) -> Verdict:
    """Returns the verdict over K >= 2 entries.

    Args:
        names: K different names.
        values: K arrays (S_k, N), scores of the same N images in the same order; no NaN.
        groups: (N,) group of every image (patient, scene), or None: images are independent.
        folds: (N,) fold of every image, whose scores are of trainings on the other folds; None: one training part.
        costs: cost name (`training_s`, `images_per_s`, `parameters`) -> K numbers, NaN where not known.
        higher_is_better: of the score.
        baseline: name of the entry the others are compared with.
        fixed: K flags: an entry that stands for itself and has no seeds, such as masks of another tool.
        collapsed: K numbers of trainings that predict one class only; None: nobody looked.
        margin: difference that does not matter in practice; None: that of `default_margin`.
        bounds: lowest and highest value that the score can have; None: not known.
        look: which look at the study this is; None: the only one.
        level: of the intervals; tests use 1 - level, or the level of the look.
        seed: of the permutation tests.
        score: what the score is called in sentences; a message where it can be translated.
        warnings: what else a reader must know.
        all_judged: every approach that was planned is among the entries; else the verdict speaks of those alone.
    Raises:
        ValueError: fewer than two entries, names that repeat, arrays of other shapes or with NaN, an unknown cost or
            baseline, a margin that is not above 0, scores outside the bounds, fewer than two independent units.
    """
    names = tuple(names)
    check_names(names, values, costs or {}, baseline)
    _check_margin(margin, bounds, values)
    margin = default_margin(bounds) if margin is None else margin
    alpha = 1 - level if look is None else look.alpha
    prepared = prepare(values, groups, fixed, collapsed, folds)
    prepared = replace(prepared, parts=with_larger_seed_variances(prepared.parts))
    pairs = compare_prepared(prepared, higher_is_better, level, seed, alpha=alpha, margin=margin)
    standings = _standings(names, prepared, higher_is_better, level, bounds, looked=collapsed is not None)
    best = standings[0].index
    p = _p_of_best(prepared, pairs, best, higher_is_better)
    alone, knows_seeds = bool(is_verified(p, alpha)), prepared.parts.knows_seeds
    several = knows_seeds and bool(((prepared.parts.seeds > 1) | prepared.fixed).all())
    possible = may_be_best(p, alpha)
    pairs = tuple(_bounded(_with_winner(pair, best, alone, margin), bounds) for pair in pairs)
    not_worse = _not_worse(best, standings, pairs) if margin is not None else ()
    known = {name: tuple(float(value) for value in given) for name, given in (costs or {}).items()}
    reference = None if baseline is None else names.index(baseline)
    may_be = tuple(entry.index for entry in standings if possible[entry.index])
    return Verdict(
        names=names,
        score=score,
        entries=standings,
        best=best,
        winner=best if alone and several else None,
        ahead=best if alone and not several else None,
        may_be_best=may_be,
        ranks=rank_sets(_ahead(pairs, len(names)), possible),
        margin=margin,
        not_worse=not_worse,
        cheapest=_cheapest(known, not_worse),
        costs=known,
        pairs=pairs,
        baseline=reference,
        against_baseline=_against(reference, standings, pairs, alpha, margin, higher_is_better),
        needed=None if alone else _needed(prepared, pairs, may_be, 1 - alpha),
        warnings=(*warnings, *warning_messages(names, prepared, known, look)),
        speaks_of="the networks" if knows_seeds else "these trained weights",
        method=method_messages(prepared, level, alpha, look),
        n_images=prepared.averaged.shape[1],
        n_units=prepared.units.count,
        unit="groups" if prepared.grouped else "images",
        higher_is_better=higher_is_better,
        look=look,
        fold_factor=prepared.fold_factor,
        level=level,
        all_judged=all_judged,
    )


def _check_margin(margin: float | None, bounds: Bounds | None, values: Sequence[FloatArray]) -> None:
    if margin is not None and not 0 < margin < math.inf:
        raise ValueError(f"expected a margin above 0, such as 0.01, got {margin}")
    if bounds is None:
        return
    low, high = min(float(np.min(each)) for each in values), max(float(np.max(each)) for each in values)
    if low < bounds[0] - _ROUNDING or high > bounds[1] + _ROUNDING:
        raise ValueError(f"expected scores from {bounds[0]:g} to {bounds[1]:g}, got {low:g} to {high:g}")


def _p_of_best(prepared: Prepared, pairs: Sequence[PairDifference], best: int, higher_is_better: bool) -> FloatArray:
    """Returns (K,) two-sided p values of the best against each.

    Other entries are judged without as many of their worst trainings as collapsed. That is in their favour: what the
    best is shown to be ahead of without the failures, it is ahead of with them. A few failures would otherwise make an
    entry so uncertain that it could never be excluded.
    """
    values, collapsed = list(prepared.values), prepared.collapsed.copy()
    for k, array in enumerate(values):
        if k != best and 0 < collapsed[k] < len(array):
            order = np.argsort(array.mean(axis=1) if higher_is_better else -array.mean(axis=1))
            values[k], collapsed[k] = array[np.sort(order[collapsed[k] :])], 0
    parts = prepared.parts
    if not np.array_equal(collapsed, prepared.collapsed):
        parts = decompose(values, prepared.units, prepared.fixed, collapsed > 0)
        parts = with_larger_seed_variances(replace(parts, image_cov=prepared.fold_factor * parts.image_cov))
    found, p = p_of_best(parts, higher_is_better)
    if found != best:  # without its failures another would be the best, so nothing is shown
        return np.ones(len(values))
    for pair in pairs:  # a difference without variation has the p of its signs
        other = pair.first + pair.second - best
        if _has(pair, best) and len(values[other]) == len(prepared.values[other]):
            p[other] = max(p[other], pair.difference.p)
    return p


def _with_winner(pair: PairDifference, best: int, alone: bool, margin: float | None) -> PairDifference:
    """Returns the pair with the answer that agrees with the winner."""
    if margin is None or not alone or not _has(pair, best):
        return pair
    return replace(pair, answer="better" if pair.first == best else "worse")


def _bounded(pair: PairDifference, bounds: Bounds | None) -> PairDifference:
    if bounds is None:
        return pair
    width = bounds[1] - bounds[0]
    return replace(pair, difference=bound(pair.difference, (-width, width)))


def _ahead(pairs: Sequence[PairDifference], count: int) -> npt.NDArray[np.bool_]:
    """Returns (K, K) bool, [i, j]: entry i was shown to be better than j."""
    ahead = np.zeros((count, count), np.bool_)
    for pair in pairs:
        if pair.better is not None:
            ahead[pair.better, pair.first + pair.second - pair.better] = True
    return ahead


def _not_worse(best: int, standings: Sequence[Standing], pairs: Sequence[PairDifference]) -> tuple[int, ...]:
    """Returns the best and every entry that is shown to be not worse by more than the margin, the best means first."""
    answers = {}
    for pair in pairs:
        if _has(pair, best):
            turned = pair if pair.second == best else reverse(pair)
            answers[turned.first] = turned.answer
    return tuple(
        entry.index for entry in standings if entry.index == best or answers[entry.index] in ("equivalent", "not worse")
    )


def check_names(
    names: tuple[str, ...],
    values: Sequence[FloatArray],
    costs: Mapping[str, Sequence[float]],
    baseline: str | None,
) -> None:
    """Refuses names, costs and a baseline that do not fit K arrays.

    Raises:
        ValueError: fewer than two entries, names that repeat, an unknown cost or baseline.
    """
    if len(names) < 2:
        raise ValueError(f"expected two entries or more to compare, got {len(names)}")
    if len(values) != len(names):
        raise ValueError(f"expected the scores of {len(names)} entries, got those of {len(values)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"expected different names, got {shorten(twice)} more than once")
    for name, given in costs.items():
        if name not in MORE_IS_BETTER:
            raise ValueError(f"expected costs named {', '.join(MORE_IS_BETTER)}, got {name!r}")
        if len(given) != len(names):
            raise ValueError(f"expected one {name} for each of the {len(names)} entries, got {len(given)}")
    if baseline is not None and baseline not in names:
        raise ValueError(f"expected the baseline to be one of {shorten(names)}, got {baseline!r}")


def _has(pair: PairDifference, index: int) -> bool:
    return index in (pair.first, pair.second)


def _standings(
    names: Sequence[str],
    prepared: Prepared,
    higher_is_better: bool,
    level: float,
    bounds: Bounds | None,
    looked: bool,
) -> tuple[Standing, ...]:
    """Returns the entries, the best mean first; of equal means the one given first."""
    parts = prepared.parts
    means = bounded_means(prepared, bounds, level)
    failures = [
        (int(count), len(array) if looked and not fixed else 0)
        for count, array, fixed in zip(prepared.collapsed, prepared.values, prepared.fixed, strict=True)
    ]
    used = np.sqrt(parts.seed_variance)
    order = np.argsort(-parts.means if higher_is_better else parts.means, kind="stable")
    return tuple(
        Standing(
            index=k,
            name=names[k],
            mean=means[k],
            seeds=int(parts.seeds[k]),
            parts=entry_parts(prepared, k),
            used_seed_sd=float(used[k]),
            keeps_own_seed_sd=bool(parts.keeps_own[k]),
            seed_means=tuple(prepared.values[k].mean(axis=1).tolist()),
            failures=failures[k],
            failure_high=upper_limit(failures[k][0], failures[k][1], level),
        )
        for k in order.tolist()
    )


def bounded_means(prepared: Prepared, bounds: Bounds | None, level: float) -> list[Estimate]:
    """Returns the mean of every entry, with an interval inside the bounds."""
    parts, identity = prepared.parts, np.eye(len(prepared.values))
    means = estimate_contrasts(prepared, identity, level)
    if bounds is None or not np.isfinite(bounds).all():
        return [bound(each, bounds) for each in means]
    value, variance, df = contrast_variance(parts, identity)
    units = prepared.units.df + 1  # of groups that differ in size, as many equal ones as they are worth
    low, high = mean_in_bounds(value, variance, df, units, np.diagonal(parts.image_cov), bounds, level)
    return [replace(each, low=float(low[k]), high=float(high[k])) for k, each in enumerate(means)]


def _cheapest(costs: Mapping[str, tuple[float, ...]], among: Sequence[int]) -> dict[str, int]:
    """Returns cost -> the entry that beats all others whose cost is known.

    Of several with the fewest parameters it is the one with the best mean, unless all have as many: one network that
    is compared with several losses has one size. A time that several share is nobody's merit.
    """
    found = {}
    for name, given in costs.items():
        known = [index for index in among if np.isfinite(given[index])]
        if len(known) < 2:
            continue
        best = (max if MORE_IS_BETTER[name] else min)(given[index] for index in known)
        holders = [index for index in known if given[index] == best]
        if len(holders) == 1 or (name == "parameters" and len(holders) < len(known)):
            found[name] = holders[0]
    return found


def _against(
    baseline: int | None,
    standings: Sequence[Standing],
    pairs: Sequence[PairDifference],
    alpha: float,
    margin: float | None,
    higher_is_better: bool,
) -> tuple[PairDifference, ...]:
    """Returns every entry minus the baseline, a family of K - 1 comparisons that were planned, adjusted by itself."""
    if baseline is None:
        return ()
    turned = [pair if pair.second == baseline else reverse(pair) for pair in pairs if _has(pair, baseline)]
    found = {}
    for pair, p in zip(turned, holm([pair.difference.p for pair in turned]).tolist(), strict=True):
        significant = pair.significant or p <= alpha
        is_better = (pair.difference.value > 0) == higher_is_better
        answer = ("better" if is_better else "worse") if significant and margin is not None else pair.answer
        better = (pair.first if is_better else baseline) if significant else None
        found[pair.first] = replace(pair, p_holm=p, significant=significant, better=better, answer=answer)
    return tuple(found[entry.index] for entry in standings if entry.index != baseline)


def _needed(prepared: Prepared, pairs: Sequence[PairDifference], possible: Sequence[int], level: float) -> Needed:
    """Returns the plan for the best and the next; at least one image or seed more, since these did not suffice.

    A plan that nobody could carry out is none.
    """
    first, second = possible[:2]
    pair = next(pair for pair in pairs if _has(pair, first) and _has(pair, second))
    difference = abs(pair.difference.value)
    trained = prepared.parts.seeds[~prepared.fixed]
    images, seeds, entries = prepared.units.count, int(trained.min()) if len(trained) else 1, len(prepared.values)
    parts = pair.parts
    planned = max(seeds, 2) if prepared.parts.knows_seeds else seeds
    more_images = images_needed(difference, parts, seeds=planned, entries=entries, level=level)
    more_seeds = seeds_needed(difference, parts, images=images, entries=entries, level=level)
    if more_images is not None and more_images > MOST_TIMES_IMAGES * images:
        more_images = None
    if more_seeds is not None and more_seeds > MOST_TIMES_SEEDS * planned:
        more_seeds = None
    many = {"images": MOST_TIMES_IMAGES * images, "seeds": MOST_TIMES_SEEDS * planned}
    both = minimum_detectable_difference(parts, **many, entries=entries, level=level) <= difference
    return Needed(
        first=first,
        second=second,
        difference=difference,
        unit="groups" if prepared.grouped else "images",
        images_now=images,
        seeds_now=planned,
        images=None if more_images is None else max(more_images, images + 1),
        seeds=None if more_seeds is None else max(more_seeds, planned + 1),
        together=more_images is None and more_seeds is None and prepared.parts.knows_seeds and both,
        detectable=minimum_detectable_difference(parts, images=images, seeds=planned, entries=entries, level=level),
        margin=resolvable_margin(parts, images=images, seeds=planned, entries=entries, level=level),
        power=POWER,
    )
