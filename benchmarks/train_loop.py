"""An epoch through segbench against the PH2 homework's kind of loop and against a minimal hand-written one.

python benchmarks/train_loop.py [--size 128] [--batch 25] [--threads 2] [--rounds 7]

Same network, loss, optimiser, batch, size and threads; 100 training and 50 validation images. Each loop lives in a
process of its own and runs one epoch when told to, in turn, so that a drifting machine hits all three alike.

homework  plain PyTorch on float tensors in memory: flips, forward, backward, step; validation loss; then the score of
          the training set (one batch, gradients on) and of the validation set (gradients on). Its picture is left out.
minimal   flips, forward, backward, step; one validation pass without gradients. No score, no file.
segbench  all that `segbench train` does in an epoch: augmentation, training scores, validation scores, prediction
          sheet, TensorBoard, metrics.csv, checkpoint.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
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
from segbench.train.fit import fit

LOOPS = ("homework", "minimal", "segbench")
TRAIN, VAL = 100, 50


def config_of(folder: Path, size: int, batch: int, threads: int, rounds: int) -> RunConfig:
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
            "output": str(folder / "run"),
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
        self.began = time.perf_counter()

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        report(time.perf_counter() - self.began)
        wait_for_go()
        self.began = time.perf_counter()


def tensors(config: RunConfig) -> dict[str, tuple[Tensor, Tensor]]:
    manifest = split_manifest(read_dataset(config.data.path), config.data.split)
    cache = build_cache(manifest, config.data.size, folder=Path(str(config.data.cache_dir)))
    parts = {}
    for split in ("train", "val"):
        rows = cache.rows_of(manifest.split(split))
        images = torch.from_numpy(cache.images[rows]).permute(0, 3, 1, 2).float().contiguous() / 255
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


def learn(network: nn.Module, optimizer: torch.optim.Optimizer, data: tuple[Tensor, Tensor], batch: int) -> None:
    network.train()
    for x, y in shuffled(*data, batch):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(network(x), y)
        loss.backward()
        optimizer.step()
        loss.item()


def hand_written(config: RunConfig, name: str) -> None:
    torch.set_num_threads(int(config.threads or 1))
    data = tensors(config)
    network = build_network("unet_nearest")
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.optimizer.lr)
    batch = config.batch_size
    while wait_for_go():
        started = time.perf_counter()
        learn(network, optimizer, data["train"], batch)
        network.eval()
        if name == "minimal":
            with torch.no_grad():
                for x, y in zip(*(part.split(batch) for part in data["val"]), strict=True):
                    F.binary_cross_entropy_with_logits(network(x), y).item()
        else:
            for x, y in zip(*(part.split(batch) for part in data["val"]), strict=True):
                F.binary_cross_entropy_with_logits(network(x).detach(), y).item()
            x, y = next(shuffled(*data["train"], TRAIN))
            iou(network(x), y)
            iou(network(data["val"][0]), data["val"][1])
        report(time.perf_counter() - started)


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
    tensors(config_of(folder, arguments.size, arguments.batch, arguments.threads, arguments.rounds + 1))
    command = [sys.executable, __file__, *sys.argv[1:], "--folder", str(folder), "--worker"]
    workers = {
        name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in LOOPS
    }
    seconds: dict[str, list[float]] = {name: [] for name in LOOPS}
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
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--worker", choices=LOOPS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        config = config_of(arguments.folder, arguments.size, arguments.batch, arguments.threads, arguments.rounds + 2)
        if arguments.worker == "segbench":
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
        print(f"{name:9s} median {statistics.median(values):6.2f} s  (min {min(values):.2f}, max {max(values):.2f})")
    for other, bound in (("homework", 0.65), ("minimal", 1.05)):
        ratios = [ours / theirs for ours, theirs in zip(seconds["segbench"], seconds[other], strict=True)]
        print(
            f"segbench / {other}: median of pairs {statistics.median(ratios):.2f} "
            f"(min {min(ratios):.2f}, max {max(ratios):.2f}); wanted at most {bound}"
        )


if __name__ == "__main__":
    main()
