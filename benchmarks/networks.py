"""Every network: parameters, multiply-adds, speed on this machine, and whether it keeps the contract.

python benchmarks/networks.py [--size 256] [--threads 1] [--repeats 3] [--no-contract] [--only NAME ...]

Default options, 3 input channels, 1 output; batch 1 forward, batch 2 forward and backward; medians. Networks take
turns, `repeats` rounds. The contract is `tests/contracts/test_models.py`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from _machine import machine_line
from segbench.models import MODELS, build_network
from segbench.models.base import SegmentationNetwork

ROOT = Path(__file__).resolve().parent.parent
TRAINING_BATCH = 2


def timed(work: Callable[[SegmentationNetwork, Tensor], object], network: SegmentationNetwork, image: Tensor) -> float:
    started = time.perf_counter()
    work(network, image)
    return time.perf_counter() - started


def multiply_adds(network: SegmentationNetwork, image: Tensor) -> float:
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        network.eval()(image)
    return counter.get_total_flops() / 2


def forward(network: SegmentationNetwork, image: Tensor) -> None:
    with torch.inference_mode():
        network(image)


def step(network: SegmentationNetwork, images: Tensor) -> None:
    output = network(images)
    logits = output if isinstance(output, Tensor) else torch.stack(output)
    logits.square().mean().backward()
    network.zero_grad(set_to_none=True)


def contract(names: list[str]) -> dict[str, str]:
    """Returns name -> `46 of 46`, from one run of the contract tests."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "tests/contracts/test_models.py", f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
        passed: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for case in ElementTree.parse(report).iter("testcase"):
            inside = case.get("name", "").partition("[")[2].rstrip("]")
            owner = next((name for name in sorted(names, key=len, reverse=True) if name in inside.split("-")), None)
            if owner is not None and case.find("skipped") is None:  # those for CUDA, without one
                total[owner] += 1
                passed[owner] += len(case) == 0
    return {name: f"{passed[name]} of {total[name]}" for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-contract", action="store_true")
    parser.add_argument("--only", nargs="+", choices=MODELS.names(), default=MODELS.names())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    kept = {} if given.no_contract else contract(given.only)
    image = torch.rand(1, 3, given.size, given.size)
    images = torch.rand(TRAINING_BATCH, 3, given.size, given.size)
    rows: dict[str, tuple[int, float]] = {}
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in given.only}
    for _ in range(given.repeats):
        for name in given.only:
            print(name, flush=True, file=sys.stderr)
            torch.manual_seed(0)
            network = build_network(name)
            if name not in rows:
                rows[name] = (sum(p.numel() for p in network.parameters()), multiply_adds(network, image))
            network.eval()
            forward(network, image)
            seconds = timed(forward, network, image)
            network.train()
            speeds[name].append((1 / seconds, TRAINING_BATCH / timed(step, network, images)))
    lines = [
        f"Every network with its default options, 3 x {given.size} x {given.size} in, 1 logit out. {machine_line()}.",
        f"Forward: batch 1, inference. Forward + backward: batch {TRAINING_BATCH}, training. "
        f"Median of {given.repeats} rounds. The contract runs on light encoders where its file says so; no CUDA.",
        "",
        "| network | parameters | multiply-adds, G | forward, images/s | forward + backward | contract tests |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (parameters, operations) in rows.items():
        ahead, both = (statistics.median(values) for values in zip(*speeds[name], strict=True))
        cells = [name, f"{parameters:,}", f"{operations / 1e9:.2f}", f"{ahead:.2f}", f"{both:.2f}"]
        lines.append(f"| {' | '.join(cells)} | {kept.get(name, 'not run')} |")
    print("\n".join(lines))
    if given.only == MODELS.names():
        (ROOT / "benchmarks" / "results" / "networks.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
