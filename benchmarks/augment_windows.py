"""What windows cost: a batch of patches, and of images whose enlarged ones are read from a larger version, against
whole images at the training size.

    python benchmarks/augment_windows.py            about a minute

Images of 640 x 480 pixels with masks of three classes lie in memory as a cache holds them. Each way makes batches of
256 x 256 with the same changes, once a round, one after the other; what is told is CPU time an image, the median of all
rounds, reading included.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch

from segbench.config.augment import PRESETS, AugmentConfig
from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.samples.loader import BatchLoader
from segbench.data.samples.sample_cache import SampleCache
from segbench.data.samples.window_loader import WindowLoader
from segbench.types import ClassMap, Sample

ORIGINAL, SIZE, COUNT = (480, 640), (256, 256), 32
CLASSES = ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,)))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, *ORIGINAL, 3), dtype=np.uint8)
    masks = (np.indices(ORIGINAL).sum(axis=0)[None] // 40 + np.arange(COUNT)[:, None, None]).astype(np.uint8) % 3
    full, small = cache_of(images, masks), at(images, masks, SIZE)
    print(f"{'preset':12}{'whole':>10}{'detail':>10}{'patches':>10}   CPU ms an image, and as a multiple of the first")
    for preset in ("flips", "light", "strong", "street"):
        config = AugmentConfig(**PRESETS[preset])
        zoom = config.scale[1]
        larger = at(images, masks, (min(480, round(256 * zoom)), min(640, round(256 * zoom))))
        ways = {
            "whole": BatchLoader(small, samples(), batch_size=16, augment=config),
            "detail": WindowLoader(small, samples(), batch_size=16, augment=config, larger=larger),
            "patches": WindowLoader(full, samples(), batch_size=16, augment=config, patch=SIZE),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(-1, options.rounds):  # the first one warms up
            for name, loader in ways.items():
                busy = time.process_time()
                count = sum(len(batch.ids) for batch in loader.epoch(round_ + 1))
                if round_ >= 0:
                    spent[name].append((time.process_time() - busy) / count * 1e3)
        medians = {name: statistics.median(values) for name, values in spent.items()}
        told = "".join(f"{value:6.2f} {value / medians['whole']:4.2f}" for value in medians.values())
        print(f"{preset:12}{told}", flush=True)


def samples() -> list[Sample]:
    """The samples of the caches."""
    fields: dict[str, Any] = {"image": "", "mask": "", "image_hash": "", "mask_hash": ""}
    return [Sample(id=str(row), height=ORIGINAL[0], width=ORIGINAL[1], **fields) for row in range(COUNT)]


def cache_of(images: np.ndarray, masks: np.ndarray) -> SampleCache:
    """Arrays as a cache."""
    rows = {str(row): row for row in range(len(images))}
    return SampleCache(images=images, masks=masks, rows=rows, class_map=CLASSES)


def at(images: np.ndarray, masks: np.ndarray, size: tuple[int, int]) -> SampleCache:
    """The same at another size."""
    small = np.stack([resize_image(image, size) for image in images])
    return cache_of(small, np.stack([resize_mask(mask, size) for mask in masks]))


if __name__ == "__main__":
    main()
