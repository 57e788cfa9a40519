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
from segbench.folders.run import FinishedRun, RunFolder
from segbench.folders.study import ReadStudy, RunStatus, StudyFolder
from segbench.locale import Message, listed, message, plural
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
        planned: trainings that its study plans for it; of runs that were named one by one, as many as there are.
        failed: trainings among them that ended in an error.
        folds: of a cross-validation: the fold that each run has as test part; empty for others.
    """

    name: str
    place: Path
    factors: Mapping[str, str]
    runs: tuple[FinishedRun, ...]
    planned: int = 0
    failed: int = 0
    folds: tuple[int, ...] = ()


@dataclass(kw_only=True)
class Gathered:
    """What the paths hold: sources in runs and studies, folders that hold neither, the studies, notes for people.

    Problems are what stands before a verdict: runs that are missing, what was changed after the registration. Unjudged
    are the entries of studies that have no finished run.
    """

    sources: list[Source] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    studies: list[ReadStudy] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)
    problems: list[Message] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[FinishedRun]:
        """All runs, in the order of the sources."""
        return [run for source in self.sources for run in source.runs]


def gather(paths: Sequence[str | Path]) -> Gathered:
    """Returns what the paths hold.

    Raises:
        RunError: a path that does not exist, an unfinished or damaged run, a study without a finished one, something
            that is named twice, or two runs of one config with one seed.
    """
    found, loose = Gathered(), list[FinishedRun]()
    for path in map(Path, paths):
        run = FinishedRun(path)
        if not path.is_dir():
            raise RunError("expected the folder of a run, a study or masks, and there is no such folder", run=path)
        if is_study(path):
            study = ReadStudy(path)
            found.sources += _entries_of(study, found)
            found.studies.append(study)
        elif run.is_run:
            if not run.is_finished:
                again = f"run {action('train', 'fit')} again to continue it"
                raise RunError(f"this run is not finished; {again}", run=path)
            loose.append(run)
        else:
            found.folders.append(path)
    found.sources += _loose_entries(loose)
    found.problems += _picked(loose)
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


def _entries_of(study: ReadStudy, found: Gathered) -> list[Source]:
    plan, statuses, notes = study.read_plan(), study.statuses, found.notes
    found.problems += [*_missing(study, statuses, found.unjudged), *_unplanned(study, statuses)]
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
            planned=len(plan.entries[name]),
            failed=sum(status.state == "failed" for status in statuses if status.run.entry == name),
            folds=tuple(status.run.fold for status in members if status.run.fold is not None),
        )
        for name, members in finished.items()
    ]


def _unplanned(study: StudyFolder, statuses: Sequence[RunStatus]) -> list[Message]:
    """Returns that runs lie in the study's folder that it does not plan, and that therefore count nowhere."""
    planned = {status.run.id for status in statuses}
    folders = sorted(path for path in (study.path / "runs").glob("*") if path.name not in planned)
    unplanned = [path.name for path in folders if RunFolder(path).is_run]
    if not unplanned:
        return []
    return [
        plural(
            "{n:,} run lies in the folder of this study, which does not plan it, so it counts nowhere: {runs}",
            "{n:,} runs lie in the folder of this study, which does not plan them, so they count nowhere: {runs}",
            n=len(unplanned),
            runs=listed(unplanned, 6),
        )
    ]


def _missing(study: StudyFolder, statuses: Sequence[RunStatus], unjudged: list[str]) -> list[Message]:
    """Returns what a reader must know about runs without a result: failed, unfinished, or begun and deleted.

    Adds the entries without any to `unjudged`.
    """
    unfinished = [status for status in statuses if status.state != "finished"]
    told = []
    if unfinished:
        told.append(
            plural(
                "{n:,} of {total} runs has no result, so its entry is judged by fewer trainings: {runs}",
                "{n:,} of {total} runs have no result, so their entries are judged by fewer trainings: {runs}",
                n=len(unfinished),
                total=len(statuses),
                runs=listed([f"{status.run.id} ({status.state})" for status in unfinished], 6),
            )
        )
    without = list(dict.fromkeys(status.run.entry for status in unfinished))
    for status in statuses:
        if status.state == "finished" and status.run.entry in without:
            without.remove(status.run.entry)
    unjudged += without
    if without:
        told.append(message("not judged at all, since no run of it is finished: {names}", names=listed(without, 6)))
    deleted = [
        status.run.id
        for status in unfinished
        if study.log_file(status.run.id).is_file() and not study.run(status.run.id).is_run and status.failure is None
    ]
    if deleted:
        told.append(
            message(
                "begun, as their logs say, and their folders are gone: {runs}; a result that is left out changes the "
                "verdict, so train them again",
                runs=listed(deleted, 6),
            )
        )
    return told


def _loose_entries(runs: Sequence[FinishedRun]) -> list[Source]:
    """Returns runs grouped by everything that decides weights and scores but the seed."""
    alike: dict[tuple[str, str], list[FinishedRun]] = {}
    for run in runs:
        approach = (_approach(run.read_config()), str(result_value(run, "manifest_hash")))
        alike.setdefault(approach, []).append(run)
    sources = []
    for members in alike.values():
        ordered = tuple(sorted(members, key=lambda run: run.read_config().seed))
        sources.append(
            Source(name=_name_of(members), place=ordered[0].path, factors={}, runs=ordered, planned=len(ordered))
        )
    return sources


def _picked(runs: Sequence[FinishedRun]) -> list[Message]:
    """Returns that runs were picked out of a study, which has more: the others may say something else."""
    chosen = Counter(folder for run in runs if (folder := run.path.resolve().parent).name == "runs")
    return [
        plural(
            "{n:,} run was picked out of the {total} of {study}: not the verdict that the study was made for",
            "{n:,} runs were picked out of the {total} of {study}: not the verdict that the study was made for",
            n=count,
            total=len(study.read_facts()["runs"]),
            study=folder.parent.name,
        )
        for folder, count in chosen.items()
        if (study := StudyFolder(folder.parent)).is_study and count < len(study.read_facts()["runs"])
    ]


def _approach(config: RunConfig) -> str:
    plain = config.to_dict()
    for key in _PLACES:
        plain.pop(key)
    for key in _DATA_PLACES:
        plain["data"].pop(key)
    return json.dumps(plain, sort_keys=True)


def _require_different_seeds(source: Source) -> None:
    """Raises where two runs of one entry have one seed: the same training twice is no second seed."""
    run_of: dict[tuple[int, int | None], RunFolder] = {}
    for run, fold in zip(source.runs, source.folds or (None,) * len(source.runs), strict=True):
        seed = int(result_value(run, "seed"))
        other = run_of.setdefault((seed, fold), run)
        if other is not run:
            told = f"has the config and the seed ({seed}) of {other.path}: a copy, or the same training again, which"
            raise RunError(f"{told} is no second seed. Name only one of them", run=run.path)


def _name_of(members: Sequence[RunFolder]) -> str:
    name = members[0].read_config().run_name
    return _SEED_SUFFIX.sub("", name) or name if len(members) > 1 else name
