"""From a study to finished runs: check, prepare the data once, train what is missing, verify."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.compare.image_scores import check_score, needs_outlines
from segbench.config.study import Plan, PlannedRun, StudyConfig, expand, load_study, parse_study
from segbench.data.manifest.manifest import Manifest
from segbench.data.samples.decoded import decode_samples, zoom_wanted
from segbench.errors import ConfigError, DatasetError, RunError, SegbenchError, shorten
from segbench.folders.registration import read_registration
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.speech import argument
from segbench.study.engine import Engine, Machine, make_engine
from segbench.study.live import StudyCallback
from segbench.study.worker import Task
from segbench.train.check import check_config, check_task
from segbench.train.prepare import read_and_split
from segbench.types import ClassMap

_SECONDS_FOR_ORPHANS = 10.0


def run_study(
    study: StudyConfig | Mapping[str, Any] | str | Path,
    *,
    scale: str = "",
    engine: str | Engine = "local",
    address: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    watch: StudyCallback | None = None,
    retry_failed: bool = True,
) -> StudyFolder:
    """Trains every run of a study that is not finished, and returns its folder; killed anywhere, it goes on from there.

    A run that fails is noted in the folder (`StudyFolder.status` tells) and does not stop the others. In a script, call
    it below `if __name__ == "__main__":`, since the runs are processes of their own.

    Args:
        study: what to train: a `StudyConfig`, a mapping of its keys, or the path of its YAML file.
        scale: one of the scales in that file; empty takes the full size.
        engine: a name of `ENGINES`, or an engine.
        address: of a running cluster.
        workers: runs at once; None takes one a GPU where the runs use GPUs, else one a core.
        threads: CPU threads of a run; None takes those of earlier runs of this study, else divides the cores evenly.
        watch: told about progress; None says nothing.
        retry_failed: False leaves runs alone that failed before.
    Raises:
        ConfigError: something is wrong with a run (all problems of all runs at once), or a begun run or the data has
            other settings now.
        DatasetError: the data cannot be read, or changed since the study was started.
        RunError: files of the study are broken, another process works on it, the engine cannot be reached, or finished
            runs turn out to have seen other data.

    Example:
        >>> import segbench
        >>> study = segbench.run_study("studies/upsampling.yaml", scale="small")  # doctest: +SKIP
        >>> print(*segbench.compare_runs(study.path).sentences(), sep="\\n")  # doctest: +SKIP
    """
    _require_main_guard()
    study = _as_study(study, scale)
    for key, number in ((argument("workers"), workers), (argument("threads"), threads)):
        if number is not None and number < 1:
            raise ConfigError(f"expected at least 1, got {number}", key=key)
    plan = expand(study)
    folder = StudyFolder(study.study_folder)
    watch = watch or StudyCallback()
    engine = make_engine(engine, address) if isinstance(engine, str) else engine
    check_runs(folder, plan, study.score)
    try:
        with RunFolder(folder.path).locked(busy="another process works on this study"):
            _Session(study, plan, folder, engine, watch).run(workers, threads, retry_failed)
    finally:
        watch.close()
    return folder


def _as_study(study: StudyConfig | Mapping[str, Any] | str | Path, scale: str) -> StudyConfig:
    if isinstance(study, str | Path):
        return load_study(study, scale=scale)
    if scale:
        raise ConfigError(f"a scale is taken from a study's file, got {scale!r} with a study that was read already")
    return study if isinstance(study, StudyConfig) else parse_study(study)


def _require_main_guard() -> None:
    """Raises in a worker that imports a script which starts a study as soon as it is imported."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # what multiprocessing itself goes by
        raise RunError(
            "the script that runs the study is imported by every worker, and would start it again there; put the call "
            'below `if __name__ == "__main__":`'
        )


def check_runs(folder: StudyFolder, plan: Plan, score: str) -> None:
    """Raises for everything that is wrong with the runs that are still to do, all at once, before anything is read.

    Raises:
        ConfigError: the score is none that decides, or would not be measured; or problems, each with the runs that
            have it.
        SegbenchError: a single problem, of its own class.
        RunError: a finished run whose result cannot be read.
    """
    check_score(score)
    todo = [run for run in plan.runs if not folder.run(run.id).is_finished]
    for run in plan.runs:
        if run not in todo:
            _read_result(folder.run(run.id))
    unmeasured = [run.id for run in todo if not run.config.scores.surface]
    if unmeasured and needs_outlines(score):
        message = f"{score} is measured between outlines, which {shorten(unmeasured, 3)} would not measure"
        raise ConfigError(f"{message}; set scores.surface to true, or take another score", key="score")
    _raise_all(
        todo, lambda run: check_config(run.config, weights_must_exist=not folder.run(run.id).last_file.is_file())
    )


