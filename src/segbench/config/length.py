"""How long a run is: from epochs, steps or seconds to a plan of optimiser steps, and the epochs they are told in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from segbench.config.run import RunConfig

# An epoch ends with a validation, a checkpoint and a row. Forty of them draw a curve that a person can judge, and are
# enough to choose the best weights from; more would only cost.
MOST_EPOCHS = 40
# Where validation goes over whole images in tiles, and training sees one window of each, validating forty times may
# take longer than training. So much of an epoch's time is enough for it, where that leaves epochs to choose from.
_VALIDATION_SHARE = 0.5
_FEWEST_EPOCHS = 8


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """The length of a run, in steps of the optimiser.

    Attributes:
        steps: of the whole run.
        epochs: validations, checkpoints and rows of `metrics.csv`.
        passes_per_epoch: whole passes over the training part in an epoch; the last epoch is cut or drawn out so that
            the run has exactly `steps`.
        steps_per_pass: steps of one pass.
    """

    steps: int
    epochs: int
    passes_per_epoch: int
    steps_per_pass: int

    def steps_in(self, epoch: int) -> int:
        """Returns the steps of an epoch, counted from 0."""
        usual = self.passes_per_epoch * self.steps_per_pass
        return self.steps - usual * epoch if epoch == self.epochs - 1 else usual

    def steps_before(self, epoch: int) -> int:
        """Returns the steps that are through when an epoch, counted from 0, begins."""
        return min(self.steps, self.passes_per_epoch * self.steps_per_pass * epoch)

    def passes(self, epochs: int) -> float:
        """Returns how often so many epochs show every training image."""
        done = self.steps if epochs == self.epochs else self.steps_before(epochs)
        return done / self.steps_per_pass

    def to_dict(self) -> dict[str, int]:
        """Returns plain values, for `run.json`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RunPlan:
        """Reads what `to_dict` gave."""
        return cls(**{key: int(value) for key, value in plain.items()})


def plan_run(
    config: RunConfig, batches_per_pass: int, step_s: float = math.nan, validation_passes: float = 0.0
) -> RunPlan:
    """Returns the length of a run.

    Args:
        config: gives epochs, steps or seconds, and how many batches make a step.
        batches_per_pass: batches of one pass over the training part.
        step_s: seconds of a step, needed where the config gives seconds.
        validation_passes: what a validation costs, in passes over the training part.
    """
    steps_per_pass = math.ceil(batches_per_pass / config.accumulate)
    if config.epochs is not None:
        return RunPlan(
            steps=config.epochs * steps_per_pass,
            epochs=config.epochs,
            passes_per_epoch=1,
            steps_per_pass=steps_per_pass,
        )
    steps = config.steps if config.steps is not None else max(1, int((config.seconds or 0.0) / step_s))
    passes = steps / steps_per_pass
    usual = math.ceil(passes / MOST_EPOCHS)
    cheap = min(math.ceil(validation_passes / _VALIDATION_SHARE), math.floor(passes / _FEWEST_EPOCHS))
    passes_per_epoch = max(1, usual, cheap)
    return RunPlan(
        steps=steps,
        epochs=max(1, round(steps / steps_per_pass / passes_per_epoch)),
        passes_per_epoch=passes_per_epoch,
        steps_per_pass=steps_per_pass,
    )
