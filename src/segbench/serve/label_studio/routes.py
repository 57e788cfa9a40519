"""What Label Studio asks a machine learning backend under `/label-studio/NAME`, or `/label-studio`: the first model."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from segbench.predict.predictor import Prediction
from segbench.predict.scored_objects import object_classes
from segbench.serve.answers import ServeError
from segbench.serve.api import models_of
from segbench.serve.batching import QueueFull
from segbench.serve.label_studio.config import read_label_config
from segbench.serve.label_studio.images import LabelStudioImages
from segbench.serve.label_studio.results import read_prompts, task_result
from segbench.serve.models import ServedModel
from segbench.serve.requests import answer_while_connected, deadline_of
from segbench.serve.settings import ServeSettings

_LOG = logging.getLogger(__name__)
_IN_TIME_FRAC = 0.9  # of a request's time: then what is ready is answered, and a person may ask for the rest again
_TOGETHER = 8  # tasks of a request that are fetched or wait for the network at once


class _LoggedRoute(APIRoute):
    """Logs what is refused, since Label Studio shows people the status of an answer alone."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handle = super().get_route_handler()

        async def logged(request: Request) -> Response:
            try:
                return await handle(request)
            except ServeError as error:
                _LOG.warning("%s: %s", request.url.path, error.message)
                raise

        return logged


def router(settings: ServeSettings) -> APIRouter:
    """Returns the routes.
    `/health`, `/setup`, `/predict`, `/versions` and `/webhook` are what Label Studio calls; where a task fails, its
    place in `results` holds an `error` and no `result`, by which Label Studio stores nothing for it.
    """
    routes = APIRouter(tags=["Label Studio"], route_class=_LoggedRoute)
    images = LabelStudioImages(settings)
    together = max(1, min(_TOGETHER, settings.queue // 2))  # others need room, too

    async def health(request: Request) -> dict[str, str]:
        return {"status": "UP", "model_class": _model(request).name}

    async def setup(request: Request) -> dict[str, str]:
        model, body = _model(request), await _body(request)
        classes = object_classes(model.predictor.class_map)
        target = read_label_config(body.get("schema"), classes)
        left_out = [name for index, name in classes.items() if index not in target.labels]
        if left_out:
            _LOG.warning("Label Studio's project has no label for %s; it is not drawn there", ", ".join(left_out))
        return {"model_version": await _version(model)}

    async def versions(request: Request) -> dict[str, list[str]]:
        return {"versions": [await _version(_model(request))]}

    async def predict(request: Request) -> dict[str, Any]:
        model, body = _model(request), await _body(request)
        target = read_label_config(body.get("label_config"), object_classes(model.predictor.class_map))
        tasks, params = body.get("tasks"), body.get("params")
        if not isinstance(tasks, list):
            raise ServeError(400, "expected a list under `tasks`", code="bad_request")
        prompts = read_prompts(params.get("context") if isinstance(params, dict) else None)
        version, gate = await _version(model), asyncio.Semaphore(together)
        now = asyncio.get_running_loop().time()
        ends = now + _IN_TIME_FRAC * (deadline_of(request) - now)

        async def answer(task: object, place: int) -> dict[str, Any] | ServeError:
            try:
                async with gate:
                    data = await asyncio.to_thread(images.read, _image_of(task, target.key))
                    prediction = await _predicted(model, data, ends)
                    return await asyncio.to_thread(task_result, prediction, target, version, prompts)
            except ServeError as error:
                number = task.get("id") if isinstance(task, dict) else None
                where = f"task {number}" if isinstance(number, int) else f"tasks[{place}]"
                return ServeError(error.status, f"{where}: {error.message}", code=error.code, headers=error.headers)

        async def answers() -> list[dict[str, Any] | ServeError]:
            return await asyncio.gather(*(answer(task, place) for place, task in enumerate(tasks)))

        return {"results": _told(await answer_while_connected(request, answers())), "model_version": version}

    async def webhook(request: Request) -> JSONResponse:
        if (await _body(request)).get("action") == "START_TRAINING":
            await train()
        return JSONResponse({"status": "ok"}, status_code=201)

    async def train() -> None:
        told = "models are not trained here; export the project as JSON, and train with segbench"
        raise ServeError(501, told, code="no_training")

    for start in ("/label-studio", "/label-studio/{name}"):
        for path in ("", "/", "/health"):
            routes.add_api_route(start + path, health, methods=["GET"])
        routes.add_api_route(f"{start}/versions", versions, methods=["GET"])
        routes.add_api_route(f"{start}/setup", setup, methods=["POST"], openapi_extra=_example(_SETUP))
        routes.add_api_route(f"{start}/predict", predict, methods=["POST"], openapi_extra=_example(_PREDICT))
        routes.add_api_route(f"{start}/webhook", webhook, methods=["POST"], openapi_extra=_example(_EVENT))
        routes.add_api_route(f"{start}/train", train, methods=["POST"])
    return routes


_CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="label" toName="image"><Label value="lesion"/></BrushLabels></View>'
)
_SETUP = {"project": "1.1700000000", "schema": _CONFIG, "hostname": "http://localhost:8080", "access_token": ""}
_PREDICT = {
    "tasks": [{"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-photo.png"}}],
    "project": "1.1700000000",
    "label_config": _CONFIG,
    "params": {"context": None},
}
_EVENT = {"action": "ANNOTATION_CREATED"}


def _example(body: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"example": body}}}}


def _model(request: Request) -> ServedModel:
    return models_of(request).named(request.path_params.get("name"))


async def _version(model: ServedModel) -> str:
    """Returns what Label Studio keeps with a prediction: it asks again when the weights are others."""
    return f"{model.name}-{(await asyncio.to_thread(lambda: model.predictor.model_id))[:12]}"


async def _body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise ServeError(400, "expected JSON in the body", code="bad_request") from error
    if not isinstance(found, dict):
        raise ServeError(400, "expected a JSON object in the body", code="bad_request")
    return found


async def _predicted(model: ServedModel, data: bytes, ends: float) -> Prediction:
    """Returns the prediction of an image; waits where there is no room, since Label Studio does not ask again."""
    while True:
        try:
            return await model.predict(data, deadline=ends)
        except QueueFull as full:
            wait_s = float(full.headers["Retry-After"])
            if asyncio.get_running_loop().time() + wait_s > ends:
                raise
            await asyncio.sleep(wait_s)


def _image_of(task: object, key: str) -> str:
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict) or key not in data:
        keys = ", ".join(map(str, data)) if isinstance(data, dict) and data else "nothing"
        raise ServeError(422, f"expected an image under data.{key}, got only {keys}", code="image")
    value = data[key]
    if not isinstance(value, str):
        kind = "several" if isinstance(value, list) else "another value"
        raise ServeError(422, f"expected the address of one image under data.{key}, got {kind}", code="image")
    return value


def _told(answers: Sequence[dict[str, Any] | ServeError]) -> list[dict[str, Any]]:
    """Returns the answers; ServeError where no task has one."""
    failed = [each for each in answers if isinstance(each, ServeError)]
    if failed and len(failed) == len(answers):
        raise failed[0]
    for each in failed:
        _LOG.warning("%s", each.message)
    return [{"error": each.message} if isinstance(each, ServeError) else each for each in answers]
