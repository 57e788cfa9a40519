"""Images of many requests through one network: those of one size together, and no more inside than there is room.

An image has a place in the house from before it is decoded until its answer is made; who finds no place is told at
once, and when to come again. What goes together is chosen at the last moment, when the network is free: whoever has
gone meanwhile costs it nothing, and whoever came late still gets on.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from segbench.predict.pipeline import Seen
from segbench.serve.answers import ServeError

T = TypeVar("T")

_PATIENCE_S, _LOOK_S = 1.0, 0.005
_FORGET = 0.8  # share of the old estimate that is kept when a batch is through


class QueueFull(ServeError):  # noqa: N818  # the field's word
    """No more images may wait; the answer says when to come again."""

    def __init__(self, retry_after_s: float, told: str = "too many images are waiting") -> None:
        seconds = max(1, math.ceil(min(retry_after_s, 3600.0)))
        super().__init__(
            503,
            f"{told}; try again in {seconds} s",
            code="queue_full",
            headers={"Retry-After": str(seconds)},
        )


@dataclass(frozen=True)
class NetworkTurns:
    """What the queues of a process share. Attributes: thread, in which all networks run; turn, who may use it, in the
    order of asking, so that no model waits for more than one batch of each other; aside, held by a batch that is no
    request's, so that there is one at most."""

    thread: Executor
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    aside: threading.Lock = field(default_factory=threading.Lock)


@dataclass(eq=False)
class _Waiting:
    seen: Seen
    answer: asyncio.Future[Tensor]
    since: float = field(default_factory=time.perf_counter)

    @property
    def pixels(self) -> int:
        return pixels_of(self.seen)


class BatchQueue:
    """A bounded queue before one network; lives in one event loop.

    Args:
        run: probabilities (C, h, w) of images that go `together`; called in the thread of `turns`.
        turns: see `NetworkTurns`.
        room: images that may be inside at a time.
        batch: images in a call at most.
        together_px: pixels in a call at most; one image may have more.
        wait_s: how long the first of a batch waits for others while the network has nothing to do.
    """

    def __init__(
        self,
        run: Callable[[list[Seen]], Sequence[Tensor]],
        turns: NetworkTurns,
        *,
        room: int,
        batch: int,
        together_px: int,
        wait_s: float,
    ) -> None:
        self._run, self._turns, self._room, self._batch = run, turns, room, batch
        self._together_px, self._wait_s = together_px, wait_s
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._inside = 0
        self._running_px = 0
        self._px_s = 0.0  # seconds that the network lately took for a pixel
        self._closing = False
        self._places: Callable[[int], None] = lambda _: None
        self._ran: Callable[[int, float], None] = lambda *_: None

    def watch(self, places: Callable[[int], None], ran: Callable[[int, float], None]) -> None:
        """Tells from now on how many places are taken, and of each batch its images and the network's seconds."""
        self._places, self._ran = places, ran

    def __len__(self) -> int:
        """Images that wait for the network."""
        return len(self._waiting)

    @property
    def inside(self) -> int:
        """Images that have a place: being decoded, waiting, in the network, being answered."""
        return self._inside

    def together(self, seen: Seen) -> int:
        """Returns how many images of the size of this one go through the network at once, at most."""
        return max(1, min(self._batch, self._together_px // pixels_of(seen)))

    def network_s(self, seen: Seen) -> float:
        """Returns how long an image alone will keep the network busy, by what others took; 0 where that is unknown."""
        return pixels_of(seen) * self._px_s

    def expected_s(self) -> float:
        """Returns after how long what is here now will be through the network; 0 where that is unknown."""
        return (self._running_px + sum(each.pixels for each in self._waiting)) * self._px_s

    def took(self, pixels: int, seconds: float) -> None:
        """Learns how long the network took for so many pixels."""
        found = seconds / pixels
        self._px_s = found if not self._px_s else _FORGET * self._px_s + (1 - _FORGET) * found

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Takes a place for an image, for as long as the block lasts.

        Raises:
            QueueFull: as many are inside as may.
        """
        if self._closing or self._inside >= self._room:
            raise QueueFull(self.expected_s())
        self._inside += 1
        self._places(self._inside)
        try:
            yield
        finally:
            self._inside -= 1
            self._places(self._inside)

    def start(self) -> None:
        """Begins to answer."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Answers what waits, and ends."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task

    async def submit(self, seen: Seen, within_s: float = math.inf) -> Tensor:
        """Returns the probabilities (C, h, w) of an image; whoever is cancelled leaves the queue.

        Args:
            seen: the image.
            within_s: when the answer would be of use.
        Raises:
            QueueFull: those before it alone will take longer.
        """
        if self._closing or (wait := self.expected_s()) > within_s:
            raise QueueFull(0.0 if self._closing else wait, "the images before yours take longer than you wait")
        mine = _Waiting(seen, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        self._arrived.set()
        try:
            return await mine.answer
        finally:
            with contextlib.suppress(ValueError):  # it is in a batch already
                self._waiting.remove(mine)

    def in_turn(self, call: Callable[[], T]) -> T:
        """Returns what a call gives that needs the network, too; for a thread that is not in a hurry.

        It runs in the thread of the networks, when no image is there or waits for them; where some always do, once a
        second all the same.
        """
        with self._turns.aside:
            ends = time.perf_counter() + _PATIENCE_S
            while (self._waiting or self._turns.turn.locked()) and time.perf_counter() < ends:
                time.sleep(_LOOK_S)
            return self._turns.thread.submit(call).result()

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            if not self._turns.turn.locked():
                await self._company()
            async with self._turns.turn:
                batch = self._take()
                if batch:
                    await self._answer(batch)

    async def _company(self) -> None:
        """Waits until a batch is full, or the first has waited long enough."""
        while self._waiting and not self._closing:
            first = self._waiting[0]
            left = first.since + self._wait_s - time.perf_counter()
            alike = sum(first.seen.together(each.seen) for each in self._waiting)
            if left <= 0 or alike >= self.together(first.seen):
                return
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._arrived.wait()

    def _take(self) -> list[_Waiting]:
        """Takes the first that waits, and what may go with it; the others keep their order."""
        found: list[_Waiting] = []
        others: deque[_Waiting] = deque()
        for each in self._waiting:
            if each.answer.done():  # it was cancelled a moment ago
                continue
            if not found or (len(found) < self.together(each.seen) and found[0].seen.together(each.seen)):
                found.append(each)
            else:
                others.append(each)
        self._waiting = others
        return found

    async def _answer(self, batch: list[_Waiting]) -> None:
        """Runs a batch; where it fails, each of its images alone, so that one of them costs the others nothing."""
        started = time.perf_counter()
        self._running_px = sum(each.pixels for each in batch)
        try:
            loop = asyncio.get_running_loop()
            probs = await loop.run_in_executor(self._turns.thread, self._run, [each.seen for each in batch])
        except Exception as error:  # noqa: BLE001  # whoever asked is told
            if len(batch) == 1:
                if not batch[0].answer.done():
                    batch[0].answer.set_exception(error)
                return
            for each in batch:
                if not each.answer.done():
                    await self._answer([each])
            return
        finally:
            self._running_px = 0
        seconds = time.perf_counter() - started
        self.took(sum(each.pixels for each in batch), seconds)
        self._ran(len(batch), seconds)
        for each, one in zip(batch, probs, strict=True):
            if not each.answer.done():
                each.answer.set_result(one)


def pixels_of(seen: Seen) -> int:
    """Returns how many pixels of an image the network sees."""
    height, width = seen.pixels.shape[:2]
    return int(height * width)
