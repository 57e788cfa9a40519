"""Results of a lesson beside what is expected of them."""

from __future__ import annotations

import os

from segbench.errors import SegbenchError

STRICT = "SEGBENCH_COURSE_STRICT"  # set where the site is built and the lessons are tested


class UnexpectedError(SegbenchError):
    """A lesson's result is not what its text says."""


def expect(what: str, value: float, *, about: float, within: float) -> None:
    """Prints a result and what is expected of it; the lesson's text may name the expected value.

    A result elsewhere is told. Where the environment variable SEGBENCH_COURSE_STRICT is set it is an error, so that no
    page of the site holds a number that its script does not reach.

    Args:
        what: is measured, as a person reads it ("IoU of the lesion, test images").
        value: the result, any real number; NaN is never expected.
        about: the expected value; within: how far the result may be from it, >= 0.
    Raises:
        UnexpectedError: the result is elsewhere, and the check is strict.
    Example:
        >>> expect("IoU", 0.853, about=0.85, within=0.02)
        IoU: 0.853 (expected: 0.85 ± 0.02)
    """
    told = f"{what}: {value:.3g} (expected: {about:g} ± {within:g})"
    if abs(value - about) <= within:
        print(told)
    elif os.environ.get(STRICT):
        raise UnexpectedError(f"{told}, {value - about:+.3g} away")
    else:
        print(f"{told}. This is elsewhere: were settings changed, or is the network trained for another time?")
