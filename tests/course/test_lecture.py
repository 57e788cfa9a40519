"""Tasks of the lecture: right answers in several forms, and the wrong ones that students write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segbench import course


def decode(counts: list[int], height: int, width: int) -> Any:
    mask = np.zeros(height * width, dtype=bool)
    start = 0
    for number, count in enumerate(counts):
        mask[start : start + count] = number % 2 == 1
        start += count
    return mask.reshape(width, height).T


RIGHT: list[tuple[str, Callable[..., Any]]] = [
    ("iou", lambda p, t: np.logical_and(p, t).sum() / np.logical_or(p, t).sum()),
    ("iou", lambda p, t: (both := float((p & t).sum())) / (p.sum() + t.sum() - both)),
    ("field_of_view", lambda layers, dilation: 1 + layers * 2 * dilation),
    ("field_of_view", lambda layers, dilation: np.int64(layers * ((2 * dilation + 1) - 1) + 1)),
    ("runs_to_mask", decode),
    ("runs_to_mask", lambda c, h, w: decode(c, h, w).astype(np.uint8)),
]

WRONG: list[tuple[str, Any, str]] = [
    ("iou", lambda p, t: (p & t).sum() / (p.sum() + t.sum()), "Count the pixels"),  # union counted twice
    ("iou", lambda p, t: 2 * (p & t).sum() / (p.sum() + t.sum()), "Count the pixels"),  # Dice
    ("field_of_view", lambda layers, dilation: 2 * layers * dilation, "on each side"),  # off by one
    ("field_of_view", lambda layers, dilation: 1 + layers * dilation, "on each side"),  # one side
    ("field_of_view", lambda layers, dilation: 3 * layers, "on each side"),
    ("field_of_view", lambda layers, dilation: 1 + 2 * layers, "dilation 6"),  # dilation forgotten
    ("field_of_view", lambda layers, dilation: None, "on each side"),
    ("runs_to_mask", lambda c, h, w: np.zeros((h, w), bool), "down the columns"),  # a constant
    ("runs_to_mask", lambda c, h, w: ~decode(c, h, w), "without the object"),  # begins with the object
    ("runs_to_mask", lambda c, h, w: decode(c, w, h).T, "down the columns"),  # along the rows
    ("runs_to_mask", lambda c, h, w: decode(c, h, w).T, "is asked for"),  # width first
    ("runs_to_mask", lambda c, h, w: decode(c, h, w).tolist(), "not list"),
    ("runs_to_mask", lambda c, h, w: c[99], "IndexError"),
]


@pytest.mark.parametrize(("task", "answer"), RIGHT)
def test_right(task: str, answer: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert course.check(f"lecture/{task}", answer), capsys.readouterr().out


@pytest.mark.parametrize(("task", "answer", "told"), WRONG)
def test_wrong(task: str, answer: Any, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not course.check(f"lecture/{task}", answer)
    assert told in capsys.readouterr().out
