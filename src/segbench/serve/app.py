"""The application: every router on one set of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from segbench import __version__
from segbench.serve import api, hugging_face, label_studio, open_inference
from segbench.serve.answers import ServeError, error_answer
from segbench.serve.models import Models
from segbench.serve.settings import ServeSettings


def create_app(models: Models, settings: ServeSettings) -> FastAPI:
    """Returns the application.

    `app.state` has `models`, `settings` and `stopping`, an `asyncio.Event` that is set when the server is told to stop:
    long answers (events of a job) end then.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        models.start()
        yield
        await models.stop()

    app = FastAPI(title="segbench", version=__version__, lifespan=lifespan)
    app.state.models, app.state.settings, app.state.stopping = models, settings, asyncio.Event()
    app.include_router(api.router())
    app.include_router(label_studio.router(settings))
    app.include_router(open_inference.router())
    app.include_router(hugging_face.router())

    @app.exception_handler(ServeError)
    async def told(request: Request, error: ServeError) -> JSONResponse:
        return error_answer(error, request.scope)

    return app
