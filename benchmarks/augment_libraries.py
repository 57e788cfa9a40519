"""Images a second of the augmentation presets, against albumentations and torchvision v2 doing the same.

    uv run --group bench python benchmarks/augment_libraries.py [--rounds 7] [--threads 1]

All take the same uint8 images with masks, 480 x 360 with a window of 256 x 256 cut out, or 256 x 256 as they are, and
return float batches of 256 x 256 in NCHW order with uint8 masks. Each library gets the preset's operations in its own
words, with comparable ranges and probabilities: movements first, of the whole image, and then the window, which is what
segbench computes. albumentations has a second column with the window cut before anything else: less work, but what a
turned picture lacks is then mirrored from the window, not taken from the image. Each way runs once a round, one after
the other, and what counts is CPU time, so that a busy machine is busy for all of them alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from _machine import machine_line
from segbench.config.augment import PRESETS, AugmentConfig
from segbench.data.augment.transforms import apply_augmentation, draw_augmentation

SIDE = 256
SIZES = ((360, 480), (SIDE, SIDE))
RESULT = Path(__file__).parent / "results" / "augment_libraries.md"
OTHERS = ("albumentations", "albumentations, window first", "torchvision")
Way = Callable[[int], tuple[Tensor, Tensor]]
MIRROR = {"border_mode": cv2.BORDER_REFLECT_101}
BILINEAR = v2.InterpolationMode.BILINEAR


class Gamma(nn.Module):
    """What torchvision has as a function only."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return functional.adjust_gamma(image, float(np.random.default_rng().uniform(self.low, self.high))), mask


def sometimes(p: float, *transforms: nn.Module) -> nn.Module:
    return v2.RandomApply(list(transforms), p=p)


def in_albumentations(name: str) -> list[A.BasicTransform]:
    """A preset in albumentations' words."""
    flips = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    if name == "street":
        pad = A.PadIfNeeded(SIDE, SIDE, position="random", border_mode=cv2.BORDER_REFLECT_101, p=1)
        return [flips[0], A.RandomScale((-0.5, 1.0), p=1), pad, A.ColorJitter(0.2, 0.3, 0.3, 0.02, p=1)]
    return {
        "flips": flips,
        "light": [
            flips[0],
            A.Affine(rotate=(-10, 10), scale=(0.9, 1.2), p=1, **MIRROR),
            A.RandomBrightnessContrast(0.1, 0.1, p=1),
        ],
        "strong": [
            flips[0],
            A.Affine(rotate=(-30, 30), p=0.5, **MIRROR),
            A.Affine(scale=(0.7, 1.4), translate_percent=(-0.1, 0.1), p=1, **MIRROR),
            A.GridDistortion(num_steps=4, distort_limit=0.16, p=0.2, **MIRROR),
            A.ColorJitter(0.25, 0.25, 0.25, 0.02, p=1),
            A.RandomGamma((70, 150), p=0.3),
            A.GaussianBlur(sigma_limit=(0.1, 1.5), p=0.15),
            A.GaussNoise(std_range=(0.0, 0.05), p=0.15),
        ],
        "dermoscopy": [
            *flips,
            A.Affine(
                rotate=(-180, 180), scale=(0.8, 1.3), shear=(-10, 10), translate_percent=(-0.05, 0.05), p=1,
                fill_mask=255,
            ),
            A.ColorJitter(0.2, 0.2, 0.2, 0.02, p=1),
        ],
        "aerial": [
            flips[0],
            A.RandomRotate90(p=0.75),
            A.Affine(scale=(0.8, 1.25), p=0.5, **MIRROR),
            A.ColorJitter(0.2, 0.2, 0.1, 0.0, p=1),
            A.RandomGamma((80, 125), p=0.5),
        ],
    }[name]  # fmt: skip


def in_torchvision(name: str, size: tuple[int, int]) -> list[nn.Module]:
    """A preset in torchvision's words, the window last of the movements; outside is black there."""
    flips = [v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)]
    outside = {tv_tensors.Image: 0, tv_tensors.Mask: 255}
    window = v2.RandomCrop((SIDE, SIDE), pad_if_needed=True, fill=outside)
    to_float = v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)
    quarter = v2.RandomChoice([v2.RandomRotation((angle, angle), expand=True) for angle in (90, 180, 270)])
    return {
        "flips": [*flips, window],
        "light": [
            flips[0],
            v2.RandomAffine(10, scale=(0.9, 1.2), interpolation=BILINEAR),
            window,
            v2.ColorJitter(0.1, 0.1),
        ],
        "strong": [
            flips[0],
            sometimes(0.5, v2.RandomAffine(30, interpolation=BILINEAR)),
            v2.RandomAffine(0, translate=(0.1, 0.1), scale=(0.7, 1.4), interpolation=BILINEAR),
            sometimes(0.2, v2.ElasticTransform(100.0, 10.0)),
            window,
            v2.ColorJitter(0.25, 0.25, 0.25, 0.02),
            sometimes(0.3, Gamma(0.7, 1.5)),
            sometimes(0.15, v2.GaussianBlur(9, (0.1, 1.5))),
            sometimes(0.15, to_float, v2.GaussianNoise(sigma=0.025)),
        ],
        "dermoscopy": [
            *flips,
            v2.RandomAffine(180, (0.05, 0.05), (0.8, 1.3), (-10, 10, -10, 10), interpolation=BILINEAR, fill=outside),
            window,
            v2.ColorJitter(0.2, 0.2, 0.2, 0.02),
        ],
        "aerial": [
            flips[0],
            sometimes(0.75, quarter),
            sometimes(0.5, v2.RandomAffine(0, scale=(0.8, 1.25), interpolation=BILINEAR)),
            window,
            v2.ColorJitter(0.2, 0.2, 0.1),
            sometimes(0.5, Gamma(0.8, 1.25)),
        ],
        "street": [
            flips[0],
            v2.ScaleJitter(size, (0.5, 2.0), antialias=False),
            window,
            v2.ColorJitter(0.2, 0.3, 0.3, 0.02),
        ],
    }[name] + [to_float]


