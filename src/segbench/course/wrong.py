"""What says that an answer is not right yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segbench.locale import Message, message


class Wrong(Exception):  # noqa: N818 - it says of an answer what it is; nothing failed
    """An answer is not right yet.

    Args:
        hint: on which input, what came, and what to think about; never the right answer.
    """

    def __init__(self, hint: Message) -> None:
        self.hint = hint
        super().__init__(hint)


def called(answer: Callable[..., Any], *given: Any) -> Any:
    """Returns what a student's function returns.

    Raises:
        Wrong: it is no function, or it fails.
    """
    if not callable(answer):
        raise Wrong(message("a function is asked for, not {kind}", kind=type(answer).__name__))
    try:
        return answer(*given)
    except Exception as error:  # whatever a student's code raises is the answer's fault
        raise Wrong(
            message("your function stops with {kind}: {text}", kind=type(error).__name__, text=str(error))
        ) from error


def is_number(came: Any, expected: float, *, within: float = 1e-6) -> bool:
    """Tells whether an answer is one number, and the expected one."""
    if not isinstance(came, (int, float, np.number, np.ndarray)) or np.size(came) != 1:
        return False
    return bool(abs(float(np.asarray(came).item()) - expected) <= within)
