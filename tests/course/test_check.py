"""Right answers are told right; wrong ones are told on what they fail, without the right answer."""

from __future__ import annotations

import numpy as np
import pytest

from segbench import course
from segbench.course.expect import STRICT


def iou(prediction, target):  # type: ignore[no-untyped-def]
    return (prediction & target).sum() / (prediction | target).sum()


def test_a_right_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert course.check("lecture/iou", iou)
    assert capsys.readouterr().out == "lecture/iou: right\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (0.5, "a function is asked for, not float"),
        (lambda prediction, target: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda prediction: 1, "TypeError"),
        (lambda prediction, target: prediction & target, "Count the pixels"),
        (lambda prediction, target: float("nan"), "Count the pixels"),
        (lambda prediction, target: "0.5 or so", "Count the pixels"),
        (lambda prediction, target: None, "Count the pixels"),
        (lambda prediction, target: (prediction == target).mean(), "Count the pixels"),
    ],
)
def test_a_wrong_answer(answer: object, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not course.check("lecture/iou", answer)
    assert told in capsys.readouterr().out


def test_in_russian(capsys: pytest.CaptureFixture[str]) -> None:
    assert course.check("lecture/iou", iou, lang="ru")
    assert capsys.readouterr().out == "lecture/iou: верно\n"


def test_an_unknown_task() -> None:
    with pytest.raises(ValueError, match="did you mean 'lecture/iou'"):
        course.check("lecture/iuo", iou)


def test_a_result_that_is_expected(capsys: pytest.CaptureFixture[str]) -> None:
    course.expect("IoU", np.float32(0.853), about=0.85, within=0.02)
    assert capsys.readouterr().out == "IoU: 0.853 (expected: 0.85 ± 0.02)\n"


@pytest.mark.parametrize("value", [0.9, float("nan")])
def test_a_result_elsewhere(value: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(STRICT, raising=False)
    course.expect("IoU", value, about=0.85, within=0.02)
    assert "elsewhere" in capsys.readouterr().out
    monkeypatch.setenv(STRICT, "1")
    with pytest.raises(course.UnexpectedError, match="away"):
        course.expect("IoU", value, about=0.85, within=0.02)
