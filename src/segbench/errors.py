"""The exceptions segbench raises for a user's mistakes and a machine's limits.

::

    SegbenchError
    ├── ConfigError     a key, a value or a name in a run config     (.key, .file, .line)
    ├── DatasetError    a file, a folder or a label map               (.path)
    │   └── ChoiceError several things could be meant: say which      (.option, .choices)
    ├── WeightsError    published weights or a weights file           (.file)
    ├── RunError        a run folder, a training, a checkpoint        (.run)
    ├── BundleError     a trained model in one file                   (.file, .member)
    └── PredictionError an image a trained network could not segment  (.path)
    OptionError         a ValueError: what an option does not take    (.option)

Every message is one sentence or two: what was expected, what came, where, what to do. `assert` is kept for our own
invariants, so an `AssertionError` is always a bug in segbench.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path


class SegbenchError(Exception):
    """Base of everything segbench raises on purpose; the command line prints it without a traceback."""


class ConfigError(SegbenchError):
    """A run config is wrong. `key` is dotted (`optimizer.lr`); `file` and `line` are set when it came from a file."""

    def __init__(self, message: str, *, key: str = "", file: str = "", line: int = 0) -> None:
        self.key = key
        self.file = file
        self.line = line
        self.reason = message
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{key}: {message}" if key else f"{where}{message}")


class DatasetError(SegbenchError):
    """Images or masks are missing, unreadable or contradict the class map. `path` is the file or folder."""

    def __init__(self, message: str, *, path: str | Path = "") -> None:
        self.path = str(path)
        self.reason = message
        super().__init__(f"{path}: {message}" if str(path) else message)


class ChoiceError(DatasetError):
    """A data set can be read in several ways. `option` decides; `choices`: its values, and what each is."""

    def __init__(self, message: str, *, option: str, choices: Mapping[str, str], path: str | Path = "") -> None:
        self.option = option
        self.choices = dict(choices)
        super().__init__(message, path=path)


class WeightsError(SegbenchError):
    """Weights to start from are not on this machine, damaged, or another network's. `file` is the file they are in."""

    def __init__(self, message: str, *, file: str | Path = "") -> None:
        self.file = str(file)
        self.reason = message
        super().__init__(f"{file}: {message}" if str(file) else message)


class RunError(SegbenchError):
    """A training or a run folder is in trouble. `run` is the folder."""

    def __init__(self, message: str, *, run: str | Path = "") -> None:
        self.run = str(run)
        self.reason = message
        super().__init__(f"{run}: {message}" if str(run) else message)


class BundleError(SegbenchError):
    """A bundle cannot be read or made. `file` is the bundle, `member` the file in it, where one is at fault."""

    def __init__(self, message: str, *, file: str | Path = "", member: str = "") -> None:
        self.file = str(file)
        self.member = member
        self.reason = message
        super().__init__(": ".join(filter(None, (str(file), member, message))))


class PredictionError(SegbenchError):
    """An image could not be segmented. `path` is the image, when it came from a file."""

    def __init__(self, message: str, *, path: str | Path = "") -> None:
        self.path = str(path)
        self.reason = message
        super().__init__(f"{path}: {message}" if str(path) else message)


class OptionError(ValueError):
    """An option of a network, a loss or a format does not take a value. `option` is its name; a config adds its key."""

    def __init__(self, message: str, *, option: str = "") -> None:
        self.option = option
        super().__init__(message)


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns the tail of an "unknown name" message: close matches first, then all names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(repr(match) for match in close)}? " if close else ""
    return f"{hint}known: {', '.join(names) if names else '(none)'}"


def shorten(items: Iterable[object], limit: int = 8) -> str:
    """Returns at most `limit` items separated by commas, and how many more there are."""
    everything = [str(item) for item in items]
    more = len(everything) - limit
    return ", ".join(everything[:limit]) + (f" and {more} more" if more > 0 else "")
