"""The end of a run: every split scored with the best weights, and everything about it in `result.json`."""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segbench.data.manifest.manifest import Manifest
from segbench.files import replacing, write_json
from segbench.folders.mask_archive import MaskWriter, write_masks
from segbench.folders.run import RunFolder
from segbench.folders.seal import KEY as SEAL
from segbench.folders.seal import seal
from segbench.metrics.definitions import footnote, size_text
from segbench.metrics.families import label_of
from segbench.metrics.scores import Scores, score_counts
from segbench.metrics.threshold import ThresholdChoice
from segbench.plots.curves import learning_curves
from segbench.train.alerts import is_collapsed, main_score
from segbench.train.environment import peak_memory_mb
from segbench.train.evaluator import Evaluation, Evaluator, ThresholdCollector
from segbench.train.loop import Training, explain_memory
from segbench.train.main_number import main_number
from segbench.train.score import SplitPass
from segbench.types import SPLITS, RunResult, SplitName, Tta


def score_and_write(
    training: Training, folder: RunFolder, manifest: Manifest, splits: Sequence[SplitName] = SPLITS
) -> RunResult:
    """Scores the splits with the loaded (best) weights, writes counts, scores, masks, curves and the result.

    The test part is scored here and only here during a run; `test_log.csv` counts every time it happens. A threshold
    that validation is to choose is chosen first, on the validation part alone. `tta` is used throughout.
    """
    config, class_map = training.config, training.class_map
    loaders = {"train": training.loaders.train, "val": training.loaders.val, "test": training.loaders.test}
    best_epoch = training.best_epoch() + 1
    training.loss.set_epoch(best_epoch - 1)
    choice = _choose_threshold(training, config.tta)
    if choice is not None:
        training.watch.message(choice.sentence)
    threshold = config.training_threshold if choice is None else choice.threshold
    passes: dict[SplitName, SplitPass] = {}
    evaluated: dict[SplitName, Evaluation] = {}
    times_scored = 0
    for split in splits:
        if split == "test":
            times_scored = folder.log_test_scoring(now(), best_epoch, "end of training")
        with explain_memory(config), _kept_masks(folder, split) as masks:
            evaluator = Evaluator(class_map, threshold, config.scores, compare_default=choice is not None, masks=masks)
            passes[split] = training.score(
                loaders[split], f"scoring the {split} part", full_precision=True, tta=config.tta, collector=evaluator
            )
            evaluated[split] = evaluator.evaluation(size_text(config.data.size))
        evaluated[split].write(folder, split)
    # The loss has a panel of its own.
    figure = learning_curves(training.history, main_score(config), best_epoch, config.run_name)
    with replacing(folder.curves_file) as temporary:
        figure.savefig(temporary, dpi=110)
    result = {
        **_result(training, manifest, passes, evaluated, best_epoch, times_scored),
        "weights": folder.read_facts()["weights"],
        "threshold": threshold,
        "tta": _about_flips(training, evaluated["val"]),
        "main": main_number(evaluated[splits[-1]].scores, config.monitor, manifest.samples, splits[-1]),
    }
    if choice is not None:  # the last evaluator is that of the test part
        result["threshold_choice"] = _about_choice(
            choice, evaluator.default_scores(), splits[-1], evaluated[splits[-1]]
        )
    result[SEAL] = seal(folder, splits, weights=folder.best_file)
    write_json(folder.result_file, result)
    return folder.read_result()


def _choose_threshold(training: Training, tta: Tta) -> ThresholdChoice | None:
    """Returns the best threshold on the validation part, where the config asks for it."""
    if training.config.threshold != "validation":
        return None
    sweep = ThresholdCollector(training.class_map.task)
    with explain_memory(training.config):
        training.score(training.loaders.val, "choosing the threshold", full_precision=True, tta=tta, collector=sweep)
    return sweep.best(training.config.monitor, training.class_map)


