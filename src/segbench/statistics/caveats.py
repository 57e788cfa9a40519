"""What a reader must know before believing a verdict, and how its numbers were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from segbench.locale import Message, Number, Numbers, join, listed, message, plural
from segbench.statistics.looks import Look
from segbench.statistics.variance import Prepared

# Below this many independent units the t interval leans on scores being roughly normal.
FEW_UNITS = 50
_COSTS = {
    "training_s": message("training time"),
    "images_per_s": message("speed of prediction"),
    "parameters": message("number of parameters"),
}


def warning_messages(
    names: Sequence[str], prepared: Prepared, costs: Mapping[str, Sequence[float]], look: Look | None
) -> tuple[Message, ...]:
    """Returns what a reader must know before believing the numbers, whole sentences."""
    found = [*_about_looks(look), *_about_seeds(names, prepared), *_about_units(prepared)]
    same = [
        message("{first} and {second}", first=names[i], second=names[j])
        for i, j in combinations(range(len(names)), 2)
        if _same(prepared, i, j)
    ]
    if same:
        found.append(message("The same score on every image: {names}; are they the same network?", names=listed(same)))
    unknown: dict[tuple[str, ...], list[Message]] = {}
    for cost, given in costs.items():
        without = tuple(name for name, value in zip(names, given, strict=True) if not np.isfinite(value))
        if without and len(without) < len(names):
            unknown.setdefault(without, []).append(_COSTS[cost])
    for owners, which in unknown.items():
        found.append(
            message(
                "{cost}: not known of {names}, which therefore cannot be the cheapest.",
                cost=join(", ", which),
                names=listed(owners),
            )
        )
    return tuple(found)


def _about_looks(look: Look | None) -> list[Message]:
    if look is None or look.is_planned:
        return []
    return [
        message(
            "This is look {number} at the study, and {planned} planned: every look after the plan makes false winners "
            "more frequent, so the tests use the level {alpha} instead of 0.05.",
            number=look.number,
            planned=plural("{n} was", "{n} were", n=look.planned),
            alpha=Number(f"{look.alpha:.2g}"),
        )
    ]


def _about_seeds(names: Sequence[str], prepared: Prepared) -> list[Message]:
    parts = prepared.parts
    fixed = [name for name, flag in zip(names, prepared.fixed, strict=True) if flag]
    alone = [name for name, seeds in zip(names, parts.seeds, strict=True) if seeds == 1 and name not in fixed]
    found = []
    if not parts.knows_seeds:
        found.append(
            message(
                "Every network was trained with one seed: training one again may change its score by more than the "
                "intervals show; only more seeds can tell."
            )
        )
    elif alone:
        found.append(
            message(
                "{names} has one seed: how much another training would change it is not known; the intervals assume "
                "that it varies between seeds as the others do.",
                names=listed(alone),
            )
        )
    if fixed:
        found.append(
            message("What is said of {names} holds for these masks alone, whatever made them.", names=listed(fixed))
        )
    df = int((parts.seeds - 1).sum())
    if 0 < df < 4:
        found.append(
            plural(
                "How much seeds matter is estimated with {n} degree of freedom: intervals are wide, and cover a little "
                "less often than they say. More seeds help most.",
                "How much seeds matter is estimated with {n} degrees of freedom: intervals are wide, and cover a "
                "little "
                "less often than they say. More seeds help most.",
                n=df,
            )
        )
    own = [
        name
        for name, keeps, failed in zip(names, parts.keeps_own, prepared.collapsed, strict=True)
        if keeps and not failed
    ]
    if own:
        found.append(
            plural(
                "{names} varied more between seeds than the others, so its own variance is used for it.",
                "{names} varied more between seeds than the others, so their own variances are used for them.",
                n=len(own),
                names=listed(own),
            )
        )
    return found


def _about_units(prepared: Prepared) -> list[Message]:
    units, found = prepared.units, []
    if units.count == 2 and prepared.grouped:
        found.append(
            message(
                "Two groups are too few for intervals, which would hold nearly every score: put more groups into the "
                "test part, or let every group be tested once (a cross-validation, folds in a study)."
            )
        )
    elif units.count == 2:
        found.append(
            message(
                "Two test images are too few for intervals, which would hold nearly every score: put more images into "
                "the test part, or let every image be tested once (a cross-validation, folds in a study)."
            )
        )
    elif units.count < FEW_UNITS and prepared.grouped:
        found.append(
            message(
                "{n} independent groups are few: the intervals rely on differences being roughly normal.", n=units.count
            )
        )
    elif units.count < FEW_UNITS:
        found.append(
            message("{n} test images are few: the intervals rely on differences being roughly normal.", n=units.count)
        )
    if prepared.grouped and units.df < 0.8 * (units.count - 1):
        found.append(
            message(
                "The groups hold very different numbers of images: {n} of them are worth {worth} equal ones.",
                n=units.count,
                worth=Number(f"{units.df + 1:.1f}"),
            )
        )
    return found


def _same(prepared: Prepared, first: int, second: int) -> bool:
    means = prepared.parts.means
    if abs(means[first] - means[second]) > 1e-9 * max(1.0, abs(means[first])):
        return False  # of 200 entries, nearly all 19,900 pairs
    return bool(np.allclose(prepared.averaged[first], prepared.averaged[second], rtol=1e-12, atol=0))


def method_messages(prepared: Prepared, level: float, alpha: float, look: Look | None) -> tuple[Message, ...]:
    """Returns how intervals, p values and the family-wise error were made, whole sentences."""
    units, values = prepared.units, {"level": Numbers().level(level), "n": prepared.units.count}
    df = Number(f"{units.df:.4g}")
    if prepared.grouped:
        images = message(
            "Two-sided t intervals at {level}. Images: variance of seed-averaged scores over {n} groups of images (the "
            "same for every entry), {df} degrees of freedom.",
            df=df,
            **values,
        )
    else:
        images = message(
            "Two-sided t intervals at {level}. Images: variance of seed-averaged scores over {n} images (the same for "
            "every entry), {df} degrees of freedom.",
            df=df,
            **values,
        )
    winner = message(
        "The best mean is called the winner where a two-sided test at {alpha} against every other entry says so (rank "
        "verification); others may be the best unless a one-sided test against the best at {each} excludes them.",
        alpha=Number(f"{alpha:.2g}"),
        each=Number(f"{min(alpha / 2, alpha / (len(prepared.values) - 1)):.2g}"),
    )
    looks = []
    if look is not None and look.planned > 1:
        looks.append(
            message(
                "Look {number} of {planned} at the study: every look uses the level {alpha}, so that all together are "
                "wrong in at most 5 %.",
                number=look.number,
                planned=look.planned,
                alpha=Number(f"{look.alpha:.2g}"),
            )
        )
    holm = message(
        "Differences of pairs are called real after Holm's adjustment over all pairs ({pairs}), which bounds the "
        "chance of any false one by {share}.",
        pairs=len(prepared.values) * (len(prepared.values) - 1) // 2,
        share=Number(f"{alpha:.2g}"),
    )
    return images, *_fold_method(prepared), _seed_method(prepared), winner, *looks, holm


def _fold_method(prepared: Prepared) -> list[Message]:
    if prepared.fold_factor == 1.0:
        return []
    return [
        message(
            "Cross-validation: every image is scored by trainings on the other folds. These share most of their "
            "images, so the images' variance is multiplied by {factor} (Nadeau and Bengio 2003).",
            factor=Number(f"{prepared.fold_factor:.3g}"),
        )
    ]


def _seed_method(prepared: Prepared) -> Message:
    parts = prepared.parts
    if not parts.knows_seeds:
        return message("Seeds: one each, so their part is not known and not in the intervals.")
    counts = sorted(set(parts.seeds.tolist()))
    shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
    return message(
        "Seeds: {seeds} an entry; variance between seeds from a crossed seed-by-image analysis of variance; every "
        "entry has the larger of its own and the one pooled over the entries, with the {total} degrees of freedom of "
        "the pool; Satterthwaite's degrees of freedom.",
        seeds=shown,
        total=int(parts.used_df.max()),
    )
