"""Where the CPU seconds of a training step go: padding, memory format, freed memory, precision, compiling.

python benchmarks/train_step.py [--size 128] [--batch 25] [--threads 1] [--rounds 5] [--compile]

Each variant runs in a process of its own (memory settings belong to a process), in turn, several rounds; a round is the
median of its steps after two to warm up. Ratios are to the first variant, round by round; those of another network to
its first one.
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
from segbench.train.precision import make_fabric

PLAIN, MIXED = "32-true", "bf16-mixed"
# name -> network, padding mode, channels last, freed memory kept, compiled, precision
VARIANTS = {
    "contiguous, reflect": ("unet_nearest", "reflect", False, False, False, PLAIN),
    "contiguous, zeros": ("unet_nearest", "zeros", False, False, False, PLAIN),
    "channels last, reflect": ("unet_nearest", "reflect", True, False, False, PLAIN),
    "channels last, zeros": ("unet_nearest", "zeros", True, False, False, PLAIN),
    "channels last, reflect, memory kept": ("unet_nearest", "reflect", True, True, False, PLAIN),
    "channels last, reflect, memory kept, bfloat16": ("unet_nearest", "reflect", True, True, False, MIXED),
    "channels last, zeros, memory kept, bfloat16": ("unet_nearest", "zeros", True, True, False, MIXED),
    "channels last, reflect, memory kept, compiled": ("unet_nearest", "reflect", True, True, True, PLAIN),
    "smp/unet lite0, memory kept": ("smp/unet", "", True, True, False, PLAIN),
    "smp/unet lite0, memory kept, bfloat16": ("smp/unet", "", True, True, False, MIXED),
}
STEPS, WARMUP = 6, 2


def steps(name: str, size: int, batch: int) -> float:
    """Returns the median CPU seconds of a forward, backward and optimiser step."""
    network_name, padding_mode, channels_last, _, compiled, precision = VARIANTS[name]
    options = {"padding_mode": padding_mode} if padding_mode else {"encoder": "tu-tf_efficientnet_lite0"}
    layout = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    network = build_network(network_name, **options).to(memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters())
    fabric = make_fabric(torch.device("cpu"), precision)
    forward = fabric.setup_module(cast(nn.Module, torch.compile(network)) if compiled else network)
    images = torch.rand(batch, 3, size, size).to(memory_format=layout)
    target = (images[:, :1] > 0.5).float()
    seconds = []
    for _ in range(STEPS + WARMUP):
        started = time.process_time()
        fabric.backward(F.binary_cross_entropy_with_logits(forward(images), target))
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds[WARMUP:])


def work(arguments: argparse.Namespace) -> float:
    """Returns the seconds of one variant, with or without the memory setting of a training."""
    if VARIANTS[arguments.variant][3]:
        with cpu_settings(arguments.threads, torch.device("cpu")):
            return steps(arguments.variant, arguments.size, arguments.batch)
    torch.set_num_threads(arguments.threads)
    return steps(arguments.variant, arguments.size, arguments.batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="also the compiled variant, which takes minutes")
    parser.add_argument("--variant", choices=list(VARIANTS))
    arguments = parser.parse_args()
    if arguments.variant is not None:
        print(work(arguments))
        return
    torch.set_num_threads(arguments.threads)
    print(machine_line())
    print(f"one training step at {arguments.size} px, batch {arguments.batch}")
    chosen = [name for name, variant in VARIANTS.items() if arguments.compile or not variant[4]]
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(arguments.rounds):
        for name in chosen:
            command = [sys.executable, __file__, *sys.argv[1:], "--variant", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[name].append(float(done.stdout))
    for name, values in seconds.items():
        first = next(other for other in chosen if VARIANTS[other][0] == VARIANTS[name][0])
        ratios = [value / base for value, base in zip(values, seconds[first], strict=True)]
        middle = statistics.median(values) * 1000
        print(f"{name:46s} {middle:6.0f} ms  {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
