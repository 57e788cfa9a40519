"""Lightning's Trainer, Lightning's Fabric or a plain loop: overhead a step, import cost, exactness of resume.

uv run --group bench python benchmarks/trainer_or_fabric.py [--steps 200]

A tiny network makes the step itself cheap, so that what a loop adds shows. The three take turns, five rounds.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from _machine import machine_line

ROUNDS = 5


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(8, 1, 3, padding=1))


def batches(steps: int) -> DataLoader[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(steps * 4, 3, 32, 32, generator=generator)
    return DataLoader(TensorDataset(images, (images.mean(1, keepdim=True) > 0.5).float()), batch_size=4)


def plain(steps: int) -> float:
    net = network()
    optimizer = torch.optim.AdamW(net.parameters())
    data = batches(steps)
    started = time.perf_counter()
    for images, target in data:
        loss = F.binary_cross_entropy_with_logits(net(images), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - started


def fabric(steps: int) -> float:
    from lightning_fabric import Fabric

    lightning = Fabric(accelerator="cpu", devices=1)
    net = network()
    net, optimizer = lightning.setup(net, torch.optim.AdamW(net.parameters()))
    data = batches(steps)
    started = time.perf_counter()
    for images, target in data:
        loss = F.binary_cross_entropy_with_logits(net(images), target)
        lightning.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - started


def lightning_module() -> object:
    from lightning.pytorch import LightningModule

    class Module(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            return F.binary_cross_entropy_with_logits(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters())

    return Module()


def trainer_of(epochs: int, folder: str = "") -> object:
    from lightning.pytorch import Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint

    saver = [ModelCheckpoint(folder, save_last=True, save_top_k=0, every_n_epochs=1)] if folder else []
    return Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        logger=False,
        callbacks=saver,
        enable_checkpointing=bool(folder),
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def trainer(steps: int) -> float:
    module, loop, data = lightning_module(), trainer_of(1), batches(steps)
    started = time.perf_counter()
    loop.fit(module, data)  # type: ignore[attr-defined]
    return time.perf_counter() - started


def trainer_resume_difference(folder: str) -> float:
    """Returns the largest weight difference between 4 epochs and 2 epochs + resume for 2 more (with dropout)."""
    data = batches(20)
    whole = lightning_module()
    torch.manual_seed(1)
    trainer_of(4).fit(whole, data)  # type: ignore[attr-defined]
    half = lightning_module()
    torch.manual_seed(1)
    trainer_of(2, folder).fit(half, data)  # type: ignore[attr-defined]
    resumed = lightning_module()
    torch.manual_seed(1)  # what a new process has
    trainer_of(4).fit(resumed, data, ckpt_path=str(Path(folder) / "last.ckpt"))  # type: ignore[attr-defined]
    pairs = zip(whole.parameters(), resumed.parameters(), strict=True)  # type: ignore[attr-defined]
    return max(float((a - b).abs().max()) for a, b in pairs)


def import_seconds(module: str) -> float:
    """Returns the median CPU seconds of a fresh interpreter that imports a module.

    Fabric imports torchmetrics where it is installed but does not need it, and segbench's users have none; the Trainer
    cannot do without.
    """
    without = "sys.modules['torchmetrics'] = None; " if module == "lightning_fabric" else ""
    code = f"import sys, time; {without}import {module}; print(time.process_time())"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    return statistics.median(float(run.stdout) for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    print(machine_line())
    loops: dict[str, Callable[[int], float]] = {"plain": plain, "fabric": fabric, "trainer": trainer}
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(ROUNDS + 1):
        for name, loop in loops.items():
            seconds[name].append(loop(steps))
    base = statistics.median(seconds["plain"][1:])
    for name, values in seconds.items():
        middle = statistics.median(values[1:])
        extra = (middle - base) / steps * 1000
        print(
            f"{name:8s} {middle / steps * 1000:6.2f} ms a step, {extra:+5.2f} ms against plain ({middle / base:.2f}x)"
        )
    for module in ("torch", "lightning_fabric", "lightning.pytorch"):
        print(f"import {module:18s} {import_seconds(module):5.1f} CPU s")
    with tempfile.TemporaryDirectory() as folder:
        difference = trainer_resume_difference(folder)
    print(f"trainer, 2 + 2 epochs against 4, with dropout: largest weight difference {difference:.2e}")


if __name__ == "__main__":
    main()
