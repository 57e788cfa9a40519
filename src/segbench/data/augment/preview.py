"""A few training images as the network would see them, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from segbench.config.augment import AugmentConfig
from segbench.data.files.resize import U8, resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.samples.cache import larger_sizes
from segbench.data.samples.decoded import DecodedSamples, zoom_wanted
from segbench.data.samples.loaders import learning_loader
from segbench.data.samples.sample_cache import RaggedCache, SampleCache
from segbench.data.sources.load import load_resized
from segbench.types import ORIGINAL, Sample, Size

_KEPT = 4  # decoded images at a time: one is asked for its size, its pixels and its labels


@dataclass(frozen=True)
class Versions:
    """Images as they are and changed.

    Attributes:
        ids: N sample ids.
        images: for each sample the resized image, and then its versions, (H, W, C) uint8. Where versions are patches,
            the image is made as small as one.
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
    size: Size = (256, 256),
    patch: tuple[int, int] | None = None,
) -> Versions:
    """Returns images spread over the training part (over all of an undivided data set), and what becomes of them.

    Version n is what a run with this seed, size, patch and division sees in its epoch n: the thing itself, no
    illustration. Where versions are patches, the image itself is made as small as one.

    Args:
        manifest: of the data set.
        config: what may happen to an image.
        samples, versions: how many images (fewer where there are fewer), and how many versions of each.
        seed: of the run.
        size: (H, W) in pixels; `original` leaves images as they are, and needs a patch.
        patch: (H, W) of the windows that a run with `data.patch` trains on.
    Raises:
        ConfigError: classes to paste that the data set does not have.
        DatasetError: an image or mask that cannot be read.
        ValueError: a crop larger than `size`, or original images without a patch.
    """
    if size == ORIGINAL and patch is None:
        raise ValueError("expected a patch, since images at their original size have no common size")
    everyone = manifest.split("train") or manifest.samples
    zoom = zoom_wanted(config, size, manifest)
    cache = _undecoded(manifest, everyone, larger_sizes(manifest, size, 1.0))
    larger = _undecoded(manifest, everyone, larger_sizes(manifest, size, zoom)) if zoom > 1.0 else None
    loader = learning_loader(DecodedSamples(cache, larger, patch), everyone, batch_size=1, seed=seed, augment=config)
    chosen = np.unique(np.linspace(0, len(everyone) - 1, min(samples, len(everyone))).round().astype(np.int64))
    batches = [loader.batch(chosen, epoch) for epoch in range(versions)]
    images = [(batch.images * 255.0).round().byte().permute(0, 2, 3, 1).numpy() for batch in batches]
    masks = [batch.targets.byte().numpy() for batch in batches]
    originals = [_as_small_as(cache.images[row], cache.masks[row], patch) for row in chosen]
    return Versions(
        ids=tuple(everyone[index].id for index in chosen),
        images=tuple((original, *(each[row] for each in images)) for row, (original, _) in enumerate(originals)),
        masks=tuple((original, *(each[row] for each in masks)) for row, (_, original) in enumerate(originals)),
    )


def _as_small_as(image: U8, mask: U8, patch: tuple[int, int] | None) -> tuple[U8, U8]:
    """Returns an image and its mask made to fit into a patch; as they are without one."""
    if patch is None:
        return image, mask
    scale = min(1.0, *(wanted / side for wanted, side in zip(patch, image.shape[:2], strict=True)))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return resize_image(image, (height, width)), resize_mask(mask, (height, width))


class _Rows:
    """Stands in for a cached array: decodes a row when it is asked for, and keeps a few."""

    def __init__(self, count: int, decode: Callable[[int], U8]) -> None:
        self.decode = decode
        self.shape = (count, *decode(0).shape)

    def __getitem__(self, row: int) -> U8:
        return self.decode(int(row))


def _undecoded(manifest: Manifest, samples: tuple[Sample, ...], sizes: Mapping[str, tuple[int, int]]) -> SampleCache:
    @lru_cache(maxsize=_KEPT)
    def pair(row: int) -> tuple[U8, U8]:
        return load_resized(manifest, samples[row], sizes[samples[row].id])

    images: Any = _Rows(len(samples), lambda row: pair(row)[0])
    masks: Any = _Rows(len(samples), lambda row: pair(row)[1])
    rows = {sample.id: row for row, sample in enumerate(samples)}
    kind = SampleCache if len(set(sizes.values())) == 1 else RaggedCache
    return kind(images=images, masks=masks, rows=rows, class_map=manifest.class_map)
