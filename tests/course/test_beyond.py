"""Tasks of the last lesson: right answers in several forms, and the wrong ones that students write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segbench import course

RIGHT: list[tuple[str, Callable[..., Any]]] = [
    ("seed_spread", lambda scores: np.std(scores.mean(1), ddof=1)),
    ("seed_spread", lambda scores: float(((m := scores.mean(1)) - m.mean()).dot(m - m.mean()) / (len(m) - 1)) ** 0.5),
    ("mean_difference", lambda a, b: np.nanmean(a - b)),
    ("mean_difference", lambda a, b: (a - b)[~np.isnan(a) & ~np.isnan(b)].mean()),
    ("empty_masks", lambda masks: [n for n, mask in enumerate(masks) if not mask.any()]),
    ("empty_masks", lambda masks: np.array([n for n, mask in enumerate(masks) if mask.max() == 0], dtype=int)),
]

WRONG: list[tuple[str, Any, str]] = [
    ("seed_spread", lambda scores: scores.mean(1).std(), "from a sample"),
    ("seed_spread", lambda scores: scores.mean(0).std(ddof=1), "one number a training"),  # wrong axis
    ("seed_spread", lambda scores: scores.std(ddof=1), "one number a training"),
    ("seed_spread", lambda scores: scores.mean(1).max() - scores.mean(1).min(), "how far these are apart"),
    ("seed_spread", lambda scores: scores.mean(1), "one number a training"),
    ("mean_difference", lambda a, b: (a - b).mean(), "both have a score"),
    ("mean_difference", lambda a, b: np.nanmean(a) - np.nanmean(b), "easier images"),
    ("mean_difference", lambda a, b: np.nanmean(b - a), "both have a score"),
    ("mean_difference", lambda a, b: np.nan_to_num(a - b).mean(), "both have a score"),
    ("mean_difference", lambda a: 0, "TypeError"),
    ("empty_masks", lambda masks: [n for n, mask in enumerate(masks) if 255 not in mask], "whatever its value"),
    ("empty_masks", lambda masks: [n for n, mask in enumerate(masks, 1) if not mask.any()], "begin at 0"),
    ("empty_masks", lambda masks: [n for n, mask in enumerate(masks) if mask.sum() < 2], "single pixel"),
    ("empty_masks", lambda masks: sum(not mask.any() for mask in masks), "single pixel"),
    ("empty_masks", lambda masks: None, "single pixel"),
]


@pytest.mark.parametrize(("task", "answer"), RIGHT)
def test_right(task: str, answer: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert course.check(f"beyond/{task}", answer), capsys.readouterr().out


@pytest.mark.parametrize(("task", "answer", "told"), WRONG)
def test_wrong(task: str, answer: Any, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not course.check(f"beyond/{task}", answer)
    assert told in capsys.readouterr().out
