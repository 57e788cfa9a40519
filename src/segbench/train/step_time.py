"""What a training step takes, and a validation, to plan runs whose length is given in steps or seconds."""

from __future__ import annotations

import copy
import time
from dataclasses import replace

import torch

from segbench.config.length import RunPlan, plan_run
from segbench.config.run import DataConfig, RunConfig
from segbench.data.manifest.manifest import Manifest
from segbench.losses.weighted_sum import WeightedSum
from segbench.models.base import SegmentationNetwork
from segbench.predict.tiles import tile_starts
from segbench.train.callback import Callback
from segbench.train.fabric import Fabric
from segbench.train.loop import Loaders, Training, explain_memory
from segbench.types import ORIGINAL, ClassMap

_WARM_UP_STEPS = 3  # the first ones take memory and choose algorithms
_TIMED_S = 3.0
_MOST_TIMED_STEPS = 30


def time_step(
    config: RunConfig,
    network: SegmentationNetwork,
    loss: WeightedSum,
    loaders: Loaders,
    class_map: ClassMap,
    fabric: Fabric,
) -> float:
    """Returns the seconds of a step of the optimiser, from some steps of the run's own loop on its own images.

    They are made by copies; the network, the loss and torch's random state stay as they are. Arguments are those of
    `Training`.

    Raises:
        RunError: memory does not suffice, or the loss is not finite.
    """
    few = config.model_copy(update={"epochs": None, "steps": _WARM_UP_STEPS, "seconds": None})
    plan = plan_run(few, len(loaders.learn))
    length = replace(plan, steps=_WARM_UP_STEPS + _MOST_TIMED_STEPS, epochs=1)
    with torch.random.fork_rng(), explain_memory(config):
        trial = Training(
            config, copy.deepcopy(network), copy.deepcopy(loss), loaders, class_map, fabric, Callback(), length
        )
        first = _step_s(trial, replace(length, steps=_WARM_UP_STEPS))
        steps = min(_MOST_TIMED_STEPS, max(1, round(_TIMED_S / first)))
        return _step_s(trial, replace(length, steps=steps))


def _step_s(trial: Training, length: RunPlan) -> float:
    """Returns the seconds of a step. On a CPU the time counts that this process had, not what others took meanwhile."""
    trial.plan = length
    had = time.process_time()
    passed: float = trial.learn(0)[1]["train_s"]
    had = (time.process_time() - had) / torch.get_num_threads()
    return (min(had, passed) if trial.fabric.device.type == "cpu" else passed) / length.steps


def validation_passes(data: DataConfig, manifest: Manifest) -> float:
    """Returns what a validation costs, in passes over the training part; going forward is a third of a step."""
    samples = manifest.split("val")
    shown = len(samples)
    if data.patch is not None:
        sizes = [(sample.height, sample.width) if data.size == ORIGINAL else data.size for sample in samples]
        height, width = data.patch
        shown = sum(len(tile_starts(size[0], height)) * len(tile_starts(size[1], width)) for size in sizes)
    return shown / len(manifest.split("train")) / 3
