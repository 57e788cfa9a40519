"""Tasks of the last lesson."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segbench.course.wrong import Wrong, called, is_number
from segbench.locale import message


def seed_spread(answer: Callable[..., Any]) -> None:
    """A function of scores (seeds, images) that returns the standard deviation of the trainings' means."""
    rng = np.random.default_rng(0)
    for shape in ((3, 8), (2, 5), (5, 1)):
        scores = rng.random(shape)
        came = called(answer, scores.copy())
        if not is_number(came, scores.mean(axis=1).std(ddof=1)):
            raise Wrong(
                message(
                    "for {seeds} seeds and {images} images your function returns {came}. First one number a training, "
                    "then how far these are apart; it is estimated from a sample",
                    seeds=shape[0],
                    images=shape[1],
                    came=str(came),
                )
            )


def mean_difference(answer: Callable[..., Any]) -> None:
    """A function of two arrays of scores (images,), with NaN where one is not defined: mean of first minus second."""
    cases = [([0.5, 0.7, 0.9], [0.4, 0.4, 0.4]), ([0.5, np.nan, 0.9], [0.4, 0.1, 0.5]), ([0.2, 0.8], [np.nan, 0.3])]
    for first, second in cases:
        a, b = np.array(first), np.array(second)
        came = called(answer, a.copy(), b.copy())
        if not is_number(came, float(np.nanmean(a - b))):
            raise Wrong(
                message(
                    "for {first} and {second} your function returns {came}. An image counts only where both have a "
                    "score, else one of them is measured on easier images",
                    first=str(first),
                    second=str(second),
                    came=str(came),
                )
            )


def empty_masks(answer: Callable[..., Any]) -> None:
    """A function of a list of masks (H, W), 0 is background, that returns the indices of those without an object."""
    object_of_255, one_pixel = np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)
    object_of_255[1:3, 2:4] = 255
    one_pixel[3, 4] = 1
    empty, full = np.zeros((6, 3), np.uint8), np.ones((2, 2), np.uint8)
    cases = [([empty, object_of_255, one_pixel, empty], [0, 3]), ([full, one_pixel], []), ([], [])]
    for masks, expected in cases:
        came = called(answer, [mask.copy() for mask in masks])
        try:
            found = sorted(int(each) for each in came)
        except (TypeError, ValueError):
            found = None
        if found != expected:
            raise Wrong(
                message(
                    "of {n} masks your function names {came}. A single pixel is an object, whatever its value; indices "
                    "begin at 0",
                    n=len(masks),
                    came=str(came),
                )
            )
