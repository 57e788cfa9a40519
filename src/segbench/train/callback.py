"""What a training tells whoever looks on. The base class says nothing; `console.py` shows it to a person."""

from __future__ import annotations

from collections.abc import Mapping

from segbench.config.run import RunConfig
from segbench.folders.run import RunFolder
from segbench.train.alerts import Alert
from segbench.types import RunResult


class ProgressCallback:
    """Receives what happens before anything trains; the base says nothing."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Long preparation or scoring goes on: `done` of `total` are through."""

    def message(self, text: str) -> None:
        """Something a person should know, one sentence."""

    def close(self) -> None:
        """The work ended, however it did; the screen is to be given back."""


class Callback(ProgressCallback):
    """Receives the events of a run, in order; every method may be left out by a subclass.

    Example:
        >>> import segbench
        >>> class Losses(segbench.Callback):
        ...     def epoch(self, row, is_best):
        ...         print(row["epoch"], row["val_loss"])
        >>> result = segbench.fit("mine.yaml", watch=Losses())  # doctest: +SKIP
    """

    def started(self, config: RunConfig, folder: RunFolder, first_epoch: int) -> None:
        """Training begins, or goes on, with epoch `first_epoch` (from 1)."""

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        """Step `step` of `steps` of an epoch is through; all from 1."""

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        """An epoch is through and saved; `row` is its line of `metrics.csv`."""

    def alert(self, alert: Alert) -> None:
        """Something goes wrong; told once, after the epoch that showed it was saved."""

    def finished(self, result: RunResult) -> None:
        """The run is through."""
