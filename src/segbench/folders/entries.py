"""The entries of a study by the names that people call them, and which of their runs are fit for use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segbench.errors import RunError, shorten, suggest
from segbench.folders.run import RunFolder
from segbench.locale import Message, plural


def find_entry(asked: str, names: Mapping[str, str], study: Path) -> str:
    """Returns the name of the entry that is asked for by its name in the study's files, or by what pages call it.

    Args:
        asked: what a person wrote.
        names: entry -> what people call it.
        study: folder, for the error.
    Raises:
        RunError: there is no such entry (lists both names of all), or several are called so.
    """
    if asked in names:
        return asked
    called = [name for name, told in names.items() if told == asked]
    if len(called) == 1:
        return called[0]
    if called:
        raise RunError(f"several entries are called {asked!r}; name one of {', '.join(called)}", run=study)
    listed = [name if told == name else f"{name} ({told})" for name, told in names.items()]
    close = suggest(asked, {*names, *names.values()}).partition("known: ")[0]
    raise RunError(f"there is no entry {asked!r} in this study; {close}known: {shorten(listed, 40)}", run=study)


def without_collapsed(runs: Sequence[RunFolder], entry: str, study: Path) -> tuple[list[RunFolder], Message | None]:
    """Returns the finished runs of an entry that predict more than one class, and a sentence where some do not.

    Raises:
        RunError: all of them collapsed.
    """
    kept = [run for run in runs if not run.is_collapsed]
    if not kept:
        raise RunError(f"every run of {entry!r} collapsed: it predicts one class only", run=study)
    if len(kept) == len(runs):
        return kept, None
    return kept, plural(
        "{n} run that collapsed is left out.", "{n} runs that collapsed are left out.", n=len(runs) - len(kept)
    )
