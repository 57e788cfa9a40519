"""What a search leaves behind: its folder, its table of trials, its winner and its figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

from matplotlib.figure import Figure

from segbench.config.text import write_yaml
from segbench.config.tune import Number, TuneConfig, tell_params
from segbench.files import replacing, write_csv, write_text
from segbench.folders.run import RunFolder
from segbench.metrics.families import label_of, lower_is_better

TrialState: TypeAlias = Literal["finished", "pruned", "failed"]

_COLORS = {"finished": "#0072b2", "pruned": "#999999"}


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial that ended.

    Attributes:
        number: from 0.
        state: `pruned` was given up before its last epoch, `failed` has a reason.
        value: best validation value of the monitored score; NaN where no epoch was finished.
        best_epoch: of that value, from 1; 0 where none was finished.
        epochs: finished.
        seconds: spent in them.
        params: a number or a name for every searched key.
        reason: why it failed; empty where it did not.
    """

    number: int
    state: TrialState
    value: float
    best_epoch: int
    epochs: int
    seconds: float
    params: Mapping[str, Number | str]
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """All trials that ended, in order."""

    folder: SearchFolder
    monitor: str
    trials: tuple[TrialRecord, ...]

    @property
    def best(self) -> TrialRecord | None:
        """The finished trial with the best value, the first of equals; None where none finished."""
        finished = self.of("finished")
        sign = -1.0 if lower_is_better(self.monitor) else 1.0
        return max(finished, key=lambda trial: sign * trial.value, default=None)

    def of(self, state: TrialState) -> tuple[TrialRecord, ...]:
        """Returns the trials with a state."""
        return tuple(trial for trial in self.trials if trial.state == state)

    def line(self, trial: TrialRecord, *, of: int) -> str:
        """Returns one line about a trial that just ended."""
        value = "" if math.isnan(trial.value) else f"  validation {label_of(self.monitor)} {trial.value:.4f}"
        best = self.best
        behind = (
            "" if best is None else "  best" if best == trial else f"  (best {best.value:.4f}, trial {best.number})"
        )
        spent = f"  {trial.epochs} epochs, {trial.seconds:.1f} s" if trial.epochs else ""
        reason = f"  {trial.reason}" if trial.reason else ""
        head = f"trial {trial.number} ({len(self.trials)} of {of}): {trial.state}"
        return f"{head}{value}{behind}{spent}  {tell_params(trial.params)}{reason}"