def check_data(runs: Sequence[PlannedRun], score: str, classes: ClassMap) -> None:
    """Raises for everything that the classes and the task of the data do not allow, before anything trains.

    Raises:
        ConfigError: the score names a class that there is not; or problems, each with the runs that have it.
    """
    check_score(score, classes)
    _raise_all(runs, lambda run: check_task(run.config, classes.task))


def check_test_part(manifest: Manifest, plan: Plan) -> None:
    """Raises where nothing could be said about the entries of a study, however long they train.

    Raises:
        DatasetError: the test part has a single image, or a single group (patient, scene).
    """
    test = manifest.split("test")
    if plan.runs[0].fold is not None:  # the folds are its test part together, and each has a group of its own
        return
    if len(plan.entries) < 2 or len({sample.group or f"\0{sample.id}" for sample in test}) > 1:
        return
    what = "a single image" if len(test) < 2 else f"{len(test)} images of a single group, {test[0].group!r}"
    units = "images" if len(test) < 2 else "groups"
    raise DatasetError(
        f"the test part has {what}: how entries differ on other {units} cannot be told from it, and a verdict needs "
        "two or more, better twenty. Give the test part a larger share (data.split.ratios), or more data; nothing was "
        "trained",
        path=manifest.root,
    )


def _raise_all(runs: Sequence[PlannedRun], check: Callable[[PlannedRun], None]) -> None:
    """Checks every run and raises for all problems at once; a single one keeps its own class."""
    found: dict[str, tuple[SegbenchError, list[str]]] = {}
    for run in runs:
        try:
            check(run)
        except SegbenchError as error:
            found.setdefault(str(error), (error, []))[1].append(run.id)
    if len(found) == 1:
        raise next(iter(found.values()))[0]
    if found:
        listed = "".join(f"\n  {text} ({shorten(ids, 3)})" for text, (_, ids) in found.items())
        raise ConfigError(f"{len(found)} problems in the runs of this study, and nothing was trained:{listed}")


def _read_result(run: RunFolder) -> None:
    try:
        run.read_result()
        run.read_facts()
    except RunError as error:
        advice = "delete its result.json and it is scored again, or delete the folder and it is trained again"
        raise RunError(f"this run counts as finished, but {error.reason}; {advice}", run=run.path) from error


def default_workers(plan: Plan, machine: Machine) -> int:
    """Returns how many runs at once: one a GPU where any run uses one, else one a core, and never more than runs."""
    on_gpu = machine.gpus > 0 and any(run.config.device != "cpu" for run in plan.runs)
    return max(1, min(len(plan.runs), machine.gpus if on_gpu else machine.cores))


