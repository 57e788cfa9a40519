"""The tasks of the lab on own data tell right answers from typical wrong ones, and say on what they fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segbench import course


def _shoelace(corners: Any) -> Any:
    x, y = corners.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _area_by_loop(corners: Any) -> float:
    total = 0.0
    for (x, y), (next_x, next_y) in zip(corners, [*corners[1:], corners[0]], strict=True):
        total += (next_x - x) * (next_y + y) / 2
    return abs(float(total))


def _area_open(corners: Any) -> Any:
    x, y = corners.T
    return abs(np.dot(x[:-1], y[1:]) - np.dot(y[:-1], x[1:])) / 2


def _percent_in_place(corners: Any, width: int, height: int) -> Any:
    corners *= 100
    corners[:, 0] /= width
    corners[:, 1] /= height
    return corners


def _seen(train: Any, test: Any) -> set[str]:
    return {name for name, image in test.items() if any(np.array_equal(image, other) for other in train.values())}


def _seen_by_bytes(train: Any, test: Any) -> set[str]:
    known = {(image.shape, image.tobytes()) for image in train.values()}
    return {name for name, image in test.items() if (image.shape, image.tobytes()) in known}


def _seen_without_shape(train: Any, test: Any) -> set[str]:
    known = {image.tobytes() for image in train.values()}
    return {name for name, image in test.items() if image.tobytes() in known}


def _seen_by_mean(train: Any, test: Any) -> set[str]:
    known = [image.mean() for image in train.values()]
    return {name for name, image in test.items() if np.isclose(known, image.mean(), atol=0.1).any()}


def _one_per_image(train: Any, test: Any) -> set[str]:
    return set(list(_seen(train, test))[:1])


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("own_data/to_percent", lambda corners, width, height: 100 * corners / np.array([width, height])),
        ("own_data/to_percent", _percent_in_place),
        ("own_data/polygon_area", _shoelace),
        ("own_data/polygon_area", _area_by_loop),
        ("own_data/leaked", _seen),
        ("own_data/leaked", _seen_by_bytes),
    ],
)
def test_right_answers_are_right(task: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert course.check(task, answer)
    assert capsys.readouterr().out == f"{task}: right\n"


@pytest.mark.parametrize(
    ("task", "answer", "hint"),
    [
        ("own_data/to_percent", lambda corners, width, height: corners / [width, height], "the whole of it"),
        ("own_data/to_percent", lambda corners, width, height: 100 * corners / [height, width], "Which side"),
        ("own_data/to_percent", lambda corners, width, height: 100 * corners / width, "Which side"),
        ("own_data/to_percent", lambda corners, width, height: 100 * corners // [width, height], "per cent"),
        ("own_data/to_percent", lambda corners, width, height: 100 * corners[:, 0] / width, "of shape (2, 2)"),
        ("own_data/to_percent", lambda corners, width, height: corners.astype(str), "numbers of shape"),
        ("own_data/to_percent", lambda corners: corners, "stops with TypeError"),
        ("own_data/polygon_area", _area_open, "last side"),
        ("own_data/polygon_area", lambda corners: 2 * _shoelace(corners), "your function returns 24.0"),
        ("own_data/polygon_area", lambda corners: np.ptp(corners, axis=0).prod(), "returns 36.0"),
        ("own_data/polygon_area", lambda corners: corners[0] @ corners[1], "your function returns"),
        ("own_data/polygon_area", lambda corners: 12.0, "your function returns 12.0"),
        ("own_data/polygon_area", None, "a function is asked for"),
        ("own_data/leaked", lambda train, test: set(train) & set(test), "another name"),
        ("own_data/leaked", _seen_without_shape, "so does the shape"),
        ("own_data/leaked", _seen_by_mean, "every pixel counts"),
        ("own_data/leaked", _one_per_image, "3 test images"),
        ("own_data/leaked", lambda train, test: set(), "names []"),
        ("own_data/leaked", lambda train, test: True, "a set of names is asked for, not bool"),
        ("own_data/leaked", lambda train, test: train["missing"], "stops with KeyError"),
    ],
)
def test_wrong_answers_are_told_what_they_fail_on(
    task: str, answer: Any, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not course.check(task, answer)
    told = capsys.readouterr().out
    assert told.startswith(f"{task}: not yet: ")
    assert hint in told
