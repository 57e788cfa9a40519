"""How long training waits for its next batch, as a share of an epoch.

    python benchmarks/train_wait.py [--threads 2] [--batch 8] [--images 32] [--rounds 3]

A batch is read ahead by a thread and augmented when it is asked for; both together are the wait. The rest is the step:
forward, loss, backward, optimiser. `none` shows what reading alone costs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from _machine import machine_line
from segbench.config.augment import parse_augment
from segbench.config.run import SplitConfig
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.cache import build_cache
from segbench.data.samples.loader import BatchLoader
from segbench.data.split.divide import split_manifest
from segbench.data.synthetic.write import write_lesions
from segbench.models import build_network

PRESETS = ("none", "light", "strong")
NETWORKS = ("unet_nearest",)
SIZES = (128, 256)
RESULT = Path(__file__).parent / "results" / "augment_wait.md"


def epoch(loader: BatchLoader, network: torch.nn.Module, optimizer: torch.optim.Optimizer, number: int) -> list[float]:
    """Seconds of waiting and of steps."""
    waited = worked = 0.0
    batches = loader.epoch(number)
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        ready = time.perf_counter()
        waited += ready - started
        if batch is None:
            return [waited, worked]
        logits = network(batch.images)
        target = batch.targets[:, None].to(logits.dtype)
        counted = batch.targets[:, None] != 255
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[counted], target[counted])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        worked += time.perf_counter() - ready


def measure(folder: Path, size: int, options: argparse.Namespace) -> list[str]:
    manifest = split_manifest(read_dataset(folder), SplitConfig())
    cache = build_cache(manifest, (size, size), folder=folder / "cache")
    lines = []
    for name in NETWORKS:
        network = build_network(name).to(memory_format=torch.channels_last)
        network.train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        loaders = {
            preset: BatchLoader(
                cache, manifest.samples[: options.images], batch_size=options.batch, shuffle=True,
                augment=parse_augment(preset), channels_last=True,
            )
            for preset in PRESETS
        }  # fmt: skip
        found: dict[str, list[list[float]]] = {preset: [] for preset in PRESETS}
        for number in range(options.rounds + 1):  # the first warms up
            for preset, loader in loaders.items():
                found[preset].append(epoch(loader, network, optimizer, number))
        for preset, seconds in found.items():
            shares = sorted(waited / (waited + worked) for waited, worked in seconds[1:])
            waits = [waited / options.images * 1e3 for waited, _ in seconds[1:]]
            steps = [worked / options.images * 1e3 for _, worked in seconds[1:]]
            lines.append(
                f"| {name} | {size} | {preset} | {statistics.median(waits):.2f} | {statistics.median(steps):.1f} | "
                f"{statistics.median(shares):.1%} ({shares[0]:.1%} to {shares[-1]:.1%}) |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measures, prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines = [
        f"What training waits for data. {machine_line()}; {options.images} images an epoch, batch {options.batch}, "
        f"median of {options.rounds} epochs in turns, wall time.",
        "",
        "| network | size | augment | wait, ms an image | step, ms an image | share of the epoch |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        write_lesions(Path(folder) / "lesions", count=options.images, seed=0)
        for size in SIZES:
            lines += measure(Path(folder) / "lesions", size, options)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
