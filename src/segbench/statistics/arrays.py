"""Plain arrays of scores -> the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from segbench.errors import shorten
from segbench.locale import Message, message
from segbench.statistics.decide import check_names, decide
from segbench.statistics.differences import LEVEL, FloatArray, Groups
from segbench.statistics.looks import Look
from segbench.statistics.margin import Bounds
from segbench.statistics.verdict import Verdict


def compare_scores(
    scores: npt.ArrayLike | Sequence[npt.ArrayLike],
    *,
    names: Sequence[str] | None = None,
    groups: Groups | None = None,
    folds: Groups | None = None,
    higher_is_better: bool = True,
    baseline: str | None = None,
    costs: Mapping[str, Sequence[float]] | None = None,
    fixed: Sequence[bool] | None = None,
    collapsed: Sequence[int] | None = None,
    margin: float | None = None,
    bounds: Bounds | None = None,
    look: Look | None = None,
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
        folds: (N,) fold of every image in a cross-validation: its scores are of trainings on the other folds. None: the
            images are a test part. See `segbench.statistics.folds`.
        higher_is_better: of the score; False for distances and errors.
        baseline: name of the entry that the others are measured against.
        costs: cost name (`training_s`, `images_per_s`, `parameters`) -> K numbers, NaN where not known; they decide
            among entries that are shown to be not worse than the best by more than the margin.
        fixed: K flags: an entry of one row that nobody trains again, such as another tool's masks.
        collapsed: K numbers of trainings that predict one class only, which say nothing about how much the others vary.
        margin: difference that does not matter in practice, such as 0.01; None: 0.01 where the bounds lie in [0, 1],
            else no answers with a margin.
        bounds: lowest and highest value that the score can have, such as (0, 1); no interval goes beyond them.
        look: which look at a study that grows this is, of `segbench.statistics.plan_look`; None: the only one.
        level: of the intervals, such as 0.95; 1 - level is the error of the winner, and of all pairs together.
        score: what the score is called in sentences.
        seed: of the permutation tests.
    Raises:
        ValueError: fewer than two entries, arrays of other shapes, names that repeat, an unknown cost or baseline, or
            fewer than two images (or groups) that every entry has a score of.
    Source: docs/explanation/statistics.md names the method and what it was checked against.
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
    check_names(given, arrays, costs or {}, baseline)
    arrays, kept, warnings = _complete(given, arrays)
    for what, each in (("group", groups), ("fold", folds)):
        if each is not None:
            _check_groups(each, len(kept), what)
    return decide(
        given,
        arrays,
        groups=None if groups is None else np.asarray(groups)[kept],
        folds=None if folds is None else np.asarray(folds)[kept],
        costs=costs,
        higher_is_better=higher_is_better,
        baseline=baseline,
        fixed=fixed,
        collapsed=collapsed,
        margin=margin,
        bounds=bounds,
        look=look,
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


def _check_groups(groups: Groups, n_images: int, what: str) -> None:
    if isinstance(groups, str) or np.ndim(groups) != 1:
        raise ValueError(f"expected one name or number of a {what} for each of the {n_images} images")
    if len(groups) != n_images:
        raise ValueError(f"expected one {what} for each of the {n_images} images, got {len(groups)}")
    absent = sum(group is None or group != group for group in groups)  # NaN differs from itself
    if absent:
        raise ValueError(f"expected a {what} of every image, got none for {absent} of {n_images}")


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
