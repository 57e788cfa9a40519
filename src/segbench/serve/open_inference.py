"""The Open Inference Protocol, version 2, over HTTP: what clients of KServe and Triton speak.

A model has one input, `image`, and the outputs `mask` and `probabilities`, all at the image's own size.
Source: https://github.com/kserve/open-inference-protocol; of Triton's extensions the binary tensor data, the model
configuration and the index of the repository.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from segbench import __version__
from segbench.predict.predictor import Prediction, Predictor
from segbench.serve.answers import ServeError
from segbench.serve.api import models_of
from segbench.serve.models import ServedModel
from segbench.serve.open_inference_docs import INDEX, INFER, METADATA, MODEL, MODEL_CONFIG, READY
from segbench.serve.open_inference_tensors import (
    INPUT,
    Images,
    InferRequest,
    Output,
    deflated,
    inflated,
    read_images,
    read_outputs,
    read_request,
    write_answer,
)
from segbench.serve.requests import answer_while_connected, deadline_of
from segbench.serve.settings import ServeSettings
from segbench.types import Task

_VERSION = "1"  # of every model: a server has one of each
_HEADER_LENGTH = "Inference-Header-Content-Length"
_EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository(index)")


def router() -> APIRouter:
    """Returns the routes under `/v2`."""
    routes = APIRouter(tags=["Open Inference Protocol v2"])
    _add_health(routes)
    _add_metadata(routes)

    @routes.post("/v2/models/{name}/infer", **INFER)
    @routes.post("/v2/models/{name}/versions/{version}/infer", **INFER)
    async def infer(request: Request, name: str, version: str = _VERSION) -> Response:
        model, body = _model(request, name, version), await request.body()
        return await answer_while_connected(request, _infer(request, model, body))

    return routes


def _add_health(routes: APIRouter) -> None:
    @routes.get("/v2/health/live", summary="Does the server run?", **READY)
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/v2/health/ready", summary="Does the server take requests?", **READY)
    async def ready(request: Request) -> JSONResponse:
        found = not request.app.state.stopping.is_set()
        return JSONResponse({"ready": found}, status_code=200 if found else 503)

    @routes.get("/v2/models/{name}/ready", summary="Does a model take requests?", **READY)
    @routes.get("/v2/models/{name}/versions/{version}/ready", summary="Does a model take requests?", **READY)
    async def model_ready(request: Request, name: str, version: str = _VERSION) -> JSONResponse:
        model = _model(request, name, version)
        found = not request.app.state.stopping.is_set()
        return JSONResponse({"name": model.name, "ready": found}, status_code=200 if found else 503)


def _add_metadata(routes: APIRouter) -> None:
    @routes.get("/v2", **METADATA)
    async def server() -> dict[str, Any]:
        return {"name": "segbench", "version": __version__, "extensions": list(_EXTENSIONS)}

    @routes.get("/v2/models/{name}", **MODEL)
    @routes.get("/v2/models/{name}/versions/{version}", **MODEL)
    async def metadata(request: Request, name: str, version: str = _VERSION) -> dict[str, Any]:
        return _metadata(_model(request, name, version))

    @routes.get("/v2/models/{name}/config", **MODEL_CONFIG)
    @routes.get("/v2/models/{name}/versions/{version}/config", **MODEL_CONFIG)
    async def config(request: Request, name: str, version: str = _VERSION) -> dict[str, Any]:
        told = _metadata(_model(request, name, version))
        sides = {
            side: [
                {"name": each["name"], "data_type": f"TYPE_{each['datatype']}", "dims": each["shape"]}
                for each in told[f"{side}s"]
            ]
            for side in ("input", "output")
        }
        return {"name": told["name"], "platform": told["platform"], "backend": "segbench", "max_batch_size": 0} | sides

    @routes.post("/v2/repository/index", **INDEX)
    async def index(request: Request) -> list[dict[str, str]]:
        return [{"name": name, "version": _VERSION, "state": "READY", "reason": ""} for name in models_of(request)]


def _model(request: Request, name: str, version: str) -> ServedModel:
    model = models_of(request).named(name)
    if version != _VERSION:
        raise ServeError(404, f"{name} has one version, {_VERSION}, got {version[:32]!r}", code="unknown_version")
    return model


def _outputs(model: ServedModel) -> list[Output]:
    class_map = model.predictor.class_map
    masks = class_map.out_channels if class_map.task is Task.MULTILABEL else 1
    return [Output("mask", "UINT8", masks, False), Output("probabilities", "FP32", class_map.out_channels, False)]


def _metadata(model: ServedModel) -> dict[str, Any]:
    multilabel = model.predictor.class_map.task is Task.MULTILABEL
    return {
        "name": model.name,
        "versions": [_VERSION],
        "platform": f"segbench_{model.predictor.runtime}",
        "inputs": [
            {"name": INPUT, "datatype": "UINT8", "shape": [-1, -1, -1, model.predictor.pipeline.settings.channels]}
        ],
        "outputs": [
            {
                "name": each.name,
                "datatype": each.datatype,
                "shape": [-1, each.planes, -1, -1] if multilabel or each.name != "mask" else [-1, -1, -1],
            }
            for each in _outputs(model)
        ],
    }


async def _infer(request: Request, model: ServedModel, body: bytes) -> Response:
    settings: ServeSettings = request.app.state.settings
    headers = request.headers

    def read() -> tuple[InferRequest, Images, list[Output]]:
        plain = inflated(body, headers.get("content-encoding", ""), settings.most_bytes)
        asked, binary = read_request(plain, headers.get(_HEADER_LENGTH))
        images = read_images(asked, binary, model.predictor, settings)
        return asked, images, read_outputs(asked, _outputs(model), images.pixels, settings)

    asked, images, outputs = await run_in_threadpool(read)
    tensors = await _tensors(model, images, asked, outputs, deadline_of(request))

    def written() -> Response:
        head = {"model_name": model.name, "model_version": _VERSION} | ({} if asked.id is None else {"id": asked.id})
        content, length = write_answer(head, outputs, lambda name: _joined(name, tensors, images.batched))
        content, encoding = deflated(content, headers.get("accept-encoding", ""))
        told = {_HEADER_LENGTH: str(length)} if length is not None else {}
        told |= {"Content-Encoding": encoding} if encoding is not None else {}
        kind = "application/json" if length is None else "application/octet-stream"
        return Response(content, media_type=kind, headers=told)

    return await run_in_threadpool(written)


async def _tensors(
    model: ServedModel, images: Images, asked: InferRequest, outputs: Sequence[Output], deadline: float
) -> Sequence[Mapping[str, np.ndarray]]:
    """Returns name -> tensor of each image; the first that fails takes the others out of the queue."""
    given, now = asked.parameters, asyncio.get_running_loop().time()
    ends = min(deadline, now + (given.timeout or math.inf) / 1e6)

    def made(_: Predictor, prediction: Prediction) -> dict[str, np.ndarray]:
        return {each.name: prediction.mask if each.name == "mask" else prediction.probs for each in outputs}

    tasks = [
        asyncio.ensure_future(model.answer(image, made, threshold=given.threshold, policy=given.policy, deadline=ends))
        for image in images.each
    ]
    try:
        found = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    sizes = sorted({tensor.shape[-2:] for each in found for tensor in each.values()})
    if len(sizes) > 1:
        told = " and ".join(f"{height} x {width}" for height, width in sizes[:2])
        raise ServeError(400, f"images of one request need one size (height x width), got {told}", code="sizes")
    return found


def _joined(name: str, tensors: Sequence[Mapping[str, np.ndarray]], batched: bool) -> np.ndarray:
    each = [found[name] for found in tensors]
    return np.stack(each) if batched else each[0]
