"""Many images over the machines of a Ray cluster: each worker reads its images and writes its masks itself.

Only paths and rows of the table travel through Ray, never pixels. A worker is an actor that loads the model once and
gets a few images at a time; where it is lost, these few are given to another. An image so large that it is predicted
part by part is spread over the workers in bands of its rows, whose labels they write into files of their own; when all
are there, one of them joins these files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from segbench import __version__
from segbench.errors import PredictionError
from segbench.predict.found import Job
from segbench.predict.outputs import OutputOptions
from segbench.predict.recipe import Recipe
from segbench.predict.stages import Done

_IMAGES_AT_ONCE = 16  # a worker is given: what a lost one costs
_MOST_ATTEMPTS = 3

Band: TypeAlias = tuple[int, int]  # rows [top, bottom) of an image
Answer: TypeAlias = tuple[dict[str, Any] | None, str, list[Band]]  # row, reason, bands that must be there before
Answers: TypeAlias = tuple[list[Answer], dict[str, Any]]  # of each image, and what `Pipeline.hand_over` told


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What a worker is given. Attributes: jobs; band, of the one image, None for whole images; banded, whether large
    images are to be spread first; attempt, from 1."""

    jobs: tuple[Job, ...]
    band: Band | None = None
    banded: bool = True
    attempt: int = 1

    def again(self) -> list[_Task]:
        """Returns what is tried once more, image by image, since one of them may be what ended the worker."""
        return [replace(self, jobs=(job,), attempt=self.attempt + 1) for job in self.jobs]


