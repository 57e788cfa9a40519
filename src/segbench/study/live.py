"""How far a study is, for a person: a table that moves on a terminal, plain lines elsewhere. From its folder alone."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from segbench.errors import shorten
from segbench.folders.study import RunStatus, State, StudyFolder
from segbench.metrics.families import label_of
from segbench.study.means import EntryMean, StudyMeans
from segbench.terminal import WARNING_STYLE, Terminal, format_seconds, say
from segbench.train.callback import ProgressCallback

_MOST_ROWS = 30
_MOST_ALERTS = 8
_SECONDS_BETWEEN_SUMMARIES = 30.0
_SECONDS_BETWEEN_LINES = 10.0
_STYLES: dict[State, str] = {"finished": "green", "running": "bold", "failed": "red", "stopped": "yellow"}


class StudyCallback(ProgressCallback):
    """Receives what happens in a study; the base says nothing.

    Example:
        >>> import segbench
        >>> class Finished(segbench.StudyCallback):
        ...     def update(self, statuses):
        ...         print(sum(status.state == "finished" for status in statuses), "of", len(statuses))
        >>> study = segbench.run_study("study.yaml", watch=Finished())  # doctest: +SKIP
    """

    def update(self, statuses: Sequence[RunStatus]) -> None:
        """About every second while runs train: how far every run is."""


class ConsoleStudyCallback(StudyCallback):
    """Writes to standard error, so that standard output holds only results.

    Args:
        console: where to write; None is standard error.
        quiet: say nothing but messages.
        folder: of the study; with it, what an entry reached is told when the last of its runs is finished.
    """

    def __init__(
        self, console: Console | None = None, *, quiet: bool = False, folder: StudyFolder | None = None
    ) -> None:
        self.console = console or Terminal(stderr=True)
        self.quiet = quiet
        self._live: Live | None = None
        self._states: dict[str, State] = {}
        self._told: set[tuple[str, str]] | None = None
        self._means = None if folder is None else StudyMeans(folder)
        self._complete: set[str] | None = None
        self._last_summary = self._last_line = time.monotonic()

    def message(self, text: str) -> None:
        """Prints one line, above the table where there is one."""
        say(self.console, text)

    def progress(self, what: str, done: int, total: int) -> None:
        """Prints a line now and then, and none about what is over soon."""
        now = time.monotonic()
        if not self.quiet and now - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.message(f"{what}: {done}/{total}")

    def update(self, statuses: Sequence[RunStatus]) -> None:
        """Redraws the table; off a terminal, prints a line for every run that changed."""
        if self.quiet:
            return
        self._tell_alerts(statuses)
        self._tell_means(statuses)
        if self.console.is_terminal:
            view = Group(status_table(statuses), Text(summary_line(statuses)))
            if self._live is None:
                self._live = Live(view, console=self.console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(view, refresh=True)
            return
        for status in statuses:
            before = self._states.get(status.run.id)
            if status.state != before:
                self._states[status.run.id] = status.state
                if before is not None or status.state == "running":
                    self._tell(status)
        now = time.monotonic()
        if now - self._last_summary > _SECONDS_BETWEEN_SUMMARIES:
            self._last_summary = now
            self.message(summary_line(statuses))

    def _tell_alerts(self, statuses: Sequence[RunStatus]) -> None:
        """Says what goes wrong, once; not what was told before this study was gone on with."""
        there = {(status.run.id, alert["code"]): (status, alert) for status in statuses for alert in status.alerts}
        new = [] if self._told is None else [there[key] for key in there if key not in self._told]
        self._told = set(there)
        for status, alert in new:
            self.message(_alert_line(status, alert))

    def _tell_means(self, statuses: Sequence[RunStatus]) -> None:
        """Says what an entry reached, once; not what was finished before this study was gone on with."""
        if self._means is None:
            return
        left = {status.run.entry for status in statuses if status.state != "finished"}
        complete = {status.run.entry for status in statuses} - left
        new = set[str]() if self._complete is None else complete - self._complete
        self._complete = complete
        if new:
            for mean in self._means.of(statuses):
                if mean.entry in new:
                    self.message(mean.line())

    def _tell(self, status: RunStatus) -> None:
        text = f"{status.state}: {status.run.id}"
        if status.state == "running":
            next_epoch = f"epoch {status.epoch + 1} of {status.epochs}"
            text += f", {next_epoch}" if status.epoch < status.epochs else ", scoring"
        if status.state == "finished":
            best = f"best validation {label_of(status.run.config.monitor)} {_number(status.best)}"
            text += f", {best} in {format_seconds(status.seconds)}" + ", collapsed" * status.collapsed
        if status.failure is not None:
            text += f": {status.failure.error}"
        if status.state != "waiting":
            self.message(text)

    def close(self) -> None:
        """Takes the table off the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def status_table(statuses: Sequence[RunStatus]) -> Table:
    """Returns a table of runs; of more than 30 only those that run, failed or stopped, and how many there are more."""
    shown = list(statuses)
    title = None
    if len(shown) > _MOST_ROWS:
        shown = [status for status in shown if status.state in ("running", "failed", "stopped")][:_MOST_ROWS]
        title = f"{len(shown)} of {len(statuses)} runs: those that run, failed or stopped"
    table = Table(title=title, title_justify="left", highlight=False)
    for name in ("run", "seed", "state"):
        table.add_column(name)
    told = any(status.alerts for status in shown)
    for name in ("epoch", "best", "time", "left", *(["alerts"] * told)):
        table.add_column(name, justify="right")
    for status in shown:
        table.add_row(
            Text(status.run.entry),
            str(status.run.seed),
            _state(status),
            f"{'?' if status.damage else status.epoch}/{status.epochs}",
            _number(status.best),
            format_seconds(status.seconds) if status.epoch else "–",
            "–" if status.state == "finished" else format_seconds(status.seconds_left),
            *([Text(str(len(status.alerts) or "–"), style=WARNING_STYLE if status.alerts else "")] * told),
        )
    return table


