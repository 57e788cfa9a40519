"""What is a first model worth? `segbench assist` with 5 to 100 labelled images, against features never trained.

    python benchmarks/assist.py --sets ph2 pets camvid -o benchmarks/results/assist.md

Another choice of labelled images with every seed, the same for both kinds of features; the head is fitted alike, its
penalty and threshold are cross-validated on the labelled images alone. Test images are the same for all. What is done
is kept in `--work`, so that a call that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _machine import machine_line
from segbench.assist.features import FrozenFeatures, packaged_network
from segbench.assist.first_model import FirstModel, make_first_model
from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.doctor.scale import shrunk
from segbench.files import write_json
from segbench.metrics.confusion import confusion_from_logits
from segbench.metrics.counts import Counts
from segbench.metrics.scores import score_counts
from segbench.models.hypercolumn import Hypercolumn
from segbench.statistics import compare_scores
from segbench.types import Sample

ROOT = Path(os.environ.get("SEGBENCH_DATA", "/data"))
SETS: dict[str, tuple[str, dict[str, Any], int]] = {  # folder, reader options, long side in pixels
    "ph2": ("ph2", {}, 192),
    "pets": ("oxford_pets", {"border": "ignore"}, 192),
    "camvid": ("camvid", {}, 192),
}
LABELLED, SEEDS, TEST_IMAGES = (5, 10, 20, 50, 100), 3, 60
KINDS = ("trained", "random")


def network_of(kind: str, outputs: int) -> Hypercolumn:
    """Returns the network with the packaged weights, or with those that the seed 0 gives."""
    if kind == "trained":
        return packaged_network(outputs)
    torch.manual_seed(0)
    return Hypercolumn(out_channels=outputs).eval()


@cache
def manifest_of(name: str) -> Manifest:
    """Returns the manifest of a set."""
    folder, options, _ = SETS[name]
    return read_dataset(ROOT / folder, **options)


def parts(manifest: Manifest) -> tuple[list[Sample], list[Sample]]:
    """Returns the pool and the test images: of the published test part where there is one, else drawn once."""
    test = list(manifest.split("test"))
    pool = [sample for sample in manifest.samples if sample.split != "test"]
    if not test:
        order = np.random.default_rng(0).permutation(len(pool)).tolist()
        test, pool = [pool[index] for index in order[:TEST_IMAGES]], [pool[index] for index in order[TEST_IMAGES:]]
    step = max(1, len(test) // TEST_IMAGES)
    return pool, test[::step][:TEST_IMAGES]


@torch.inference_mode()
def test_scores(made: FirstModel, manifest: Manifest, test: Sequence[Sample], folder: Path) -> list[float]:
    """Returns the IoU of each test image at the size that the network sees."""
    network = made.bundle.build(0)
    assert isinstance(network, Hypercolumn)
    features, settings = FrozenFeatures(network, folder), made.bundle.settings
    assert settings.size != "original"
    counts = []
    for sample in test:
        image, labels = load_sample(manifest, sample)
        maps = features.of(resize_image(image, settings.size))
        height, width = settings.size
        logits = network.logits_of([level[None].float() for level in maps])[..., :height, :width]
        target = torch.from_numpy(resize_mask(labels, settings.size))[None]
        table, ignored = confusion_from_logits(logits, target, settings.class_map.task, threshold=settings.threshold)
        counts.append(
            Counts(ids=(sample.id,), confusion=table.numpy(), ignored=ignored.numpy(), task=settings.class_map.task)
        )
    values: list[float] = (
        score_counts(Counts.concatenate(counts), manifest.class_map).image_values("iou_per_image").tolist()
    )
    return values


def cell(name: str, kind: str, number: int, seed: int, work: Path) -> dict[str, Any]:
    """Returns one row: scores of the test images, what cross-validation expected, CPU seconds; kept in `work`."""
    file = work / f"{name}_{kind}_{number}_{seed}.json"
    if file.is_file():
        found: dict[str, Any] = json.loads(file.read_text())
        return found
    side, manifest = SETS[name][2], manifest_of(name)
    pool, test = parts(manifest)
    chosen = np.random.default_rng(seed).permutation(len(pool))[:number].tolist()
    labelled = replace(manifest, samples=tuple(pool[index] for index in chosen))
    network = network_of(kind, manifest.class_map.out_channels)
    before = time.process_time()
    made = make_first_model(labelled, network=network, long_side_px=side, folder=work / "features")
    seconds = time.process_time() - before
    again = time.process_time()
    make_first_model(labelled, network=network, long_side_px=side, folder=work / "features")
    known = made.validated
    row = {
        "scores": test_scores(made, manifest, test, work / "features"),
        "expected": None if known is None else [known.value, known.low, known.high],
        "computed": made.computed,
        "cpu_s": seconds,
        "cpu_s_again": time.process_time() - again,
    }
    write_json(file, row)
    print(name, kind, number, seed, f"{np.nanmean(row['scores']):.3f}", f"{seconds:.1f} s", flush=True)
    return row


@torch.inference_mode()
def looking_s(name: str, images: int = 20) -> float:
    """Returns the CPU seconds that the encoder takes for an image of a set."""
    manifest = manifest_of(name)
    height, width = manifest.samples[0].height, manifest.samples[0].width
    share = SETS[name][2] / max(height, width)
    batch = torch.rand(1, 3, shrunk(height, share), shrunk(width, share))
    network = packaged_network()
    network.features(batch)
    before = time.process_time()
    for _ in range(images):
        network.features(batch)
    return (time.process_time() - before) / images


def mean_of(row: dict[str, Any]) -> float:
    """Returns the mean IoU of a row's test images; those without a score are left out."""
    return float(np.nanmean(np.array(row["scores"], dtype=np.float64)))


