"""Images of many requests through one network: those of one size together, and no more waiting than there is room."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from torch import Tensor

from segbench.predict.pipeline import Seen
from segbench.serve.answers import ServeError

_FORGET = 0.8  # share of the old estimate that is kept when a batch is through


class QueueFull(ServeError):  # noqa: N818  # the field's word
    """No more images may wait; the answer says when to come again."""

    def __init__(self, retry_after_s: float) -> None:
        seconds = max(1, math.ceil(retry_after_s))
        super().__init__(
            503,
            f"too many images are waiting; try again in {seconds} s",
            code="queue_full",
            headers={"Retry-After": str(seconds)},
        )


@dataclass(eq=False)
class _Waiting:
    seen: Seen
    answer: asyncio.Future[Tensor]
    since: float = field(default_factory=time.perf_counter)


class BatchQueue:
    """A bounded queue before one network; lives in one event loop.

    Args:
        run: probabilities (C, h, w) of images that go `together`; called in a thread of its own, never twice at once.
        room: images that may wait.
        batch: images in a call at most.
        together_px: pixels in a call at most; one image may have more.
        wait_s: how long the first of a batch waits for others.
    """

    def __init__(
        self, run: Callable[[list[Seen]], Sequence[Tensor]], *, room: int, batch: int, together_px: int, wait_s: float
    ) -> None:
        self._run, self._room, self._batch = run, room, batch
        self._together_px, self._wait_s = together_px, wait_s
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "network")
        self._task: asyncio.Task[None] | None = None
        self._image_s = 0.0  # that the network lately took for an image
        self._closing = False

    def __len__(self) -> int:
        return len(self._waiting)

    def together(self, seen: Seen) -> int:
        """Returns how many images of the size of this one go through the network at once, at most."""
        height, width = seen.pixels.shape[:2]
        return max(1, min(self._batch, self._together_px // int(height * width)))

    def start(self) -> None:
        """Begins to answer."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Answers what waits, and ends."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def submit(self, seen: Seen) -> Tensor:
        """Returns the probabilities (C, h, w) of an image; whoever is cancelled leaves the queue.

        Raises:
            QueueFull: as many wait as may.
        """
        if self._closing or len(self._waiting) >= self._room:
            raise QueueFull(self._image_s * len(self._waiting))
        mine = _Waiting(seen, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        self._arrived.set()
        try:
            return await mine.answer
        finally:
            with contextlib.suppress(ValueError):  # it is in a batch already
                self._waiting.remove(mine)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            await self._company()
            batch = self._take()
            if batch:
                await self._answer(batch)

    async def _company(self) -> None:
        """Waits until a batch is full, or the first has waited long enough."""
        ends = self._waiting[0].since + self._wait_s
        while not self._closing and self._waiting and len(self._waiting) < self._batch:
            left = ends - time.perf_counter()
            if left <= 0:
                return
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._arrived.wait()

    def _take(self) -> list[_Waiting]:
        """Takes the first that waits, and what may go with it; the others keep their order."""
        found: list[_Waiting] = []
        pixels = 0
        for each in list(self._waiting):
            size = each.seen.pixels.shape[0] * each.seen.pixels.shape[1]
            fits = not found or (found[0].seen.together(each.seen) and pixels + size <= self._together_px)
            if fits and len(found) < self._batch:
                found.append(each)
                pixels += size
                self._waiting.remove(each)
        return found

    async def _answer(self, batch: list[_Waiting]) -> None:
        started = time.perf_counter()
        try:
            loop = asyncio.get_running_loop()
            probs = await loop.run_in_executor(self._thread, self._run, [each.seen for each in batch])
        except Exception as error:  # noqa: BLE001  # whoever asked is told
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
            return
        took = (time.perf_counter() - started) / len(batch)
        self._image_s = took if not self._image_s else _FORGET * self._image_s + (1 - _FORGET) * took
        for each, one in zip(batch, probs, strict=True):
            if not each.answer.done():
                each.answer.set_result(one)