@dataclass(frozen=True)
class SearchFolder:
    """Paths and plain files of a search."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The search as it was asked."""
        return self.path / "search.yaml"

    @property
    def manifest_file(self) -> Path:
        """The data of every trial."""
        return self.path / "manifest.json"

    @property
    def journal_file(self) -> Path:
        """Optuna's record."""
        return self.path / "search.journal"

    @property
    def trials_file(self) -> Path:
        """One row a trial."""
        return self.path / "trials.csv"

    @property
    def best_file(self) -> Path:
        """Complete run config of the best trial."""
        return self.path / "best.yaml"

    @property
    def winner_file(self) -> Path:
        """Searched keys of the best trial, and their values."""
        return self.path / "winner.yaml"

    @property
    def figure_file(self) -> Path:
        """Scores over trials and over the searched keys."""
        return self.path / "search.png"

    def run(self, tune: str, number: int) -> RunFolder:
        """Returns the run folder of a trial."""
        return RunFolder(self.path / "trials" / f"{tune[:100]}-{number:04d}")

    def mend_journal(self) -> None:
        """Cuts off a last line that a killed process began and did not end; Optuna would write on behind it."""
        if not self.journal_file.is_file():
            return
        content = self.journal_file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            with replacing(self.journal_file) as temporary:
                temporary.write_bytes(whole)

    def record(
        self,
        config: TuneConfig,
        number: int,
        state: str,
        monitor: str,
        *,
        params: Mapping[str, Number | str],
        reason: str,
    ) -> TrialRecord:
        """Returns what is known about an ended trial; its epochs are those of its run folder."""
        history = self.run(config.tune, number).read_history()
        values = [(row[f"val_{monitor}"], int(row["epoch"])) for row in history]
        sign = -1.0 if lower_is_better(monitor) else 1.0
        defined = [(value, epoch) for value, epoch in values if not math.isnan(value)]
        value, best_epoch = max(defined, key=lambda item: sign * item[0], default=(math.nan, 0))
        return TrialRecord(
            number=number,
            state=cast(TrialState, state),
            value=value,
            best_epoch=best_epoch,
            epochs=len(history),
            seconds=math.fsum(row["seconds"] for row in history),
            params=dict(params),
            reason=reason,
        )

    def write(self, config: TuneConfig, result: SearchResult) -> None:
        """Writes the table and the best trial so far, and deletes checkpoints that nobody goes on from."""
        for trial in result.trials:
            self.run(config.tune, trial.number).last_file.unlink(missing_ok=True)
        fixed = ["number", "state", f"val_{result.monitor}", "best_epoch", "epochs", "seconds"]
        rows = [
            [
                *(
                    trial.number,
                    trial.state,
                    _cell(trial.value),
                    trial.best_epoch,
                    trial.epochs,
                    f"{trial.seconds:.3f}",
                ),
                *(_cell(trial.params.get(key, "")) for key in config.search),
                trial.reason,
            ]
            for trial in result.trials
        ]
        write_csv(self.trials_file, [*fixed, *config.search, "reason"], rows)
        if result.best is not None:
            write_text(self.winner_file, write_yaml(config.settings(result.best.params)))
            write_text(self.best_file, config.run_config(result.best.params).to_yaml())

    def write_figure(self, result: SearchResult) -> None:
        """Draws `search.png`."""
        with replacing(self.figure_file) as temporary:
            search_figure(result).savefig(temporary, dpi=110)


def search_figure(result: SearchResult) -> Figure:
    """Returns a figure: validation scores over trials with the best so far, then over every searched key.

    Given-up trials are shown grey, with the best they had reached; failed ones are not shown.
    """
    shown = {state: [t for t in result.of(state) if not math.isnan(t.value)] for state in ("finished", "pruned")}
    keys = list(dict.fromkeys(key for trial in result.trials for key in trial.params))
    columns = min(3, 1 + len(keys))
    lines = math.ceil((1 + len(keys)) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.9 * lines), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for state in ("pruned", "finished"):
        trials = shown[state]
        if not trials:
            continue
        style = {"color": _COLORS[state], "s": 18, "label": state}
        axes[0].scatter([trial.number for trial in trials], [trial.value for trial in trials], **style)
        for axis, key in zip(axes[1:], keys, strict=False):
            values = [trial.params[key] for trial in trials]
            positions = [str(value) for value in values] if any(isinstance(value, str) for value in values) else values
            axis.scatter(positions, [trial.value for trial in trials], **style)
    finished = shown["finished"]
    better = min if lower_is_better(result.monitor) else max
    so_far = [better(t.value for t in finished[: index + 1]) for index in range(len(finished))]
    axes[0].step([t.number for t in finished], so_far, where="post", color="#d55e00", label="best so far")
    axes[0].set(xlabel="trial", ylabel=f"validation {label_of(result.monitor)}")
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend(frameon=False, fontsize=8)
    for axis, key in zip(axes[1:], keys, strict=False):
        axis.set(xlabel=key)
        numbers = [t.params[key] for t in result.trials if key in t.params]
        positive = [number for number in numbers if not isinstance(number, str) and number > 0]
        if len(positive) == len(numbers) and max(positive) / min(positive) > 20.0:
            axis.set_xscale("log")
    for axis in axes[: 1 + len(keys)]:
        axis.grid(alpha=0.25)
    for axis in axes[1 + len(keys) :]:
        axis.set_axis_off()
    return figure


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return str(value)