def table(name: str, work: Path, numbers: Sequence[int]) -> list[str]:
    """Returns the Markdown lines of a set."""
    lines = [
        f"| {name}: labelled images | trained features | never trained | difference [95 %] | expected by "
        "cross-validation | test mean in its interval | CPU s of a call with kept features |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number in numbers:
        rows = {kind: [cell(name, kind, number, seed, work) for seed in range(SEEDS)] for kind in KINDS}
        scores = [np.array([row["scores"] for row in rows[kind]], dtype=np.float64) for kind in KINDS]
        verdict = compare_scores(scores, names=KINDS, bounds=(0.0, 1.0), score="IoU")
        means = [verdict.standing(index).mean for index in range(len(KINDS))]
        pair = verdict.pairs[0]
        sign = 1 if pair.first == 0 else -1
        lower, upper = sorted((sign * pair.difference.low, sign * pair.difference.high))
        trained = rows["trained"]
        # None where all labelled images are one group: the frames of one video, say.
        expected = [(row["expected"], mean_of(row)) for row in trained if row["expected"] is not None]
        held = sum(low <= mean <= high for (_, low, high), mean in expected)
        cells = [
            str(number),
            *(f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]" for mean in means),
            f"{sign * pair.difference.value:+.3f} [{lower:+.3f}, {upper:+.3f}]",
            f"{np.mean([value for (value, _, _), _ in expected]):.3f}" if expected else "",
            f"{held} of {len(expected)}",
            f"{np.mean([row['cpu_s_again'] for row in trained]):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", f"Features of a new image: {looking_s(name):.3f} CPU s, once."]


def main() -> None:
    """Runs what is missing and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--labelled", nargs="+", type=int, default=list(LABELLED))
    parser.add_argument("--work", type=Path, default=Path("runs/assist"))
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    lines = [
        f"IoU per image of {TEST_IMAGES} test images, long side 192 pixels, mean with its interval over images and "
        f"choices. CPU seconds are those of one busy core; compare them with each other. {machine_line()}."
    ]
    for name in arguments.sets:
        lines += ["", *table(name, arguments.work, arguments.labelled)]
    print("\n".join(lines))
    if arguments.out is not None:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
