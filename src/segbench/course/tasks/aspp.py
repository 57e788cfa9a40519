"""Tasks of the lesson on ASPPNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segbench.course.wrong import Wrong, called
from segbench.locale import message


def map_size(answer: Callable[..., Any]) -> None:
    """A function of height, width and a number of 2x2 poolings that returns the map's (height, width)."""
    for height, width, poolings in ((64, 64, 4), (100, 90, 2), (100, 90, 4), (33, 63, 1), (50, 70, 0)):
        came = called(answer, height, width, poolings)
        values = np.asarray(came).ravel() if isinstance(came, (tuple, list, np.ndarray)) else np.empty(0)
        if values.shape != (2,) or not np.array_equal(values, (-(-height >> poolings), -(-width >> poolings))):
            raise Wrong(
                message(
                    "for {height} x {width} pixels and {poolings} poolings your function returns {came}. Two whole "
                    "numbers are asked for; a pooling that does not come out even keeps the last row or column",
                    height=height,
                    width=width,
                    poolings=poolings,
                    came=str(came),
                )
            )


def sees_only_its_centre(answer: Callable[..., Any]) -> None:
    """A function of the image's side, the map's stride and a dilation: is only the centre of the kernel on the map?"""
    for side, stride, dilation in (
        (256, 16, 18),
        (256, 16, 6),
        (256, 16, 16),
        (256, 16, 15),
        (512, 16, 18),
        (64, 8, 8),
    ):
        came = called(answer, side, stride, dilation)
        if not isinstance(came, (bool, np.bool_)) or bool(came) != (dilation >= side // stride):
            raise Wrong(
                message(
                    "for an image of {side} pixels, stride {stride} and dilation {dilation} your function returns "
                    "{came}. True or False is asked for: how wide is the map, and can an outer weight lie on it?",
                    side=side,
                    stride=stride,
                    dilation=dilation,
                    came=str(came),
                )
            )


def read_interval(answer: Callable[..., Any]) -> None:
    """A function of the ends of the interval of first minus second: `first`, `second` or `not shown`."""
    cases = {(0.01, 0.17): "first", (-0.2, -0.05): "second", (-0.01, 0.3): "not shown", (-0.3, 0.01): "not shown"}
    for (low, high), expected in cases.items():
        came = called(answer, low, high)
        if came != expected:
            raise Wrong(
                message(
                    "for an interval from {low} to {high} your function returns {came}. Which values of the difference "
                    "are possible, and what do all of them have in common?",
                    low=f"{low:g}",
                    high=f"{high:g}",
                    came=repr(came),
                )
            )
