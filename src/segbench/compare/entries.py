"""Paths a person names -> entries of a comparison: runs that differ in the seed alone belong together."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.config.run import RunConfig
from segbench.errors import RunError, shorten
from segbench.folders.run import RunFolder
from segbench.folders.study import RunStatus, StudyFolder
from segbench.locale import Message, listed, message
from segbench.speech import action, argument

_SEED_SUFFIX = re.compile(r"[._-]*seed[._-]?\d+$")
# Where a run was made and on what, and the seed: none of it makes another approach. The manifest's hash says which
# data it was.
_PLACES = ("name", "output", "seed", "device", "threads")
_DATA_PLACES = ("path", "cache_dir")


@dataclass(frozen=True, kw_only=True)
class Source:
    """An entry before it is read.

    Attributes:
        name: for people; two sources may have the same one.
        place: what tells them apart then: the study folder, or the folder of the first run.
        factors: in a study; else empty.
        runs: finished ones, one a seed.
    """

    name: str
    place: Path
    factors: Mapping[str, str]
    runs: tuple[RunFolder, ...]


@dataclass(kw_only=True)
class Gathered:
    """What the paths hold: sources in runs and studies, folders that hold neither, the studies, notes for people."""

    sources: list[Source] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    studies: list[StudyFolder] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)

    @property
    def runs(self) -> list[RunFolder]:
        """All runs, in the order of the sources."""
        return [run for source in self.sources for run in source.runs]


def gather(paths: Sequence[str | Path]) -> Gathered:
    """Returns what the paths hold.

    Raises:
        RunError: a path that does not exist, an unfinished or damaged run, a study without a finished one, something
            that is named twice, or two runs of one config with one seed.
    """
    found, loose = Gathered(), list[RunFolder]()
    for path in map(Path, paths):
        study, run = StudyFolder(path), RunFolder(path)
        if not path.is_dir():
            raise RunError("expected the folder of a run, a study or masks, and there is no such folder", run=path)
        if is_study(path):
            found.sources += _entries_of(study, found.notes)
            found.studies.append(study)
        elif run.is_run:
            if not run.is_finished:
                again = f"run {action('train', 'fit')} again to continue it"
                raise RunError(f"this run is not finished; {again}", run=path)
            loose.append(run)
        else:
            found.folders.append(path)
    found.sources += _loose_entries(loose)
    used = Counter(path.resolve() for path in [*(run.path for run in found.runs), *found.folders])
    twice = [str(path) for path, times in used.items() if times > 1]
    if twice:
        raise RunError(f"named twice: {shorten(twice)}; a run is compared once", run=twice[0])
    for source in found.sources:
        _require_different_seeds(source)
    return found


def is_study(path: Path) -> bool:
    """Tells whether a folder is that of a study."""
    return StudyFolder(path).is_study or StudyFolder(path).config_file.is_file()


def result_value(run: RunFolder, key: str) -> Any:
    """Returns what a finished run's result has under a key that a comparison cannot do without.

    Raises:
        RunError: it lacks the key, or the result is damaged.
    """
    result = run.read_result().result
    if key not in result:
        told = f"result.json lacks {key}: it is damaged, or of another version of segbench"
        raise RunError(f"{told}; train the run again with {argument('restart', True)}", run=run.path)
    return result[key]


def _entries_of(study: StudyFolder, notes: list[Message]) -> list[Source]:
    plan = study.read_plan()
    statuses = study.status(plan)
    unfinished = [status for status in statuses if status.state != "finished"]
    if unfinished:
        notes.append(
            message(
                "{n} of {total} runs are not finished: {runs}",
                n=len(unfinished),
                total=len(statuses),
                runs=listed([_told(status) for status in unfinished], 6),
            )
        )
    finished: dict[str, list[RunStatus]] = {}
    for status in statuses:
        if status.state == "finished":
            finished.setdefault(status.run.entry, []).append(status)
    if not finished:
        told = (
            f"none of the {len(statuses)} runs of this study is finished; go on with {action('study run', 'run_study')}"
        )
        raise RunError(told, run=study.path)
    baseline = study.read_config().baseline
    entry = None if baseline is None else plan.entry_of(baseline)
    if baseline is not None and entry not in finished:
        notes.append(
            message("the study's baseline, {name}, has no finished run; nothing is measured against it", name=entry)
        )
    notes += plan.notes
    return [
        Source(
            name=name,
            place=study.path,
            factors=members[0].run.factors,
            runs=tuple(study.run(status.run.id) for status in members),
        )
        for name, members in finished.items()
    ]


def _told(status: RunStatus) -> str:
    return f"{status.run.id} ({status.state})"


def _loose_entries(runs: Sequence[RunFolder]) -> list[Source]:
    """Returns runs grouped by everything that decides weights and scores but the seed."""
    alike: dict[tuple[str, str], list[RunFolder]] = {}
    for run in runs:
        approach = (_approach(run.read_config()), str(result_value(run, "manifest_hash")))
        alike.setdefault(approach, []).append(run)
    sources = []
    for members in alike.values():
        ordered = tuple(sorted(members, key=lambda run: run.read_config().seed))
        sources.append(Source(name=_name_of(members), place=ordered[0].path, factors={}, runs=ordered))
    return sources


def _approach(config: RunConfig) -> str:
    plain = config.to_dict()
    for key in _PLACES:
        plain.pop(key)
    for key in _DATA_PLACES:
        plain["data"].pop(key)
    return json.dumps(plain, sort_keys=True)


def _require_different_seeds(source: Source) -> None:
    """Raises where two runs of one entry have one seed: the same training twice is no second seed."""
    run_of: dict[int, RunFolder] = {}
    for run in source.runs:
        seed = int(result_value(run, "seed"))
        other = run_of.setdefault(seed, run)
        if other is not run:
            told = f"has the config and the seed ({seed}) of {other.path}: a copy, or the same training again, which"
            raise RunError(f"{told} is no second seed. Name only one of them", run=run.path)


def _name_of(members: Sequence[RunFolder]) -> str:
    name = members[0].read_config().run_name
    return _SEED_SUFFIX.sub("", name) or name if len(members) > 1 else name
