"""Shards where a cache is expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from segbench.data.files.resize import resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.samples.sample_cache import U8, SampleCache
from segbench.data.sources.shards import ShardReader, ShardSet, open_shards
from segbench.errors import ConfigError


class _Column:
    """Images or masks of a shard set, looking like the array a cache has; every access reads."""

    dtype = np.dtype(np.uint8)

    def __init__(self, shards: ShardSet, size: tuple[int, int], *, masks: bool) -> None:
        self._shards, self._size, self._masks = shards, size, masks
        self.shape: tuple[int, ...] = (len(shards.manifest), 0)
        self.shape = (len(self), *self[0].shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | npt.NDArray[np.integer]) -> U8:
        with ShardReader(self._shards) as reader:
            if np.ndim(rows) == 0:
                return self._one(reader, int(rows))
            return np.stack([self._one(reader, int(row)) for row in cast("npt.NDArray[np.integer]", rows)])

    def _one(self, reader: ShardReader, row: int) -> U8:
        sample_id = self._shards.manifest.samples[row].id
        if self._masks:
            return resize_mask(reader.mask(sample_id), self._size)
        return self._shards.decode(sample_id, reader.blob(sample_id), self._size)[0]


@dataclass(frozen=True, kw_only=True)
class ShardCache(SampleCache):
    """Shards where a cache is expected; nothing is decoded or kept before it is asked for.

    Attributes:
        shards: what it reads from.
    """

    shards: ShardSet

    @classmethod
    def of(cls, manifest: Manifest, size: tuple[int, int]) -> ShardCache:
        """Returns the samples of a manifest of format `shards` at one size.

        Raises:
            DatasetError: the shards are gone or hold other samples than the manifest.
            ConfigError: the shards hold another size.
        """
        shards = open_shards(manifest)
        if shards.size is not None and shards.size != tuple(size):
            height, width = shards.size
            raise ConfigError(
                f"the shards in {shards.folder} hold images of {height} x {width} pixels, got {size[0]} x {size[1]}; "
                f"set data.size: [{height}, {width}], or write shards of that size or the original one"
                " (`segbench data shard --original`)",
                key="data.size",
            )
        pair = (int(size[0]), int(size[1]))
        return cls(
            images=cast(U8, _Column(shards, pair, masks=False)),
            masks=cast(U8, _Column(shards, pair, masks=True)),
            rows={sample.id: row for row, sample in enumerate(shards.manifest.samples)},
            class_map=manifest.class_map,
            display=manifest.display,
            shards=shards,
        )
