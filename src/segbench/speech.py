"""In whose words a sentence names what to set: as Python passes it, as the command line or as a run config takes it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

Speech: TypeAlias = Literal["python", "shell", "config"]

_spoken: Speech = "python"  # of the whole process, so that threads that read files speak alike


def speech() -> Speech:
    """Returns the words in which sentences are made now: Python's, unless a command line says otherwise."""
    return _spoken


@contextmanager
def speaking(words: Speech) -> Iterator[None]:
    """Makes sentences in other words inside of the block.

    Example:
        >>> with speaking("shell"):
        ...     argument("split", "drop")
        '--split drop'
    """
    global _spoken  # see `_spoken`
    before, _spoken = _spoken, words
    try:
        yield
    finally:
        _spoken = before


@contextmanager
def speaking_of_a_config() -> Iterator[None]:
    """Makes sentences inside of the block name keys of a run config, where a command line reads one."""
    with speaking("config" if _spoken == "shell" else _spoken):
        yield


def argument(name: str, value: Any = None) -> str:
    """Returns an argument of a function as a person gives it, who calls it or uses its command.

    Args:
        value: True is an option without a value on the command line; None names the argument alone.

    Example:
        >>> argument("overwrite", True)
        'overwrite=True'
    """
    if _spoken == "python":
        return name if value is None else f"{name}={python_text(value)}"
    flag = f"--{name.replace('_', '-')}"
    return flag if value is None or value is True else f"{flag} {value}"


def in_shell(place: Any) -> str:
    """Returns a path (or another word) as a command line takes it: in quotes where it holds spaces, say.

    Example:
        >>> in_shell("runs/my study"), in_shell("runs/ph2")
        ("'runs/my study'", 'runs/ph2')
    """
    return shlex.quote(str(place))


def action(command: str, function: str) -> str:
    """Returns how something is done, in backticks: by a command, or by a function of segbench.

    Example:
        >>> action("train", "fit")
        '`segbench.fit`'
    """
    return f"`segbench {command}`" if _spoken == "shell" else f"`segbench.{function}`"


def override(key: str) -> str:
    """Returns how an overridden key of a config is named: as the command line gives it, or by itself.

    Example:
        >>> override("optimizer.lr")
        'optimizer.lr'
    """
    return f"--set {key}" if _spoken == "shell" else key


def python_text(value: Any) -> str:
    """Returns a value as Python writes it; texts alone in double quotes, as this project does."""
    if isinstance(value, str) and not set(value) & set('"\\') and value.isprintable():
        return f'"{value}"'
    return repr(value)
