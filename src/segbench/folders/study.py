"""The study folder: every run of a study, what was planned, and how far it is.

::

    study.yaml        the study as it was asked, resolved, with the scale that was taken
    registration.json score, margin, looks, seeds and split, written before the first training; see
                      `segbench.folders.registration`
    looks.jsonl       one line a verdict: when, by which score, on which seeds; see `segbench.folders.looks`
    plan.json         run ids with entry, factors, seed and fingerprint; threads; runs at once; the data's content hash
    manifest.json     the data, split: the same for every run; in a cross-validation that of fold 0, and
                      manifest_fold1.json and so on those of the others
    runs/<id>/        run folders, see `segbench.folders.run`
    logs/<id>.log     what a run printed
    failures/<id>.json  why a run failed, how often it was tried

How far a run is follows from its folder alone, so nothing has to be kept in step and a killed study resumes.
Knows nothing of torch.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

from segbench.config.study import BegunKey, Plan, PlannedRun, StudyConfig, begun_key, expand, load_study
from segbench.config.study_plan import display_names
from segbench.config.text import write_yaml
from segbench.errors import ConfigError, RunError, shorten
from segbench.files import write_json, write_text
from segbench.folders.entries import find_entry
from segbench.folders.registration import changed_since, make_registration, read_registration
from segbench.folders.run import FinishedRun, RunFolder, different_settings
from segbench.locale import Message, message
from segbench.metrics.families import lower_is_better
from segbench.speech import action, argument

State: TypeAlias = Literal["finished", "running", "stopped", "failed", "waiting"]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run failed.

    Attributes:
        error: one or two sentences.
        kind: `refused`: segbench said no (a wrong value, no data, a loss that is not finite); `crashed`: the process
            ended or raised something unexpected.
        attempts: how often it was tried.
    """

    error: str
    kind: Literal["refused", "crashed"]
    attempts: int


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """How far one run is.

    Attributes:
        run: what was planned.
        state: `stopped` means begun and not finished, and nobody works on it.
        epoch, epochs: finished, of planned; an early stop finishes with fewer.
        best: best validation value of the monitored score so far; NaN before the first epoch.
        seconds: spent in finished epochs.
        seconds_left: from the mean of the run's own last epochs; NaN where none is finished.
        failure: why it failed, where it did.
        damage: what is wrong with its files, where something is; epochs and times are not known then.
        alerts: what was told while it trained: code, epoch, sentence and advice of each.
        collapsed: it is finished and predicts one class only, so its score says nothing about the network.
    """

    run: PlannedRun
    state: State
    epoch: int
    epochs: int
    best: float
    seconds: float
    seconds_left: float
    failure: Failure | None = None
    damage: str = ""
    alerts: tuple[Mapping[str, Any], ...] = ()
    collapsed: bool = False


