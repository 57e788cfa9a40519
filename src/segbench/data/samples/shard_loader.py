"""Batches from shards: read from front to back, mixed in a buffer, then treated as the batches of a cache are."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segbench.data.samples.loader import Batch, BatchLoader, Indices
from segbench.data.samples.sample_cache import SampleCache
from segbench.data.samples.shard_cache import ShardCache
from segbench.data.sources.shards import ShardReader
from segbench.types import Sample

_STREAM = 0x54A  # keeps the order's random numbers apart from others drawn from the same seed


class ShardLoader(BatchLoader):
    """A `BatchLoader` that reads shards: the same shapes, sizes and changes, another way through the samples.

    A shuffled epoch takes the shards in an order drawn from (seed, epoch) and their samples as they lie. Each of
    `world_size` processes takes one stretch of that stream, as long as the others' or one sample longer, so together
    they see every sample exactly once, whatever the number of shards. In front of the batches a buffer of `buffer`
    samples is kept full from the stream, and each sample is drawn from it at random. What is drawn is decided before
    anything is read, so it depends on seed, epoch, rank and buffer alone, never on the threads. An unshuffled epoch has
    the order of `samples`, like a `BatchLoader`'s, and needs no buffer.

    Args:
        cache: the shards.
        samples: see `BatchLoader`, as all that follows.
        buffer: samples that wait, undecoded, to be mixed; the more, the better the mixing. It is the memory the loader
            needs, beside a batch or two.
        threads: that decode.

    Raises:
        DatasetError: in the middle of an epoch, where a shard is missing, cut off or damaged.
        ValueError: a buffer or a number of threads below 1; see `BatchLoader` too.
    """

    cache: ShardCache

    def __init__(
        self, cache: ShardCache, samples: Sequence[Sample], *, buffer: int = 1024, threads: int = 2, **options: Any
    ) -> None:
        if buffer < 1 or threads < 1:
            raise ValueError(f"expected a buffer and threads of at least 1, got {buffer} and {threads}")
        super().__init__(cache, samples, **options)
        self.buffer, self.threads = buffer, threads
        self._checked: set[str] = set()  # samples whose checksum was right; looked at once a process
        self._stream: _Stream | None = None
        self._expected: Indices | None = None  # the batch that is next in the stream
        where = cache.shards.where
        self._by_shard: dict[int, list[int]] = {}
        for index in sorted(range(len(self.samples)), key=lambda index: where[self.samples[index].id]):
            self._by_shard.setdefault(where[self.samples[index].id][0], []).append(index)

    def stream(self, epoch: int) -> Indices:
        """Returns the positions in `samples` in the order in which this process reads them."""
        if not self.shuffle:
            return super().order(epoch)
        shards = sorted(self._by_shard)
        order = np.random.default_rng([_STREAM, self.seed, epoch]).permutation(len(shards))
        everyone = np.concatenate([np.array(self._by_shard[shards[number]], dtype=np.int64) for number in order])
        # The first `extra` processes have one sample more, which is what `num_samples` says.
        each, extra = divmod(len(everyone), self.world_size)
        start = self.rank * each + min(self.rank, extra)
        return everyone[start : start + each + (self.rank < extra)]

    def order(self, epoch: int) -> Indices:
        """Returns the positions in `samples` this process goes through, in order: the stream, mixed by the buffer."""
        stream = self.stream(epoch)
        if not self.shuffle:
            return stream
        random = np.random.default_rng([_STREAM, self.seed, epoch, self.rank])
        waiting = stream[: self.buffer].tolist()
        picks = random.random(len(stream))
        mixed = np.empty_like(stream)
        for position, pick in enumerate(picks):
            chosen = int(pick * len(waiting))
            mixed[position] = waiting[chosen]
            upcoming = self.buffer + position
            waiting[chosen] = int(stream[upcoming]) if upcoming < len(stream) else waiting[-1]
            if upcoming >= len(stream):
                waiting.pop()
        return mixed

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yields the batches of an epoch (from 0), reading ahead; see `BatchLoader.epoch`."""
        running = copy.copy(self)  # an epoch has its own buffer and file, so several may be gone through at once
        with _Stream(self, self.stream(epoch)) as running._stream:
            yield from BatchLoader.epoch(running, epoch)

    def _read(self, indices: Indices, epoch: int) -> Any:
        self._expected = indices
        return super()._read(indices, epoch)

    def _gather(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """Returns images (B, H, W, C) and masks (B, [P,] H, W), uint8, pinned when they go to a GPU.

        A batch of an epoch comes from the stream. What is mixed into it, or asked for by itself, may lie anywhere and
        is looked up.
        """
        pinned = self.device.type == "cuda"
        images, masks = (
            torch.empty((len(indices), *shape[1:]), dtype=torch.uint8, pin_memory=pinned)
            for shape in (self.cache.images.shape, self.cache.masks.shape)
        )
        if self._stream is not None and indices is self._expected:
            self._stream.fill(indices, images.numpy(), masks.numpy())
        else:
            shards, size = self.cache.shards, self.cache.size
            with ShardReader(shards, self._checked) as reader:
                for row, index in enumerate(indices):
                    name = self.samples[index].id
                    images.numpy()[row], masks.numpy()[row] = shards.decode(name, reader.blob(name), size)
        return images, masks


class _Stream:
    """The samples of an epoch's stream that were read and not yet given away. A context, which ends its threads."""

    def __init__(self, loader: ShardLoader, stream: Indices) -> None:
        self._loader, self._stream, self._next = loader, stream, 0
        self._waiting: dict[int, memoryview] = {}
        self._free: list[Any] = []  # memory of samples that were given away, for those to come
        self._reader = ShardReader(loader.cache.shards, loader._checked)
        self._pool = ThreadPoolExecutor(loader.threads, thread_name_prefix="shard-decoder")
        self._lock = threading.Lock()  # one thread reads: the order on the disk is the point of shards
        self.most_waiting = 0

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._reader.__exit__(None, None, None)
        self._waiting.clear()

    def fill(self, indices: Indices, images: Any, masks: Any) -> None:
        """Decodes samples into the rows of two arrays, then reads on until the buffer is full again."""
        with self._lock:
            blobs = [self._take(int(index)) for index in indices]

        def decode(first: int) -> None:
            for row in range(first, len(blobs), threads):
                name = self._loader.samples[indices[row]].id
                images[row], masks[row] = self._loader.cache.shards.decode(name, blobs[row], self._loader.cache.size)

        threads = self._loader.threads
        for _ in self._pool.map(decode, range(threads)):  # raises what a thread raised
            pass
        with self._lock:
            self._free += [blob.obj for blob in blobs]

    def _take(self, index: int) -> memoryview:
        """Returns a sample's bytes; the stream is read on by as many samples as the buffer has lost."""
        ahead = self._loader.buffer if self._loader.shuffle else 1
        while index not in self._waiting or len(self._waiting) < ahead:
            if self._next == len(self._stream):
                break
            upcoming = int(self._stream[self._next])
            room = self._free.pop() if self._free else None
            self._waiting[upcoming] = self._reader.blob(self._loader.samples[upcoming].id, room)
            self._next += 1
            self.most_waiting = max(self.most_waiting, len(self._waiting))
        return self._waiting.pop(index)


def make_loader(cache: SampleCache, samples: Sequence[Sample], **options: Any) -> BatchLoader:
    """Returns the loader that goes with a cache, a `ShardLoader` for shards; `options` are those of a `BatchLoader`."""
    kind = ShardLoader if isinstance(cache, ShardCache) else BatchLoader
    return kind(cache, samples, **options)  # type: ignore[arg-type]  # the kind was chosen by the cache
