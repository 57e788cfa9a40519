"""Jobs: images too many or too large for one request. They are sent, worked on one after the other, and fetched."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field

from segbench.errors import ConfigError
from segbench.predict.outputs import OutputOptions
from segbench.serve.answers import ERRORS, ErrorAnswer, ServeError, in_addresses
from segbench.serve.api import models_of
from segbench.serve.guard import JOBS_PATH
from segbench.serve.job_folder import ENDED, MOST_JOBS, Held, Job, JobFolder, JobRequest, JobState, State, now
from segbench.serve.job_runner import JobRunner
from segbench.serve.job_upload import Body, receive_files
from segbench.serve.models import Models
from segbench.serve.requests import require_known_parameters
from segbench.serve.settings import ServeSettings
from segbench.types import SizePolicy

_LOOK_S = 0.25  # how often a stream of events looks at the job
_HEARTBEAT_S = 10.0  # shorter than what proxies wait before they cut a silent connection
_UPLOADS = 4  # at a time, in a process
_CANCEL_S = 10.0  # that an answer waits until a job has really stopped
_ZIPPED_BYTES = 1 << 20  # at a time
_OFF = "this server keeps no jobs; start it with --jobs FOLDER, where they and their results survive its end"


class JobSummary(BaseModel):
    """A job in the list of all, and in its events."""

    id: str
    model: str
    state: State
    done: int
    total: int
    part: float
    failed: int
    message: str
    created: datetime
    begun: datetime | None
    ended: datetime | None
    expires: datetime | None


class JobAnswer(JobSummary):
    """A job, with the names of its images and why some were not segmented."""

    images: tuple[str, ...]
    failures: dict[str, str]
    threshold: float | None
    policy: SizePolicy | None
    options: OutputOptions


class JobList(BaseModel):
    """All jobs, the first that came first."""

    jobs: list[JobSummary]


class ResultFile(BaseModel):
    """A file of a job's results."""

    name: str
    bytes: int


class ResultFiles(BaseModel):
    """The files of a job's results that are finished."""

    files: list[ResultFile]


class Jobs:
    """The jobs of a server: where they lie, and who works on them."""

    def __init__(self, folder: JobFolder, models: Models) -> None:
        self.folder, self.runner = folder, JobRunner(folder, models)
        self.uploads = asyncio.Semaphore(_UPLOADS)

    @classmethod
    def open(cls, settings: ServeSettings, models: Models) -> Jobs | None:
        """Returns the jobs of a server; None where it is to have none."""
        folder = JobFolder.of(settings)
        return None if folder is None else cls(folder, models)


def _jobs_of(request: Request) -> Jobs:
    jobs: Jobs | None = request.app.state.jobs
    if jobs is None:
        raise ServeError(404, _OFF, code="no_jobs")
    return jobs


def _summary(job: Job, state: JobState, folder: JobFolder) -> dict[str, Any]:
    kept = timedelta(hours=folder.keep_hours)
    return {
        "id": job.id,
        "model": job.request.model,
        "created": job.request.created,
        **state.model_dump(include={"state", "done", "total", "part", "message", "begun", "ended"}),
        "failed": len(state.failed),
        "expires": None if state.ended is None else state.ended + kept,
    }


def _told(job: Job, folder: JobFolder, models: Models) -> JobAnswer:
    state = job.state
    answer = JobAnswer(
        **_summary(job, state, folder),
        images=job.request.images,
        failures=state.failed,
        threshold=job.request.threshold,
        policy=job.request.policy,
        options=job.request.options,
    )
    if state.state not in ENDED and job.request.model not in models:
        told = f"its model {job.request.model} is not served now; the job goes on when it is"
        return answer.model_copy(update={"state": "waiting", "message": told})
    return answer


_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            }
        },
    }
}
_EVENTS = {
    "description": "Events of the form `id`, `event: progress` or `end`, `data` (a JSON of the job); comments between.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'id: 7\nevent: progress\ndata: {"state": "running", "done": 5, "total": 12}\n\n',
        }
    },
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    404: {
        "model": ErrorAnswer,
        "description": "Nothing there: `no_jobs`, `unknown_job`, `unknown_file`, `unknown_model`.",
    },
    409: {"model": ErrorAnswer, "description": "The job has not ended: `not_done`."},
    507: {"model": ErrorAnswer, "description": "No room on the disk: `no_room`."},
}
_BYTES = {"schema": {"type": "string", "format": "binary"}}


def router() -> APIRouter:
    """Returns the routes under `/v1/jobs`."""
    routes = APIRouter(prefix=JOBS_PATH, tags=["jobs"], responses=ERRORS | _ERRORS)
    _add_orders(routes)
    _add_results(routes)
    return routes


