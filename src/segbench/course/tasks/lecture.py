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


def field_of_view(answer: Callable[..., Any]) -> None:
    """A function of a number of 3x3 layers and their dilation that returns how many pixels wide they see."""
    for layers, dilation in ((1, 1), (3, 1), (1, 6), (4, 2)):
        came = called(answer, layers, dilation)
        if not is_number(came, 1 + 2 * layers * dilation):
            raise Wrong(
                message(
                    "for {layers} layers with dilation {dilation} your function returns {came}. How many pixels does "
                    "each layer add on each side?",
                    layers=layers,
                    dilation=dilation,
                    came=str(came),
                )
            )


def runs_to_mask(answer: Callable[..., Any]) -> None:
    """A function of COCO's uncompressed counts, a height and a width that returns the boolean mask (height, width)."""
    rng = np.random.default_rng(0)
    cases = [([6], (2, 3)), ([0, 6], (2, 3)), ([1, 2, 3], (2, 3))]
    for _ in range(3):
        mask = rng.random((4, 7)) < 0.4
        edges = np.flatnonzero(np.diff(np.r_[0, mask.ravel(order="F").astype(int), 0]))
        counts = np.diff(np.r_[0, edges, mask.size]).tolist()
        cases.append((counts, mask.shape))
    for counts, (height, width) in cases:
        came = called(answer, list(counts), height, width)
        values = np.repeat(np.arange(len(counts)) % 2, counts).astype(bool)
        expected = values.reshape((height, width), order="F")
        if not isinstance(came, np.ndarray) or came.shape != expected.shape:
            raise Wrong(
                message(
                    "an array of {height} x {width} is asked for, not {came}",
                    height=height,
                    width=width,
                    came=str(getattr(came, "shape", type(came).__name__)),
                )
            )
        if not np.array_equal(came.astype(bool), expected):
            raise Wrong(
                message(
                    "for the counts {counts} in {height} x {width} pixels your mask is another one. The first count is "
                    "of pixels without the object, and the pixels go down the columns",
                    counts=str(counts),
                    height=height,
                    width=width,
                )
            )
