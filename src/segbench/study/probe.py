"""How fast a run of a study will be: its own training loop, timed over a few steps on random images."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segbench.config.length import plan_run
from segbench.config.run import DataConfig, RunConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.samples.decoded import DecodedSamples
from segbench.data.samples.loaders import learning_loader, whole_loader
from segbench.data.samples.sample_cache import SampleCache
from segbench.losses import build_loss
from segbench.models.configured import network_of
from segbench.predict.device import pick_device
from segbench.train.callback import Callback
from segbench.train.environment import cpu_settings, deterministic
from segbench.train.loop import Loaders, Training
from segbench.train.norm_statistics import MOST_BATCHES, is_recomputed
from segbench.train.precision import make_fabric, pick_precision
from segbench.train.prepare import resolve_loss
from segbench.train.step_time import validation_passes
from segbench.types import ORIGINAL, Sample, Task

_STEPS = 2  # timed, after as many to warm up
# What decides nothing about the time of a step.
_FREE_KEYS = (
    *("name", "output", "seed", "epochs", "early_stopping", "monitor", "threshold", "scores", "schedule", "weights"),
    *("threads", "train_score_every", "steps", "seconds", "norm_statistics", "swa_start", "pictures"),
)
_FREE_DATA_KEYS = ("path", "format", "options", "split", "cache_dir")


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What was measured of a run's settings, alone on the machine.

    Attributes:
        step_s: seconds of training on one batch.
        image_s: seconds to validate one image.
        checkpoint_mb: size of what a run keeps to go on from.
        weights_mb: size of the weights.
    """

    step_s: float
    image_s: float
    checkpoint_mb: float
    weights_mb: float


def cost_key(config: RunConfig) -> str:
    """Returns the same text for runs whose steps take the same time: seeds and learning rates make no difference."""
    plain = {key: value for key, value in config.to_dict().items() if key not in _FREE_KEYS}
    plain["data"] = {key: value for key, value in plain["data"].items() if key not in _FREE_DATA_KEYS}
    plain["optimizer"] = plain["optimizer"]["name"]
    return json.dumps(plain, sort_keys=True)


def measure(config: RunConfig, manifest: Manifest, threads: int) -> Speed:
    """Returns how fast a run is, from a few steps of its own training loop on random images of its size.

    Reads no image, writes nothing, and leaves torch's random state as it was. Weights to start from are not loaded.

    Args:
        config: of the run.
        manifest: its data, split: the classes and the sizes of the parts.
        threads: CPU threads.
    Raises:
        ConfigError: an option of the network or the loss has a wrong value, or the device is not here.
        RunError: memory does not suffice.
    """
    device = pick_device(config.device)
    count = min(config.batch_size * _STEPS, len(manifest.split("train")))
    cache, samples = _random_samples(manifest, _size(config.data, manifest), max(count, 1))
    drawn = replace(manifest, samples=samples)
    with torch.random.fork_rng(), cpu_settings(threads, device), deterministic(config.deterministic):
        torch.manual_seed(0)
        fabric = make_fabric(device, pick_precision(config.precision, device, Callback()))
        network = network_of(config, manifest.channels, manifest.class_map.out_channels, load_weights=False)
        loss = build_loss(resolve_loss(config, drawn, cache))
        loaders = _loaders(config, cache, samples, fabric.device)
        twice = config.model_copy(update={"epochs": 2, "steps": None, "seconds": None})
        plan = plan_run(twice, len(loaders.learn))
        training = Training(config, network, loss, loaders, manifest.class_map, fabric, Callback(), plan)
        training.run_epoch()
        row, _ = training.run_epoch()
        state = training.state_dict()
    return Speed(
        step_s=row["train_s"] / len(loaders.learn),
        image_s=row["val_s"] / loaders.val.num_samples,
        checkpoint_mb=_bytes(state) / 1e6,
        weights_mb=_bytes(training.scored_network.state_dict()) / 1e6,
    )


