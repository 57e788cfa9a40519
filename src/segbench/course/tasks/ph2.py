"""Tasks of the homework: four networks and five losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segbench.course.wrong import Wrong, called, is_number
from segbench.locale import message


def mask_from_logits(answer: Callable[..., Any]) -> None:
    """A function of logits, a NumPy array (H, W), that returns where the probability is above 0.5, booleans."""
    logits = np.array([[-3.0, -0.1, 0.1, 0.4], [0.49, 0.51, 0.6, 3.0]])
    came = np.asarray(called(answer, logits.copy()))
    if came.shape != logits.shape or came.dtype != np.bool_:
        raise Wrong(
            message(
                "an array of True and False of shape {shape} is asked for, not {kind} of shape {came}",
                shape=str(logits.shape),
                kind=str(came.dtype),
                came=str(came.shape),
            )
        )
    wrong = logits[came != (logits > 0)]
    if wrong.size:
        raise Wrong(
            message(
                "the pixel with logit {logit} is on the wrong side. What probability does a logit of 0 mean?",
                logit=float(wrong[0]),
            )
        )


def contest_score(answer: Callable[..., Any]) -> None:
    """A function of the IoUs of N images that returns the contest's score, from 0 to 1."""
    for ious in ([0.40], [0.50], [0.52], [0.77], [0.98], [0.3, 0.61, 0.83, 0.97]):
        expected = float(np.mean(np.ceil(np.clip(20 * (np.array(ious) - 0.5), 0, 10)) / 10))
        came = called(answer, np.array(ious))
        if not is_number(came, expected):
            raise Wrong(
                message(
                    "for images with the IoUs {ious} your function returns {came}. Each image has steps of its own "
                    "before the mean; below 0.5 it gets nothing, and steps are rounded up",
                    ious=str(ious),
                    came=str(came),
                )
            )


def focal_loss(answer: Callable[..., Any]) -> None:
    """A function of logits and targets of 0 and 1, NumPy arrays of one shape: the mean focal loss with gamma 2."""
    cases = [
        (np.array([0.0, 0.0]), np.array([1, 0])),
        (np.array([2.0, 2.0, -1.0]), np.array([1, 0, 0])),
        (np.array([[200.0, -200.0], [0.5, -0.5]]), np.array([[0, 1], [1, 0]])),
    ]
    for logits, target in cases:
        signed = np.where(target == 1, logits, -logits)
        log_p = -np.logaddexp(0.0, -signed)
        expected = float(np.mean(-((1 - np.exp(log_p)) ** 2) * log_p))
        came = called(answer, logits.copy(), target.copy())
        if not is_number(came, expected, within=1e-5 * max(1.0, expected)):
            raise Wrong(
                message(
                    "for logits {logits} and targets {target} your function returns {came}. Both labels count, each "
                    "with the probability of the true one; and what is the logarithm of a probability that was "
                    "rounded to 0?",
                    logits=str(logits.tolist()),
                    target=str(target.tolist()),
                    came=str(came),
                )
            )


def turning_epoch(answer: Callable[..., Any]) -> None:
    """A function of training and validation losses an epoch: the epoch, from 1, after which it overfits, or None."""
    falling = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3]
    cases = [
        (falling, [1.1, 0.9, 0.7, 0.8, 0.9, 1.0], 3),
        (falling, [1.1, 0.7, 0.75, 0.8, 0.9, 1.0], 2),
        (falling, [1.1, 1.0, 0.9, 0.8, 0.7, 0.6], None),
    ]
    for train, val, expected in cases:
        came = called(answer, list(train), list(val))
        right = came is None if expected is None else came is not None and is_number(came, expected)
        if not right:
            raise Wrong(
                message(
                    "the validation losses are {val}, the training losses {train}, and your function returns {came}. "
                    "Overfitting begins where one of them turns and the other goes on; epochs are counted from 1; "
                    "without a turn the answer is None",
                    val=str(val),
                    train=str(train),
                    came=str(came),
                )
            )


def paired_difference(answer: Callable[..., Any]) -> None:
    """A function of the scores of two networks on the same N images: mean difference, and its standard error."""
    rng = np.random.default_rng(0)
    hard = rng.random(12)
    first, second = 0.6 + 0.3 * hard, 0.58 + 0.3 * hard + 0.02 * rng.standard_normal(12)
    given = first.copy(), second.copy()
    came = called(answer, *given)
    if not np.array_equal(given[0], first) or not np.array_equal(given[1], second):
        raise Wrong(message("your function changes the scores that it is given"))
    if not isinstance(came, tuple | list) or len(came) != 2:
        raise Wrong(message("two numbers are asked for: the mean difference and its standard error"))
    difference = first - second
    if not is_number(came[0], float(difference.mean())):
        raise Wrong(message("the mean difference, first minus second, is another than {came}", came=str(came[0])))
    if not is_number(came[1], float(difference.std(ddof=1) / np.sqrt(12))):
        raise Wrong(
            message(
                "the standard error is another than {came}. The images are the same for both, so there are {n} "
                "differences, and their spread is estimated from a sample",
                came=str(came[1]),
                n=12,
            )
        )
