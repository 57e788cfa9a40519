"""How far a run or a study is, from its files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.errors import RunError
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder

_LAST = 5  # epochs by which the time left is told


def progress_of(folder: Path) -> dict[str, Any] | None:
    """Returns `done` of `total` epochs or, of a study, runs, and `seconds_left`; None where that is not known (yet)."""
    try:
        study, run = StudyFolder(folder), RunFolder(folder)
        if study.is_study:
            states = [each.state for each in study.status()]
            return {"done": states.count("finished"), "total": len(states), "seconds_left": None}
        if not run.is_run:
            return None
        rows, epochs = run.read_history(), run.planned_epochs(run.read_config())
    except (RunError, KeyError):
        return None  # its own screen says what is wrong with it
    left = None if run.is_finished else seconds_left(rows, epochs)
    return {"done": len(rows), "total": epochs, "seconds_left": left}


def seconds_left(rows: Sequence[Mapping[str, float]], epochs: int) -> float | None:
    """Returns how long the epochs that are left will take, by the last ones; None before the first."""
    recent = [row["seconds"] for row in rows][-_LAST:]
    return (epochs - len(rows)) * sum(recent) / len(recent) if recent else None
