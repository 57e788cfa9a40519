"""Tasks of the lab on own data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segbench.course.wrong import Wrong, called, is_number
from segbench.locale import message


def to_percent(answer: Callable[..., Any]) -> None:
    """A function of corners (N, 2) as x, y in pixels, and of width and height, that returns them in per cent."""
    for corners, width, height in (
        (np.array([[0.0, 0.0], [128.0, 96.0]]), 128, 96),
        (np.array([[32.0, 24.0], [64.0, 12.0], [10.0, 90.0]]), 128, 96),
        (np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), 50, 200),
    ):
        came = np.asarray(called(answer, corners.copy(), width, height))
        if came.shape != corners.shape or came.dtype.kind not in "fiu":
            raise Wrong(
                message("numbers of shape {shape} are asked for, not {came}", shape=corners.shape, came=came.shape)
            )
        expected = corners / [width, height] * 100
        wrong = np.flatnonzero(~np.isclose(came, expected).all(axis=1))
        if wrong.size:
            raise Wrong(
                message(
                    "in an image {width} wide and {height} high the corner {corner} becomes {came}. Which side does x "
                    "run along, and what is the whole of it in per cent?",
                    width=width,
                    height=height,
                    corner=str(corners[wrong[0]].tolist()),
                    came=str(came[wrong[0]].tolist()),
                )
            )


def polygon_area(answer: Callable[..., Any]) -> None:
    """A function of the corners (N, 2) of an outline that returns its area in square pixels."""
    square = np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 4.0], [1.0, 4.0]])
    notched = np.array([[0.0, 0.0], [6.0, 0.0], [6.0, 6.0], [3.0, 2.0], [0.0, 6.0]])
    for corners, expected in ((square, 12.0), (square[::-1], 12.0), (square + 100, 12.0), (notched, 24.0)):
        came = called(answer, corners.copy())
        if not is_number(came, expected):
            raise Wrong(
                message(
                    "for the corners {corners} your function returns {came}. Is the last side, back to the first "
                    "corner, there? Must the direction in which one goes round matter?",
                    corners=str(corners.tolist()),
                    came=str(came),
                )
            )


def leaked(answer: Callable[..., Any]) -> None:
    """A function of two dictionaries name -> image, training and test, that returns the test names seen in training."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (4, 5, 3), dtype=np.uint8) for _ in range(5)]
    nearly = images[1].copy()
    nearly[0, 0, 0] ^= 1
    train = {"a.png": images[0], "b.png": images[1], "c.png": images[2]}
    for test, expected in (
        ({"d.png": images[3], "e.png": images[4]}, set()),
        ({"d.png": images[0], "a.png": images[3]}, {"d.png"}),
        ({"x.png": images[2], "y.png": images[2], "z.png": nearly}, {"x.png", "y.png"}),
        ({"rows.png": images[0].reshape(5, 4, 3)}, set()),
    ):
        came = called(answer, dict(train), dict(test))
        if not isinstance(came, (set, frozenset, list, tuple)):
            raise Wrong(message("a set of names is asked for, not {kind}", kind=type(came).__name__))
        if set(came) != expected:
            raise Wrong(
                message(
                    "of {count} test images your function names {came}. The same photo may have another name, "
                    "another photo the same name; every pixel counts, and so does the shape",
                    count=len(test),
                    came=str(sorted(map(str, came))),
                )
            )
