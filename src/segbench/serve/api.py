"""segbench's own interface: which models there are, and an image in, its mask out."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from segbench.serve.models import Models, ServedModel


def models_of(request: Request) -> Models:
    """Returns the models of the application that a request came to."""
    models: Models = request.app.state.models
    return models


def router() -> APIRouter:
    """Returns the routes under `/v1`, and `/health`."""
    routes = APIRouter()

    @routes.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        return {"models": [described(model) for model in models_of(request).values()]}

    @routes.post("/v1/predict")
    async def predict(request: Request, model: str | None = None) -> JSONResponse:
        prediction = await models_of(request).named(model).predict(await request.body())
        return JSONResponse({"areas": prediction.area_fracs})

    return routes


def described(model: ServedModel) -> dict[str, Any]:
    """Returns what a client should know of a model."""
    class_map = model.predictor.class_map
    return {"name": model.name, "id": model.predictor.model_id, "task": str(class_map.task), "classes": class_map.names}