def batches_a_pass(config: RunConfig, num_train: int) -> int:
    """Returns the batches of a pass over the training part; a single sample left over joins the batch before."""
    full, rest = divmod(num_train, config.batch_size)
    joins = rest == 1 and full > 0 and config.batch_size > 1
    return full + (rest > 0 and not joins)


def run_seconds(config: RunConfig, manifest: Manifest, speed: Speed) -> float:
    """Returns about how long a run takes: its epochs, and scoring all parts at the end."""
    train, val = len(manifest.split("train")), len(manifest.split("val"))
    batches = batches_a_pass(config, train)
    plan = plan_run(config, batches, speed.step_s * config.accumulate, validation_passes(config.data, manifest))
    scored = plan.epochs * val
    if is_recomputed(config, plan):
        scored += plan.epochs * min(train, MOST_BATCHES * config.batch_size)
    if config.train_score_every:
        scored += plan.epochs // config.train_score_every * train
    return plan.passes(plan.epochs) * batches * speed.step_s + (scored + len(manifest)) * speed.image_s


def _size(data: DataConfig, manifest: Manifest) -> tuple[int, int]:
    """Returns (H, W) of the images to time; the middle one where every image has its own."""
    if data.size != ORIGINAL:
        return data.size
    sides = zip(*((sample.height, sample.width) for sample in manifest.samples), strict=True)
    height, width = (sorted(side)[len(side) // 2] for side in sides)
    return height, width


def _random_samples(manifest: Manifest, size: tuple[int, int], count: int) -> tuple[SampleCache, tuple[Sample, ...]]:
    """Returns noise with one block of every class in each mask, kept in memory."""
    classes, rng = manifest.class_map, np.random.default_rng(0)
    height, width = size
    multilabel = classes.task is Task.MULTILABEL
    planes = (classes.num_classes,) if multilabel else ()
    masks = np.zeros((count, *planes, height, width), dtype=np.uint8)
    edges = np.linspace(height // 4, 3 * height // 4, classes.num_classes + 1).astype(int)
    for label, (top, bottom) in enumerate(itertools.pairwise(edges)):
        columns = slice(width // 4, 3 * width // 4)
        if multilabel:
            masks[:, label, top:bottom, columns] = 1
        else:
            masks[:, top:bottom, columns] = label
    samples = tuple(
        Sample(
            id=f"random_{index}",
            image="",
            mask="",
            height=height,
            width=width,
            image_hash="",
            mask_hash="",
            split="train",
        )
        for index in range(count)
    )
    images = rng.integers(0, 256, (count, height, width, manifest.channels), dtype=np.uint8)
    rows = {sample.id: row for row, sample in enumerate(samples)}
    return SampleCache(images=images, masks=masks, rows=rows, class_map=classes), samples


def _loaders(config: RunConfig, cache: SampleCache, samples: tuple[Sample, ...], device: torch.device) -> Loaders:
    decoded = DecodedSamples(cache, patch=config.data.patch)
    learn, statistics = (
        learning_loader(
            decoded,
            samples,
            batch_size=config.batch_size,
            shuffle=True,
            augment=augment,
            device=device,
            channels_last=config.channels_last,
            merge_single=True,
        )
        for augment in (config.data.augment, None)
    )
    plain = whole_loader(
        decoded,
        samples[: config.batch_size],
        batch_size=config.batch_size,
        device=device,
        channels_last=config.channels_last,
    )
    return Loaders(learn=learn, statistics=statistics, train=plain, val=plain, test=plain)


def _bytes(state: Any) -> int:
    """Returns the size of all tensors in nested values."""
    if isinstance(state, Tensor):
        return state.nbytes
    if isinstance(state, Mapping):
        return sum(_bytes(value) for value in state.values())
    return sum(_bytes(value) for value in state) if isinstance(state, list | tuple) else 0