@dataclass(frozen=True)
class _Session:
    """One call of `run_study`, the study folder being its own."""

    study: StudyConfig
    plan: Plan
    folder: StudyFolder
    engine: Engine
    watch: StudyCallback

    def run(self, workers: int | None, threads: int | None, retry_failed: bool) -> None:
        facts = self._read_facts()
        if threads is not None:
            self.folder.require_threads(threads, self.plan)
        todo = [run for run in self.plan.runs if self._is_to_do(run, retry_failed)]
        if facts is not None and not todo:
            names = {key: facts[key] for key in ("manifest_hash", "threads", "engine", "fold_hashes") if key in facts}
            self.folder.claim(self.study, self.plan, **names)
            self.watch.message("every run is finished or was given up already; nothing to train")
            return
        machine = self.engine.machine()
        self._require_devices(machine)
        at_once = workers or default_workers(self.plan, machine)
        threads = threads or (facts["threads"] if facts else None) or max(1, machine.cores // at_once)
        at_once = min(at_once, len(todo))
        manifests = self._prepare(threads, at_once, todo)
        self._wait_for_orphans(todo)
        self._decode(manifests[0], todo)
        for run in todo:
            self.folder.forget_failure(run.id)
        tasks = [self._task(run, threads) for run in todo]
        self.watch.message(
            f"{len(tasks)} of {len(self.plan.runs)} runs to train, {at_once} at once, CPU threads each: {threads}; "
            f"length of a run: {' or '.join(self.plan.lengths)}; everything goes to {self.folder.path}"
        )
        self.engine.run(tasks, workers=at_once, on_tick=self._tick)
        hashes = [manifest.content_hash for manifest in manifests]
        self.folder.require_same_data(self.plan, hashes[0], hashes if len(hashes) > 1 else ())

    def _tick(self) -> None:
        self.watch.update(self.folder.status(self.plan))

    def _is_to_do(self, run: PlannedRun, retry_failed: bool) -> bool:
        if self.folder.run(run.id).is_finished:
            return False
        return retry_failed or self.folder.read_failure(run.id) is None

    def _read_facts(self) -> dict[str, Any] | None:
        """Returns what `plan.json` says; None where no study was started here."""
        if not self.folder.is_study:
            return None
        try:
            return self.folder.read_facts()
        except RunError as error:
            message = f"{error.reason.partition(';')[0]}; delete {self.folder.plan_file} and run the study again: runs"
            raise RunError(f"{message} that were begun keep their settings and data", run=self.folder.path) from error

    def _require_devices(self, machine: Machine) -> None:
        wanting = [run.id for run in self.plan.runs if run.config.device in ("cuda", "mps")]
        if wanting and not machine.gpus:
            message = f"{shorten(wanting, 3)} want {self.plan.runs[0].config.device}, and there is no GPU here"
            raise ConfigError(f"{message}; set device to auto or cpu", key="device")

    def _prepare(self, threads: int, workers: int, todo: Sequence[PlannedRun]) -> list[Manifest]:
        """Returns the manifests in the study folder, one a fold, after it was claimed for this study and this data."""
        of_fold = {run.fold: run.config.data for run in reversed(self.plan.runs)}
        folds = sorted(of_fold, key=lambda fold: fold or 0)
        manifests = [read_and_split(of_fold[fold], self.watch, tell_notes=not fold) for fold in folds]
        manifest = manifests[0]
        for note in self.plan.notes:
            self.watch.message(f"note: {note}")
        check_data(todo, self.study.score, manifest.class_map)
        check_test_part(manifest, self.plan)
        is_new = not self.folder.registration_file.is_file()
        self.folder.claim(
            self.study,
            self.plan,
            manifest_hash=manifest.content_hash,
            threads=threads,
            engine=self.engine.name,
            workers=workers,
            fold_hashes=[each.content_hash for each in manifests] if len(manifests) > 1 else (),
        )
        if is_new:
            registration = read_registration(self.folder.registration_file)
            digest = "" if registration is None else registration["hash"]
            self.watch.message(f"registered before the first training: registration.json, SHA-256 {digest}")
        return [self._kept(fold, each) for fold, each in zip(folds, manifests, strict=True)]

    def _kept(self, fold: int | None, manifest: Manifest) -> Manifest:
        """Returns the manifest of a fold that lies in the study folder, after it was written where it has to be."""
        file = self.folder.manifest_file_of(fold)
        try:
            there = Manifest.read(file)
            if (there.content_hash, there.root) == (manifest.content_hash, manifest.root):
                return there
        except DatasetError:  # not there yet, or broken: it is made from the data, whose hash was compared already
            pass
        manifest.write(file)
        return manifest

    def _wait_for_orphans(self, todo: Sequence[PlannedRun]) -> None:
        """Waits for workers of a study that was killed a moment ago: they end by themselves."""
        deadline = time.monotonic() + _SECONDS_FOR_ORPHANS
        while any(self.folder.run(run.id).is_locked() for run in todo) and time.monotonic() < deadline:
            time.sleep(0.1)

    def _decode(self, manifest: Manifest, todo: Sequence[PlannedRun]) -> None:
        """Fills the caches of decoded samples, which the workers would otherwise wait for each other to fill."""
        wanted = {  # one of the configs that ask for the same
            (data.size, data.cache_dir, zoom_wanted(data.augment, data.size, manifest), data.patch): data
            for data in (run.config.data for run in todo)
        }
        for data in wanted.values():
            decode_samples(data, manifest, progress=self.watch.progress)

    def _task(self, run: PlannedRun, threads: int) -> Task:
        return Task(
            study=str(self.folder.path.absolute()),
            run_id=run.id,
            config=run.config.to_dict(),
            manifest=str(self.folder.manifest_file_of(run.fold).absolute()),
            threads=threads,
        )
