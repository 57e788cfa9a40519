"""The models that a server has, each with a name and a queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from segbench.errors import ConfigError, SegbenchError, shorten
from segbench.predict.pipeline import Seen
from segbench.predict.predictor import Prediction, Predictor
from segbench.predict.recipe import Recipe
from segbench.serve.answers import ServeError, in_addresses
from segbench.serve.batching import BatchQueue, NetworkTurns, QueueFull
from segbench.serve.settings import ServeSettings
from segbench.serve.uploads import judge_upload, read_upload
from segbench.types import SizePolicy, Task

_TOGETHER_PX = {"cpu": 1 << 17}
_TOGETHER_PX_GPU = 1 << 22
_THREADS = 4  # that decode and decide
_WARM_PX = 256
_DECODED_PX = 1 << 27  # of the images that are inside at a time, of all models: 400 MB as RGB
_LONGEST_FRAC = 0.5  # of a request's time that one image may keep the network busy
_LOG = logging.getLogger("segbench.serve")

T = TypeVar("T")


class Room:
    """What the models of a process share: threads, the turns of the networks, and memory for decoded images."""

    def __init__(self) -> None:
        self.images = ThreadPoolExecutor(_THREADS, "images")
        self._network = ThreadPoolExecutor(1, "network")
        self.turns = NetworkTurns(self._network)
        self.pixels = 0

    @contextlib.contextmanager
    def memory(self, pixels: int) -> Iterator[None]:
        """Takes room for a decoded image, for as long as the block lasts; an image alone always has some.

        Raises:
            QueueFull: there is none.
        """
        if self.pixels and self.pixels + pixels > _DECODED_PX:
            raise QueueFull(1.0, "too many large images are waiting")
        self.pixels += pixels
        try:
            yield
        finally:
            self.pixels -= pixels

    def close(self) -> None:
        """Ends the threads."""
        self.images.shutdown()
        self._network.shutdown()


class ServedModel:
    """A predictor with a name and a queue.

    Args:
        name: in addresses: letters, digits, `-`, `_` and `.`.
        predictor: see `Predictor`.
        settings: see `ServeSettings`.
        room: that it shares with other models; None: it is alone.
    """

    def __init__(self, name: str, predictor: Predictor, settings: ServeSettings, room: Room | None = None) -> None:
        self.name, self.predictor, self._settings = name, predictor, settings
        self._room = room or Room()
        self.queue = BatchQueue(
            self._run,
            self._room.turns,
            room=settings.queue,
            batch=settings.batch,
            together_px=_TOGETHER_PX.get(predictor.device.type, _TOGETHER_PX_GPU),
            wait_s=settings.wait_ms / 1000,
        )

    @property
    def card(self) -> Mapping[str, Any]:
        """What a bundle says about its model; empty for a run."""
        return self.predictor.card or {}

    @cached_property
    def id(self) -> str:
        """SHA-256 of the network."""
        return self.predictor.model_id

    @property
    def summary(self) -> str:
        """The task and the classes, in a line."""
        class_map = self.predictor.class_map
        runtime = "" if self.predictor.runtime == "torch" else f", {self.predictor.runtime}"
        return f"{class_map.task}: {shorten(class_map.names)}{runtime}"

    def variant(self, threshold: float | None = None, policy: SizePolicy | None = None) -> Predictor:
        """Returns the predictor with other settings; it shares the network.

        Raises:
            ServeError: settings that make no sense.
        """
        if threshold is None and policy is None:
            return self.predictor
        if threshold is not None and self.predictor.class_map.task is Task.MULTICLASS:
            told = f"{self.name} has exclusive classes: the most probable one is taken, and there is no threshold"
            raise ServeError(422, told, code="bad_parameter")
        try:
            return self.predictor.with_settings(threshold=threshold, policy=policy)
        except ValueError as error:
            raise ServeError(422, str(error), code="bad_parameter") from error

    def warm_up(self) -> None:
        """Runs the network a few times, so that no client waits for what is done only the first time, and so that it
        is known how long it takes."""
        settings = self.predictor.pipeline.settings
        height, width = settings.training_px or (_WARM_PX, _WARM_PX)
        seen = self.predictor.pipeline.seen(np.zeros((height, width, settings.channels), dtype=np.uint8))
        for together in (1, self.queue.together(seen), 1):
            started = time.perf_counter()
            self._run([seen] * together)
        self.queue.took(seen.pixels.shape[0] * seen.pixels.shape[1], time.perf_counter() - started)

    def _run(self, seen: list[Seen]) -> Sequence[Tensor]:
        return list(self.predictor.pipeline.probabilities_of(seen))

    async def predict(
        self,
        image: bytes | np.ndarray,
        nodata: np.ndarray | None = None,
        *,
        threshold: float | None = None,
        policy: SizePolicy | None = None,
        deadline: float | None = None,
    ) -> Prediction:
        """Returns the segmentation of one image; see `answer`."""
        return await self.answer(
            image, lambda _, prediction: prediction, nodata, threshold=threshold, policy=policy, deadline=deadline
        )

    async def answer(
        self,
        image: bytes | np.ndarray,
        make: Callable[[Predictor, Prediction], T],
        nodata: np.ndarray | None = None,
        *,
        threshold: float | None = None,
        policy: SizePolicy | None = None,
        deadline: float | None = None,
    ) -> T:
        """Returns what is made of the segmentation of one image; whoever is cancelled gives up the place.

        Args:
            image: bytes of an image file, or what `Predictor` takes as an array.
            make: called in a thread, while the image still has its place, with the predictor (of these settings).
            nodata: of an array, see `Predictor`.
            threshold, policy: see `Predictor.load`; None: the model's.
            deadline: time of the event loop after which the answer is of no use; None: what the settings say from now.
        Raises:
            ServeError: see `read_upload`; `QueueFull`; 413 for an image that would keep the network busy too long; 504
                when the time is over.
        """
        predictor = self.variant(threshold, policy)
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._settings.timeout_s if deadline is None else deadline
        with self.queue.place():
            try:
                async with asyncio.timeout_at(ends):
                    if isinstance(image, np.ndarray):
                        with self._room.memory(math.prod(image.shape[:2])):
                            return await self._made(predictor, image, nodata, make, ends)
                    upload = await self._in_thread(judge_upload, image, predictor, self._settings)
                    with self._room.memory(upload.pixels):
                        pixels, nodata = await self._in_thread(read_upload, upload, predictor)
                        return await self._made(predictor, pixels, nodata, make, ends)
            except TimeoutError as error:
                told = "the answer was not ready in time; send fewer at once, smaller images, or wait longer"
                raise ServeError(504, told, code="timeout") from error

    async def _made(
        self,
        predictor: Predictor,
        image: np.ndarray,
        nodata: np.ndarray | None,
        make: Callable[[Predictor, Prediction], T],
        ends: float,
    ) -> T:
        seen = await self._in_thread(predictor.pipeline.seen, image)
        self._require_short(seen)
        with _told():
            probs = await self.queue.submit(seen, ends - asyncio.get_running_loop().time())
        return await self._in_thread(lambda: make(predictor, predictor.prediction(image, nodata, probs)))

    async def _in_thread(self, work: Callable[..., T], *given: Any) -> T:
        """Returns what a function gives that is called in another thread."""
        with _told():
            return await asyncio.get_running_loop().run_in_executor(self._room.images, work, *given)

    def _require_short(self, seen: Seen) -> None:
        """Raises ServeError where an image would keep all others waiting for too long."""
        needs, most = self.queue.network_s(seen), _LONGEST_FRAC * self._settings.timeout_s
        if needs > most:
            height, width = seen.pixels.shape[:2]
            told = f"this image is {height} x {width} pixels (height x width) for the network, which would take about"
            raise ServeError(
                413,
                f"{told} {needs:.0f} s here, and {most:.0f} s is the most; send it as a job, or a smaller one",
                code="too_much_work",
            )

    async def stop(self) -> None:
        """Answers what waits, and ends."""
        await self.queue.stop()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Says of an image that could not be segmented why, as a ServeError."""
    try:
        yield
    except SegbenchError as error:
        told = in_addresses(getattr(error, "reason", str(error)))
        raise ServeError(422, told, code="unreadable_image") from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):  # as PyTorch says it
            raise
        _LOG.exception("an image needs more memory than there is")
        raise ServeError(413, "there is not enough memory for this image here", code="too_much_memory") from error


