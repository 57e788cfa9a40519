"""K entries x seeds x images -> the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from segbench.errors import shorten
from segbench.locale import Message, message
from segbench.statistics.caveats import method_messages, warning_messages
from segbench.statistics.differences import (
    LEVEL,
    POWER,
    FloatArray,
    Groups,
    PairDifference,
    compare_prepared,
    entry_parts,
    estimate_contrasts,
    images_needed,
    minimum_detectable_difference,
    reverse,
    seeds_needed,
)
from segbench.statistics.ranks import DRAWS, rank_prepared
from segbench.statistics.variance import Prepared, prepare
from segbench.statistics.verdict import MORE_IS_BETTER, Needed, Standing, Verdict


def compare_scores(
    scores: npt.ArrayLike | Sequence[npt.ArrayLike],
    *,
    names: Sequence[str] | None = None,
    groups: Groups | None = None,
    higher_is_better: bool = True,
    baseline: str | None = None,
    costs: Mapping[str, Sequence[float]] | None = None,
    fixed: Sequence[bool] | None = None,
    level: float = LEVEL,
    score: str = message("score"),
    seed: int = 0,
) -> Verdict:
    """Returns which of K entries is best, or that it cannot be said, with intervals that hold images and seeds.

    Args:
        scores: (K, S, N) float, one score of every image by every training (seed) of every entry, in any unit; or K
            arrays (S_k, N) where entries have different numbers of seeds. The images are the same, in the same order.
            NaN is absent: a row of NaN is a seed that an entry does not have; any other NaN leaves its image out for
            every entry, which the verdict's warnings say.
        names: K different names; None: `entry 1` and so on.
        groups: (N,) group of every image (patient, scene), which is then the independent unit; None: every image is.
        higher_is_better: of the score; False for distances and errors.
        baseline: name of the entry that the others are measured against.
        costs: cost name (`training_s`, `images_per_s`, `parameters`) -> K numbers, NaN where not known; they decide
            among entries that cannot be told apart.
        fixed: K flags: an entry of one row that nobody trains again, such as another tool's masks.
        level: of the intervals, such as 0.95; 1 - level is the family-wise error of the verdict (Holm 1979).
        score: what the score is called in sentences.
        seed: of the permutation tests and the rank draws.
    Raises:
        ValueError: fewer than two entries, arrays of other shapes, names that repeat, an unknown cost or baseline, or
            fewer than two images (or groups) that every entry has a score of.
    Source: docs/statistics.md names the method and what it was checked against.
    Example:
        >>> import numpy as np
        >>> from segbench.statistics import compare_scores
        >>> images = np.random.default_rng(0)
        >>> unet = 0.80 + 0.05 * images.standard_normal((3, 100))  # 3 seeds, 100 images
        >>> segnet = unet - 0.10 + 0.02 * images.standard_normal((3, 100))
        >>> verdict = compare_scores([unet, segnet], names=["unet", "segnet"], score="IoU")
        >>> verdict.headline(), verdict.winner
        ('Best: unet', 0)
    """
    arrays = _arrays(scores)
    given = tuple(f"entry {number}" for number in range(1, len(arrays) + 1)) if names is None else tuple(names)
    _check(given, arrays, costs or {}, baseline)
    arrays, kept, warnings = _complete(given, arrays)
    if groups is not None:
        _check_groups(groups, len(kept))
    return decide(
        given,
        arrays,
        groups=None if groups is None else np.asarray(groups)[kept],
        costs=costs,
        higher_is_better=higher_is_better,
        baseline=baseline,
        fixed=fixed,
        level=level,
        seed=seed,
        score=score,
        warnings=warnings,
    )


def _arrays(scores: npt.ArrayLike | Sequence[npt.ArrayLike]) -> list[FloatArray]:
    """Returns the scores of every entry as they were given, masked ones NaN."""
    if isinstance(scores, Mapping | str | bytes) or not isinstance(scores, Iterable):
        raise ValueError(f"expected scores of shape (entries, seeds, images), got {type(scores).__name__}")
    try:
        return [np.ma.filled(np.ma.asarray(array, np.float64), np.nan) for array in scores]
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected numbers of shape (entries, seeds, images): {error}") from error


def _check_groups(groups: Groups, n_images: int) -> None:
    if isinstance(groups, str) or np.ndim(groups) != 1:
        raise ValueError(f"expected one name or number of a group for each of the {n_images} images")
    if len(groups) != n_images:
        raise ValueError(f"expected one group for each of the {n_images} images, got {len(groups)}")
    absent = sum(group is None or group != group for group in groups)  # NaN differs from itself
    if absent:
        raise ValueError(f"expected a group of every image, got none for {absent} of {n_images}")


def _complete(
    names: tuple[str, ...], arrays: list[FloatArray]
) -> tuple[list[FloatArray], npt.NDArray[np.bool_], tuple[Message, ...]]:
    """Returns the arrays without absent seeds and images, which of the N images are left, and what to say of it."""
    for name, array in zip(names, arrays, strict=True):
        if array.ndim != 2:
            raise ValueError(
                f"expected scores of shape (entries, seeds, images), got {array.shape}, not (seeds, images), for {name}"
            )
        if array.shape[1] != arrays[0].shape[1]:
            raise ValueError(
                f"expected the same images for every entry: {names[0]} has {arrays[0].shape[1]}, {name} "
                f"{array.shape[1]}"
            )
        infinite = int(np.isinf(array).any(axis=0).sum())
        if infinite:
            raise ValueError(
                f"expected finite scores, or NaN where there is none; {name} has infinite ones on "
                f"{infinite} of {array.shape[1]} images"
            )
    if not arrays[0].shape[1]:
        raise ValueError("expected at least 2 images to judge by, got 0")
    trained = [array[~np.isnan(array).all(axis=1)] for array in arrays]
    absent = [name for name, array in zip(names, trained, strict=True) if not len(array)]
    if absent:
        raise ValueError(f"expected a score of every entry, got none for {shorten(absent)}")
    kept = ~np.any([np.isnan(array).any(axis=0) for array in trained], axis=0)
    lost = int((~kept).sum())
    told = message(
        "{n} of {total} images have no score in at least one training and count nowhere here.", n=lost, total=len(kept)
    )
    return [np.ascontiguousarray(array[:, kept]) for array in trained], kept, (told,) if lost else ()


def decide(
    names: Sequence[str],
    values: Sequence[FloatArray],
    *,
    groups: Groups | None = None,
    costs: Mapping[str, Sequence[float]] | None = None,
    higher_is_better: bool = True,
    baseline: str | None = None,
    fixed: Sequence[bool] | None = None,
    level: float = LEVEL,
    seed: int = 0,
    score: str = message("score"),
    warnings: Sequence[Message] = (),
) -> Verdict:
    """Returns the verdict over K >= 2 entries.

    Args:
        names: K different names.
        values: K arrays (S_k, N), scores of the same N images in the same order; no NaN.
        groups: (N,) group of every image (patient, scene), or None: images are independent.
        costs: cost name (`training_s`, `images_per_s`, `parameters`) -> K numbers, NaN where not known.
        higher_is_better: of the score.
        baseline: name of the entry the others are compared with.
        fixed: K flags: an entry that stands for itself and has no seeds, such as masks of another tool.
        level: of the intervals; 1 - level is the family-wise error of the verdict.
        seed: of the permutation tests and the rank draws.
        score: what the score is called in sentences; a message where it can be translated.
        warnings: what else a reader must know.
    Raises:
        ValueError: fewer than two entries, names that repeat, arrays of other shapes or with NaN, an unknown cost or
            baseline, fewer than two independent units.
    """
    names = tuple(names)
    _check(names, values, costs or {}, baseline)
    prepared = prepare(values, groups, fixed)
    pairs = compare_prepared(prepared, higher_is_better, level, seed)
    standings = _standings(names, prepared, higher_is_better, level)
    best = standings[0].index
    apart = {
        pair.second if pair.first == best else pair.first for pair in pairs if pair.significant and _has(pair, best)
    }
    together = tuple(entry.index for entry in standings if entry.index not in apart)
    known = {name: tuple(float(value) for value in given) for name, given in (costs or {}).items()}
    reference = None if baseline is None else names.index(baseline)
    return Verdict(
        names=names,
        score=score,
        entries=standings,
        best=best,
        together=together,
        winner=best if len(together) == 1 else None,
        cheapest=_cheapest(known, together),
        costs=known,
        ranks=rank_prepared(prepared, higher_is_better, DRAWS, seed),
        pairs=pairs,
        baseline=reference,
        against_baseline=_against(reference, standings, pairs),
        needed=_needed(prepared, pairs, together, level) if len(together) > 1 else None,
        warnings=(*warnings, *warning_messages(names, prepared, known)),
        speaks_of="the networks" if prepared.parts.knows_seeds else "these trained weights",
        method=method_messages(prepared, level),
        n_images=prepared.averaged.shape[1],
        n_units=prepared.units.count,
        unit="groups" if prepared.grouped else "images",
        higher_is_better=higher_is_better,
        level=level,
    )


def _check(
    names: tuple[str, ...],
    values: Sequence[FloatArray],
    costs: Mapping[str, Sequence[float]],
    baseline: str | None,
) -> None:
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


def _standings(names: Sequence[str], prepared: Prepared, higher_is_better: bool, level: float) -> tuple[Standing, ...]:
    """Returns the entries, the best mean first; of equal means the one given first."""
    parts = prepared.parts
    means = estimate_contrasts(prepared, np.eye(len(names)), level)
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
        )
        for k in order.tolist()
    )


def _cheapest(costs: Mapping[str, tuple[float, ...]], together: Sequence[int]) -> dict[str, int]:
    """Returns cost -> the entry that beats all others whose cost is known.

    Of several with the fewest parameters it is the one with the best mean, unless all have as many: one network that
    is compared with several losses has one size. A time that several share is nobody's merit.
    """
    found = {}
    for name, given in costs.items():
        known = [index for index in together if np.isfinite(given[index])]
        if len(known) < 2:
            continue
        best = (max if MORE_IS_BETTER[name] else min)(given[index] for index in known)
        holders = [index for index in known if given[index] == best]
        if len(holders) == 1 or (name == "parameters" and len(holders) < len(known)):
            found[name] = holders[0]
    return found


def _against(
    baseline: int | None, standings: Sequence[Standing], pairs: Sequence[PairDifference]
) -> tuple[PairDifference, ...]:
    if baseline is None:
        return ()
    found = {}
    for pair in pairs:
        if _has(pair, baseline):
            turned = pair if pair.second == baseline else reverse(pair)
            found[turned.first] = turned
    return tuple(found[entry.index] for entry in standings if entry.index != baseline)


def _needed(prepared: Prepared, pairs: Sequence[PairDifference], together: Sequence[int], level: float) -> Needed:
    """Returns the plan for the best and the next; at least one image or seed more, since these did not suffice."""
    first, second = together[:2]
    pair = next(pair for pair in pairs if _has(pair, first) and _has(pair, second))
    difference = abs(pair.difference.value)
    trained = prepared.parts.seeds[~prepared.fixed]
    images, seeds, entries = prepared.units.count, int(trained.min()) if len(trained) else 1, len(prepared.values)
    parts = pair.parts
    planned = max(seeds, 2) if prepared.parts.knows_seeds else seeds
    more_images = images_needed(difference, parts, seeds=planned, entries=entries, level=level)
    more_seeds = seeds_needed(difference, parts, images=images, entries=entries, level=level)
    return Needed(
        first=first,
        second=second,
        difference=difference,
        unit="groups" if prepared.grouped else "images",
        images_now=images,
        seeds_now=planned,
        images=None if more_images is None else max(more_images, images + 1),
        seeds=None if more_seeds is None else max(more_seeds, planned + 1),
        detectable=minimum_detectable_difference(parts, images=images, seeds=planned, entries=entries, level=level),
        power=POWER,
    )
