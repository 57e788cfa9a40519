"""The application of the studio: its interface, and the files of the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from segbench import __version__
from segbench.locale import languages, localize
from segbench.serve.answers import ServeError
from segbench.serve.guard import Guard
from segbench.serve.settings import ServeSettings
from segbench.studio import (
    compare_api,
    correct_api,
    data_api,
    new_api,
    place_api,
    queue_api,
    runs_api,
    samples_api,
    study_api,
    tasks_api,
    try_api,
)
from segbench.studio.background import Background
from segbench.studio.data_view import DataView
from segbench.studio.door import Door
from segbench.studio.judging import Judge
from segbench.studio.place import Place
from segbench.studio.tasks import Tasks
from segbench.studio.trials import Trials

TIMEOUT_S = 120.0  # of a request; a verdict over many runs takes its time
# OpenSeadragon puts one style sheet into the page: that one and no other.
_OPENSEADRAGON_STYLE = "'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='"
_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_OPENSEADRAGON_STYLE}; "
    "img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE = Path(str(files("segbench.studio"))) / "page"


def create_studio(place: Place, *, link: str, once: bool = True, port: int = 0, hosts: tuple[str, ...] = ()) -> FastAPI:
    """Returns the application; `app.state.place` is what it shows.

    Args:
        place: see `Place`.
        link, once, port: see `Door`.
        hosts: names in the `Host` header beside loopback that are answered.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        place.reading.start()
        yield

    app = FastAPI(
        title="segbench studio", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.place, app.state.stopping = place, asyncio.Event()
    app.state.tasks, app.state.trials = Tasks(place.work / ".studio" / "tasks"), Trials()
    app.state.view, app.state.background = DataView(place), Background()
    app.state.judge = None if place.study is None else Judge(place.study)
    for each in (place_api, samples_api, data_api, study_api, compare_api, tasks_api, try_api):
        app.include_router(each.router())
    for each in (queue_api, correct_api, new_api, runs_api):
        app.include_router(each.router())

    @app.exception_handler(ServeError)
    async def told(request: Request, error: ServeError) -> JSONResponse:
        lang = request.query_params.get("lang")
        told = localize(error.to_dict(), lang) if lang in languages() else error.to_dict()
        return JSONResponse(told, status_code=error.status, headers=error.headers)

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Content-Security-Policy": _POLICY})

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.add_middleware(Door, link=link, once=once, port=port)
    app.add_middleware(Guard, settings=ServeSettings(timeout_s=TIMEOUT_S, hosts=hosts), stopping=app.state.stopping)
    return app
