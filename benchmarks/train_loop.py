"""An epoch through segbench against the PH2 homework's kind of loop and against hand-written ones: CPU seconds.

python benchmarks/train_loop.py [--size 128] [--batch 25] [--threads 1] [--rounds 5] [--loops tuned,segbench]

Same network, loss, optimiser, batch, size and threads; 100 training and 50 validation images. Each loop lives in a
process of its own and runs one epoch when told to, in turn, so that a drifting machine hits all alike.

homework       plain PyTorch on float tensors in memory: flips, forward, backward, step; validation loss; then the score
               of the training set (one batch, gradients on) and of the validation set (gradients on). Its picture is
               left out.
minimal        flips, forward, backward, step; one validation pass without gradients. No score, no file.
tuned          minimal, as fast as its author could make it: channels last, freed memory kept.
tuned_bf16     the same under torch's autocast to bfloat16.
segbench       all that `segbench train` does in an epoch: augmentation, training scores, validation scores, prediction
               sheets, TensorBoard, metrics.csv, checkpoint; in float32. BatchNorm's statistics are the running ones, as
               in the loops above.
segbench_bf16  the same with precision bf16-mixed, which `auto` takes where the processor has the instructions.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from _machine import machine_line
from segbench.config.run import RunConfig, parse_config
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.cache import build_cache
from segbench.data.split.divide import split_manifest
from segbench.data.synthetic.write import write_lesions
from segbench.models import build_network
from segbench.train.callback import Callback
from segbench.train.environment import cpu_settings
from segbench.train.fit import fit

LOOPS = ("homework", "minimal", "tuned", "tuned_bf16", "segbench", "segbench_bf16")
# segbench's loop, another one, and the largest share of its CPU seconds that is wanted
WANTED = (
    ("segbench", "homework", 0.25),
    ("segbench", "minimal", 1.0),
    ("segbench", "tuned", 0.95),
    ("segbench_bf16", "tuned", 0.65),
    ("segbench_bf16", "tuned_bf16", 1.0),
)
TRAIN, VAL = 100, 50


def config_of(folder: Path, size: int, batch: int, threads: int, rounds: int, name: str = "segbench") -> RunConfig:
    return parse_config(
        {
            "data": {
                "path": str(folder / "lesions"),
                "size": size,
                "split": {"method": "permutation", "counts": [TRAIN, VAL, 1]},
                "augment": {"hflip": 0.5, "vflip": 0.5},
                "cache_dir": str(folder / "cache"),
            },
            "loss": "bce",
            "schedule": {"name": "constant"},
            "optimizer": {"lr": 5e-4},
            "epochs": rounds,
            "batch_size": batch,
            "threads": threads,
            "device": "cpu",
            "precision": "bf16-mixed" if name.endswith("bf16") else 32,
            "norm_statistics": "running",
            "output": str(folder / name),
        }
    )


def wait_for_go() -> bool:
    return sys.stdin.readline().strip() == "go"


def report(seconds: float) -> None:
    print(f"seconds {seconds:.6f}", flush=True)


class Pacer(Callback):
    """Lets one epoch of `fit` through at a time."""

    def started(self, config: object, folder: object, first_epoch: int) -> None:
        wait_for_go()
        self.began = time.process_time()

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        report(time.process_time() - self.began)
        wait_for_go()
        self.began = time.process_time()


def tensors(config: RunConfig, layout: torch.memory_format) -> dict[str, tuple[Tensor, Tensor]]:
    manifest = split_manifest(read_dataset(config.data.path), config.data.split)
    cache = build_cache(manifest, config.data.size, folder=Path(str(config.data.cache_dir)))
    parts = {}
    for split in ("train", "val"):
        rows = cache.rows_of(manifest.split(split))
        images = torch.from_numpy(cache.images[rows]).permute(0, 3, 1, 2).float().contiguous(memory_format=layout) / 255
        parts[split] = (images, torch.from_numpy(cache.masks[rows]).float()[:, None])
    return parts


def shuffled(images: Tensor, masks: Tensor, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(images))
    for chunk in order.split(batch):
        x, y = images[chunk], masks[chunk]
        for axis in (2, 3):
            flip = torch.rand(len(x)) < 0.5
            x = torch.where(flip[:, None, None, None], x.flip(axis), x)
            y = torch.where(flip[:, None, None, None], y.flip(axis), y)
        yield x, y


def iou(logits: Tensor, masks: Tensor) -> float:
    predicted, true = logits > 0.5, masks > 0.5
    both = (predicted & true).sum((1, 2, 3)).float()
    either = (predicted | true).sum((1, 2, 3)).float()
    return float(((both + 1e-8) / (either + 1e-8)).mean())


def loss_of(network: nn.Module, x: Tensor, y: Tensor, mixed: bool) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        logits = network(x)
    return F.binary_cross_entropy_with_logits(logits.float(), y)


def learn(
    network: nn.Module, optimizer: torch.optim.Optimizer, data: tuple[Tensor, Tensor], batch: int, mixed: bool
) -> None:
    network.train()
    for x, y in shuffled(*data, batch):
        optimizer.zero_grad()
        loss = loss_of(network, x, y, mixed)
        loss.backward()
        optimizer.step()
        loss.item()


def hand_written(config: RunConfig, name: str) -> None:
    """Runs an epoch of a hand-written loop each time it is told to."""
    tuned, mixed = name.startswith("tuned"), name.endswith("bf16")
    layout = torch.channels_last if tuned else torch.contiguous_format
    torch.set_num_threads(int(config.threads or 1))
    settings = cpu_settings(int(config.threads or 1), torch.device("cpu")) if tuned else nullcontext()
    with settings:
        data = tensors(config, layout)
        network = build_network("unet_nearest").to(memory_format=layout)
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.optimizer.lr)
        while wait_for_go():
            started = time.process_time()
            learn(network, optimizer, data["train"], config.batch_size, mixed)
            network.eval()
            batches = list(zip(*(part.split(config.batch_size) for part in data["val"]), strict=True))
            if name == "homework":
                for x, y in batches:
                    F.binary_cross_entropy_with_logits(network(x).detach(), y).item()
                x, y = next(shuffled(*data["train"], TRAIN))
                iou(network(x), y)
                iou(network(data["val"][0]), data["val"][1])
            else:
                with torch.no_grad():
                    for x, y in batches:
                        loss_of(network, x, y, mixed).item()
            report(time.process_time() - started)


def one_epoch(worker: subprocess.Popen[str]) -> float:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()
    for line in worker.stdout:
        if line.startswith("seconds "):
            return float(line.split()[1])
    raise RuntimeError(f"a worker ended early with code {worker.wait()}")


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    write_lesions(folder / "lesions", count=TRAIN + VAL + 1, seed=0)
    config = config_of(folder, arguments.size, arguments.batch, arguments.threads, arguments.rounds + 1)
    tensors(config, torch.contiguous_format)  # decodes the images once
    command = [sys.executable, __file__, *sys.argv[1:], "--folder", str(folder), "--worker"]
    workers = {
        name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in arguments.loops
    }
    seconds: dict[str, list[float]] = {name: [] for name in arguments.loops}
    for _ in range(arguments.rounds + 1):  # the first round warms up
        for name, worker in workers.items():
            seconds[name].append(one_epoch(worker))
    for worker in workers.values():
        worker.kill()
        worker.wait()
    return {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loops", type=lambda text: text.split(","), default=LOOPS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--worker", choices=LOOPS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        config = config_of(
            arguments.folder,
            arguments.size,
            arguments.batch,
            arguments.threads,
            arguments.rounds + 2,
            arguments.worker,
        )
        if arguments.worker.startswith("segbench"):
            fit(config, watch=Pacer())
        else:
            hand_written(config, arguments.worker)
        return
    torch.set_num_threads(arguments.threads)
    print(machine_line())
    print(f"unet_nearest, bce, AdamW, {TRAIN}+{VAL} images at {arguments.size} px, batch {arguments.batch}")
    with tempfile.TemporaryDirectory() as folder:
        seconds = compare(arguments, Path(folder))
    for name, values in seconds.items():
        print(f"{name:13s} median {statistics.median(values):6.2f} s  (min {min(values):.2f}, max {max(values):.2f})")
    for ours, other, bound in WANTED:
        if ours in seconds and other in seconds:
            ratios = [mine / theirs for mine, theirs in zip(seconds[ours], seconds[other], strict=True)]
            print(
                f"{ours} / {other}: median of pairs {statistics.median(ratios):.2f} "
                f"(min {min(ratios):.2f}, max {max(ratios):.2f}); wanted at most {bound}"
            )


if __name__ == "__main__":
    main()
