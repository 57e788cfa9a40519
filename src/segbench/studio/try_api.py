"""A model tried on images of one's own, and exported."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel

from segbench.errors import SegbenchError
from segbench.serve.answers import ServeError
from segbench.serve.settings import ServeSettings
from segbench.studio.place import Model, Place
from segbench.studio.place_api import answer_in, place_of, require_writable
from segbench.studio.tasks_api import tasks_of
from segbench.studio.trials import Trials, said_of, shown_of

Look: TypeAlias = Literal["image", "tint", "doubt", "mask"]
Format: TypeAlias = Literal["onnx", "openvino", "torchscript", "html"]
_SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt", "html": ".html"}


class Export(BaseModel):
    """What is exported. Attributes: model, its key; format; int8, in 8 bit."""

    model: str
    format: Format
    int8: bool = False


def model_of(place: Place, key: str) -> Model:
    """Returns a model by its key; ServeError 404 where there is none."""
    found = next((each for each in place.models() if each.key == key), None)
    if found is None:
        raise ServeError(404, f"there is no model {key!r} here", code="unknown_model")
    return found


def router() -> APIRouter:
    """Returns the routes under `/api/try`, and `/api/export`."""
    routes = APIRouter(prefix="/api")

    def trials_of(request: Request) -> Trials:
        trials: Trials = request.app.state.trials
        return trials

    @routes.post("/try")
    async def segment(request: Request, model: str) -> dict[str, Any]:
        chosen = model_of(place_of(request), model)
        settings = ServeSettings()
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > settings.most_bytes:
                told = f"expected at most {settings.most_bytes / 1e6:.0f} MB; use segbench predict for larger images"
                raise ServeError(413, told, code="too_large")
        try:
            trial = await run_in_threadpool(trials_of(request).add, model, chosen.path, bytes(data), settings)
        except SegbenchError as error:
            raise ServeError(409, str(error), code="unusable_model") from error
        found: dict[str, Any] = answer_in(request, said_of(trial, None))
        return found

    @routes.get("/try/{key}")
    def said(request: Request, key: str, threshold: float | None = Query(None, gt=0, lt=1)) -> dict[str, Any]:
        found: dict[str, Any] = answer_in(request, said_of(trials_of(request).find(key), threshold))
        return found

    @routes.get("/try/{key}/{look}")
    def shown(request: Request, key: str, look: Look, threshold: float | None = Query(None, gt=0, lt=1)) -> Response:
        data, kind = shown_of(trials_of(request).find(key), look, threshold)
        return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=600"})

    @routes.post("/export")
    def export(request: Request, wanted: Export) -> dict[str, Any]:
        place = place_of(request)
        require_writable(place)
        model = model_of(place, wanted.model)
        out = place.work / "exports" / f"{model.path.stem}{_SUFFIXES[wanted.format]}"
        arguments = ["export", str(model.path), "--format", wanted.format, "-o", str(out)]
        task = tasks_of(request).start("export", [*arguments, *(["--int8"] if wanted.int8 else [])], cwd=place.work)
        return tasks_of(request).to_dict(task)

    return routes