class RayWorkers:
    """Predicts on all nodes of the cluster that this process is connected to (`ray.init`).

    Args:
        recipe: of the predictor; its paths are seen by all machines.
        workers: at most so many at once; None: as many as the cluster has room for.
        at_once: images that a worker is given.
    """

    def __init__(self, recipe: Recipe, *, workers: int | None = None, at_once: int = _IMAGES_AT_ONCE) -> None:
        self._recipe, self._workers, self._at_once = recipe, workers, at_once

    def run(
        self, jobs: Sequence[Job], out: Path, options: OutputOptions, hear: Callable[[Mapping[str, Any]], None]
    ) -> Iterator[Done]:
        """Yields every image when its files are written, or it failed.

        Args:
            jobs, out, options: see `predict_files`.
            hear: told what workers have to say of sizes and seams, see `Pipeline.hear`; a lost one says nothing more.

        Raises:
            PredictionError: a machine has another segbench, or does not see model and output folder.
        """
        if not jobs:
            return
        first = range(0, len(jobs), self._at_once)
        waiting = deque(_Task(jobs=tuple(jobs[start : start + self._at_once])) for start in first)
        bands: dict[str, int] = {}  # of an image that is spread: how many are not there yet
        with _Pool(self._recipe, out.absolute(), options) as pool:
            while waiting or pool.is_busy:
                pool.grow(self._room(len(waiting)))
                while waiting and pool.has_room:
                    pool.submit(waiting.popleft())
                task, answers = pool.next()
                if isinstance(answers, str):  # the worker is lost
                    if task.attempt < _MOST_ATTEMPTS:
                        waiting.extendleft(reversed(task.again()))
                        continue
                    answer: list[Answer] = [(None, answers, []) for _ in task.jobs]
                else:
                    answer, told = answers
                    hear(told)
                for job, (row, reason, parts) in zip(task.jobs, answer, strict=True):
                    if parts:
                        bands[job.name] = len(parts)
                        waiting.extendleft(_Task(jobs=(job,), band=part) for part in reversed(parts))
                    elif task.band is None:
                        yield Done(job=job, row=row, reason=reason)
                    elif job.name in bands:
                        yield from self._after_band(job, reason, bands, waiting)

    def _after_band(self, job: Job, reason: str, bands: dict[str, int], waiting: deque[_Task]) -> Iterator[Done]:
        """Notes a band as there; behind the last one the image is joined, and where one failed, so did the image."""
        bands[job.name] -= 1
        if not reason and bands[job.name]:
            return
        del bands[job.name]
        if not reason:
            waiting.appendleft(_Task(jobs=(job,), banded=False))
            return
        left = [task for task in waiting if task.jobs != (job,)]
        waiting.clear()
        waiting.extend(left)
        yield Done(job=job, row=None, reason=reason)

    def _room(self, tasks: int) -> int:
        """Returns how many workers there may be for so many tasks: no more than what they need is there for."""
        room = min(int(_there(name) // share) for name, share in _needs(self._recipe).items())
        return max(1, min(self._workers or room, room, tasks))


def _there(name: str) -> float:
    import ray

    return float(ray.cluster_resources().get(name, 0.0))  # type: ignore[no-untyped-call]


def _needs(recipe: Recipe) -> dict[str, float]:
    """Returns what a worker takes of the cluster, in Ray's names."""
    cores = {"CPU": float(recipe.threads or 1)}
    return cores if recipe.device == "cpu" or not _there("GPU") else {**cores, "GPU": 1.0}


class _Pool:
    """The workers; a context, which ends them."""

    def __init__(self, recipe: Recipe, out: Path, options: OutputOptions) -> None:
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
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, _Task]] = {}

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *raised: object) -> None:
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            self._ray.kill(worker)

    def grow(self, number: int) -> None:
        """Starts workers until there are so many."""
        for _ in range(number - len(self._idle) - len(self._busy)):
            self._idle.append(self._started())

    @property
    def is_busy(self) -> bool:
        """Whether a worker is at it."""
        return bool(self._busy)

    @property
    def has_room(self) -> bool:
        """Whether a worker has nothing to do."""
        return bool(self._idle)

    def submit(self, task: _Task) -> None:
        """Gives a task to a worker that has nothing to do."""
        worker = self._idle.pop()
        images = [(str(job.path.absolute()), str(job.below), job.name, job.page) for job in task.jobs]
        call = (
            worker.predict.remote(images, task.banded) if task.band is None else worker.band.remote(images, task.band)
        )
        self._busy[call] = (worker, task)

    def next(self) -> tuple[_Task, Answers | str]:
        """Waits for a worker; returns its task, and its answers, or how the worker was lost.

        Raises:
            PredictionError: it is not ready, see `RayWorkers.run`.
        """
        (ended,), _ = self._ray.wait(list(self._busy), num_returns=1)
        worker, task = self._busy.pop(ended)
        try:
            answer = self._ray.get(ended)
        except self._ray.exceptions.RayTaskError as error:
            raise PredictionError(f"a worker ended with {error.cause!r}") from error
        except self._ray.exceptions.RayError as error:
            self._idle.append(self._started())
            return task, f"its worker was lost {task.attempt} times ({type(error).__name__})"
        if isinstance(answer, str):
            raise PredictionError(answer)
        self._idle.append(worker)
        return task, answer

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

        def predict(self, images: list[tuple[str, str, str, int | None]], banded: bool) -> Answers | str:
            """Returns row, reason and bands of each image; a sentence where this machine is not ready.

            An image of which bands are returned was not predicted: they are to be there before.
            """
            problem = self._ready()
            if problem:
                return problem
            from segbench.predict.large import large_bands

            jobs = self._jobs(images)
            bands = {
                job.name: large_bands(self._predictor, job.path, self._out, job.name, self._options) if banded else []
                for job in jobs
            }
            done = {each.job.name: each for each in self._local([job for job in jobs if not bands[job.name]])}
            answer: list[Answer] = [
                (None, "", bands[job.name]) if bands[job.name] else (done[job.name].row, str(done[job.name].reason), [])
                for job in jobs
            ]
            return answer, self._predictor.pipeline.hand_over()

        def band(self, images: list[tuple[str, str, str, int | None]], band: Band) -> Answers | str:
            """Predicts a band of the one image; returns why it failed, in the form of `predict`."""
            problem = self._ready()
            if problem:
                return problem
            from segbench.errors import SegbenchError
            from segbench.predict.stages import reason_of
            from segbench.predict.windows import predict_band

            (job,), with_probs = self._jobs(images), self._options.probs is not None
            reason = ""
            try:
                predict_band(self._predictor, job.path, self._out, job.name, band, with_probs=with_probs)
            except (SegbenchError, MemoryError, RuntimeError, ValueError) as error:
                reason = reason_of(error)
            return [(None, reason, [])], self._predictor.pipeline.hand_over()

        def process(self) -> int:
            """Returns the number of this process."""
            import os

            return os.getpid()

        def _jobs(self, images: list[tuple[str, str, str, int | None]]) -> list[Job]:
            from pathlib import Path

            from segbench.predict.found import Job

            return [Job(path=Path(path), below=Path(below), name=name, page=page) for path, below, name, page in images]

        def _ready(self) -> str:
            """Returns what this machine lacks; where it is nothing, the model is loaded."""
            problem = "" if self._local is not None else self._problem()
            if not problem and self._local is None:
                self._load()
            return problem

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

        def _load(self) -> None:
            import os
            from pathlib import Path

            threads = self._places["recipe"]["threads"] or 1
            os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported

            from segbench.predict.files import local_stages
            from segbench.predict.outputs import OutputOptions
            from segbench.predict.recipe import Recipe

            self._predictor = Recipe.from_dict(self._places["recipe"]).make()
            self._out, self._options = Path(self._places["out"]), OutputOptions(**self._places["options"])
            self._local = local_stages(self._predictor, self._out, self._options, threads=threads).run

    return Worker
