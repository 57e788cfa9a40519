"""Many image files through one network in stages that run side by side: decode, network, write.

Files are decoded, and results written, by threads (Pillow, NumPy and PyTorch work outside Python's lock), so that the
network need not wait. Images that it sees at one size go through it together. What is in memory at a time is bounded:
a few images ahead, a few behind, the fewer the larger they are.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from segbench.errors import SegbenchError
from segbench.predict.doubt import disagreement
from segbench.predict.found import Job
from segbench.predict.pages import open_page
from segbench.predict.pipeline import Seen
from segbench.predict.predictor import Prediction, Predictor

_TOGETHER_PX = {"cpu": 1 << 17}  # what the network sees at once: more is no quicker on a CPU
_TOGETHER_PX_GPU = 1 << 22
_IN_MEMORY_PX = 1 << 26  # of images that are decoded, and of predictions that are yet to be written: 200 MB each
_MOST_THREADS = 4  # a stage

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Done:
    """Attributes: job; row, what `write` gave, None where the image failed; reason, why it did."""

    job: Job
    row: Row | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class _Decoded:
    job: Job
    image: np.ndarray
    nodata: np.ndarray | None
    seen: Seen


@dataclass(frozen=True, kw_only=True)
class _Large:
    job: Job
    write: Callable[[], Row]


_Coming: TypeAlias = _Decoded | _Large | Done


@dataclass
class Clock:
    """How long the network waited for images. Attributes: idle_s, of total_s, both in seconds."""

    idle_s: float = 0.0
    total_s: float = 0.0

    @property
    def idle_frac(self) -> float:
        """Share of the time, 0-1; NaN where there was none."""
        return self.idle_s / self.total_s if self.total_s else math.nan


class Stages:
    """A predictor that goes over many files.

    Args:
        predictor: see `Predictor`.
        write: called with an image's job and prediction, by several threads; returns its row of the table. An OSError
            that it raises (a full disk) ends everything; of any other error the image is noted as failed.
        by_parts: of an image too large to be decoded whole, what writes its files from its parts, and returns its row;
            None for any other.
        threads: that decode, and as many that write; None: as many as there are cores, up to 4.
        with_disagreement: of several networks that are averaged, each goes over the images once more by itself, and the
            predictions tell how much they disagree.

    Attributes:
        clock: see `Clock`.
    """

    def __init__(
        self,
        predictor: Predictor,
        write: Callable[[Job, Prediction], Row],
        *,
        by_parts: Callable[[Job], Callable[[], Row] | None] = lambda _: None,
        threads: int | None = None,
        with_disagreement: bool = False,
    ) -> None:
        self.clock = Clock()
        self._predictor = predictor
        self._write, self._by_parts = write, by_parts
        self._members = predictor.members if with_disagreement and predictor.averages_several else ()
        self._threads = threads or min(_MOST_THREADS, os.cpu_count() or 1)
        self._together_px = _TOGETHER_PX.get(predictor.device.type, _TOGETHER_PX_GPU)

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Yields every image as soon as its files are written, or it failed, in the order of the jobs.

        Raises:
            OSError: see `write`.
        """
        started = time.perf_counter()
        decoders, writers = (ThreadPoolExecutor(self._threads, name) for name in ("decode", "write"))
        behind: deque[Future[Done]] = deque()
        try:
            for batch in self._batches(jobs, decoders):
                behind.extend(self._through(batch, writers))
                room = self._room(batch[-1])
                while behind and (len(behind) > room or behind[0].done()):
                    yield behind.popleft().result()
            while behind:
                yield behind.popleft().result()
        finally:
            for pool in (decoders, writers):
                pool.shutdown(cancel_futures=True)
            self.clock.total_s = time.perf_counter() - started

    def _batches(self, jobs: Sequence[Job], decoders: ThreadPoolExecutor) -> Iterator[list[_Coming]]:
        """Yields images that follow each other and that the network sees at one size, or one that failed.

        Which images go together depends on the jobs alone, not on which thread was quicker.
        """
        coming = iter(jobs)
        ahead: deque[Future[_Coming]] = deque()
        batch: list[_Coming] = []
        room = self._threads + 1
        while True:
            while len(ahead) < room and (job := next(coming, None)) is not None:
                ahead.append(decoders.submit(self._decode, job))
            if not ahead:
                break
            waiting = time.perf_counter()
            found = ahead.popleft().result()
            self.clock.idle_s += time.perf_counter() - waiting
            room = self._room(found)
            if batch and not self._fits(batch, found):
                yield batch
                batch = []
            batch.append(found)
        if batch:
            yield batch

    def _decode(self, job: Job) -> _Coming:
        try:
            write = self._by_parts(job)
            if write is not None:
                return _Large(job=job, write=write)
            image, nodata = self._read(job)
            return _Decoded(job=job, image=image, nodata=nodata, seen=self._predictor.pipeline.seen(image))
        except SegbenchError as error:
            return Done(job=job, row=None, reason=getattr(error, "reason", str(error)))
        except MemoryError:
            return Done(job=job, row=None, reason="there is not enough memory to open it")

    def _read(self, job: Job) -> tuple[np.ndarray, np.ndarray | None]:
        if job.page is None:
            return self._predictor.pipeline.read(job.path)
        with open_page(job.path, job.page) as image:
            return self._predictor.pipeline.read(image)

    def _fits(self, batch: list[_Coming], found: _Coming) -> bool:
        first = batch[0]
        if not isinstance(first, _Decoded) or not isinstance(found, _Decoded):
            return False
        return first.seen.together(found.seen) and (1 + len(batch)) * _pixels(found.seen.pixels) <= self._together_px

    def _room(self, found: _Coming) -> int:
        """Returns how many images of the size of this one may wait before, and behind, the network."""
        if not isinstance(found, _Decoded):
            return self._threads + 1
        batches = 2 * max(1, self._together_px // _pixels(found.seen.pixels))
        return max(self._threads, min(self._threads + batches, _IN_MEMORY_PX // _pixels(found.image)))

    def _through(self, batch: list[_Coming], writers: ThreadPoolExecutor) -> Iterator[Future[Done]]:
        """Sends a batch through the network, and what comes out on to the writers."""
        images = [each for each in batch if isinstance(each, _Decoded)]
        for other in batch:
            if isinstance(other, Done):
                yield _settled(other)
            elif isinstance(other, _Large):
                yield _settled(_written(other))
        if not images:
            return
        try:
            probs: Sequence[Tensor] = list(self._predictor.pipeline.probabilities_of([each.seen for each in images]))
            apart = self._disagreement([each.seen for each in images])
        except (SegbenchError, MemoryError, RuntimeError, ValueError) as error:
            if len(images) == 1:
                yield _settled(Done(job=images[0].job, row=None, reason=reason_of(error)))
                return
            for each in images:  # one of them, or all together were too much
                yield from self._through([each], writers)
            return
        for each, one, differ in zip(images, probs, apart, strict=True):
            yield writers.submit(self._finish, each, one, differ)

    def _disagreement(self, seen: Sequence[Seen]) -> Sequence[np.ndarray | None]:
        """Returns (h, w) of each image; None where it was not asked for."""
        if not self._members:
            return [None] * len(seen)
        task = self._predictor.class_map.task
        return list(disagreement((each.probabilities_of(seen).cpu().numpy() for each in self._members), task))

    def _finish(self, decoded: _Decoded, probs: Tensor, apart: np.ndarray | None) -> Done:
        try:
            prediction = self._predictor.prediction(decoded.image, decoded.nodata, probs, apart)
            return Done(job=decoded.job, row=self._write(decoded.job, prediction))
        except (SegbenchError, MemoryError, RuntimeError, ValueError) as error:
            return Done(job=decoded.job, row=None, reason=reason_of(error))


def _pixels(image: np.ndarray) -> int:
    return int(image.shape[0] * image.shape[1])


def reason_of(error: Exception) -> str:
    """Returns why an image failed, in a line."""
    if isinstance(error, SegbenchError):
        return str(getattr(error, "reason", error))
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _written(large: _Large) -> Done:
    """Predicts a large image, in the thread of the network, which has more than enough to do with it."""
    try:
        return Done(job=large.job, row=large.write())
    except (SegbenchError, MemoryError, RuntimeError, ValueError) as error:
        return Done(job=large.job, row=None, reason=reason_of(error))


def _settled(done: Done) -> Future[Done]:
    future: Future[Done] = Future()
    future.set_result(done)
    return future
