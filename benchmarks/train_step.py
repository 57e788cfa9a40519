"""Where a CPU training step goes: padding, memory format, freed memory, compiling.

python benchmarks/train_step.py [--size 128] [--batch 25] [--threads 2] [--rounds 3] [--compile]

Each variant runs in a process of its own (memory settings belong to a process), in turn, several rounds; a round is the
median of its steps after two to warm up. Ratios are to the first variant, round by round.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from _machine import machine_line
from segbench.models import build_network
from segbench.train.environment import cpu_settings

# name -> padding mode, channels last, freed memory kept, compiled
VARIANTS = {
    "contiguous, reflect": ("reflect", False, False, False),
    "contiguous, zeros": ("zeros", False, False, False),
    "channels last, reflect": ("reflect", True, False, False),
    "channels last, zeros": ("zeros", True, False, False),
    "channels last, reflect, memory kept": ("reflect", True, True, False),
    "channels last, reflect, memory kept, compiled": ("reflect", True, True, True),
}
STEPS, WARMUP = 6, 2


def steps(name: str, size: int, batch: int) -> float:
    """Returns the median seconds of a forward, backward and optimiser step."""
    padding_mode, channels_last, _, compiled = VARIANTS[name]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    network = build_network("unet_nearest", padding_mode=padding_mode).to(memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters())
    forward = cast(nn.Module, torch.compile(network)) if compiled else network
    images = torch.rand(batch, 3, size, size).to(memory_format=layout)
    target = (images[:, :1] > 0.5).float()
    seconds = []
    for _ in range(STEPS + WARMUP):
        started = time.perf_counter()
        F.binary_cross_entropy_with_logits(forward(images), target).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARMUP:])


def work(arguments: argparse.Namespace) -> float:
    """Returns the seconds of one variant, with or without the memory setting of a training."""
    if VARIANTS[arguments.variant][2]:
        with cpu_settings(arguments.threads, torch.device("cpu")):
            return steps(arguments.variant, arguments.size, arguments.batch)
    torch.set_num_threads(arguments.threads)
    return steps(arguments.variant, arguments.size, arguments.batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=25)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="also the compiled variant, which takes minutes")
    parser.add_argument("--variant", choices=list(VARIANTS))
    arguments = parser.parse_args()
    if arguments.variant is not None:
        print(work(arguments))
        return
    torch.set_num_threads(arguments.threads)
    print(machine_line())
    print(f"unet_nearest, one training step at {arguments.size} px, batch {arguments.batch}")
    chosen = [name for name, variant in VARIANTS.items() if arguments.compile or not variant[3]]
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(arguments.rounds):
        for name in chosen:
            command = [sys.executable, __file__, *sys.argv[1:], "--variant", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[name].append(float(done.stdout))
    for name, values in seconds.items():
        ratios = [value / base for value, base in zip(values, seconds[chosen[0]], strict=True)]
        middle = statistics.median(values) * 1000
        print(f"{name:46s} {middle:6.0f} ms  {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
