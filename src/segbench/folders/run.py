"""The run folder: where everything about one training lies, as files a person can open.

::

    config.yaml       the resolved config, every default spelled out
    manifest.json     every sample with mask, size, content hash, group, split
    run.json          class map, normalisation, loss, versions and machine; its presence marks a run folder
    metrics.csv       one row an epoch
    alerts.json       what goes wrong, and what to do about it, see `segbench.train.alerts`
    last.pt           where to go on: network, optimiser, schedule, history (tensors and plain values only)
    best.safetensors  weights of the best epoch
    counts_*.csv      confusion counts of every image of a split, with the best weights
    scores_*.csv      the same as scores; *.definitions.json beside a table say what its numbers mean
    surfaces_*.csv    distances between outlines in every image
    predicted_*.zip   the predicted mask of every image of val and test, at the size that was scored
    confusion_*.csv calibration_*.csv   of all images together
    test_log.csv      one row each time the test part was scored
    curves.png pictures/ tensorboard/
    result.json       scores with definitions, n, cost; there once the run is finished

Knows nothing of torch, so reports need none.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from segbench.config.length import MOST_EPOCHS
from segbench.config.run import RunConfig, load_config
from segbench.config.text import flatten
from segbench.errors import RunError
from segbench.files import write_csv, write_json, write_text
from segbench.locale import from_plain
from segbench.speech import action, argument
from segbench.types import ClassMap, Normalization, RunResult, SplitName

try:
    import fcntl
except ImportError:  # Windows has no flock; there two processes in one run folder are not noticed
    fcntl = None  # type: ignore[assignment]


_OWN_PATTERNS = (
    *("config.yaml", "manifest.json", "run.json", "metrics.csv", "alerts.json", "result.json", "test_log.csv"),
    "curves.png",
    *("last.pt", "best.safetensors", "best_candidate.safetensors", "pictures/epoch_*.png"),
    *("counts_*.csv", "scores_*.csv", "surfaces_*.csv", "confusion_*.csv", "calibration_*.csv", "*.definitions.json"),
    *("predicted_*.zip", "evaluation_*.json", "tensorboard/events.out.tfevents.*"),
)
_TEST_LOG = ("time", "epoch", "why")
_PLACES_OF_SAMPLES = ("data.path", "data.format", "data.options", "data.split")
TableName: TypeAlias = Literal["counts", "scores", "surfaces", "confusion", "calibration"]
_TEMPORARY = re.compile(r"\.[\w.-]+\.\d+-\d+\.tmp(\.\w+)?")  # what `segbench.files.replacing` makes


@dataclass(frozen=True)
class RunFolder:
    """Paths and plain files of a run. Reading what is missing or broken raises RunError that says what to do."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def manifest_file(self) -> Path:
        """The data of this run."""
        return self.path / "manifest.json"

    @property
    def metrics_file(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def alerts_file(self) -> Path:
        """What goes wrong in the training."""
        return self.path / "alerts.json"

    @property
    def last_file(self) -> Path:
        """The checkpoint to go on from."""
        return self.path / "last.pt"

    @property
    def best_file(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "best.safetensors"

    @property
    def candidate_file(self) -> Path:
        """Weights of an epoch that is better than all before, until `last.pt` has committed that epoch."""
        return self.path / "best_candidate.safetensors"

    @property
    def result_file(self) -> Path:
        """There once the run is finished."""
        return self.path / "result.json"

    @property
    def curves_file(self) -> Path:
        """Loss and score over epochs."""
        return self.path / "curves.png"

    def table_file(self, kind: TableName, name: str) -> Path:
        """A table of a split or an evaluation, for example `counts_test.csv`."""
        return self.path / f"{kind}_{name}.csv"

    def counts_file(self, split: SplitName) -> Path:
        """Confusion counts of every image of a split."""
        return self.table_file("counts", split)

    def predicted_file(self, name: str) -> Path:
        """Masks that the best weights predict for a split or an evaluation; see `segbench.folders.mask_archive`."""
        return self.path / f"predicted_{name}.zip"

    def scores_file(self, split: SplitName) -> Path:
        """Scores of every image of a split."""
        return self.table_file("scores", split)

    def picture_file(self, epoch: int) -> Path:
        """Predictions of the fixed samples after an epoch, from 1."""
        return self.path / "pictures" / f"epoch_{epoch:04d}.png"

    @property
    def is_run(self) -> bool:
        """True when a run was started here: `run.json` is written before anything else."""
        return (self.path / "run.json").is_file()

    def own_files(self) -> list[Path]:
        """Returns the files there that a run writes, or would write over; never anything else."""
        return sorted(path for pattern in _OWN_PATTERNS for path in self.path.glob(pattern) if path.is_file())

    def clear(self) -> None:
        """Deletes the run's own files, so that it can begin again; what else lies in the folder stays."""
        for path in self.own_files():
            path.unlink()

    def remove_leftovers(self) -> None:
        """Deletes the temporary files that a killed run could not delete itself."""
        for folder in (self.path, self.path / "pictures"):
            for path in folder.glob(".*.*-*.tmp*"):
                if _TEMPORARY.fullmatch(path.name) and path.is_file():
                    path.unlink()

    @property
    def is_finished(self) -> bool:
        """True when `result.json` is there."""
        return self.result_file.is_file()

    def has_finished(self, config: RunConfig) -> bool:
        """True when the run of these settings is finished here."""
        there = self.is_finished and self.config_file.is_file()
        return there and self.read_config().fingerprint() == config.fingerprint()

    @property
    def finished_text(self) -> str:
        """What to say when such a run is asked for again."""
        return f"{self.path} is finished already; nothing to train"

    def read_config(self) -> RunConfig:
        """Returns the config this run was started with."""
        if not self.config_file.is_file():
            given = f"give a folder that {action('train', 'fit')} wrote"
            raise RunError(f"this is no run folder: there is no config.yaml in it; {given}", run=self.path)
        return load_config(self.config_file)

    def read_facts(self) -> dict[str, Any]:
        """Returns `run.json`."""
        return self._read_json("run.json")

    def planned_epochs(self, config: RunConfig) -> int:
        """Returns how many epochs the run of a config has here; where it is not begun, and its length not given in
        epochs, the most that there can be.
        """
        plan = self.read_facts().get("plan") if self.is_run else None
        return int(plan["epochs"]) if plan is not None else config.epochs or MOST_EPOCHS

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Writes `run.json`."""
        write_json(self.path / "run.json", facts)

    def read_result(self) -> RunResult:
        """Returns the result of a finished run."""
        if not self.is_finished:
            again = f"run {action('train', 'fit')} again to continue it"
            raise RunError(f"this run is not finished; {again}", run=self.path)
        result = self._read_json("result.json", "scores", "n", "best_epoch", "network", "loss", "definitions")
        scores = {
            split: {name: math.nan if value is None else value for name, value in values.items()}
            for split, values in result["scores"].items()
        }
        return RunResult(run=str(self.path), scores=scores, result=result)

    def class_map(self) -> ClassMap:
        """Returns the classes this run was trained on."""
        return ClassMap.from_dict(self._read_json("run.json", "class_map")["class_map"])

    def normalization(self) -> Normalization:
        """Returns what the network's input is normalised with."""
        plain = self._read_json("run.json", "normalization")["normalization"]
        return Normalization(mean=tuple(plain["mean"]), std=tuple(plain["std"]))

    def threshold(self) -> float:
        """Returns the threshold of the probability: the one a finished run was scored with, else the configured one."""
        if self.is_finished:
            return float(self._read_json("result.json", "threshold")["threshold"])
        return self.read_config().training_threshold

    def read_history(self) -> list[dict[str, float]]:
        """Returns the rows of `metrics.csv`; an empty cell is NaN.

        Raises:
            RunError: the file cannot be read, or a cell is no number (names the line).
        """
        if not self.metrics_file.is_file():
            return []
        line = 1
        try:
            with self.metrics_file.open(newline="", encoding="utf-8") as stream:
                reader = csv.reader(stream, strict=True)
                header = next(reader, [])
                rows = []
                for cells in reader:
                    line = reader.line_num
                    numbers = [float(text) if text else math.nan for text in cells]
                    rows.append(dict(zip(header, numbers, strict=True)))
        except (OSError, ValueError, csv.Error) as error:
            message = f"metrics.csv is damaged in line {line} ({error}); delete result.json, where it is there, and run"
            advice = "the same training again: it writes the file anew from last.pt"
            raise RunError(f"{message} {advice}", run=self.path) from error
        return rows

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Writes `metrics.csv`; columns are those of the first row, and every key that a later row adds."""
        header = list(dict.fromkeys(key for row in rows for key in row))
        write_csv(self.metrics_file, header, [[_cell(row.get(key, math.nan)) for key in header] for row in rows])

    def write_alerts(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Writes `alerts.json`."""
        write_text(self.alerts_file, json.dumps(list(alerts), indent=2, ensure_ascii=False) + "\n")

    @property
    def is_collapsed(self) -> bool:
        """True for a finished run that predicts one class only: its score says nothing about the network."""
        return self.is_finished and bool(self._read_json("result.json").get("collapsed", False))

    def read_alerts(self) -> list[dict[str, Any]]:
        """Returns `alerts.json`: code, epoch, sentence and advice of each; of a run without the file, none."""
        try:
            alerts = json.loads(self.alerts_file.read_text(encoding="utf-8"))
            return [_alert(alert) for alert in alerts]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"alerts.json cannot be read: {error}; delete it", run=self.path) from error

    def log_test_scoring(self, time: str, checkpoint_epoch: int, reason: str) -> int:
        """Notes that the test part is being scored, and returns how often that has happened now."""
        rows = [list(row.values()) for row in self.read_test_log()]
        rows.append([time, str(checkpoint_epoch), reason])
        write_csv(self._test_log, _TEST_LOG, rows)
        return len(rows)

    def read_test_log(self) -> list[dict[str, str]]:
        """Returns time, epoch and why of every time that the test part was scored."""
        if not self._test_log.is_file():
            return []
        with self._test_log.open(newline="", encoding="utf-8") as stream:
            return [dict(zip(_TEST_LOG, row, strict=False)) for row in list(csv.reader(stream))[1:]]

    @property
    def _test_log(self) -> Path:
        return self.path / "test_log.csv"

    def write_config(self, config: RunConfig) -> None:
        """Writes `config.yaml`."""
        write_text(self.config_file, config.to_yaml())

    def is_locked(self) -> bool:
        """True while a process trains into this folder; False where the system has no such locks."""
        file = self.path / ".lock"
        if fcntl is None or not file.is_file():
            return False
        with file.open() as stream:  # to read: it may be a colleague's
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    @contextmanager
    def locked(self, busy: str = "another process is training into this folder") -> Iterator[None]:
        """Keeps a second process from training into the same folder; the lock goes with its process, however it ends.

        Args:
            busy: what to say where another process has the lock.
        Raises:
            RunError: another process trains here, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            stream = (self.path / ".lock").open("w")
        except OSError as error:
            raise RunError(
                f"cannot write into this folder ({error}); free space or choose another `output`", run=self.path
            ) from error
        with stream:
            if not _lock(stream):
                raise RunError(f"{busy}; wait for it, or choose another `output`", run=self.path)
            yield

    def _read_json(self, name: str, *required: str) -> dict[str, Any]:
        value = self._load_json(name)
        missing = [key for key in required if key not in value]
        if missing:
            message = f"{name} lacks {', '.join(missing)}: no epoch was started, or the file is damaged"
            raise RunError(f"{message}; train the run, or restart it with {argument('restart', True)}", run=self.path)
        return value

    def _load_json(self, name: str) -> dict[str, Any]:
        file = self.path / name
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(
                f"there is no {name} in it; give a folder that {action('train', 'fit')} wrote", run=self.path
            ) from error
        except (OSError, ValueError) as error:
            raise RunError(f"{name} cannot be read: {error}", run=self.path) from error
        if not isinstance(value, dict):
            raise RunError(f"{name} should hold a JSON object, found {type(value).__name__}", run=self.path)
        return value


@dataclass(frozen=True)
class FinishedRun(RunFolder):
    """A run that nobody writes any more: config, facts and result are read once, however often they are asked for."""

    def read_config(self) -> RunConfig:
        """Returns the config this run was started with."""
        return self._config

    def class_map(self) -> ClassMap:
        """Returns the classes this run was trained on."""
        return self._class_map

    @cached_property
    def _config(self) -> RunConfig:
        return super().read_config()

    @cached_property
    def _class_map(self) -> ClassMap:
        return super().class_map()

    @cached_property
    def _loaded(self) -> dict[str, dict[str, Any]]:
        return {}

    def _load_json(self, name: str) -> dict[str, Any]:
        if name not in self._loaded:
            self._loaded[name] = _with_shared_texts(super()._load_json(name))
        return self._loaded[name]


def _with_shared_texts(value: Any) -> Any:
    """Returns plain values whose equal texts are one object: the results of a thousand runs define the same scores."""
    if isinstance(value, dict):
        return {sys.intern(key): _with_shared_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_shared_texts(item) for item in value]
    return sys.intern(value) if isinstance(value, str) else value


def different_settings(there: RunConfig, now: RunConfig, *, same_samples: bool) -> list[str]:
    """Returns "key: old there, new now" for every key that decides weights and scores, and differs.

    Args:
        there, now: two configs.
        same_samples: both runs have the same divided samples, so that where these lie and how they were read and
            divided decides nothing.
    """
    free = {"name", "output", "data.cache_dir", "pictures"}
    old, new = flatten(there.to_dict()), flatten(now.to_dict())
    keys = sorted(old.keys() | new.keys())
    if same_samples:
        free |= {key for key in keys if key.startswith(_PLACES_OF_SAMPLES)}
    return [
        f"{key}: {old.get(key)!r} there, {new.get(key)!r} now"
        for key in keys
        if key not in free and old.get(key) != new.get(key)
    ]


def _lock(stream: TextIO, tries: int = 5) -> bool:
    """Returns whether the lock was got; who only asks whether a run is going (`is_locked`) holds it for a moment."""
    for _ in range(tries if fcntl is not None else 0):
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(0.05)
    return fcntl is None


def _alert(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an alert as it was told, translatable where its file says what its sentences were made of."""
    said = {key: from_plain(text) for key, text in plain.get("said", {}).items()}
    return {
        "code": plain["code"],
        "epoch": plain["epoch"],
        "sentence": plain["sentence"],
        "advice": plain["advice"],
        **said,
    }


def _cell(value: float) -> object:
    if isinstance(value, float) and math.isnan(value):
        return ""
    return repr(value) if isinstance(value, float) else value