class Models(Mapping[str, ServedModel]):
    """Name -> model, in the order in which they were given.

    Args:
        models: with names that differ.
        room: that they share.
    """

    def __init__(self, models: Sequence[ServedModel], room: Room | None = None) -> None:
        self._models = {model.name: model for model in models}
        self._room = room

    @classmethod
    def open(cls, paths: Sequence[str | Path], settings: ServeSettings) -> Models:
        """Returns the models of run folders and bundles; each is called like its file.

        Raises:
            ConfigError: two have one name.
            SegbenchError: see `Predictor.load`.
        """
        names = [model_name(path) for path in paths]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"two models would be called {', '.join(twice)}; rename one of the files", key="MODEL")
        recipes = [
            Recipe(
                models=(str(path),), device=settings.device, runtime=settings.runtime, threads=settings.network_threads
            )
            for path in paths
        ]
        room = Room()
        models = [ServedModel(name, each.make(), settings, room) for name, each in zip(names, recipes, strict=True)]
        return cls(models, room)

    def warm_up(self) -> None:
        """Runs every network a few times."""
        for model in self.values():
            model.warm_up()

    def start(self) -> None:
        """Begins to answer, in the event loop that runs now."""
        for model in self.values():
            model.queue.start()

    async def stop(self) -> None:
        """Answers what waits, and ends."""
        for model in self.values():
            await model.stop()
        if self._room is not None:
            self._room.close()

    def __getitem__(self, name: str) -> ServedModel:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    @property
    def first(self) -> ServedModel:
        """What is asked where a request names no model."""
        return next(iter(self._models.values()))

    def named(self, name: str | None) -> ServedModel:
        """Returns the model of a name, the first for None; ServeError 404 where there is no such."""
        if name is None:
            return self.first
        if name not in self._models:
            raise ServeError(404, f"expected one of {', '.join(self._models)}, got {name!r}", code="unknown_model")
        return self._models[name]


def model_name(path: str | Path) -> str:
    """Returns the name under which a run folder or a bundle is served: its file's, of signs that need no quoting.

    Of a link it is the link's own: `current.segbench` stays `current`, wherever it leads.
    """
    name = Path(os.path.normpath(Path(path).absolute())).name.removesuffix(".segbench")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
