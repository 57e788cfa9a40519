"""The application: every router on one set of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from segbench import __version__
from segbench.errors import shorten
from segbench.serve import api, docs_page, hugging_face, label_studio, metrics, open_inference
from segbench.serve.answers import ServeError, error_answer
from segbench.serve.guard import Guard
from segbench.serve.jobs import Jobs
from segbench.serve.jobs import router as jobs_router
from segbench.serve.models import Models
from segbench.serve.settings import ServeSettings

_OF_CLIENTS = ("Inference-Header-Content-Length", "X-Request-Id", "X-Timeout")  # beside what browsers know


def create_app(models: Models, settings: ServeSettings) -> FastAPI:
    """Returns the application.

    `app.state` has `models`, `settings`, `jobs` (None: there are none) and `stopping`, an `asyncio.Event` that is set
    when the server is told to stop: long answers (events of a job) end then. Every request goes through `Guard` first,
    and is counted.
    """
    jobs = Jobs.open(settings, models)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        models.start()
        if jobs is not None:
            jobs.runner.start()
        yield
        if jobs is not None:
            await asyncio.to_thread(jobs.runner.stop)
        await models.stop()

    app = FastAPI(
        title="segbench",
        version=__version__,
        description="Trained networks for semantic segmentation: images in, masks out.",
        lifespan=lifespan,
        docs_url=None,  # those pages load from elsewhere; see `docs_page`
        redoc_url=None,
    )
    app.state.models, app.state.settings, app.state.stopping = models, settings, asyncio.Event()
    app.state.jobs = jobs
    app.include_router(api.router())
    app.include_router(label_studio.router(settings))
    app.include_router(open_inference.router())
    app.include_router(hugging_face.router())
    app.include_router(docs_page.router())
    app.include_router(jobs_router())
    _tell_errors(app)
    app.add_middleware(Guard, settings=settings, stopping=app.state.stopping)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=(*_OF_CLIENTS, "Authorization", "Content-Type"),
            expose_headers=(*_OF_CLIENTS, "Retry-After"),
        )
    metrics.watch(app)
    return app


def _tell_errors(app: FastAPI) -> None:
    """Gives all errors one form, those of FastAPI too."""

    @app.exception_handler(ServeError)
    async def told(request: Request, error: ServeError) -> JSONResponse:
        return error_answer(error, request.scope)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "unknown_path", 405: "unknown_method"}.get(error.status_code, "bad_request")
        told = {
            404: "there is nothing at this address; /docs says what there is",
            405: f"{request.method} is not for this address; /docs says what is",
        }.get(error.status_code, str(error.detail))
        return error_answer(ServeError(error.status_code, told, code=code, headers=error.headers), request.scope)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = (f"{'.'.join(map(str, each['loc'][1:])) or 'body'}: {each['msg']}" for each in error.errors())
        return error_answer(ServeError(422, shorten(wrong, 3), code="bad_parameter"), request.scope)
