"""Jobs are worked on: one at a time a model, beside the images of requests, which go first.

A job has no network of its own. For each batch of small images, or of tiles of a large one, it takes a turn in the
thread of the networks (`BatchQueue.in_turn`): when no request's image is there, or once a second where there always is
one. So an image waits for one batch of a job at most, and a job ends on a busy server, too.

Whatever stops the work, the files say where it stands: a server that ends notes its job as waiting, and one that is
killed leaves a lock that is free at once, so that the next one (or another worker) goes on with what is left.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from segbench.data.files.raster import raster_look
from segbench.errors import SegbenchError
from segbench.predict.files import Hear, local_stages, predict_files
from segbench.predict.found import Job as ImageJob
from segbench.predict.outputs import OutputOptions
from segbench.predict.pipeline import Pipeline
from segbench.predict.predictor import Predictor
from segbench.predict.stages import Done
from segbench.serve.answers import in_addresses
from segbench.serve.job_folder import ENDED, Held, Job, JobFolder, now, size_of
from segbench.serve.models import Models, ServedModel

MOST_PX = 10_000_000_000  # of an image: half a day of a CPU's time
_LOOK_S = 1.0  # how often it is looked for jobs that other processes accepted
_TIDY_S = 60.0
_NOTE_S = 0.5  # how often progress is noted
_ROOM_S = 5.0  # how often it is looked whether there is room
_AGAIN_S = 30.0  # after which a job that had no room is tried again
_LOG = logging.getLogger("segbench.serve")


class JobRunner:
    """Threads that work on the jobs of a folder, one a model.

    Args:
        folder: see `JobFolder`.
        models: that are served; jobs of others wait until they are.
    """

    def __init__(self, folder: JobFolder, models: Models) -> None:
        self._folder, self._models = folder, models
        self._stopping, self._new = threading.Event(), threading.Condition()
        self._later: dict[str, float] = {}  # id -> when it is tried again
        self._ended: set[str] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begins to work."""
        self._threads = [threading.Thread(target=self._keep_tidy, name="jobs", daemon=True)]
        for model in self._models.values():
            self._threads.append(threading.Thread(target=self._work, args=[model], name=model.name, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends after the batch that is in the network; a job that is not done waits for the next server."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join()

    def wake(self) -> None:
        """Says that there is a new job."""
        with self._new:
            self._new.notify_all()

    def _keep_tidy(self) -> None:
        while True:
            try:
                self._folder.tidy()
            except OSError:
                _LOG.exception("the folder of the jobs could not be tidied")
            if self._stopping.wait(_TIDY_S):
                return

    def _work(self, model: ServedModel) -> None:
        while not self._stopping.is_set():
            try:
                with suppress(Held):
                    self._all_of(model)
            except Exception:  # noqa: BLE001  # whatever it is, the next job may go
                _LOG.exception("the jobs of %s could not be looked through", model.name)
            with self._new:
                if not self._stopping.is_set():
                    self._new.wait(_LOOK_S)

    def _all_of(self, model: ServedModel) -> None:
        while not self._stopping.is_set() and (job := self._next(model)) is not None:
            with self._folder.holding(f"model-{model.name}"), self._folder.holding(job.id):
                if job.state.state not in ENDED:
                    _Run(job, model, self._folder, self._stopping).work()
                if job.state.state not in ENDED:
                    self._later[job.id] = time.monotonic() + _AGAIN_S

    def _next(self, model: ServedModel) -> Job | None:
        for job in self._folder.jobs():
            if job.request.model != model.name or job.id in self._ended:
                continue
            if self._later.get(job.id, 0.0) > time.monotonic() and not job.is_cancelled():
                continue
            if job.state.state not in ENDED:
                return job
            self._ended.add(job.id)
        return None


class _Halt(Exception):  # noqa: N818  # no error
    """The work is not to go on now."""


class _NoRoom(_Halt):
    """Jobs may not write more."""


class _Run:
    """One job, from where it stands to its end; an engine for `predict_files`, too."""

    def __init__(self, job: Job, model: ServedModel, folder: JobFolder, stopping: threading.Event) -> None:
        self.job, self.model = job, model
        self._folder, self._stopping = folder, stopping
        self._failed: dict[str, str] = {}
        self._noted = self._looked = 0.0
        self._predictor = in_turns(model.variant(job.request.threshold, job.request.policy), self._turn)

    def work(self) -> None:
        """Works until the job is done, or something halts it."""
        job, before = self.job, self.job.state
        if job.is_cancelled():
            job.end("cancelled")
            return
        job.note(state="running", begun=before.begun or now(), message="", failed={})
        _LOG.info(
            "job %s begins: %s of %s images by %s", job.id, before.total - before.done, before.total, self.model.name
        )
        try:
            predict_files(
                self._predictor, [job.images], job.out,
                options=job.request.options, engine=self, progress=self._progress,
            )  # fmt: skip
            job.note(failed=self._failed)
            job.end("done")
        except _NoRoom:
            if size_of(job.folder) > 0.9 * self._folder.most_bytes:
                job.end(
                    "failed", f"its results take more room than all jobs may have, {self._folder.most_bytes / 1e9:g} GB"
                )
            else:
                self._wait("there is no room for its results; the job goes on when other jobs are deleted")
        except _Halt:
            if job.is_cancelled():
                job.end("cancelled")
            else:
                self._wait("the server ended; the job goes on when it is there again")
        except OSError as error:
            self._wait(f"the results could not be written ({error.strerror or error}); the job goes on when they can")
        except SegbenchError as error:
            job.end("failed", in_addresses(getattr(error, "reason", str(error))))
        except Exception:  # noqa: BLE001  # the client is told, and the next job may go
            _LOG.exception("job %s failed", job.id)
            job.end("failed", "something went wrong inside of the server; its log says what")
        _LOG.info("job %s: %s", job.id, job.state.state)

    def _wait(self, why: str) -> None:
        with suppress(OSError):  # a full disk: then it stays noted as running, and is found again all the same
            self.job.note(state="waiting", message=why)

    def _turn(self, call: Callable[[], Tensor]) -> Tensor:
        self._check()
        return self.model.queue.in_turn(call)

    def _check(self) -> None:
        """Raises _Halt where the work is to end."""
        if self._stopping.is_set() or self.job.is_cancelled():
            raise _Halt
        if time.monotonic() - self._looked > _ROOM_S:
            self._looked = time.monotonic()
            if not self._folder.room():
                raise _NoRoom

    def run(self, jobs: Sequence[ImageJob], out: Path, options: OutputOptions, hear: Hear) -> Iterator[Done]:
        """Yields every image when its files are written; `hear` need not be told, the predictor is of this process."""
        fitting = []
        for image in jobs:
            if (pixels := _most_pixels(image.path)) > MOST_PX:
                told = f"expected at most {MOST_PX:,} pixels, got {pixels:,}"
                yield self._seen(Done(job=image, row=None, reason=told))
            else:
                fitting.append(image)
        stages = local_stages(self._predictor, out, options, rows=self._rows)
        for done in stages.run(fitting):
            yield self._seen(done)

    def _seen(self, done: Done) -> Done:
        if done.row is None:
            page = f" (page {done.job.page + 1})" if done.job.page else ""
            self._failed[f"{done.job.below.as_posix()}{page}"] = in_addresses(str(done.reason))
        return done

    def _progress(self, what: str, done: int, total: int) -> None:
        self._check()
        self._note(done == total, done=done, total=total, part=0.0, failed=self._failed)

    def _rows(self, what: str, done: int, total: int) -> None:
        self._check()
        self._note(False, part=done / total)

    def _note(self, is_last: bool, **changes: Any) -> None:
        if is_last or time.monotonic() - self._noted > _NOTE_S:
            self._noted = time.monotonic()
            self.job.note(**changes)


def in_turns(predictor: Predictor, turn: Callable[[Callable[[], Tensor]], Tensor]) -> Predictor:
    """Returns the same predictor, whose network runs where and when `turn` runs it."""
    pipeline = predictor.pipeline
    network = pipeline.at_once.network

    def in_turn(images: Tensor) -> Tensor:
        def run() -> Tensor:
            with torch.inference_mode():  # of a thread
                return network(images)

        return turn(run)

    other = copy.copy(predictor)
    other.pipeline = Pipeline(in_turn, pipeline.settings, predictor.device, original=lambda: predictor.network)
    return other


def _most_pixels(path: Path) -> int:
    """Returns the pixels that the header of a file promises; 0 where it cannot be read, which is told elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as image:
                return image.width * image.height
        except Image.DecompressionBombError:
            with suppress(SegbenchError):
                look = raster_look(path)
                return look.width * look.height
            return 0
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
            return 0
