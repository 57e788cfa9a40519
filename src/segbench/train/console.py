"""Shows a run to a person: a line an epoch, on a terminal with a bar below it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from segbench.config.run import RunConfig
from segbench.folders.run import RunFolder
from segbench.metrics.families import label_of, lower_is_better
from segbench.terminal import WARNING_STYLE, Terminal, format_seconds, say
from segbench.train.alerts import Alert
from segbench.train.callback import Callback
from segbench.train.main_number import main_of
from segbench.types import RunResult

_SECONDS_BETWEEN_PLAIN_LINES = 10.0


class ConsoleCallback(Callback):
    """Writes to standard error, so that standard output holds only results.

    Args:
        console: where to write; None is standard error.
        quiet: say nothing but messages.
        tells_result: say how a run ended that is through.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False, tells_result: bool = True) -> None:
        self.console = console or Terminal(stderr=True)
        self.quiet = quiet
        self._tells_result = tells_result
        self._bars: Progress | None = None
        self._main: TaskID | None = None
        self._side: TaskID | None = None
        self._epochs = 0
        self._monitor = ""
        self._best = math.nan
        self._best_epoch = 0
        self._what = ""
        self._last_line = 0.0

    def progress(self, what: str, done: int, total: int) -> None:
        """Moves the second bar; off a terminal, a line now and then."""
        if self.quiet:
            return
        if not self.console.is_terminal:
            self._plain_progress(what, done, total)
            return
        bars = self._open()
        if self._side is None:
            self._side = bars.add_task(what, total=total, note="")
        bars.update(self._side, description=what, completed=done, total=total, visible=done < total)

    def message(self, text: str) -> None:
        """Prints one line above the bars."""
        say(self.console, text)

    def started(self, config: RunConfig, folder: RunFolder, first_epoch: int) -> None:
        """Opens the bar over the epochs."""
        self._epochs = folder.planned_epochs(config)
        self._monitor = f"val_{config.monitor}"
        self._take_up(folder, first_epoch)
        if self.quiet:
            return
        verb = "training" if first_epoch == 1 else f"continuing with epoch {first_epoch} of {self._epochs}"
        self.message(f"{config.run_name}: {verb} in {folder.path}")
        if self.console.is_terminal:
            self._main = self._open().add_task("training", total=self._epochs, completed=first_epoch - 1, note="")

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        """Moves the bar within its epoch."""
        if self._bars is None or self._main is None:
            return
        note = f"loss {loss:.4f}  {images_per_s:.1f} images/s"
        description = f"epoch {epoch}/{self._epochs}"
        self._bars.update(self._main, description=description, completed=epoch - 1 + step / steps, note=note)

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        """Prints one line an epoch."""
        if is_best:
            self._best, self._best_epoch = row[self._monitor], int(row["epoch"])
        if self.quiet:
            return
        if self.console.is_terminal:
            self._terminal_line(row)
            return
        best = "  best" if is_best else f"  best so far {self._best:.4f} in epoch {self._best_epoch}"
        self.message(
            f"epoch {row['epoch']:.0f}/{self._epochs}  train_loss {row['train_loss']:.4f}  "
            f"val_loss {row['val_loss']:.4f}  {self._monitor} {row[self._monitor]:.4f}  "
            f"{row['train_images_per_s']:.1f} images/s  {row['seconds']:.1f} s  {self._seconds_left(row):.0f} s left"
            f"{best if self._best_epoch else ''}"
        )

    def alert(self, alert: Alert) -> None:
        """Prints what goes wrong, and what to do about it."""
        say(self.console, f"epoch {alert.epoch}: {alert.sentence}. To do: {alert.advice}", WARNING_STYLE)

    def finished(self, result: RunResult) -> None:
        """Prints the score, and where everything lies."""
        self.close()
        if self.quiet or not self._tells_result:
            return
        about = f"epoch {result.result['best_epoch']} of {result.result['epochs']}"
        self.message(f"done: {main_of(result.result)['sentence']} ({about}); everything is in {result.run}")

    def close(self) -> None:
        """Takes the bars off the screen."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._main = self._side = None

    def _take_up(self, folder: RunFolder, first_epoch: int) -> None:
        """Knows the best of the epochs before, where a run goes on."""
        before = [row for row in folder.read_history() if row["epoch"] < first_epoch] if first_epoch > 1 else []
        defined = [row for row in before if not math.isnan(row[self._monitor])]
        if defined:
            direction = -1.0 if lower_is_better(self._monitor.removeprefix("val_")) else 1.0
            best = max(defined, key=lambda row: direction * row[self._monitor])
            self._best, self._best_epoch = best[self._monitor], int(best["epoch"])

    def _terminal_line(self, row: Mapping[str, float]) -> None:
        """Prints an epoch in one line; what matters least is left out where the terminal is narrow."""
        done, monitor = int(row["epoch"]), self._monitor.removeprefix("val_")
        parts = {
            "epoch": f"epoch {done:>{len(str(self._epochs))}}/{self._epochs}",
            "train": f"loss {row['train_loss']:.4f}",
            "val": f"val {row['val_loss']:.4f}",
            "score": f"{label_of(monitor)} {_number(row[self._monitor])}",
            "best": f"best {_number(self._best)}",
            "seconds": format_seconds(row["seconds"]),
        }
        if monitor == "loss":
            del parts["score"]  # it is there as the validation loss
        for least in ("seconds", "train", "val"):
            if len("  ".join(parts.values())) > self.console.width:
                parts.pop(least, None)
        style = "green" if self._best_epoch == done else None
        say(self.console, "  ".join(parts.values()), style)

    def _seconds_left(self, row: Mapping[str, float]) -> float:
        return (self._epochs - row["epoch"]) * row["seconds"]

    def _plain_progress(self, what: str, done: int, total: int) -> None:
        """Prints a line now and then, and none about what is over soon."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._last_line = what, now
        if what != "validating" and now - self._last_line > _SECONDS_BETWEEN_PLAIN_LINES:
            self.message(f"{what}: {done}/{total}")
            self._last_line = now

    def _open(self) -> Progress:
        if self._bars is None:
            self._bars = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=16),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
                transient=True,
            )
            self._bars.start()
        return self._bars


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def default_callback() -> Callback:
    """Returns a console callback where somebody looks on (a terminal, a notebook), else a silent one."""
    looks_on = sys.stderr.isatty() or "ipykernel" in sys.modules
    return ConsoleCallback() if looks_on else Callback()
