"""Shows a run to a person: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from segbench.config.run import RunConfig
from segbench.folders.run import RunFolder
from segbench.metrics.families import label_of
from segbench.train.alerts import Alert
from segbench.train.callback import Callback
from segbench.types import RunResult

_SECONDS_BETWEEN_PLAIN_LINES = 10.0


class ConsoleCallback(Callback):
    """Writes to standard error, so that standard output holds only results.

    Args:
        console: where to write; None is standard error.
        quiet: say nothing but messages.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.quiet = quiet
        self._bars: Progress | None = None
        self._main: TaskID | None = None
        self._side: TaskID | None = None
        self._epochs = 0
        self._monitor = ""
        self._best = math.nan
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
        self.console.print(text, markup=False, soft_wrap=True)

    def started(self, config: RunConfig, folder: RunFolder, first_epoch: int) -> None:
        """Opens the bar over the epochs."""
        self._epochs = folder.planned_epochs(config)
        self._monitor = f"val_{config.monitor}"
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
        best = "" if math.isnan(self._best) else f"  best {self._monitor} {self._best:.4f}"
        note = f"loss {loss:.4f}  {images_per_s:.1f} images/s{best}"
        description = f"epoch {epoch}/{self._epochs}"
        self._bars.update(self._main, description=description, completed=epoch - 1 + step / steps, note=note)

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        """Prints one line an epoch off a terminal; updates the best score."""
        if is_best:
            self._best = row[self._monitor]
        if self.quiet or self.console.is_terminal:
            return
        star = "  best" if is_best else ""
        remaining = (self._epochs - row["epoch"]) * row["seconds"]
        self.message(
            f"epoch {row['epoch']:.0f}/{self._epochs}  train_loss {row['train_loss']:.4f}  "
            f"val_loss {row['val_loss']:.4f}  {self._monitor} {row[self._monitor]:.4f}  "
            f"{row['train_images_per_s']:.1f} images/s  {row['seconds']:.1f} s  {remaining:.0f} s left{star}"
        )

    def alert(self, alert: Alert) -> None:
        """Prints what goes wrong, and what to do about it."""
        told = f"epoch {alert.epoch}: {alert.sentence}. To do: {alert.advice}"
        self.console.print(told, style="yellow", markup=False, soft_wrap=True)

    def finished(self, result: RunResult) -> None:
        """Prints where the result lies."""
        self.close()
        if self.quiet:
            return
        split = "test" if "test" in result.scores else "val"
        told = ", ".join(f"{label_of(key)} {result.scores[split][key]:.4f}" for key in ("iou_per_image", "iou_pooled"))
        self.message(
            f"done: {split} {told} "
            f"(n={result.result['n'][split]}, epoch {result.result['best_epoch']}); everything is in {result.run}"
        )

    def close(self) -> None:
        """Takes the bars off the screen."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._main = self._side = None

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
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
                transient=True,
            )
            self._bars.start()
        return self._bars


def default_callback() -> Callback:
    """Returns a console callback where somebody looks on (a terminal, a notebook), else a silent one."""
    looks_on = sys.stderr.isatty() or "ipykernel" in sys.modules
    return ConsoleCallback() if looks_on else Callback()
