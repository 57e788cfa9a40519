"""Answers with a margin, the difference that does not matter in practice: better, equivalent, not worse, undecided."""

from __future__ import annotations

from typing import Literal, TypeAlias

from scipy.special import stdtrit  # type: ignore[import-untyped]

Answer: TypeAlias = Literal["better", "worse", "equivalent", "not worse", "not better", "undecided"]
Bounds: TypeAlias = tuple[float, float]

_SHARE_MARGIN = 0.01


def default_margin(bounds: Bounds | None) -> float | None:
    """Returns the margin of a score with such a range: 0.01 where it lies in [0, 1], else None.

    >>> default_margin((0, 1)), default_margin((0, float("inf"))), default_margin(None)
    (0.01, None, None)
    """
    inside = bounds is not None and bounds[0] >= 0 and bounds[1] <= 1
    return _SHARE_MARGIN if inside else None


def answer_with_margin(lead: float, error: float, df: float, margin: float, alpha: float) -> Answer:
    """Returns what two one-sided tests (Schuirmann 1987) say of a lead that was not shown to be above or below 0.

    Args:
        lead: how much better the first is than the second; negative: worse.
        error, df: of the lead.
        margin: above 0.
        alpha: of each of the two tests: the interval that has to lie inside the margin is that of 1 - 2 alpha.
    """
    half = float(stdtrit(df, 1 - alpha)) * error
    not_worse, not_better = lead - half > -margin, lead + half < margin
    if not_worse and not_better:
        return "equivalent"
    return "not worse" if not_worse else "not better" if not_better else "undecided"
