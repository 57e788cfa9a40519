"""A few training images as the network would see them, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from segbench.config.augment import AugmentConfig
from segbench.data.files.resize import U8, resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.samples.loader import BatchLoader
from segbench.data.samples.sample_cache import SampleCache
from segbench.data.sources.load import load_sample
from segbench.types import Sample


@dataclass(frozen=True)
class Versions:
    """Images as they are and changed.

    Attributes:
        ids: N sample ids.
        images: for each sample the resized image, and then its versions, (H, W, C) uint8.
        masks: the masks of all these, (H, W) class indices or (P, H, W) planes.
    """

    ids: tuple[str, ...]
    images: tuple[tuple[U8, ...], ...]
    masks: tuple[tuple[U8, ...], ...]


def augmented_versions(
    manifest: Manifest,
    config: AugmentConfig,
    *,
    samples: int = 6,
    versions: int = 5,
    seed: int = 0,
    size: tuple[int, int] = (256, 256),
) -> Versions:
    """Returns images spread over the training part (over all of an undivided data set), and what becomes of them.

    Version n is what a run with this seed, size and division sees in its epoch n: the thing itself, no illustration.

    Args:
        manifest: of the data set.
        config: what may happen to an image.
        samples, versions: how many images (fewer where there are fewer), and how many versions of each.
        seed: of the run.
        size: (H, W) in pixels.
    Raises:
        ConfigError: classes to paste that the data set does not have.
        DatasetError: an image or mask that cannot be read.
        ValueError: a crop larger than `size`.
    """
    everyone = manifest.split("train") or manifest.samples
    loader = BatchLoader(_undecoded(manifest, everyone, size), everyone, batch_size=1, seed=seed, augment=config)
    plain = BatchLoader(loader.cache, everyone, batch_size=1)
    chosen = np.unique(np.linspace(0, len(everyone) - 1, min(samples, len(everyone))).round().astype(np.int64))
    batches = [plain.batch(chosen, 0), *(loader.batch(chosen, epoch) for epoch in range(versions))]
    images = [(batch.images * 255.0).round().byte().permute(0, 2, 3, 1).numpy() for batch in batches]
    masks = [batch.targets.byte().numpy() for batch in batches]
    return Versions(
        ids=tuple(everyone[index].id for index in chosen),
        images=tuple(tuple(version[row] for version in images) for row in range(len(chosen))),
        masks=tuple(tuple(version[row] for version in masks) for row in range(len(chosen))),
    )


class _Rows:
    """Stands in for a cached array: decodes a row when it is asked for, and keeps none."""

    def __init__(self, count: int, decode: Callable[[int], U8]) -> None:
        self.decode = decode
        self.shape = (count, *decode(0).shape)

    def __getitem__(self, row: int) -> U8:
        return self.decode(row)


def _undecoded(manifest: Manifest, samples: tuple[Sample, ...], size: tuple[int, int]) -> SampleCache:
    images: Any = _Rows(len(samples), lambda row: resize_image(load_sample(manifest, samples[row])[0], size))
    masks: Any = _Rows(len(samples), lambda row: resize_mask(load_sample(manifest, samples[row])[1], size))
    rows = {sample.id: row for row, sample in enumerate(samples)}
    return SampleCache(images=images, masks=masks, rows=rows, class_map=manifest.class_map)
