"""Tasks of the first lesson."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segbench.course.wrong import Wrong, called, is_number
from segbench.locale import message


def iou(answer: Callable[..., Any]) -> None:
    """A function of two boolean masks (H, W) that returns their IoU, from 0 to 1."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        prediction, target = rng.random((2, 6, 8)) < 0.5
        expected = (prediction & target).sum() / (prediction | target).sum()
        came = called(answer, prediction.copy(), target.copy())
        if not is_number(came, expected):
            raise Wrong(
                message(
                    "for masks with {a} and {b} pixels your function returns {came}. Count the pixels that both masks "
                    "have, and those that at least one has",
                    a=int(prediction.sum()),
                    b=int(target.sum()),
                    came=str(came),
                )
            )