@dataclass(frozen=True)
class StudyFolder:
    """Paths and plain files of a study. Reading what is missing or broken raises RunError that says what to do.

    Example:
        >>> import segbench
        >>> for status in segbench.StudyFolder("runs/my_study").status():  # doctest: +SKIP
        ...     print(status.run.id, status.state)
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """The study as it was asked."""
        return self.path / "study.yaml"

    @property
    def plan_file(self) -> Path:
        """What was planned."""
        return self.path / "plan.json"

    @property
    def registration_file(self) -> Path:
        """What was said before the first training."""
        return self.path / "registration.json"

    @property
    def looks_file(self) -> Path:
        """One line a verdict."""
        return self.path / "looks.jsonl"

    @property
    def manifest_file(self) -> Path:
        """The data of every run."""
        return self.path / "manifest.json"

    def manifest_file_of(self, fold: int | None) -> Path:
        """The data of the runs of one fold; None and 0: `manifest_file`."""
        return self.path / f"manifest_fold{fold}.json" if fold else self.manifest_file

    @property
    def is_study(self) -> bool:
        """True when a study was started here."""
        return self.plan_file.is_file()

    def run(self, run_id: str) -> RunFolder:
        """Returns the folder of a run."""
        return RunFolder(self.path / "runs" / run_id)

    def log_file(self, run_id: str) -> Path:
        """What the process of a run printed."""
        return self.path / "logs" / f"{run_id}.log"

    def failure_file(self, run_id: str) -> Path:
        """Why a run failed; not there as long as it did not."""
        return self.path / "failures" / f"{run_id}.json"

    def read_config(self) -> StudyConfig:
        """Returns the study that was started here."""
        if not self.config_file.is_file():
            message = "this is no study folder: there is no study.yaml in it; give a folder that"
            raise RunError(f"{message} {action('study run', 'run_study')} wrote", run=self.path)
        return load_study(self.config_file, recorded=True)

    def read_plan(self) -> Plan:
        """Returns the study's runs, their outputs in this folder, wherever it was moved to.

        A study that an earlier version began stays readable: its runs keep the ids that `plan.json` gives them.
        """
        study = self.read_config()
        begun: dict[BegunKey, str] = {}
        with contextlib.suppress(RunError):  # the study itself tells its runs; plan.json knows ids of earlier versions
            for run_id, about in self.read_facts()["runs"].items():
                begun[begun_key(about["entry"], about["seed"], about.get("fold"))] = run_id
        return expand(study.model_copy(update={"output": str(self.path)}), begun=begun)

    def finished_runs(self, entry: str) -> list[Path]:
        """Returns the folders of an entry's finished runs: those of its seeds.

        Args:
            entry: its name, or what verdicts and reports call it.
        Raises:
            RunError: there is no such entry (lists all), several are called so, or none of its runs is finished.
        """
        runs = self.read_plan().runs
        names = display_names({run.entry: run.factors for run in runs}, self.read_config().labels)
        name = find_entry(entry, names, self.path)
        folders = [self.run(run.id) for run in runs if run.entry == name]
        finished = [folder.path for folder in folders if folder.is_finished]
        if not finished:
            raise RunError(f"no run of {name!r} is finished; run `segbench study run` again", run=self.path)
        return finished

    def read_facts(self) -> dict[str, Any]:
        """Returns `plan.json`."""
        try:
            facts = json.loads(self.plan_file.read_text(encoding="utf-8"))
            facts["manifest_hash"], facts["threads"]
            [(about["entry"], about["seed"]) for about in facts["runs"].values()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"plan.json cannot be read ({type(error).__name__}: {error})"
            again = f"run {action('study run', 'run_study')} again"
            raise RunError(f"{message}; {again}", run=self.path) from error
        result: dict[str, Any] = facts
        return result

    def claim(
        self,
        study: StudyConfig,
        plan: Plan,
        *,
        manifest_hash: str,
        threads: int,
        engine: str,
        workers: int | None = None,
        fold_hashes: Sequence[str] = (),
    ) -> None:
        """Writes study and plan, after making sure that what was trained here before is part of the same study.

        Values may be added or left out; a run that was begun keeps its settings and its data. What the verdict will be
        made by is registered before the first training, and stays as it was then.

        Args:
            study, plan: as they are asked now.
            manifest_hash: content hash of the data with their split.
            threads: CPU threads of a run.
            engine: that trains the runs.
            workers: most runs at once; None leaves what was noted before.
            fold_hashes: in a cross-validation, the content hash of every fold's data; `manifest_hash` is the first.
        Raises:
            ConfigError: a begun run has other settings now (names the keys), or the data changed.
            RunError: a begun run saw other data than the study's.
        """
        before: Mapping[str, Any] = {}
        if self.is_study:
            before = facts = self.read_facts()
            self.require_threads(threads, plan)
            if facts["manifest_hash"] != manifest_hash and any(self.run(run_id).is_run for run_id in facts["runs"]):
                message = "the data or its split changed since the first run; new scores could not be compared with old"
                raise ConfigError(f"{self.path}: {message} ones. Undo the change or choose another output", key="data")
        self.require_same_data(plan, manifest_hash, fold_hashes)
        for run in plan.runs:
            self._require_same(run)
        registered = self._register(study, plan, manifest_hash, before)
        write_text(self.config_file, write_yaml(study.to_dict()))
        runs = {
            run.id: {
                "entry": run.entry,
                "factors": dict(run.factors),
                "seed": run.seed,
                **({} if run.fold is None else {"fold": run.fold}),
                "fingerprint": run.config.fingerprint(),
            }
            for run in plan.runs
        }
        facts = {
            "manifest_hash": manifest_hash,
            **({"fold_hashes": list(fold_hashes)} if fold_hashes else {}),
            "threads": threads,
            "engine": engine,
            "workers": max((number for number in (workers, before.get("workers")) if number), default=None),
            "registration": registered,
            "notes": plan.notes,
            "runs": runs,
        }
        write_json(self.plan_file, facts)

    def _register(self, study: StudyConfig, plan: Plan, manifest_hash: str, before: Mapping[str, Any]) -> str | None:
        """Returns the hash of the registration, which is written as long as nothing was begun, or where none is.

        The hash that was noted first stays, so that a registration that is edited later differs from it.
        """
        begun = sum(self.run(run_id).is_run for run_id in {*before.get("runs", ()), *(run.id for run in plan.runs)})
        if begun and (self.registration_file.is_file() or before.get("registration")):
            noted: str | None = before.get("registration")
            return noted
        registration = make_registration(study, plan, manifest_hash, begun=begun)
        write_json(self.registration_file, registration)
        return str(registration["hash"])

    def changed_since_registration(self, study: StudyConfig, plan: Plan, manifest_hash: str) -> list[Message] | None:
        """Returns a sentence for everything that was not said before the first training, or is another thing now.

        None: nothing was registered, since an earlier version began the study.

        Raises:
            RunError: `registration.json` or `plan.json` cannot be read.
        """
        registration, noted = read_registration(self.registration_file), self.read_facts().get("registration")
        if registration is None and noted is None:
            return None
        if registration is None:
            return [
                message(
                    "registration.json is gone (SHA-256 {hash}): what was planned before the first training can no "
                    "longer be told; put it back from where you keep copies",
                    hash=str(noted)[:12],
                )
            ]
        return changed_since(registration, study, plan, manifest_hash, noted=noted)

    def _require_same(self, run: PlannedRun) -> None:
        """Raises where a begun run has other settings; where its data lie is no setting, their content was compared."""
        folder = self.run(run.id)
        if not folder.config_file.is_file() or not self._is_begun(run):
            return  # `fit` may write over it
        told = different_settings(folder.read_config(), run.config, same_samples=True)
        if told:
            message = f"the run {run.id} was begun with other settings ({shorten(told)})"
            raise ConfigError(f"{message}; choose another output, or delete {folder.path}", key="base")

    def _is_begun(self, run: PlannedRun) -> bool:
        """Tells whether a run has something to lose: an epoch, or its result."""
        folder = self.run(run.id)
        return folder.last_file.is_file() or folder.is_finished

    def require_threads(self, threads: int, plan: Plan) -> None:
        """Raises where begun runs had another number of CPU threads than new ones are to have.

        Raises:
            ConfigError: they had; on a CPU another number adds up in another order, and times cannot be compared.
        """
        if not self.is_study:
            return
        before = self.read_facts()["threads"]
        if threads != before and any(self._is_begun(run) for run in plan.runs):
            message = f"the runs of this study were begun with {before} CPU threads each, got {threads}: their numbers"
            asked = argument("threads")
            advice = f"and times would not be alike; leave {asked} out or give {before}, or choose another output"
            raise ConfigError(f"{message} {advice}", key=asked)

    def require_same_data(self, plan: Plan, manifest_hash: str, fold_hashes: Sequence[str] = ()) -> None:
        """Raises unless all begun runs were trained on the study's data, in a cross-validation those of their fold.

        Raises:
            RunError: some were not (names them).
        """
        hashes = fold_hashes or (manifest_hash,)
        begun = [(run.id, hashes[run.fold or 0]) for run in plan.runs if self._is_begun(run)]
        others = [name for name, wanted in begun if self.run(name).read_facts().get("manifest_hash") != wanted]
        if others:
            raise RunError(
                f"{shorten(others)} saw other data or another split than the study's manifest.json, so their scores "
                "cannot be compared with the rest; delete these run folders and run the study again",
                run=self.path,
            )

    def read_failure(self, run_id: str) -> Failure | None:
        """Returns why a run failed; None where it did not."""
        try:
            plain = json.loads(self.failure_file(run_id).read_text(encoding="utf-8"))
            return Failure(error=plain["error"], kind=plain["kind"], attempts=plain["attempts"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Failure(error=f"the note about the failure cannot be read: {error}", kind="crashed", attempts=1)

    def write_failure(self, run_id: str, failure: Failure) -> None:
        """Notes why a run failed."""
        write_json(
            self.failure_file(run_id), {"error": failure.error, "kind": failure.kind, "attempts": failure.attempts}
        )

    def forget_failure(self, run_id: str) -> None:
        """Deletes the note, before a run is tried again."""
        self.failure_file(run_id).unlink(missing_ok=True)

    def status(self, plan: Plan | None = None) -> tuple[RunStatus, ...]:
        """Returns how far every run is, from the files alone."""
        return tuple(self._status(run) for run in (plan or self.read_plan()).runs)

    def _status(self, run: PlannedRun) -> RunStatus:
        folder, failure = self.run(run.id), self.read_failure(run.id)
        history, damage = _read_history(folder, run.config.monitor)
        seconds = [row["seconds"] for row in history]
        epochs = folder.planned_epochs(run.config)
        state: State = "waiting"
        if folder.is_finished:
            state = "finished"
        elif folder.is_locked():
            state = "running"
        elif failure is not None:
            state = "failed"
        elif folder.is_run:
            state = "stopped"
        values = [row[f"val_{run.config.monitor}"] for row in history]
        finite = [value for value in values if not math.isnan(value)]
        best = (min if lower_is_better(run.config.monitor) else max)(finite, default=math.nan)
        recent = seconds[-5:]
        left = math.nan if not recent else (epochs - len(history)) * math.fsum(recent) / len(recent)
        try:
            alerts, collapsed = tuple(folder.read_alerts()), folder.is_collapsed
        except RunError as error:
            alerts, collapsed, damage = (), False, damage or error.reason
        return RunStatus(
            run=run,
            state=state,
            epoch=len(history),
            epochs=epochs,
            best=best,
            seconds=math.fsum(seconds),
            seconds_left=0.0 if state == "finished" else left,
            failure=None if state == "finished" else failure,
            damage=damage,
            alerts=alerts,
            collapsed=collapsed,
        )


@dataclass(frozen=True)
class ReadStudy(StudyFolder):
    """A study that is only read, at one moment: each of its files once, however often it is asked for."""

    def read_config(self) -> StudyConfig:
        """Returns the study that was started here."""
        return self._config

    def read_plan(self) -> Plan:
        """Returns the study's runs."""
        return self._plan

    def run(self, run_id: str) -> FinishedRun:
        """Returns the folder of a run, which is read once, too."""
        return self._runs.setdefault(run_id, FinishedRun(super().run(run_id).path))

    def status(self, plan: Plan | None = None) -> tuple[RunStatus, ...]:
        """Returns how far every run was when it was asked for the first time."""
        return self.statuses if plan is None or plan is self._plan else super().status(plan)

    @cached_property
    def statuses(self) -> tuple[RunStatus, ...]:
        """How far every run is."""
        return super().status(self._plan)

    @cached_property
    def _config(self) -> StudyConfig:
        return super().read_config()

    @cached_property
    def _plan(self) -> Plan:
        return super().read_plan()

    @cached_property
    def _runs(self) -> dict[str, FinishedRun]:
        return {}


def _read_history(folder: RunFolder, monitor: str) -> tuple[list[dict[str, float]], str]:
    """Returns the rows of a run's `metrics.csv`, and what is wrong with it; one damaged run stops no other."""
    try:
        history = folder.read_history()
    except RunError as error:
        return [], error.reason
    missing = [key for key in ("seconds", f"val_{monitor}") if history and key not in history[0]]
    if missing:
        return [], f"metrics.csv has no column {' and no column '.join(missing)}; it is damaged"
    return history, ""
