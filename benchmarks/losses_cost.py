"""Milliseconds a loss takes for value and gradient of one image, on one core; the costs of docs/reference/losses.md.

python benchmarks/losses_cost.py [SIZE_PX]
"""

from __future__ import annotations

import sys
import time

import torch
from torch import Tensor

from segbench.losses import LOSSES, build_loss
from segbench.types import Task

BATCH, REPEATS = 16, 5


def make_discs(size_px: int, num_classes: int) -> Tensor:
    """Returns (B, H, W) labels: on background, a disc of every other class."""
    row, column = torch.meshgrid(torch.arange(size_px), torch.arange(size_px), indexing="ij")
    target = torch.zeros(BATCH, size_px, size_px, dtype=torch.int64)
    for image in target:
        for label in range(1, num_classes):
            y, x, radius = torch.rand(3).tolist()
            distance = ((row - y * size_px) ** 2 + (column - x * size_px) ** 2).sqrt()
            image[distance < (0.1 + 0.2 * radius) * size_px] = label
    return target


def measure_ms(name: str, logits: Tensor, target: Tensor) -> float:
    """Returns the fastest of several runs, a warm one before, divided by the images."""
    loss, seconds = build_loss(name), []
    for _ in range(REPEATS + 1):
        started = time.process_time()
        torch.autograd.grad(loss(logits, target), logits)
        seconds.append(time.process_time() - started)
    return 1e3 * min(seconds[1:]) / BATCH


def main() -> None:
    size_px = int(sys.argv[1]) if len(sys.argv) > 1 else 128
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name in LOSSES.names():
        cells = []
        for task, channels in ((Task.BINARY, 1), (Task.MULTICLASS, 3)):
            target = make_discs(size_px, max(2, channels))
            logits = torch.randn(BATCH, channels, size_px, size_px, requires_grad=True)
            claimed = task in LOSSES.get(name).tasks
            cells.append(f"{measure_ms(name, logits, target):.1f}" if claimed else "-")
        print(f"{name:24}{' / '.join(cells)}")


if __name__ == "__main__":
    main()
