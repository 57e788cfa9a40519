"""Many images over the machines of a Ray cluster: each worker reads its images and writes its masks itself.

Only paths and rows of the table travel through Ray, never pixels. A worker is an actor that loads the model once and
gets a few images at a time; where it is lost, these few are given to another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segbench import __version__
from segbench.errors import PredictionError
from segbench.predict.outputs import OutputOptions
from segbench.predict.recipe import Recipe
from segbench.predict.stages import Done, Job

_IMAGES_AT_ONCE = 16  # a worker is given: what a lost one costs
_MOST_ATTEMPTS = 3


class RayWorkers:
    """Predicts on all nodes of the cluster that this process is connected to (`ray.init`).

    Args:
        recipe: of the predictor; its paths are seen by all machines.
        workers: at most so many at once; None: as many as the cluster has room for.
        at_once: images that a worker is given.
    """

    def __init__(self, recipe: Recipe, *, workers: int | None = None, at_once: int = _IMAGES_AT_ONCE) -> None:
        self._recipe, self._workers, self._at_once = recipe, workers, at_once

    def run(self, jobs: Sequence[Job], out: Path, options: OutputOptions) -> Iterator[Done]:
        """Yields every image when its files are written, or it failed.

        Raises:
            PredictionError: a machine has another segbench, or does not see model and output folder.
        """
        if not jobs:
            return
        waiting = deque((list(jobs[first : first + self._at_once]), 1) for first in range(0, len(jobs), self._at_once))
        with _Pool(self._recipe, out.absolute(), options, self._room(len(waiting))) as pool:
            while waiting or pool.is_busy:
                while waiting and pool.has_room:
                    pool.submit(*waiting.popleft())
                batch, attempt, answer = pool.next()
                if isinstance(answer, str):  # the worker is lost
                    if attempt < _MOST_ATTEMPTS:
                        waiting.extendleft(([job], attempt + 1) for job in reversed(batch))
                    else:
                        yield from (Done(job=job, row=None, reason=answer) for job in batch)
                else:
                    for job, (row, reason) in zip(batch, answer, strict=True):
                        yield Done(job=job, row=row, reason=reason)

    def _room(self, batches: int) -> int:
        """Returns how many workers there are: no more than what they need is there for."""
        room = min(int(_there(name) // share) for name, share in _needs(self._recipe).items())
        return max(1, min(self._workers or room, room, batches))


def _there(name: str) -> float:
    import ray

    return float(ray.cluster_resources().get(name, 0.0))  # type: ignore[no-untyped-call]


def _needs(recipe: Recipe) -> dict[str, float]:
    """Returns what a worker takes of the cluster, in Ray's names."""
    cores = {"CPU": float(recipe.threads or 1)}
    return cores if recipe.device == "cpu" or not _there("GPU") else {**cores, "GPU": 1.0}


class _Pool:
    """The workers; a context, which ends them."""

    def __init__(self, recipe: Recipe, out: Path, options: OutputOptions, number: int) -> None:
        import ray

        self._ray = ray
        models = tuple(str(Path(model).absolute()) for model in recipe.models)
        self._places = {
            "recipe": recipe.to_dict() | {"models": models},
            "out": str(out),
            "options": asdict(options),
            "segbench": __version__,
        }
        self._needs = _needs(recipe)
        self._idle: list[Any] = [self._started() for _ in range(number)]
        self._busy: dict[Any, tuple[Any, list[Job], int]] = {}

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *raised: object) -> None:
        for worker in [*self._idle, *(worker for worker, _, _ in self._busy.values())]:
            self._ray.kill(worker)

    @property
    def is_busy(self) -> bool:
        """Whether a worker is at it."""
        return bool(self._busy)

    @property
    def has_room(self) -> bool:
        """Whether a worker has nothing to do."""
        return bool(self._idle)

    def submit(self, batch: list[Job], attempt: int) -> None:
        """Gives images to a worker that has nothing to do."""
        worker = self._idle.pop()
        ref = worker.predict.remote([(str(job.path.absolute()), str(job.below), job.name, job.page) for job in batch])
        self._busy[ref] = (worker, batch, attempt)

    def next(self) -> tuple[list[Job], int, list[tuple[dict[str, Any] | None, str]] | str]:
        """Waits for a worker; returns its images, which attempt it was, and row and reason of each, or how it was lost.

        Raises:
            PredictionError: it is not ready, see `RayWorkers.run`.
        """
        (ended,), _ = self._ray.wait(list(self._busy), num_returns=1)
        worker, batch, attempt = self._busy.pop(ended)
        try:
            answer = self._ray.get(ended)
        except self._ray.exceptions.RayTaskError as error:
            raise PredictionError(f"a worker ended with {error.cause!r}") from error
        except self._ray.exceptions.RayError as error:
            self._idle.append(self._started())
            return batch, attempt, f"its worker was lost {attempt} times ({type(error).__name__})"
        if isinstance(answer, str):
            raise PredictionError(answer)
        self._idle.append(worker)
        return batch, attempt, answer

    def _started(self) -> Any:
        kind: Any = self._ray.remote(_worker_class())
        needs = {"num_cpus": self._needs["CPU"], "num_gpus": self._needs.get("GPU", 0.0)}
        return kind.options(**needs, max_restarts=0).remote(self._places)


def _worker_class() -> type:
    """Returns the class of a worker; made in a function it is sent whole, not by name: a machine may have no segbench
    that knows it, and everything it needs is imported after the check."""

    class Worker:
        def __init__(self, places: Mapping[str, Any]) -> None:
            self._places = places
            self._local: Any = None

        def predict(
            self, images: list[tuple[str, str, str, int | None]]
        ) -> list[tuple[dict[str, Any] | None, str]] | str:
            """Returns row and reason of each image; a sentence where this machine is not ready."""
            if self._local is None:
                problem = self._problem()
                if problem:
                    return problem
                self._local = self._loaded()
            from pathlib import Path

            from segbench.predict.stages import Job

            jobs = [Job(path=Path(path), below=Path(below), name=name, page=page) for path, below, name, page in images]
            return [(done.row, str(done.reason)) for done in self._local(jobs)]

        def process(self) -> int:
            """Returns the number of this process."""
            import os

            return os.getpid()

        def _problem(self) -> str:
            import importlib.metadata
            import socket
            from pathlib import Path

            node, wanted = socket.gethostname(), self._places["segbench"]
            try:
                found = importlib.metadata.version("segbench")
            except importlib.metadata.PackageNotFoundError:
                return f"{node} has no segbench in the Python that Ray uses there; install segbench {wanted}"
            if found != wanted:
                return f"{node} has segbench {found}, and this is {wanted}; install the same version"
            for path in (*self._places["recipe"]["models"], self._places["out"]):
                if not Path(path).exists():
                    return f"{node} does not see {path}; put it on a disk that all machines mount there"
            return ""

        def _loaded(self) -> Any:
            import os
            from pathlib import Path

            threads = self._places["recipe"]["threads"] or 1
            os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported

            from segbench.predict.files import local_stages
            from segbench.predict.outputs import OutputOptions
            from segbench.predict.recipe import Recipe

            predictor = Recipe.from_dict(self._places["recipe"]).make()
            options = OutputOptions(**self._places["options"])
            return local_stages(predictor, Path(self._places["out"]), options, threads=threads).run

    return Worker