def _add_orders(routes: APIRouter) -> None:
    @routes.post("", status_code=201, openapi_extra=_FORM, summary="Send images as a job")
    async def create(
        request: Request,
        response: Response,
        model: Annotated[str | None, Query(description="Name of a model; the first one's by default.")] = None,
        threshold: Annotated[float | None, Query(gt=0, lt=1, description="Of the probability.")] = None,
        policy: Annotated[SizePolicy | None, Query(description="How images of other sizes go through.")] = None,
        overlays: Annotated[bool, Query(description="Pictures of the masks.")] = True,
        polygons: Annotated[str, Query(description="geojson, coco, labelme, via, several with commas.")] = "",
        simplify: Annotated[
            Annotated[float, Field(ge=0, lt=1e9)] | Literal["auto"] | None,
            Query(description="Pixels that corners which polygons lose may lie beside the outline; or auto."),
        ] = None,
        objects: Annotated[bool, Query(description="A table of all objects.")] = False,
        doubt: Annotated[bool, Query(description="Pictures of how unsure each pixel is.")] = False,
        probs_as: Annotated[Literal["npz", "npy", "tif", "zarr"] | None, Query(description="Probabilities.")] = None,
        mm_per_px: Annotated[float | None, Query(gt=0, lt=1e9, description="Side of a pixel, for areas.")] = None,
        keep_uploads: Annotated[bool, Query(description="Keep what was sent until the job is deleted.")] = False,
    ) -> JobAnswer:
        """Takes image files as a form and answers when all are on the disk: from then on the job is not lost.

        Names keep their folders (`a/1.png`); what could leave the job's own folder is taken out of them.
        """
        body = Body(request)
        try:
            jobs, models = _jobs_of(request), models_of(request)
            require_known_parameters(request)
            options = OutputOptions(
                overlays=overlays, probs=probs_as, simplify=simplify, objects=objects, doubt=doubt, mm_per_px=mm_per_px,
                polygons=tuple(each.strip() for each in polygons.split(",") if each.strip()),  # type: ignore[misc]
            )  # fmt: skip
            chosen = models.named(model)
            chosen.variant(threshold, policy)  # whether there is one
            asked = JobRequest(
                id="", model=chosen.name, created=now(), images=(), threshold=threshold, policy=policy,
                keep_uploads=keep_uploads, options=options,
            )  # fmt: skip
            job = await _received(request, body, jobs, asked)
        except ConfigError as error:
            await body.read_on()
            raise ServeError(422, in_addresses(str(error)), code="bad_parameter") from error
        except ServeError:
            await body.read_on()
            raise
        jobs.runner.wake()
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return _told(job, jobs.folder, models)

    @routes.get("", summary="All jobs")
    def every(request: Request) -> JobList:
        """Lists the jobs of everybody who may ask this server."""
        folder = _jobs_of(request).folder
        return JobList(jobs=[JobSummary(**_summary(job, job.state, folder)) for job in folder.jobs()])

    @routes.get("/{job_id}", summary="How far a job is")
    def one(request: Request, job_id: str) -> JobAnswer:
        """Tells the state, progress, and why images failed."""
        folder = _jobs_of(request).folder
        return _told(folder.job(job_id), folder, models_of(request))

    @routes.post("/{job_id}/cancel", summary="End a job")
    def cancel(request: Request, job_id: str) -> JobAnswer:
        """Ends a job after the batch that is in the network; results so far are kept. One that ended stays as it is."""
        folder = _jobs_of(request).folder
        job = folder.job(job_id)
        if job.state.state not in ENDED:
            job.cancel()
            try:
                with folder.holding(job.id, _CANCEL_S):
                    if job.state.state not in ENDED:
                        job.end("cancelled")
            except Held as error:
                told = f"the job did not stop within {_CANCEL_S:g} s; it will after its present step"
                raise ServeError(503, told, code="busy", headers={"Retry-After": "10"}) from error
        return _told(job, folder, models_of(request))

    @routes.delete("/{job_id}", status_code=204, summary="Delete a job")
    def delete(request: Request, job_id: str) -> None:
        """Ends a job where it still runs, and removes all its files."""
        folder = _jobs_of(request).folder
        job = folder.job(job_id)
        job.cancel()
        try:
            with folder.holding(job.id, _CANCEL_S):
                folder.remove(job)
        except Held as error:
            told = f"the job did not stop within {_CANCEL_S:g} s; delete it again later"
            raise ServeError(503, told, code="busy", headers={"Retry-After": "10"}) from error


