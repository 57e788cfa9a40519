"""Batches from a sample cache: gathered by one thread ahead, changed and converted on the network's device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segbench.config.run import AugmentConfig
from segbench.data.augment.mixing import Mix, apply_mix, draw_mix, pasted_classes
from segbench.data.augment.transforms import apply_augmentation, draw_augmentation
from segbench.data.samples.sample_cache import SampleCache
from segbench.types import Sample

Indices: TypeAlias = npt.NDArray[np.int64]

_STREAM = 0x0DE  # keeps the order's random numbers apart from others drawn from the same seed


@dataclass(frozen=True)
class Batch:
    """Some samples, ready for the network but not normalised (that is the network's own business).

    Attributes:
        ids: B sample ids.
        images: (B, 3, H, W) float32 in [0, 1].
        targets: (B, H, W) int64 class indices, multilabel (B, C, H, W); with `ignore_index`.
    """

    ids: tuple[str, ...]
    images: Tensor
    targets: Tensor


@dataclass(frozen=True)
class _Read:
    """Bytes of a batch, and of the images that are mixed into it."""

    indices: Indices
    images: Tensor
    masks: Tensor
    mix: Mix | None = None
    partners: tuple[Tensor, Tensor] | None = None


class BatchLoader:
    """Goes through samples in batches; with the same arguments always the same batches, whatever was iterated before.

    The order of an epoch is a permutation drawn from (seed, epoch); of `world_size` processes each takes every
    `world_size`-th sample of it, so together they see every sample exactly once. The last batch may be smaller. A
    shuffled epoch on several processes must have as many steps on each: there a process's samples are dealt evenly
    over the batches, whose sizes then differ by 1 at most, and which may be one larger than `batch_size` where too few
    samples are left for another step. No sample is repeated or left out in either case.

    Args:
        cache: of these samples.
        samples: in the order of an unshuffled epoch.
        batch_size: samples a batch, on this process.
        seed: of order and augmentation.
        shuffle: another order every epoch.
        augment: changes of the images; None leaves them as they are.
        device: where the batches shall be.
        channels_last: images in NHWC memory order.
        rank, world_size: of this process, for training on several.
        merge_single: a batch of one sample has no variance for a BatchNorm at 1 x 1 pixels; with this its sample joins
            the batch before, which then has `batch_size + 1`. Only the batch is dropped, never the sample. Without
            effect where `batch_size` is 1 or there is one sample.

    Raises:
        ConfigError: augmentation is to paste classes that the data set does not have.
        DatasetError: samples the cache was not built for.
        ValueError: no samples, fewer than processes, or a batch size or rank out of range.
    """

    def __init__(
        self,
        cache: SampleCache,
        samples: Sequence[Sample],
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        augment: AugmentConfig | None = None,
        device: str | torch.device = "cpu",
        channels_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
        merge_single: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"expected a batch_size of at least 1, got {batch_size}")
        if not 0 <= rank < world_size:
            raise ValueError(f"expected a rank from 0 to world_size - 1 = {world_size - 1}, got {rank}")
        if len(samples) < world_size:
            raise ValueError(f"expected at least one sample for each of {world_size} processes, got {len(samples)}")
        self.cache, self.samples = cache, tuple(samples)
        self.batch_size, self.seed, self.shuffle, self.augment = batch_size, seed, shuffle, augment
        self.device, self.channels_last = torch.device(device), channels_last
        self.rank, self.world_size, self.merge_single = rank, world_size, merge_single
        self._rows = cache.rows_of(self.samples)
        self._pasted = pasted_classes(augment, cache.class_map) if augment is not None else ()

    @property
    def num_samples(self) -> int:
        """Samples an epoch has on this process."""
        return len(range(self.rank, len(self.samples), self.world_size))

    def __len__(self) -> int:
        return len(self._sizes())

    def _sizes(self) -> list[int]:
        """Returns the sizes of an epoch's batches."""
        count, size = self.num_samples, self.batch_size
        if self.world_size > 1 and self.shuffle:
            fewest = len(self.samples) // self.world_size  # the same number on every process, by which all count
            most = -(-len(self.samples) // self.world_size)
            least = 2 if self.merge_single and size > 1 else 1
            steps = max(1, min(-(-most // size), fewest // least))
            return [count // steps + (step < count % steps) for step in range(steps)]
        sizes = [min(size, count - start) for start in range(0, count, size)]
        if self.merge_single and size > 1 and len(sizes) > 1 and sizes[-1] == 1:
            sizes[-2:] = [size + 1]
        return sizes

    def order(self, epoch: int) -> Indices:
        """Returns the positions in `samples` this process goes through, in order."""
        everyone = np.arange(len(self.samples), dtype=np.int64)
        if self.shuffle:
            everyone = np.random.default_rng([_STREAM, self.seed, epoch]).permutation(everyone)
        return everyone[self.rank :: self.world_size]

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yields the batches of an epoch (from 0), while one thread reads the next batch.

        The thread ends with the iterator: exhausted, closed, collected, or after an error, which is raised here.
        """
        ends = np.cumsum(self._sizes())
        batches = np.split(self.order(epoch), ends[:-1])
        reader = ThreadPoolExecutor(1, thread_name_prefix="batch-reader")
        try:
            upcoming = reader.submit(self._read, batches[0], epoch)
            for position in range(len(batches)):
                ready = upcoming.result()
                if position + 1 < len(batches):
                    upcoming = reader.submit(self._read, batches[position + 1], epoch)
                yield self._finish(ready, epoch)
        finally:
            reader.shutdown(wait=True, cancel_futures=True)

    def batch(self, indices: Indices, epoch: int) -> Batch:
        """Returns the samples at these positions in `samples` as they are in an epoch."""
        return self._finish(self._read(indices, epoch), epoch)

    def _read(self, indices: Indices, epoch: int) -> _Read:
        own = self._gather(indices)
        if self.augment is None:
            return _Read(indices, *own)
        size = self.augment.crop or self.cache.size
        mix = draw_mix(self.augment, self.seed, epoch, indices, len(self.samples), size)
        return _Read(indices, *own, mix, self._gather(mix.partners) if len(mix.rows) else None)

    def _gather(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """Returns images (B, H, W, C) and masks (B, [P,] H, W), uint8, pinned when they go to a GPU."""
        pinned = self.device.type == "cuda"
        rows = self._rows[indices]
        gathered = []
        for source in (self.cache.images, self.cache.masks):
            batch: Tensor | None = None
            for position in np.argsort(rows):  # in the order they lie on the disk
                sample = source[rows[position]]
                if batch is None:
                    batch = torch.empty((len(rows), *sample.shape), dtype=torch.uint8, pin_memory=pinned)
                batch.numpy()[position] = sample
            assert batch is not None, "no batch is empty"
            gathered.append(batch)
        return gathered[0], gathered[1]

    def _finish(self, ready: _Read, epoch: int) -> Batch:
        if self.augment is None:
            images, masks = self._placed(ready.images, ready.masks)
            floats = images.float().div_(255.0)
        else:
            floats, masks = self._changed(self.augment, ready.images, ready.masks, ready.indices, epoch)
            if ready.partners is not None and ready.mix is not None:
                # A partner's numbers are drawn from the sample that it is mixed into.
                owners = ready.indices[ready.mix.rows]
                others = self._changed(self.augment, *ready.partners, owners, epoch, partner=True)
                apply_mix(floats, masks, *others, ready.mix, self._pasted)
        return self._batch(ready.indices, floats, masks)

    def _batch(self, indices: Indices, floats: Tensor, masks: Tensor) -> Batch:
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        ids = tuple(self.samples[index].id for index in indices)
        return Batch(ids, floats.contiguous(memory_format=order), masks.long())

    def _placed(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Returns images (B, C, H, W), still NHWC in memory, and masks, on the device."""
        images = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return images, masks.to(self.device, non_blocking=True)

    def _changed(
        self,
        augment: AugmentConfig,
        images: Tensor,
        masks: Tensor,
        indices: Indices,
        epoch: int,
        *,
        partner: bool = False,
    ) -> tuple[Tensor, Tensor]:
        parameters = draw_augmentation(augment, self.seed, epoch, indices, self.cache.size, partner=partner)
        return apply_augmentation(*self._placed(images, masks), parameters)
