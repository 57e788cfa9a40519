"""The tasks of the homework tell right answers from typical wrong ones, and say on what they fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segbench import course


def _sigmoid(logits: Any) -> Any:
    return 1 / (1 + np.exp(-logits))


def _focal(logits: Any, target: Any, gamma: float = 2.0) -> Any:
    log_p = -np.logaddexp(0, np.where(target == 1, -logits, logits))
    return (-((1 - np.exp(log_p)) ** gamma) * log_p).mean()


def _focal_by_torch(logits: Any, target: Any) -> Any:
    import torch
    from torch.nn.functional import logsigmoid

    signed = torch.as_tensor(logits) * (2 * torch.as_tensor(target) - 1)
    return (-((1 - signed.sigmoid()) ** 2) * logsigmoid(signed)).mean().item()


def _focal_of_probabilities(logits: Any, target: Any) -> Any:
    p = _sigmoid(logits)
    return (-target * (1 - p) ** 2 * np.log(p) - (1 - target) * p**2 * np.log(1 - p)).mean()


def _focal_positive(logits: Any, target: Any) -> Any:
    log_p = -np.logaddexp(0, np.where(target == 1, -logits, logits))
    return (-np.where(target == 1, (1 - np.exp(log_p)) ** 2, 1) * log_p).mean()


def _turn(train: list[float], val: list[float]) -> int | None:
    lowest = int(np.argmin(val)) + 1
    return lowest if lowest < len(val) else None


def _turn_by_loop(train: list[float], val: list[float]) -> int | None:
    for epoch in range(1, len(val)):
        if val[epoch] > val[epoch - 1] and train[epoch] < train[epoch - 1]:
            return epoch
    return None


def _steps(ious: Any) -> Any:
    return np.ceil(np.clip(20 * (ious - 0.5), 0, 10)) / 10


def _paired(first: Any, second: Any) -> tuple[float, float]:
    difference = first - second
    return difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))


def _unpaired(first: Any, second: Any) -> tuple[float, float]:
    return first.mean() - second.mean(), np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / len(first))


def _in_place(first: Any, second: Any) -> tuple[float, float]:
    first -= second
    return first.mean(), first.std(ddof=1) / np.sqrt(len(first))


RIGHT: list[tuple[str, Any]] = [
    ("mask_from_logits", lambda logits: logits > 0),
    ("mask_from_logits", lambda logits: _sigmoid(logits) > 0.5),
    ("contest_score", lambda ious: _steps(ious).mean()),
    ("contest_score", lambda ious: float(np.mean([min(max(np.ceil(20 * x - 10) / 10, 0), 1) for x in ious]))),
    ("focal_loss", _focal),
    ("focal_loss", _focal_by_torch),
    ("turning_epoch", _turn),
    ("turning_epoch", _turn_by_loop),
    ("paired_difference", _paired),
    ("paired_difference", lambda a, b: [np.mean(a) - np.mean(b), np.sqrt(np.var(a - b, ddof=1) / a.size)]),
]

WRONG: list[tuple[str, Any, str]] = [
    ("mask_from_logits", lambda logits: logits > 0.5, "logit 0.1"),
    ("mask_from_logits", lambda logits: _sigmoid(logits) > 0.6, "logit 0.1"),
    ("mask_from_logits", lambda logits: logits < 0, "wrong side"),
    ("mask_from_logits", lambda logits: (logits > 0).astype(int), "True and False"),
    ("mask_from_logits", lambda logits: _sigmoid(logits), "True and False"),
    ("mask_from_logits", lambda logits: (logits > 0).any(axis=0), "of shape (4,)"),
    ("mask_from_logits", True, "a function is asked for"),
    ("contest_score", lambda ious: np.mean(ious), "IoUs [0.4]"),
    ("contest_score", lambda ious: _steps(ious), "IoUs [0.3, 0.61"),
    ("contest_score", lambda ious: _steps(np.mean(ious)), "IoUs [0.3, 0.61"),
    ("contest_score", lambda ious: (np.floor(np.clip(20 * (ious - 0.5), 0, 10)) / 10).mean(), "[0.52]"),
    ("contest_score", lambda ious: (np.ceil(20 * (ious - 0.5)) / 10).mean(), "[0.4]"),
    ("contest_score", lambda ious: (ious > 0.5).mean(), "[0.52]"),
    ("contest_score", lambda ious: ious[1], "IndexError"),
    ("focal_loss", _focal_of_probabilities, "rounded to 0"),
    ("focal_loss", _focal_positive, "Both labels count"),
    ("focal_loss", lambda logits, target: _focal(logits, target, gamma=0), "Both labels count"),
    ("focal_loss", lambda logits, target: _focal(_sigmoid(logits), target), "Both labels count"),
    ("focal_loss", lambda logits, target: _focal(logits, target) * target.size, "Both labels count"),
    ("focal_loss", lambda logits, target: _focal(logits, 1 - target), "Both labels count"),
    ("focal_loss", lambda logits, target: 0.0, "returns 0.0"),
    ("turning_epoch", lambda train, val: int(np.argmin(val)), "counted from 1"),
    ("turning_epoch", lambda train, val: int(np.argmin(train)) + 1, "returns 6"),
    ("turning_epoch", lambda train, val: int(np.argmin(val)) + 1, "returns 6"),
    ("turning_epoch", lambda train, val: 3, "returns 3"),
    ("turning_epoch", lambda train, val: None, "returns None"),
    ("turning_epoch", lambda train, val: min(val), "returns 0.7"),
    ("turning_epoch", lambda train: 1, "TypeError"),
    ("paired_difference", _unpaired, "standard error"),
    ("paired_difference", lambda a, b: ((a - b).mean(), (a - b).std(ddof=1)), "standard error"),
    ("paired_difference", lambda a, b: ((a - b).mean(), (a - b).std() / np.sqrt(a.size)), "standard error"),
    ("paired_difference", lambda a, b: _paired(b, a), "first minus second"),
    ("paired_difference", lambda a, b: (abs(a - b).mean(), 0.1), "first minus second"),
    ("paired_difference", lambda a, b: (a - b).mean(), "two numbers"),
    ("paired_difference", _in_place, "changes the scores"),
]


@pytest.mark.parametrize(("task", "answer"), RIGHT)
def test_a_right_answer(task: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert course.check(f"ph2/{task}", answer), capsys.readouterr().out


@pytest.mark.parametrize(("task", "answer", "told"), WRONG)
@pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")
def test_a_wrong_answer(task: str, answer: Any, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not course.check(f"ph2/{task}", answer)
    assert told in capsys.readouterr().out
