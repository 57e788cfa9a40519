"""What goes wrong in a training, told while it goes wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that goes wrong, and what to do about it.

    Attributes:
        code: `one_class`, `loss_flat`, `not_finite`, `overfits`, `still_improving`, `learning_rate` or
            `class_never_predicted`.
        epoch: that showed it, from 1.
        sentence: what is wrong.
        advice: one change that helps; names the key of the config.
    """

    code: str
    epoch: int
    sentence: str
    advice: str
