"""Tasks of the lesson on ASPPNet: right answers in several forms, and the wrong ones that students write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segbench import course


def pooled(height: int, width: int, poolings: int) -> tuple[int, int]:
    for _ in range(poolings):
        height, width = (height + 1) // 2, (width + 1) // 2
    return height, width


def read(low: float, high: float) -> str:
    return "first" if low > 0 else "second" if high < 0 else "not shown"


RIGHT: list[tuple[str, Callable[..., Any]]] = [
    ("map_size", pooled),
    ("map_size", lambda h, w, n: np.ceil(np.array([h, w]) / 2**n)),
    ("sees_only_its_centre", lambda side, stride, dilation: dilation >= side / stride),
    ("sees_only_its_centre", lambda side, stride, dilation: np.bool_(not dilation < side // stride)),
    ("read_interval", read),
    ("read_interval", lambda low, high: "not shown" if low * high < 0 else ("first" if high > 0 else "second")),
]

WRONG: list[tuple[str, Any, str]] = [
    ("map_size", lambda h, w, n: (h / 2**n, w / 2**n), "does not come out even"),
    ("map_size", lambda h, w, n: (h // 2**n, w // 2**n), "does not come out even"),  # rounded down
    ("map_size", lambda h, w, n: (-(-w >> n), -(-h >> n)), "Two whole numbers"),  # width first
    ("map_size", lambda h, w, n: -(-h >> n), "Two whole numbers"),
    ("map_size", lambda h, w, n: (-(-h // 2), -(-w // 2)), "poolings"),  # one pooling only
    ("map_size", (4, 4), "a function is asked for"),
    ("sees_only_its_centre", lambda side, stride, dilation: dilation > side // stride, "dilation 16"),  # off by one
    ("sees_only_its_centre", lambda side, stride, dilation: 2 * dilation + 1 > side // stride, "how wide is the map"),
    ("sees_only_its_centre", lambda side, stride, dilation: dilation >= side, "how wide is the map"),  # of the image
    ("sees_only_its_centre", lambda side, stride, dilation: True, "how wide is the map"),
    ("sees_only_its_centre", lambda side, stride, dilation: 1, "True or False"),
    ("read_interval", lambda low, high: "first" if (low + high) / 2 > 0 else "second", "in common"),  # the middle
    ("read_interval", lambda low, high: "first" if high > 0 else "second", "in common"),
    ("read_interval", lambda low, high: "not shown", "in common"),
    ("read_interval", lambda low, high: read(low, high).title(), "in common"),
    ("read_interval", lambda low, high: low / 0, "ZeroDivisionError"),
]


@pytest.mark.parametrize(("task", "answer"), RIGHT)
def test_right(task: str, answer: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert course.check(f"aspp/{task}", answer), capsys.readouterr().out


@pytest.mark.parametrize(("task", "answer", "told"), WRONG)
def test_wrong(task: str, answer: Any, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not course.check(f"aspp/{task}", answer)
    assert told in capsys.readouterr().out
