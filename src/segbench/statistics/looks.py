"""Looking at a study more than once: the level of each look, so that all of them together keep the level of one."""

from __future__ import annotations

from dataclasses import dataclass

# Two-sided level of each of L equally spaced looks that together are wrong in 5 % (Pocock 1977).
_POCOCK = {1: 0.05, 2: 0.0294, 3: 0.0221, 4: 0.0182, 5: 0.0158, 6: 0.0142, 7: 0.0130, 8: 0.0120, 9: 0.0112, 10: 0.0106}


@dataclass(frozen=True, kw_only=True)
class Look:
    """One of the times that a study is judged.

    Attributes:
        number: which, 1 is the first.
        planned: how many were planned before the first.
        alpha: level that this look may use.
    """

    number: int
    planned: int
    alpha: float

    @property
    def is_planned(self) -> bool:
        """Whether it is one of those that were planned."""
        return self.number <= self.planned


def plan_look(number: int, planned: int = 1) -> Look:
    """Returns a look with its level: that of Pocock (1977) for as many looks as were planned, or taken by now.

    A look beyond the plan uses the stricter level that a plan of so many would have had. The looks before it were more
    lenient, so all together are wrong a little more often than 5 %: docs/explanation/statistics.md.

    Raises:
        ValueError: a number below 1.
    Example:
        >>> plan_look(1).alpha, plan_look(2, 3).alpha, plan_look(2).is_planned
        (0.05, 0.0221, False)
    """
    if number < 1 or planned < 1:
        raise ValueError(f"expected looks to be counted from 1, got look {number} of {planned}")
    looks = max(number, planned)
    return Look(number=number, planned=planned, alpha=_POCOCK.get(looks, 0.05 / looks))
