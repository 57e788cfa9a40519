"""What to do about BatchNorm's running statistics where an epoch has few steps: four remedies, side by side.

python benchmarks/norm_statistics.py FOLDER_OF_DATA_SETS [--epochs 6] [--seeds 0 1 2] [--out runs/norm_statistics]

Small cuts of real sets and one drawn set, 64 x 64 px, batches of 8, so that an epoch has three to five steps:

- `running`: the statistics as torch moves them, a tenth towards each batch;
- `recomputed`: `norm_statistics: recomputed`, estimated anew over the training part before every validation;
- `momentum`: moved so far that nine tenths of the initial statistics are forgotten after one epoch;
- `group`: GroupNorm instead (networks from random weights only).

Finished runs are not trained again, so it can be stopped and started.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import segbench
from _machine import machine_line
from segbench.config.split import SplitConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.synthetic.write import write_lesions
from segbench.doctor.divide import divide
from segbench.models import MODELS
from segbench.types import Task

ROOT = Path(__file__).resolve().parent.parent
BATCH = 8
VARIANTS = ("running", "recomputed", "momentum", "group")
_CWFID = {"soil": [0, 0, 0], "weed": [255, 0, 0], "crop": [0, 255, 0]}
CUTS: Mapping[str, tuple[str, str | None, Mapping[str, Any], int]] = {  # folder, format, options, images
    "ph2": ("ph2", "ph2", {}, 30),
    "pets": ("oxford_pets", "oxford_pets", {"border": "class"}, 40),
    "cwfid": ("cwfid", "folder", {"masks": "annotations", "classes": _CWFID}, 40),
    "kudzu": ("via_kudzu", "via", {"default_class": "kudzu"}, 40),
    "camvid": ("camvid", "camvid", {}, 50),
}
LITE0: Mapping[str, Any] = {
    "network": {"name": "smp/unet", "encoder": "tu-tf_efficientnet_lite0"},
    "weights": "imagenet",
    "optimizer": {"lr": 2e-3, "encoder_lr": 2e-4},
}
RANDOM: Mapping[str, Any] = {"network": "unet_nearest", "optimizer": {"lr": 2e-3}}


@MODELS.register("unet_nearest_with")
def unet_nearest_with(
    *, in_channels: int = 3, out_channels: int = 1, norm: str = "batch", momentum: float = 0.1
) -> nn.Module:
    """unet_nearest with another normalisation, or another momentum of its BatchNorm."""
    network = segbench.build_network("unet_nearest", in_channels=in_channels, out_channels=out_channels)
    return with_norm(network, norm, momentum)


@MODELS.register("lite0_with")
def lite0_with(
    *, in_channels: int = 3, out_channels: int = 1, momentum: float = 0.1, weights: str = "imagenet"
) -> nn.Module:
    """smp/unet with EfficientNet-Lite0, its BatchNorm with another momentum."""
    options = {"encoder": "tu-tf_efficientnet_lite0", "weights": weights}
    network = segbench.build_network("smp/unet", in_channels=in_channels, out_channels=out_channels, **options)
    return with_norm(network, "batch", momentum)


def with_norm(network: nn.Module, norm: str, momentum: float) -> nn.Module:
    for name, module in list(network.named_modules()):
        if not isinstance(module, nn.BatchNorm2d):
            continue
        module.momentum = momentum
        if norm == "group":
            parent, _, child = name.rpartition(".")
            groups = math.gcd(module.num_features, 8)
            setattr(network.get_submodule(parent), child, nn.GroupNorm(groups, module.num_features))
    return network


def cut(folder: Path, name: str) -> Manifest:
    """Returns some samples of a set, drawn with one seed and divided 60 : 20 : 20."""
    below, reader, options, count = CUTS[name]
    manifest = read_dataset(folder / below, reader, **options)
    keep = sorted(np.random.default_rng(0).choice(len(manifest.samples), min(count, len(manifest.samples)), False))
    samples = tuple(dataclasses.replace(manifest.samples[index], split=None) for index in keep)
    manifest = dataclasses.replace(manifest, samples=samples)
    return divide(manifest, SplitConfig(method="ratios", ratios=(0.6, 0.2, 0.2)))


def settings(variant: str, network: str, steps: int) -> dict[str, Any]:
    momentum = max(0.1, 1 - 0.1 ** (1 / steps))
    common: dict[str, Any] = dict(RANDOM if network == "unet_nearest" else LITE0)
    common["norm_statistics"] = "recomputed" if variant == "recomputed" else "running"
    if variant == "momentum" and network == "unet_nearest":
        common["network"] = {"name": "unet_nearest_with", "momentum": momentum}
    elif variant == "momentum":
        common["network"] = {"name": "lite0_with", "momentum": momentum}
    elif variant == "group":
        common["network"] = {"name": "unet_nearest_with", "norm": "group"}
    return common


def train(
    manifest: Path, task: Task, values: Mapping[str, Any], seed: int, epochs: int, output: Path
) -> dict[str, float]:
    overlap = "bce" if task is Task.BINARY else "cross_entropy"
    started = time.process_time()
    result = segbench.fit(
        {
            **values,
            "data": {"path": str(manifest), "size": 64, "augment": "light"},
            "loss": {"dice": 0.5, overlap: 0.5},
            "epochs": epochs,
            "batch_size": BATCH,
            "seed": seed,
            "threads": 1,
            "scores": {"surface": False},
            "output": str(output),
        },
        manifest=manifest,
    )
    with (output / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        scores = [float(row["val_iou_per_image"]) for row in csv.DictReader(stream)]
    return {
        "test": result.scores["test"]["iou_per_image"],
        "last": scores[-1],
        "zero": sum(score < 0.01 for score in scores),
        "cpu_s": time.process_time() - started,
    }


def summary(runs: Sequence[Mapping[str, float]]) -> str:
    """Returns a cell of the table."""
    test = [run["test"] for run in runs]
    last, cpu_s = (statistics.mean(run[key] for run in runs) for key in ("last", "cpu_s"))
    zero = sum(run["zero"] for run in runs)
    return (
        f"{statistics.mean(test):.3f} ({min(test):.3f}-{max(test):.3f}), {last:.3f}, {zero:.0f} at zero, {cpu_s:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/norm_statistics"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    drawn = write_lesions(given.out / "drawn", 30)
    lines = [
        f"{given.epochs} epochs at 64 x 64 px, batches of {BATCH}, seeds {given.seeds}. {machine_line()}.",
        "Mean of the test IoU per image (smallest to largest), mean of the validation IoU after the last epoch, epochs "
        "with a validation IoU below 0.01, CPU seconds a run.",
        "",
        f"| network, set | {' | '.join(VARIANTS)} |",
        "| --- |" + " --- |" * len(VARIANTS),
    ]
    for network, names in (("unet_nearest", ("drawn", *CUTS)), ("lite0", ("ph2", "pets", "cwfid"))):
        for name in names:
            manifest = (
                divide(read_dataset(drawn), SplitConfig(ratios=(0.6, 0.2, 0.2)))
                if name == "drawn"
                else cut(given.data, name)
            )
            file = given.out / f"{name}.json"
            manifest.write(file)
            steps = math.ceil(len(manifest.split("train")) / BATCH)
            cells = []
            for variant in VARIANTS:
                if variant == "group" and network == "lite0":
                    cells.append("–")
                    continue
                runs = [
                    train(
                        file,
                        manifest.class_map.task,
                        settings(variant, network, steps),
                        seed,
                        given.epochs,
                        given.out / f"{variant}-{network}-{name}-{seed}",
                    )
                    for seed in given.seeds
                ]
                cells.append(summary(runs))
                print(network, name, variant, cells[-1], flush=True)
            lines.append(f"| {network}, {name} | {' | '.join(cells)} |")
    (ROOT / "benchmarks" / "results" / "norm_statistics.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
