"""Hugging Face's task image-segmentation: what `huggingface_hub.InferenceClient` and the Hub's widgets speak.

An image in, a mask of each class that covers a pixel out, as the library transformers gives them for its semantic
models; but every mask has a score.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from fastapi import APIRouter, Request
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from segbench.predict.decide import tempered
from segbench.predict.pipeline import enlarge
from segbench.predict.predictor import Prediction
from segbench.serve.answers import ServeError
from segbench.serve.api import models_of
from segbench.serve.models import ServedModel
from segbench.serve.requests import answer_while_connected, deadline_of
from segbench.serve.schemas import binary_answer, schema_of, sentences
from segbench.types import Task

_MOST_MARKS = 100  # brackets and commas outside the image; many would take much memory while they are read
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"  # PNG of one


class Parameters(BaseModel):
    """Of a request; others are refused, so that a misspelt one does not go unnoticed."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="Masks whose score is not above it are left out; null: none is."
    )
    mask_threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Binary and multilabel models: of a pixel's probability, in place of the model's own threshold. "
        "Models of several exclusive classes: of the pixels where a class is the most probable one, those leave its "
        "mask where its probability is not above.",
    )
    overlap_mask_area_threshold: float | None = Field(
        default=None, ge=0, le=1, description="Changes nothing: these models have no things that overlap."
    )
    subtask: Literal["semantic", "instance", "panoptic"] | None = Field(
        default=None, description="`semantic`, or null; the others are refused."
    )


class SegmentationRequest(BaseModel):
    """An image with parameters; without any, the image file itself may be posted."""

    model_config = ConfigDict(strict=True, extra="ignore")
    inputs: str = Field(description="An image file in base64, or as `data:image/png;base64,...`; no address is opened.")
    parameters: Parameters | None = None


class Segment(BaseModel):
    """One class of an image."""

    label: str
    mask: str = Field(description="PNG in base64, at the image's size: 255 where the class is, else 0.")
    score: float = Field(description="Mean probability of the class over the mask's pixels, 0-1.")


_TASK: dict[str, Any] = {
    "summary": "Hugging Face: an image in, a mask of each class out",
    "description": (
        "The task image-segmentation, with a model's name or of the first model. A class that covers no pixel is "
        "left out, the background is not; nothing found is an empty list."
    ),
    "response_model": list[Segment],
    "responses": {
        200: {
            "description": "The classes in the model's order.",
            "content": {"application/json": {"example": [{"label": "lesion", "mask": _PIXEL, "score": 0.93}]}},
        }
    }
    | sentences(400, 401, 404, 413, 415, 422, 503, 504),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": binary_answer("application/octet-stream")
            | binary_answer("image/*")
            | {
                "application/json": {
                    "schema": schema_of(SegmentationRequest),
                    "example": {"inputs": _PIXEL, "parameters": {"threshold": 0.5}},
                }
            },
        }
    },
}


def router() -> APIRouter:
    """Returns the routes `/` and `/models/NAME`."""
    routes = APIRouter(tags=["Hugging Face image-segmentation"])

    @routes.post("/", **_TASK)
    async def first(request: Request) -> list[Segment]:
        return await _answer(request, models_of(request).first)

    @routes.post("/models/{name}", **_TASK)
    async def named(request: Request, name: str) -> list[Segment]:
        return await _answer(request, models_of(request).named(name))

    return routes


async def _answer(request: Request, model: ServedModel) -> list[Segment]:
    body = await request.body()
    return await answer_while_connected(request, _segments(body, model, deadline_of(request)))


async def _segments(body: bytes, model: ServedModel, deadline: float) -> list[Segment]:
    image, given = await run_in_threadpool(_read, body)
    threshold = given.mask_threshold if model.predictor.class_map.task is not Task.MULTICLASS else None
    return await model.answer(
        image, lambda _, prediction: segments(prediction, given), threshold=threshold, deadline=deadline
    )


def _read(body: bytes) -> tuple[bytes, Parameters]:
    """Returns the image file and the parameters. What is sent decides, not its content type, which clients forget."""
    if not body[:64].lstrip().startswith(b"{"):
        return body, Parameters()
    if sum(map(body.count, (b"{", b"[", b","))) > _MOST_MARKS:
        raise ServeError(400, "expected inputs (an image file in base64) and parameters, got more", code="request")
    try:
        request = SegmentationRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:128]
        raise ServeError(400, f"{where}: {first['msg']}".removeprefix(": "), code="request") from error
    given = request.parameters or Parameters()
    if given.subtask not in (None, "semantic"):
        told = f"subtask {given.subtask}: this model tells classes apart, not things of one class; expected semantic"
        raise ServeError(400, told, code="subtask")
    return _decoded(request.inputs), given


def _decoded(text: str) -> bytes:
    if text[:8].lower().startswith(("http:", "https:", "file:")):
        raise ServeError(400, "inputs: no address is opened here; send the image itself, in base64", code="request")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise ServeError(400, "inputs: expected an image file in base64", code="request") from error


def segments(prediction: Prediction, given: Parameters) -> list[Segment]:
    """Returns the classes that cover a pixel.

    Args:
        prediction: decided with `mask_threshold` where the task is not multiclass.
        given: what else is wanted.
    """
    multiclass = prediction.class_map.task is Task.MULTICLASS
    found = []
    for label, mask, probs in _planes(prediction):
        if multiclass and given.mask_threshold is not None:
            mask &= probs > given.mask_threshold
        if not mask.any():
            continue
        score = float(probs[mask].mean(dtype=np.float64))
        if given.threshold is None or score > given.threshold:
            found.append(Segment(label=label, mask=_png(mask), score=score))
    return found


def _planes(prediction: Prediction) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields name, mask (H, W) bool and probability (H, W) float32 of each class that covers a pixel.

    One class after the other, so that many need no more memory than one.
    """
    class_map, mask = prediction.class_map, prediction.mask
    small = tempered(torch.from_numpy(prediction.network_probs), prediction.temperature, class_map.task)
    for index, name in enumerate(class_map.names):
        where = mask[index] == 1 if class_map.task is Task.MULTILABEL else mask == index
        if prediction.nodata is not None:
            where &= ~prediction.nodata
        if not where.any():
            continue
        plane = small[:1] if class_map.task is Task.BINARY else small[index : index + 1]
        probs = enlarge(plane, (mask.shape[-2], mask.shape[-1]))[0].numpy()
        yield name, where, 1.0 - probs if class_map.task is Task.BINARY and index == 0 else probs


def _png(mask: np.ndarray) -> str:
    data = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()
