"""One network in every runtime, side by side: how fast, and how far from what it says in PyTorch.

python benchmarks/inference.py --images DIR [--run NAME=RUN ...] [--size 256] [--batch 1] [--rounds 15] [--only ...]

`eager` is the network as it was trained (PyTorch, evaluation mode); `torch` is what `segbench predict` runs: channels
last, batch normalisation folded. Candidates take turns within a round, and a ratio is of one round, so that what else
the machine does disturbs all alike: median of the rounds (and its quartiles). With one thread, processor time is
compared; with all, time on the clock. A network without a run has random weights, and batch statistics of the images.
"Changed" are pixels beyond ties (`eager` within 1e-4 of the threshold), the threshold being the median probability
where weights are random, 0.5 for a run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from _machine import machine_line
from segbench.data.files.images import read_image
from segbench.data.files.resize import resize_image
from segbench.errors import SegbenchError
from segbench.models import build_network
from segbench.predict.predictor import Predictor
from segbench.predict.runtimes import RUNTIMES, Network, runtime_network
from segbench.types import ClassMap, Task

ROOT = Path(__file__).resolve().parent.parent
NETWORKS: dict[str, dict[str, Any]] = {
    "unet_nearest": {},
    "smp/unet": {"encoder": "tu-tf_efficientnet_lite0"},
    "smp/deeplabv3plus": {},
}
SPOT = ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY)
WARM_UP, TIE = 2, 1e-4


def images_of(folder: Path, size: int, number: int) -> Tensor:
    found = []
    for path in sorted(folder.rglob("*.jpg"))[: 4 * number]:
        try:
            found.append(resize_image(read_image(path), (size, size)))
        except SegbenchError as error:
            print(error, file=sys.stderr)
    return torch.from_numpy(np.stack(found[:number])).permute(0, 3, 1, 2).float() / 255


def predictor_of(name: str, run: str | None, images: Tensor, size: int) -> Predictor:
    if run is not None:
        return Predictor.load(run, device="cpu")
    torch.manual_seed(0)
    network = build_network(name, **NETWORKS[name]).train()
    with torch.no_grad():
        for _ in range(3):
            network(images)
    return Predictor(network, SPOT, (size, size))


def seconds(network: Network, images: Sequence[Tensor], clock: Callable[[], float]) -> float:
    started = clock()
    for batch in images:
        network(batch)
    return clock() - started


def measured(
    networks: Mapping[str, Network], batches: Sequence[Tensor], rounds: int, threads: int
) -> dict[str, list[float]]:
    """Returns of each candidate, round by round, how many times as fast as `eager` it is."""
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(WARM_UP):
        for network in networks.values():
            network(batches[0])
    for _ in range(rounds):
        for name, network in networks.items():
            times[name].append(seconds(network, batches, clock))
    return {name: [a / b for a, b in zip(times["eager"], own, strict=True)] for name, own in times.items()}


def cell(ratios: Sequence[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def rows_of(name: str, predictor: Predictor, images: Tensor, batch: int, rounds: int, trained: bool) -> list[str]:
    network = predictor.network.eval()
    mean, std = (
        torch.tensor(part).view(1, -1, 1, 1) for part in (predictor.normalization.mean, predictor.normalization.std)
    )
    inputs = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
    expected = torch.cat([network(one) for one in inputs.split(batch)]).sigmoid()
    threshold = 0.5 if trained else float(expected.median())
    sure = (expected - threshold).abs() > TIE
    by_threads: dict[int, dict[str, list[float]]] = {}
    facts: dict[str, tuple[float, float]] = {}
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        networks: dict[str, Network] = {"eager": network}
        networks |= {runtime: runtime_network(predictor, runtime, threads=threads) for runtime in RUNTIMES}
        for runtime, other in networks.items():
            found = torch.cat([other(one) for one in inputs.split(batch)]).sigmoid()
            changed = ((found > threshold) != (expected > threshold)) & sure
            facts[runtime] = (float((found - expected).abs().max()), float(changed.float().mean()))
        by_threads[threads] = measured(networks, inputs[: 2 * batch].split(batch), rounds, threads)
    title = f"`{name}`" + ("" if trained else " (random weights)")
    return [
        f"| {title} | {runtime} | {' | '.join(cell(ratios[runtime]) for ratios in by_threads.values())} | "
        f"{difference:.1e} | {changed:.4%} |"
        for runtime, (difference, changed) in facts.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEG photos")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--run", action="append", default=[], metavar="NAME=RUN", help="a trained network of that name")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    given = parser.parse_args()
    runs = dict(each.split("=", 1) for each in given.run)
    images = images_of(given.images, given.size, 8)
    lines = [
        f"`benchmarks/inference.py`: {given.size} x {given.size} pixels, batches of {given.batch}, {given.rounds} "
        f"rounds. {machine_line()}.",
        "",
        "| network | runtime | times eager, 1 thread | times eager, all threads | largest difference of a probability "
        "| pixels changed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with torch.inference_mode():
        for name in given.only:
            print(name, flush=True, file=sys.stderr)
            with torch.inference_mode(mode=False):
                predictor = predictor_of(name, runs.get(name), images, given.size)
            lines += rows_of(name, predictor, images, given.batch, given.rounds, name in runs)
    print("\n".join(lines))
    if given.only == list(NETWORKS):
        (ROOT / "benchmarks" / "results" / "inference.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
