"""Paths a person names -> entries of a comparison: runs that differ in the seed alone belong together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.errors import RunError, shorten
from segbench.runs import RunFolder
from segbench.studies import RunStatus, StudyFolder

_SEED_SUFFIX = re.compile(r"[._-]*seed[._-]?\d+$")


@dataclass(frozen=True, kw_only=True)
class Source:
    """An entry before it is read: its name, its factors in a study, and its finished runs, one a seed."""

    name: str
    factors: Mapping[str, str]
    runs: tuple[RunFolder, ...]


def gather(
    paths: Sequence[str | Path],
) -> tuple[list[Source], list[Path], list[str]]:
    """Returns the sources in runs and studies, the folders that hold neither, and notes for the reader.

    Raises:
        RunError: a path that does not exist, an unfinished or damaged run, a study without a finished one, or a run
            that is named twice.
    """
    sources: list[Source] = []
    loose: list[RunFolder] = []
    folders: list[Path] = []
    notes: list[str] = []
    for path in map(Path, paths):
        study, run = StudyFolder(path), RunFolder(path)
        if not path.is_dir():
            raise RunError("expected the folder of a run, a study or masks, and there is no such folder", run=path)
        if study.is_study or study.config_file.is_file():
            sources += _entries_of(study, notes)
        elif run.is_run:
            if not run.is_finished:
                raise RunError("this run is not finished; run `segbench train` again to continue it", run=path)
            loose.append(run)
        else:
            folders.append(path)
    sources += _loose_entries(loose)
    used = Counter(run.path.resolve() for source in sources for run in source.runs)
    twice = [str(path) for path, times in used.items() if times > 1]
    if twice:
        raise RunError(f"named twice: {shorten(twice)}; a run is compared once", run=twice[0])
    return sources, folders, notes


def _entries_of(study: StudyFolder, notes: list[str]) -> list[Source]:
    plan = study.read_plan()
    statuses = study.status(plan)
    unfinished = [status for status in statuses if status.state != "finished"]
    if unfinished:
        notes.append(
            f"{len(unfinished)} of {len(statuses)} runs are not finished: {shorten(map(_told, unfinished), 6)}"
        )
    finished: dict[str, list[RunStatus]] = {}
    for status in statuses:
        if status.state == "finished":
            finished.setdefault(status.run.entry, []).append(status)
    if not finished:
        message = f"none of the {len(statuses)} runs of this study is finished; go on with `segbench study run`"
        raise RunError(message, run=study.path)
    notes += plan.notes
    return [
        Source(
            name=name,
            factors=members[0].run.factors,
            runs=tuple(study.run(status.run.id) for status in members),
        )
        for name, members in finished.items()
    ]


def _told(status: RunStatus) -> str:
    return f"{status.run.id} ({status.state})"


def _loose_entries(runs: Sequence[RunFolder]) -> list[Source]:
    """Returns runs grouped by everything in their config but the seed."""
    alike: dict[str, list[RunFolder]] = {}
    for run in runs:
        alike.setdefault(run.read_config().model_copy(update={"seed": 0}).fingerprint(), []).append(run)
    return [
        Source(
            name=_name_of(members),
            factors={},
            runs=tuple(sorted(members, key=lambda run: run.read_config().seed)),
        )
        for members in alike.values()
    ]


def _name_of(members: Sequence[RunFolder]) -> str:
    name = members[0].read_config().run_name
    return _SEED_SUFFIX.sub("", name) or name if len(members) > 1 else name
