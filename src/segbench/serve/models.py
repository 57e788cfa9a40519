"""The models that a server has, each with a name and a queue."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from segbench.errors import ConfigError, shorten
from segbench.predict.pipeline import Seen
from segbench.predict.predictor import Prediction, Predictor
from segbench.predict.recipe import Recipe
from segbench.serve.answers import ServeError
from segbench.serve.batching import BatchQueue
from segbench.serve.settings import ServeSettings
from segbench.serve.uploads import read_upload

_TOGETHER_PX = {"cpu": 1 << 17}
_TOGETHER_PX_GPU = 1 << 22
_THREADS = 4  # that decode and decide
_WARM_PX = 256


class ServedModel:
    """A predictor with a name and a queue.

    Args:
        name: in addresses: letters, digits, `-`, `_` and `.`.
        predictor: see `Predictor`.
        settings: see `ServeSettings`.
    """

    def __init__(self, name: str, predictor: Predictor, settings: ServeSettings) -> None:
        self.name, self.predictor, self._settings = name, predictor, settings
        self._threads = ThreadPoolExecutor(_THREADS, "images")
        self.queue = BatchQueue(
            self._run,
            room=settings.queue,
            batch=settings.batch,
            together_px=_TOGETHER_PX.get(predictor.device.type, _TOGETHER_PX_GPU),
            wait_s=settings.wait_ms / 1000,
        )

    @property
    def card(self) -> Mapping[str, Any]:
        """What a bundle says about its model; empty for a run."""
        return self.predictor.card or {}

    @property
    def summary(self) -> str:
        """The task and the classes, in a line."""
        class_map = self.predictor.class_map
        runtime = "" if self.predictor.runtime == "torch" else f", {self.predictor.runtime}"
        return f"{class_map.task}: {shorten(class_map.names)}{runtime}"

    def warm_up(self) -> None:
        """Runs the network once, so that no client waits for what is done only the first time."""
        settings = self.predictor.pipeline.settings
        height, width = settings.training_px or (_WARM_PX, _WARM_PX)
        seen = self.predictor.pipeline.seen(np.zeros((height, width, settings.channels), dtype=np.uint8))
        for together in {1, self.queue.together(seen)}:
            self._run([seen] * together)

    def _run(self, seen: list[Seen]) -> Sequence[Tensor]:
        return list(self.predictor.pipeline.probabilities_of(seen))

    async def predict(self, image: bytes | np.ndarray, nodata: np.ndarray | None = None) -> Prediction:
        """Returns the segmentation of one image.

        Args:
            image: bytes of an image file, or what `Predictor` takes as an array.
            nodata: of an array, see `Predictor`.
        Raises:
            ServeError: see `read_upload`, and `QueueFull`.
        """
        loop = asyncio.get_running_loop()
        if isinstance(image, bytes):
            pixels, nodata = await loop.run_in_executor(
                self._threads, read_upload, image, self.predictor, self._settings
            )
        else:
            pixels = image
        seen = await loop.run_in_executor(self._threads, self.predictor.pipeline.seen, pixels)
        probs = await self.queue.submit(seen)
        return await loop.run_in_executor(self._threads, self.predictor.prediction, pixels, nodata, probs)

    async def stop(self) -> None:
        """Answers what waits, and ends."""
        await self.queue.stop()
        self._threads.shutdown()


class Models(Mapping[str, ServedModel]):
    """Name -> model, in the order in which they were given."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._models = {model.name: model for model in models}

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
        return cls([ServedModel(name, each.make(), settings) for name, each in zip(names, recipes, strict=True)])

    def warm_up(self) -> None:
        """Runs every network once."""
        for model in self.values():
            model.warm_up()

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
    """Returns the name under which a run folder or a bundle is served: its file's, of signs that need no quoting."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).resolve().name.removesuffix(".segbench")).strip("-.") or "model"
