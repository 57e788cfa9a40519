"""A study folder as `segbench study run` leaves it, written in a second: drawn images, distorted truths as masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segbench.config.study import PlannedRun, expand, parse_study
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.synthetic.write import write_lesions, write_streets
from segbench.files import write_json
from segbench.folders.mask_archive import save_masks
from segbench.folders.run import RunFolder
from segbench.folders.study import Failure, StudyFolder
from segbench.metrics.definitions import footnote, size_text
from segbench.metrics.scores import score_masks

SIZE = (64, 80)
Mask = npt.NDArray[np.uint8]

NETWORKS: dict[str, Any] = {"segnet": "segnet", "unet_nearest": "unet_nearest"}
LOSSES: dict[str, Any] = {"bce": {"bce": 1}, "dice+bce": {"dice": 0.5, "bce": 0.5}}


def write_study(
    root: Path,
    *,
    networks: Mapping[str, Any] = NETWORKS,
    losses: Mapping[str, Any] = LOSSES,
    seeds: Sequence[int] = (0, 1),
    images: int = 48,
    epochs: int = 24,
    streets: bool = False,
    groups: bool = False,
    failed: Sequence[str] = (),
    spread: float = 1.0,
    **study: Any,
) -> StudyFolder:
    """Returns the folder of a finished study.

    Args:
        root: to fill.
        networks, losses: the factors; the later ones are the better ones.
        seeds: of every entry.
        images: drawn; a third of them is the test part.
        epochs: of every run.
        streets: several classes, else lesions.
        groups: every two images share a patient.
        failed: run ids that failed.
        spread: how much better later values are; 0 makes all entries alike.
        study: further keys of the study.
    """
    draw = write_streets if streets else write_lesions
    draw(root / "data", count=images, seed=0, size=SIZE)
    manifest = _split(read_dataset(root / "data"), groups)
    asked = parse_study(
        {
            "study": "demo",
            "title": "Which network and which loss find it best?",
            "question": "Which of the networks and losses outlines the object best?",
            "base": {"data": {"path": str(root / "data"), "size": list(SIZE)}, "epochs": epochs},
            "vary": {"network": dict(networks), "loss": dict(losses), "seed": list(seeds)},
            "output": str(root / "study"),
            **study,
        }
    )
    plan, folder = expand(asked), StudyFolder(root / "study")
    folder.claim(asked, plan, manifest_hash=manifest.content_hash, threads=2, engine="local")
    manifest.write(folder.manifest_file)
    truths = {
        part: [(sample.id, load_sample(manifest, sample)[1]) for sample in manifest.split(part)]
        for part in ("val", "test")
    }
    for run in plan.runs:
        if run.id in failed:
            message = "the loss is not finite in epoch 2; lower optimizer.lr"
            folder.write_failure(run.id, Failure(error=message, kind="refused", attempts=2))
            continue
        error = 0.35 - spread * (0.1 * _place(run, "network", networks) + 0.08 * _place(run, "loss", losses))
        write_run(folder.run(run.id), run, manifest, truths, error)
    return folder


def write_run(
    folder: RunFolder,
    run: PlannedRun,
    manifest: Manifest,
    truths: Mapping[str, Sequence[tuple[str, Mask]]],
    error: float,
) -> None:
    """Writes everything of a finished run that a report reads; `error` of about 0.05 to 0.4 decides its scores."""
    rng = np.random.default_rng([run.seed, *run.entry.encode()])
    config, classes = run.config, manifest.class_map
    error += float(rng.normal(0.0, 0.015))
    folder.write_config(config)
    folder.write_facts(
        {"class_map": classes.to_dict(), "manifest_hash": manifest.content_hash, "environment": ENVIRONMENT}
    )
    manifest.write(folder.manifest_file)
    history = _history(config.epochs, error, rng)
    folder.write_history(history)
    best_epoch = 1 + int(np.argmax([row["val_iou_per_image"] for row in history]))
    folder.log_test_scoring("2026-01-02T03:04:05+00:00", best_epoch, "end of training")
    scores = {}
    for part, pairs in truths.items():
        masks = [(name, distort(truth, error, classes.num_classes, rng)) for name, truth in pairs]
        save_masks(folder.predicted_file(part), masks)
        scores[part] = score_masks(
            [mask for _, mask in masks],
            [truth for _, truth in pairs],
            classes,
            ids=[name for name, _ in pairs],
            threshold=0.5,
            resolution=size_text(config.data.size),
        )
        scores[part].write_csv(folder.table_file("scores", part))
        scores[part].counts.write_csv(folder.table_file("counts", part), classes)
    definitions = scores["test"].definition_of
    parameters = 700_000 + 100_000 * (sum(run.entry.encode()) % 7)
    summaries = {part: each.summary() for part, each in scores.items()}
    write_json(
        folder.result_file,
        {
            "name": run.id,
            "network": config.network.model_dump(),
            "loss": config.to_dict()["loss"],
            "seed": run.seed,
            "scores": {"train": {name: min(1.0, v + 0.05) for name, v in summaries["val"].items()}, **summaries},
            "per_class": {part: each.per_class_table() for part, each in scores.items()},
            "definitions": {name: each.sentence for name, each in definitions.items()},
            "definition_of": {name: each.to_dict() for name, each in definitions.items()},
            "footnote": footnote(definitions.values()),
            "n": {part: len(manifest.split(part)) for part in ("train", "val", "test")},
            "test_scored": 1,
            "manifest_hash": manifest.content_hash,
            "best_epoch": best_epoch,
            "epochs": len(history),
            "monitor": {"name": "val_iou_per_image", "value": history[best_epoch - 1]["val_iou_per_image"]},
            "parameters": parameters,
            "trainable_parameters": parameters,
            "flops": 900 * parameters,
            "seconds": {"epochs": math.fsum(row["seconds"] for row in history), "epoch_median": 2.0},
            "images_per_s": {"training": 40.0, "prediction": 2e8 / parameters},
            "peak_memory_mb": 700.0,
            "threshold": 0.5,
            "weights": "starts from random weights",
        },
    )


ENVIRONMENT = {
    "python": "3.11.7",
    "system": "Linux",
    "processor": "some processor",
    "device": "cpu",
    "threads": 2,
    "precision": "32-true",
    "packages": {"segbench": "0.1.0", "torch": "2.15.0"},
}


def distort(truth: Mask, error: float, num_classes: int, rng: np.random.Generator) -> Mask:
    """Returns a prediction that is wrong along borders, in pieces, and sometimes altogether."""
    height, width = truth.shape
    amount = error * rng.gamma(4.0, 0.25)
    shift = rng.normal(0.0, 9.0 * amount, 2).round().astype(int)
    moved = np.roll(truth, tuple(shift), axis=(0, 1))
    wave = ndimage.gaussian_filter(rng.normal(size=truth.shape), 4.0)
    moved = np.where(wave > np.quantile(wave, 1.0 - 0.25 * amount), moved * (moved > 1), moved)
    if rng.random() < amount:
        top, left = int(rng.integers(0, height - 10)), int(rng.integers(0, width - 10))
        moved[top : top + 8, left : left + 8] = rng.integers(1, num_classes)
    moved[moved >= num_classes] = 0  # what is ignored in the truth
    return moved.astype(np.uint8)


def _place(run: PlannedRun, factor: str, values: Mapping[str, Any]) -> float:
    return list(values).index(run.factors[factor]) / max(1, len(values) - 1)


def _split(manifest: Manifest, groups: bool) -> Manifest:
    from dataclasses import replace

    parts = ("train", "val", "test")
    if groups:
        samples = [replace(s, group=f"patient {n // 2:02d}") for n, s in enumerate(manifest.samples)]
        manifest = replace(manifest, samples=tuple(samples))
    return manifest.with_splits({sample.id: parts[n // 2 % 3] for n, sample in enumerate(manifest.samples)})  # type: ignore[misc]


def _history(epochs: int, error: float, rng: np.random.Generator) -> list[dict[str, float]]:
    rows = []
    turn = 0.6 * epochs
    for epoch in range(1, epochs + 1):
        fallen = math.exp(-4.0 * epoch / epochs)
        late = max(0.0, epoch - turn) / epochs
        val = 0.25 + error + 0.5 * fallen + 0.6 * late + float(rng.normal(0, 0.006))
        score = 1.0 - error - 0.6 * fallen - 0.08 * late + float(rng.normal(0, 0.008))
        rows.append(
            {
                "epoch": float(epoch),
                "lr": 1e-3,
                "train_loss": 0.2 + error + 0.5 * fallen - 0.15 * late + float(rng.normal(0, 0.004)),
                "train_iou_per_image": min(1.0, score + 0.04 + 0.2 * late),
                "val_loss": val,
                "val_iou_per_image": min(1.0, max(0.0, score)),
                "train_s": 1.8,
                "val_s": 0.2,
                "seconds": 2.0 + error,
                "train_images_per_s": 40.0,
                "peak_memory_mb": 700.0,
            }
        )
    return rows
