"""How entries are ranked by the rule of the comparison, and by others that somebody may prefer: does the first stay?

A ranking that turns with the rule says more about the rule than about the entries (Wiesenfarth et al. 2021; Maier-Hein
et al. 2018, "Why rankings of biomedical image analysis competitions should be interpreted with care").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, rankdata  # type: ignore[import-untyped]

from segbench.locale import Message, listed, message

FloatArray = npt.NDArray[np.float64]
Rule: TypeAlias = Literal["mean", "absent", "median", "worst5", "ranks", "boundary"]

RULES: dict[Rule, Message] = {
    "mean": message("mean over images (this comparison)"),
    "absent": message("mean, images without any of the classes counted the other way"),
    "median": message("median over images"),
    "worst5": message("mean of the worst 5 % of the images"),
    "ranks": message("mean over images of the rank in each"),
    "boundary": message("boundary IoU per image"),
}
_WORST_FRAC = 0.05


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The entries by one rule.

    Attributes:
        rule: key of `RULES`.
        values: of each of the K entries, in their own order; of `ranks`, the mean rank, 1 is best.
        order: places of the entries, the best first; equal values keep their own order.
        tau: Kendall's tau-b with the ranking by the mean, -1 to 1; 1: the same; NaN where all values are equal.
    """

    rule: Rule
    values: tuple[float, ...]
    order: tuple[int, ...]
    tau: float

    @property
    def label(self) -> Message:
        """The rule in words."""
        return RULES[self.rule]


def rank_entries(
    values: Sequence[FloatArray],
    *,
    higher_is_better: bool,
    others: Mapping[Rule, tuple[Sequence[FloatArray], bool]] | None = None,
) -> tuple[Ranking, ...]:
    """Returns the ranking by the mean, and those by other rules.

    Args:
        values: one (S, N) an entry: its score of every image with every seed.
        higher_is_better: of the score.
        others: further rules that need other values: the same arrays of another score or images, whose mean ranks, and
            whether higher is better there.
    """
    images = np.stack([each.mean(axis=0) for each in values])  # (K, N)
    worst = max(1, math.ceil(_WORST_FRAC * images.shape[1]))
    turned = np.sort(images if higher_is_better else -images, axis=1)[:, :worst].mean(axis=1)
    ranks = rankdata(-images if higher_is_better else images, axis=0).mean(axis=1)
    found: list[tuple[Rule, FloatArray, bool]] = [
        ("mean", images.mean(axis=1), higher_is_better),
        ("median", np.median(images, axis=1), higher_is_better),
        ("worst5", turned if higher_is_better else -turned, higher_is_better),
        ("ranks", ranks, False),
    ]
    for rule, (arrays, higher) in (others or {}).items():
        found.append((rule, np.array([each.mean() for each in arrays]), higher))
    merit = found[0][1] if higher_is_better else -found[0][1]
    return tuple(_ranking(rule, each, higher, merit) for rule, each, higher in found)


def _ranking(rule: Rule, values: FloatArray, higher: bool, merit: FloatArray) -> Ranking:
    own = values if higher else -values
    order = sorted(range(len(own)), key=lambda place: -own[place])
    tau = float(kendalltau(own, merit).statistic)
    return Ranking(rule=rule, values=tuple(map(float, values)), order=tuple(order), tau=tau)


def stability_sentence(rankings: Sequence[Ranking], names: Sequence[str]) -> Message:
    """Returns whether the entry with the best mean is the first by the other rules, too."""
    best = names[rankings[0].order[0]]
    others = [each for each in rankings if each.order[0] != rankings[0].order[0]]
    if not others:
        return message("{name} ranks first by all {n} ways to rank.", name=best, n=len(rankings))
    told = [message("{name} by: {rule}", name=names[each.order[0]], rule=each.label) for each in others]
    return message(
        "The ranking depends on the rule: {name} ranks first by {n} of {total} ways to rank, {others}.",
        name=best,
        n=len(rankings) - len(others),
        total=len(rankings),
        others=listed(told),
    )