def _about_flips(training: Training, val: Evaluation) -> dict[str, Any]:
    """Returns what the mirror images changed on the validation part.

    Where validation chooses the threshold, it chooses one for the network without them, too: each is at its best.

    Args:
        val: scored as the config says.
    """
    config, score = training.config, main_score(training.config)
    if config.tta == "none":
        return {"name": "none"}
    choice = _choose_threshold(training, "none")
    if choice is not None:
        without = choice.value
    else:
        with explain_memory(config):
            one_look = training.score(training.loaders.val, "scoring the val part without tta", full_precision=True)
        without = score_counts(one_look.counts, training.class_map).summary()[score]
    value = val.summary()[score]
    training.watch.message(
        f"tta {config.tta}: {label_of(score)} {value:.4f} on the validation part, {without:.4f} without it "
        f"({value - without:+.4f})"
    )
    return {"name": config.tta, "val": {"score": score, "value": value, "without": without, "gain": value - without}}


@contextmanager
def _kept_masks(folder: RunFolder, split: SplitName) -> Iterator[MaskWriter | None]:
    """Yields where the predicted masks go; those of the training part are not kept."""
    if split == "train":
        yield None
        return
    with write_masks(folder.predicted_file(split)) as masks:
        yield masks


def _about_choice(choice: ThresholdChoice, default: Scores, split: SplitName, evaluated: Evaluation) -> dict[str, Any]:
    before, after = default.summary()[choice.score], evaluated.summary()[choice.score]
    return {
        **choice.to_dict(),
        "chosen_on": "val",
        split: {"value": after, "default_value": before, "gain": after - before, "n_images": default.n_images},
    }


def now() -> str:
    """Returns the time as ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _result(
    training: Training,
    manifest: Manifest,
    passes: Mapping[SplitName, SplitPass],
    evaluated: Mapping[SplitName, Evaluation],
    best_epoch: int,
    times_scored: int,
) -> dict[str, Any]:
    config, history = training.config, training.history
    last = list(evaluated)[-1]  # test, unless it is not to be touched
    definitions = evaluated[last].definition_of
    return {
        "name": config.run_name,
        "finished": now(),
        "network": config.network.model_dump(),
        "loss": config.to_dict()["loss"],
        "seed": config.seed,
        "freeze": config.freeze.model_dump(),
        "scored_at": size_text(config.data.size),
        "scored_in": "float32",
        "scores": {split: each.summary() for split, each in evaluated.items()},
        "loss_values": {split: each.loss for split, each in passes.items()},
        "per_class": {split: each.per_class_table() for split, each in evaluated.items()},
        "definitions": {name: definition.sentence for name, definition in definitions.items()},
        "definition_of": {name: definition.to_dict() for name, definition in definitions.items()},
        "footnote": footnote(definitions.values()),
        "n": {split: each.scores.n_images for split, each in evaluated.items()},
        "test_scored": times_scored,
        "manifest_hash": manifest.content_hash,
        "fingerprint": config.fingerprint(),
        "best_epoch": best_epoch,
        "epochs": len(history),
        "length": {
            "epochs": len(history),
            "steps": training.steps_done,
            "passes": training.plan.passes(len(history)),
            "planned": training.plan.to_dict(),
        },
        "alerts": [alert.to_dict() for alert in training.alerts],
        "collapsed": is_collapsed(passes["val"].counts, evaluated["val"].summary()[main_score(config)]),
        "monitor": {"name": f"val_{config.monitor}", "value": history[best_epoch - 1][f"val_{config.monitor}"]},
        **cost(training.network, config.data.network_size, manifest.channels),
        "seconds": {
            "epochs": math.fsum(row["seconds"] for row in history),
            "epoch_median": statistics.median(row["seconds"] for row in history),
        },
        "images_per_s": {
            "training": statistics.median(row["train_images_per_s"] for row in history),
            "prediction": evaluated[last].scores.n_images / passes[last].network_seconds,
        },
        "peak_memory_mb": max(peak_memory_mb(training.fabric.device), *(row["peak_memory_mb"] for row in history)),
    }


def cost(network: nn.Module, size: tuple[int, int], in_channels: int = 3) -> dict[str, int]:
    """Returns parameters, trainable parameters, and the FLOPs of one image or patch: two per multiply-add."""
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