def segbench_way(name: str, images: Tensor, masks: Tensor) -> Way:
    """Images lie in NHWC order, as in the sample cache."""
    config = AugmentConfig(**{**PRESETS[name], "crop": (SIDE, SIDE)})
    batch, size = images.permute(0, 3, 1, 2), (images.shape[1], images.shape[2])

    def run(epoch: int) -> tuple[Tensor, Tensor]:
        changed, labels = apply_augmentation(batch, masks, draw_augmentation(config, 0, epoch, range(len(batch)), size))
        return changed.contiguous(), labels

    return run


def albumentations_way(name: str, images: Tensor, masks: Tensor, *, window_first: bool) -> Way:
    crop = A.RandomCrop(SIDE, SIDE, p=1)
    changes = in_albumentations(name)
    colors = [change for change in changes if isinstance(change, A.ImageOnlyTransform)]
    moves = [change for change in changes if change not in colors]
    again = [crop] if name == "street" else []  # its images have other sizes by then
    order = [crop, *moves, *again, *colors] if window_first else [*moves, crop, *colors]
    pipeline = A.Compose(order)
    pairs = [(image.numpy(), mask.numpy()) for image, mask in zip(images, masks, strict=True)]

    def run(epoch: int) -> tuple[Tensor, Tensor]:
        del epoch
        results = [pipeline(image=image, mask=mask) for image, mask in pairs]
        changed = torch.from_numpy(np.stack([result["image"] for result in results])).permute(0, 3, 1, 2)
        return changed.float().div_(255.0).contiguous(), torch.from_numpy(np.stack([r["mask"] for r in results]))

    return run


def torchvision_way(name: str, images: Tensor, masks: Tensor) -> Way:
    pipeline = v2.Compose(in_torchvision(name, (images.shape[1], images.shape[2])))
    pictures = [tv_tensors.Image(image) for image in images.permute(0, 3, 1, 2).contiguous()]
    labels = [tv_tensors.Mask(mask) for mask in masks]

    def run(epoch: int) -> tuple[Tensor, Tensor]:
        del epoch
        results = [pipeline(image, mask) for image, mask in zip(pictures, labels, strict=True)]
        return torch.stack([image for image, _ in results]), torch.stack([mask for _, mask in results])

    return run


def measure(name: str, size: tuple[int, int], batch: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of every way, a number a round."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, *size, 3), dtype=torch.uint8, generator=generator)
    masks = torch.randint(0, 4, (batch, *size), dtype=torch.uint8, generator=generator)
    ways = {
        "segbench": segbench_way(name, images, masks),
        OTHERS[0]: albumentations_way(name, images, masks, window_first=False),
        OTHERS[1]: albumentations_way(name, images, masks, window_first=True),
        OTHERS[2]: torchvision_way(name, images, masks),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 2):  # the first two warm up
        for way, run in ways.items():
            started = time.process_time()
            changed, labels = run(turn)
            busy = time.process_time() - started
            if changed.shape != (batch, 3, SIDE, SIDE) or labels.shape != (batch, SIDE, SIDE):
                raise RuntimeError(f"{way} gave {tuple(changed.shape)} and {tuple(labels.shape)}")
            if changed.dtype != torch.float32 or not 0.0 <= float(changed.min()) <= float(changed.max()) <= 1.0:
                raise RuntimeError(f"{way} gave {changed.dtype} from {changed.min()} to {changed.max()}")
            if turn >= 2:
                seconds[way].append(busy)
    return seconds


def row(name: str, size: tuple[int, int], batch: int, seconds: dict[str, list[float]]) -> str:
    own = seconds["segbench"]
    cells = [f"{batch / statistics.median(own):.0f}"]
    for way in OTHERS:
        ratios = sorted(theirs / ours for theirs, ours in zip(seconds[way], own, strict=True))
        rate = batch / statistics.median(seconds[way])
        cells.append(f"{rate:.0f} ({statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f})")
    return f"| {name} | {size[1]} x {size[0]} | " + " | ".join(cells) + " |"


def main() -> None:
    """Measures, prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    versions = ", ".join(f"{name} {version(name)}" for name in ("albumentations", "torchvision", "numpy"))
    lines = [
        f"Augmentation presets, images per second of CPU time. {machine_line()}, {versions}; batch {options.batch}, "
        f"median of {options.rounds} rounds in turns.",
        "",
        "In brackets: CPU time as a multiple of segbench's in the same round, median and range; above 1 segbench is "
        "quicker. uint8 in, float32 and masks out, 256 x 256.",
        "",
        "| preset | from | segbench | " + " | ".join(OTHERS) + " |",
        "| --- |" + " --- |" * 5,
    ]
    print("\n".join(lines))
    for size in SIZES:
        for name in [preset for preset in PRESETS if preset != "none"]:
            lines.append(row(name, size, options.batch, measure(name, size, options.batch, options.rounds)))
            print(lines[-1], flush=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
