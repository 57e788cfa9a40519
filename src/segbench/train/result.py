"""The end of a run: every split scored with the best weights, and everything about it in `result.json`."""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segbench.data.index import Manifest
from segbench.files import replacing, write_json
from segbench.metrics.scores import Scores, score_counts
from segbench.plots.curves import learning_curves
from segbench.runs import RunFolder
from segbench.train.environment import peak_memory_mb
from segbench.train.loop import Training, explain_memory
from segbench.train.score import SplitPass
from segbench.types import SPLITS, RunResult, SplitName


def score_and_write(training: Training, folder: RunFolder, manifest: Manifest) -> RunResult:
    """Scores train, val and test with the loaded (best) weights, writes counts, scores, curves and the result.

    The test part is scored here and only here during a run; `test_log.csv` counts every time it happens.
    """
    loaders = {"train": training.loaders.train, "val": training.loaders.val, "test": training.loaders.test}
    best_epoch = training.best_epoch() + 1
    passes: dict[SplitName, SplitPass] = {}
    scores: dict[SplitName, Scores] = {}
    times_scored = 0
    for split in SPLITS:
        if split == "test":
            times_scored = folder.log_test_scoring(now(), best_epoch, "end of training")
        with explain_memory(training.config):
            passes[split] = training.score(loaders[split], f"scoring the {split} part", full_precision=True)
        scores[split] = score_counts(passes[split].counts, training.class_map)
        passes[split].counts.write_csv(folder.counts_file(split), training.class_map)
        scores[split].write_csv(folder.scores_file(split))
    monitor = training.config.monitor
    figure = learning_curves(training.history, monitor, best_epoch, training.config.run_name)
    with replacing(folder.curves_file) as temporary:
        figure.savefig(temporary, dpi=110)
    result = _result(training, manifest, passes, scores, best_epoch, times_scored)
    write_json(folder.result_file, result)
    return folder.read_result()


def now() -> str:
    """Returns the time as ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _result(
    training: Training,
    manifest: Manifest,
    passes: Mapping[SplitName, SplitPass],
    scores: Mapping[SplitName, Scores],
    best_epoch: int,
    times_scored: int,
) -> dict[str, Any]:
    config, history = training.config, training.history
    height, width = config.data.size
    return {
        "name": config.run_name,
        "finished": now(),
        "network": config.network.model_dump(),
        "loss": {term.name: {"weight": term.weight, **term.options} for term in config.loss},
        "seed": config.seed,
        "weights": "random",
        "scored_at": f"{height}x{width} pixels (H x W), the training size",
        "scored_in": "float32",
        "threshold": config.threshold,
        "scores": {split: scores[split].summary() for split in SPLITS},
        "loss_values": {split: passes[split].loss for split in SPLITS},
        "per_class": {split: scores[split].per_class_table() for split in SPLITS},
        "definitions": scores["test"].definitions,
        "n": {split: scores[split].n_images for split in SPLITS},
        "test_scored": times_scored,
        "manifest_hash": manifest.content_hash,
        "fingerprint": config.fingerprint(),
        "best_epoch": best_epoch,
        "epochs": len(history),
        "monitor": {"name": f"val_{config.monitor}", "value": history[best_epoch - 1][f"val_{config.monitor}"]},
        **cost(training.network, (height, width)),
        "seconds": {
            "epochs": math.fsum(row["seconds"] for row in history),
            "epoch_median": statistics.median(row["seconds"] for row in history),
        },
        "images_per_s": {
            "training": statistics.median(row["train_images_per_s"] for row in history),
            "prediction": scores["test"].n_images / passes["test"].network_seconds,
        },
        "peak_memory_mb": max(peak_memory_mb(training.fabric.device), *(row["peak_memory_mb"] for row in history)),
    }


def cost(network: nn.Module, size: tuple[int, int], in_channels: int = 3) -> dict[str, int]:
    """Returns parameters, trainable parameters, and the FLOPs of one image: two per multiply-add."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        network(torch.zeros(1, in_channels, *size, device=device))
    network.train(was_training)
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "trainable_parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "flops": int(counter.get_total_flops()),
    }
