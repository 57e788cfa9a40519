"""Images a second of segbench's batched augmentation against torchvision v2, doing the same to the same images.

    python benchmarks/augment.py            about a minute

Both take uint8 images of 480 x 360 with masks and return float batches of 256 x 256: mirrored left-right and top-bottom
(p = 0.5), turned by up to 15 degrees, scaled by 0.8-1.25, shifted by up to 10 %, a random window, brightness, contrast
and saturation by up to 20 %, hue by up to 5 %. torchvision works on tv_tensors, an image and its mask at a time, in two
orders: `v2` warps the whole image and then cuts the window, as segbench's geometry does; `v2 crop first` cuts first,
which is less work but draws black corners into every turned picture. Each way runs once a round, one after the other,
so that a busy machine is busy for all of them.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from torchvision import tv_tensors
from torchvision.transforms import v2

from segbench.config.run import AugmentConfig
from segbench.data.augment.transforms import apply_augmentation, draw_augmentation

HEIGHT, WIDTH, CROP = 360, 480, (256, 256)
AFFINE = AugmentConfig(
    hflip=0.5, vflip=0.5, rotate_deg=15, scale=(0.8, 1.25), translate_frac=0.1, crop=CROP,
    brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05,
)  # fmt: skip
FLIPS = AugmentConfig(hflip=0.5, vflip=0.5, crop=CROP)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (options.batch, 3, HEIGHT, WIDTH), dtype=torch.uint8, generator=generator)
    masks = torch.randint(0, 4, (options.batch, HEIGHT, WIDTH), dtype=torch.uint8, generator=generator)
    print(
        f"{cpu_name()}, {options.threads} thread(s), batch {options.batch}, {options.rounds} rounds; Python "
        f"{platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"numpy {np.__version__}"
    )
    compare("everything", images, masks, options.rounds, {
        "segbench": lambda round_: ours(AFFINE, images, masks, round_),
        "v2": lambda round_: theirs(everything(crop_first=False), images, masks),
        "v2 crop first": lambda round_: theirs(everything(crop_first=True), images, masks),
    })  # fmt: skip
    compare("flips and crop only", images, masks, options.rounds, {
        "segbench": lambda round_: ours(FLIPS, images, masks, round_),
        "v2": lambda round_: theirs(v2.Compose(flips_and_crop()), images, masks),
    })  # fmt: skip


def ours(config: AugmentConfig, images: torch.Tensor, masks: torch.Tensor, epoch: int) -> torch.Tensor:
    """One batch, conversion to float included."""
    parameters = draw_augmentation(config, 0, epoch, range(len(images)), (HEIGHT, WIDTH))
    return apply_augmentation(images, masks, parameters)[0]


def theirs(
    transform: Callable[..., tuple[torch.Tensor, torch.Tensor]], images: torch.Tensor, masks: torch.Tensor
) -> torch.Tensor:
    """One batch, an image at a time, conversion to float and stacking included."""
    pairs = [
        transform(tv_tensors.Image(image), tv_tensors.Mask(mask)) for image, mask in zip(images, masks, strict=True)
    ]
    torch.stack([mask for _, mask in pairs])
    return torch.stack([image for image, _ in pairs]).float().div_(255.0)


def flips_and_crop() -> list[torch.nn.Module]:
    """Mirroring, and a random window."""
    return [v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5), v2.RandomCrop(CROP)]


def everything(*, crop_first: bool) -> v2.Compose:
    """All of it, with the window cut before or after the warp."""
    bilinear = v2.InterpolationMode.BILINEAR
    warp = v2.RandomAffine(15, translate=(0.1, 0.1), scale=(0.8, 1.25), interpolation=bilinear)
    *flips, crop = flips_and_crop()
    geometry = [crop, *flips, warp] if crop_first else [*flips, warp, crop]
    return v2.Compose([*geometry, v2.ColorJitter(0.2, 0.2, 0.2, 0.05)])


def compare(
    what: str, images: torch.Tensor, masks: torch.Tensor, rounds: int, ways: dict[str, Callable[[int], torch.Tensor]]
) -> None:
    """Prints CPU milliseconds an image, images a second, and each way's time as a multiple of segbench's."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(-1, rounds):  # the first one warms up
        for name, run in ways.items():
            started, busy = time.perf_counter(), time.process_time()
            result = run(round_ + 1)
            seconds, busy_s = time.perf_counter() - started, time.process_time() - busy
            if result.shape != (len(images), 3, *CROP):
                raise RuntimeError(f"{name} gave {tuple(result.shape)}")
            if round_ >= 0:
                wall[name].append(seconds)
                cpu[name].append(busy_s)
    print(f"\n{what}\n{'':16}{'CPU ms/image':>14}{'images/s':>10}{'ratio (CPU)':>13}{'spread of ratio':>18}")
    for name in ways:
        ratios = sorted(other / own for other, own in zip(cpu[name], cpu["segbench"], strict=True))
        print(
            f"{name:16}{statistics.median(cpu[name]) / len(images) * 1e3:14.2f}"
            f"{len(images) / statistics.median(wall[name]):10.0f}{statistics.median(ratios):13.2f}"
            f"{f'{ratios[0]:.2f}-{ratios[-1]:.2f}':>18}"
        )


def cpu_name() -> str:
    """The processor's name as Linux gives it, else what Python knows."""
    facts = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in facts.read_text().splitlines() if line.startswith("model name")]
        if facts.exists()
        else []
    )
    return f"{names[0]} ({len(names)} CPUs)" if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