async def _received(request: Request, body: Body, jobs: Jobs, asked: JobRequest) -> Job:
    if jobs.uploads.locked():
        told = f"{_UPLOADS} jobs are being sent already; try again in a moment"
        raise ServeError(503, told, code="busy", headers={"Retry-After": "5"})
    if len(jobs.folder.jobs()) >= MOST_JOBS:
        raise ServeError(507, f"{MOST_JOBS} jobs are kept already; delete some that are done", code="no_room")
    settings: ServeSettings = request.app.state.settings
    async with jobs.uploads:
        with jobs.folder.receiving() as folder:
            names = await receive_files(request, body, folder / "images", jobs.folder.room, settings.timeout_s)
            try:
                return jobs.folder.accept(folder, asked.model_copy(update={"images": tuple(names)}))
            except OSError as error:
                raise ServeError(507, f"the job could not be kept ({error.strerror})", code="no_room") from error


def _add_results(routes: APIRouter) -> None:
    @routes.get("/{job_id}/events", response_class=StreamingResponse, responses={200: _EVENTS}, summary="Progress")
    async def events(
        request: Request,
        job_id: str,
        last_event_id: Annotated[str | None, Header(description="The id of the last event that arrived.")] = None,
    ) -> Response:
        """Tells the job's state at once and after each change, and ends with it (server-sent events).

        Each event is the whole state, so that nothing is missed by a client that was away; with `Last-Event-ID` it gets
        none that it had, and 204 where none will come any more.
        """
        folder = _jobs_of(request).folder
        job = await asyncio.to_thread(folder.job, job_id)
        seen = int(last_event_id[:18]) if last_event_id and last_event_id.isdecimal() else 0
        state = job.state
        if state.state in ENDED and seen >= state.version:
            return Response(status_code=204)
        # The headers keep proxies from collecting events until there are enough for a page.
        headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        stopping = request.app.state.stopping
        return StreamingResponse(
            _events(job, folder, seen, stopping.is_set), media_type="text/event-stream", headers=headers
        )

    @routes.get("/{job_id}/files", summary="The results so far")
    def files(request: Request, job_id: str) -> ResultFiles:
        """Lists the files that are finished, by their names below the folder of results."""
        found = _jobs_of(request).folder.job(job_id).results()
        return ResultFiles(files=[ResultFile(name=name, bytes=path.stat().st_size) for name, path in found.items()])

    @routes.get(
        "/{job_id}/files/{name:path}",
        response_class=FileResponse,
        responses={200: {"content": {"application/octet-stream": _BYTES}}},
        summary="A file of the results",
    )
    def file(request: Request, job_id: str, name: str) -> FileResponse:
        """Sends a file of the results; parts of it with `Range`."""
        found = _jobs_of(request).folder.job(job_id).result(name)
        if found is None:
            raise ServeError(404, "there is no such file among the results", code="unknown_file")
        return FileResponse(found, filename=found.name)

    @routes.get(
        "/{job_id}/result.zip",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/zip": _BYTES}}},
        summary="All results",
    )
    def result(request: Request, job_id: str) -> StreamingResponse:
        """Sends all results as one archive, which is made while it is sent."""
        job = _jobs_of(request).folder.job(job_id)
        if (state := job.state.state) not in ENDED:
            told = f"the job is {state}; its archive is there when it ended, single files are before"
            raise ServeError(409, told, code="not_done")
        headers = {"Content-Disposition": f'attachment; filename="{job.id}.zip"'}
        return StreamingResponse(_zipped(job.results()), media_type="application/zip", headers=headers)


async def _events(job: Job, folder: JobFolder, seen: int, is_stopping: Any) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    silent_s = 0.0
    while not is_stopping():
        try:
            state = await asyncio.to_thread(lambda: job.state)
        except FileNotFoundError:  # deleted
            return
        if state.version > seen:
            seen, silent_s = state.version, 0.0
            name = "end" if state.state in ENDED else "progress"
            summary = JobSummary(**_summary(job, state, folder)).model_dump(mode="json")
            yield f"id: {seen}\nevent: {name}\ndata: {json.dumps(summary)}\n\n"
        if state.state in ENDED:
            return
        await asyncio.sleep(_LOOK_S)
        silent_s += _LOOK_S
        if silent_s >= _HEARTBEAT_S:
            silent_s = 0.0
            yield ": it goes on\n\n"  # without an id: it is no place to go on from


class _Pipe(io.RawIOBase):
    """What a zip file is written into: a stream that cannot go back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _zipped(files: dict[str, Path]) -> Iterator[bytes]:
    """Yields a zip of files; stored as they are, since pictures are packed already."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files.items():
            with (
                path.open("rb") as source,
                archive.open(zipfile.ZipInfo.from_file(path, name), "w", force_zip64=True) as into,
            ):
                while data := source.read(_ZIPPED_BYTES):
                    into.write(data)
                    yield pipe.taken()
    yield pipe.taken()
