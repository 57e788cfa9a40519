"""The application of the studio: its interface, and the files of the page."""

from __future__ import annotations

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
from segbench.studio import compare_api, correct_api, place_api, runs_api, samples_api, study_api, tasks_api, try_api
from segbench.studio.judging import Judge
from segbench.studio.place import Place
from segbench.studio.tasks import Tasks
from segbench.studio.trials import Trials

PAGE = Path(str(files("segbench.studio"))) / "page"


def create_studio(place: Place) -> FastAPI:
    """Returns the application; `app.state.place` is what it shows."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        place.reading.start()
        yield

    app = FastAPI(title="segbench studio", version=__version__, lifespan=lifespan)
    app.state.place = place
    app.state.tasks, app.state.trials = Tasks(place.work / ".studio" / "tasks"), Trials()
    app.state.judge = None if place.study is None else Judge(place.study)
    for each in (place_api, samples_api, study_api, compare_api, tasks_api, try_api, correct_api, runs_api):
        app.include_router(each.router())

    @app.exception_handler(ServeError)
    async def told(request: Request, error: ServeError) -> JSONResponse:
        lang = request.query_params.get("lang")
        told = localize(error.to_dict(), lang) if lang in languages() else error.to_dict()
        return JSONResponse(told, status_code=error.status, headers=error.headers)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app
