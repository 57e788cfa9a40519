"""The study folder: every run of a study, what was planned, and how far it is.

::

    study.yaml        the study as it was asked, resolved, with the scale that was taken
    plan.json         run ids with entry, factors, seed and fingerprint; threads a run; the data's content hash
    manifest.json     the data, split: the same for every run
    probe.json        measured seconds of a training step, what the time was estimated from
    runs/<id>/        run folders, see `segbench.runs`
    logs/<id>.log     what a run printed
    failures/<id>.json  why a run failed, how often it was tried

How far a run is follows from its folder alone, so nothing has to be kept in step and a killed study resumes.
Knows nothing of torch.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ruamel.yaml import YAML

from segbench.config_study import Plan, PlannedRun, StudyConfig, expand, load_study
from segbench.config_text import flatten
from segbench.errors import ConfigError, RunError, shorten
from segbench.files import write_json, write_text
from segbench.runs import RunFolder

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
    """

    run: PlannedRun
    state: State
    epoch: int
    epochs: int
    best: float
    seconds: float
    seconds_left: float
    failure: Failure | None = None


@dataclass(frozen=True)
class StudyFolder:
    """Paths and plain files of a study. Reading what is missing or broken raises RunError that says what to do."""

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
    def manifest_file(self) -> Path:
        """The data of every run."""
        return self.path / "manifest.json"

    @property
    def probe_file(self) -> Path:
        """Measured seconds of training steps."""
        return self.path / "probe.json"

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
            message = "this is no study folder: there is no study.yaml in it; give a folder that `segbench study run`"
            raise RunError(f"{message} wrote", run=self.path)
        return load_study(self.config_file)

    def read_plan(self) -> Plan:
        """Returns the study's runs, their outputs in this folder, wherever it was moved to."""
        study = self.read_config()
        return expand(study.model_copy(update={"output": str(self.path)}))

    def read_facts(self) -> dict[str, Any]:
        """Returns `plan.json`."""
        try:
            facts = json.loads(self.plan_file.read_text(encoding="utf-8"))
            facts["runs"], facts["manifest_hash"], facts["threads"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"plan.json cannot be read ({type(error).__name__}: {error}); run `segbench study run` again"
            raise RunError(message, run=self.path) from error
        result: dict[str, Any] = facts
        return result

    def claim(self, study: StudyConfig, plan: Plan, *, manifest_hash: str, threads: int, engine: str) -> None:
        """Writes study and plan, after making sure that what was trained here before is part of the same study.

        Values may be added or left out; a run that was begun keeps its settings and its data.

        Raises:
            ConfigError: a begun run has other settings now (names the keys), or the data changed.
        """
        if self.is_study:
            facts = self.read_facts()
            if facts["manifest_hash"] != manifest_hash and any(self.run(run_id).is_run for run_id in facts["runs"]):
                message = "the data or its split changed since the first run; new scores could not be compared with old"
                raise ConfigError(f"{self.path}: {message} ones. Undo the change or choose another output", key="data")
            for run in plan.runs:
                self._require_same(run)
        write_text(self.config_file, _to_yaml(study))
        runs = {
            run.id: {
                "entry": run.entry,
                "factors": dict(run.factors),
                "seed": run.seed,
                "fingerprint": run.config.fingerprint(),
            }
            for run in plan.runs
        }
        facts = {
            "manifest_hash": manifest_hash,
            "threads": threads,
            "engine": engine,
            "notes": plan.notes,
            "runs": runs,
        }
        write_json(self.plan_file, facts)

    def _require_same(self, run: PlannedRun) -> None:
        folder = self.run(run.id)
        if not folder.config_file.is_file() or not (folder.last_file.is_file() or folder.is_finished):
            return  # not begun: `fit` may write over it
        there = folder.read_config()
        if there.fingerprint() == run.config.fingerprint():
            return
        old, new = flatten(there.to_dict()), flatten(run.config.to_dict())
        keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
        told = [f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in keys if key not in ("name", "output")]
        message = f"the run {run.id} was begun with other settings ({shorten(told)})"
        raise ConfigError(f"{message}; choose another output, or delete {folder.path}", key="base")

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
        history = folder.read_history()
        seconds = [row["seconds"] for row in history]
        epochs = run.config.epochs
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
        best = (min if run.config.monitor == "loss" else max)(finite, default=math.nan)
        recent = seconds[-5:]
        left = math.nan if not recent else (epochs - len(history)) * math.fsum(recent) / len(recent)
        return RunStatus(
            run=run,
            state=state,
            epoch=len(history),
            epochs=epochs,
            best=best,
            seconds=math.fsum(seconds),
            seconds_left=0.0 if state == "finished" else left,
            failure=None if state == "finished" else failure,
        )


def finished_runs(folder: StudyFolder, statuses: Sequence[RunStatus]) -> Mapping[str, tuple[RunFolder, ...]]:
    """Returns entry name -> folders of its finished runs, in the order of the plan; no entry without any."""
    result: dict[str, list[RunFolder]] = {}
    for status in statuses:
        if status.state == "finished":
            result.setdefault(status.run.entry, []).append(folder.run(status.run.id))
    return {name: tuple(runs) for name, runs in result.items()}


def _to_yaml(study: StudyConfig) -> str:
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.dump(study.to_dict(), stream)
    return stream.getvalue()