def means_table(means: Sequence[EntryMean]) -> Table:
    """Returns a table of what the entries have reached."""
    score = means[0].score if means else ""
    table = Table(title=f"{score} on the test images, 95 % intervals", title_justify="left", highlight=False)
    table.add_column("entry")
    for name in ("runs", "mean", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for mean in means:
        table.add_row(Text(mean.entry), *mean.cells())
    return table


def summary_line(statuses: Sequence[RunStatus]) -> str:
    """Returns one line: how many runs are in which state, and how long the rest will take."""
    counts = Counter(status.state for status in statuses)
    states = ", ".join(f"{counts[state]} {state}" for state in get_args(State) if counts[state])
    left = seconds_left(statuses)
    about = "" if math.isnan(left) or not counts["running"] else f"; about {format_seconds(left)} left"
    return f"{len(statuses)} runs: {states}{about}"


def seconds_left(statuses: Sequence[RunStatus]) -> float:
    """Returns about how long the runs that train and wait will take, as many at once as train now; NaN if unknown.

    A run without a finished epoch is taken to need what the others of its entry do, or else what all others do.
    """
    lengths: dict[str, list[float]] = {}
    for status in statuses:
        if status.epoch and not math.isnan(status.seconds_left):
            lengths.setdefault(status.run.entry, []).append(status.seconds + status.seconds_left)
    if not lengths:
        return math.nan
    everything = [value for values in lengths.values() for value in values]
    parts = []
    for status in statuses:
        if status.state in ("finished", "failed"):
            continue
        known = lengths.get(status.run.entry, everything)
        own = status.seconds_left if status.epoch else math.nan
        parts.append(math.fsum(known) / len(known) if math.isnan(own) else own)
    at_once = max(1, sum(status.state == "running" for status in statuses))
    return max([math.fsum(parts) / at_once, *parts], default=0.0)


def failure_lines(statuses: Sequence[RunStatus]) -> list[str]:
    """Returns a sentence for every reason a run failed, with the runs that have it."""
    reasons: dict[str, list[str]] = {}
    for status in statuses:
        if status.state == "failed" and status.failure is not None:
            tries = f" (tried {status.failure.attempts} times)" if status.failure.attempts > 1 else ""
            reasons.setdefault(f"{status.failure.error}{tries}", []).append(status.run.id)
    return [f"failed: {shorten(ids)}: {reason}" for reason, ids in reasons.items()]


def alert_lines(statuses: Sequence[RunStatus]) -> list[str]:
    """Returns a sentence about the runs that collapsed, and one for every alert, each told as far as there is room."""
    ids = [status.run.id for status in statuses if status.collapsed]
    lines = []
    if ids:
        why = "predicts one class only, so its score says nothing about the network"
        lines.append(f"warning: collapsed, that is, {why}: {shorten(ids)}")
    told = [_alert_line(status, alert) for status in statuses for alert in status.alerts]
    more = len(told) - _MOST_ALERTS
    return lines + told[:_MOST_ALERTS] + ([f"and {more} more: alerts.json in the runs' folders"] if more > 0 else [])


def _alert_line(status: RunStatus, alert: Mapping[str, Any]) -> str:
    return f"warning: {status.run.id}, epoch {alert['epoch']}: {alert['sentence']}. To do: {alert['advice']}"


def _state(status: RunStatus) -> Text:
    """Returns the state; of a finished run also that its score says nothing."""
    if status.collapsed:
        return Text("collapsed", style=WARNING_STYLE)
    return Text(status.state, style=_STYLES.get(status.state, ""))


def damage_lines(statuses: Sequence[RunStatus]) -> list[str]:
    """Returns a sentence for every run whose files are damaged."""
    return [f"damaged: {status.run.id}: {status.damage}" for status in statuses if status.damage]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"
