"""segbench's own interface: which models there are, and an image in, its mask and what it says out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from segbench.errors import shorten
from segbench.predict.predictor import Prediction, Predictor
from segbench.serve.answers import ERRORS, ErrorText, ServeError
from segbench.serve.models import Models, ServedModel
from segbench.serve.predictions import MEDIA_TYPES, Answer, Kind, Told, Wanted, files, written, zipped
from segbench.serve.requests import SentFile, answer_while_connected, deadline_of, require_known_parameters, sent_files
from segbench.serve.schemas import binary_answer
from segbench.types import ORIGINAL, SizePolicy, Task

_PARTS = "^(mask|overlay|polygons)(,(mask|overlay|polygons))*$"


class Health(BaseModel):
    """Attributes: status."""

    status: Literal["ok", "stopping"]


class ModelClass(BaseModel):
    """A class of a model."""

    index: int = Field(description="In masks.")
    name: str
    color: str = Field(description="In pictures, #rrggbb.")
    background: bool


class ModelInput(BaseModel):
    """What goes in."""

    channels: int
    bands: list[int] | None = Field(description="Of the file, from 1; null: RGB, and grey as RGB.")
    network_px: tuple[int, int] | None = Field(description="(height, width) images are brought to; null: their own.")
    training_px: tuple[int, int] | None = Field(description="Median (height, width) of the training images.")
    policy: SizePolicy | None = Field(description="Of images of other sizes; null: as trained.")
    tta: str = Field(description="Looks at an image that are averaged.")


class ModelHead(BaseModel):
    """What tells a model from others."""

    name: str = Field(description="In addresses.")
    id: str = Field(description="SHA-256 of the network.")
    task: Literal["binary", "multiclass", "multilabel"]
    classes: list[ModelClass]


class ModelDetails(ModelHead):
    """All that a client should know of a model."""

    threshold: float | None = Field(description="Of the probability; null for exclusive classes.")
    input: ModelInput
    runtime: str
    device: str
    summary: str | None = Field(description="The main score in a sentence, with its interval.")
    scores: dict[str, dict[str, Any]] = Field(description="By part (val, test) and name.")
    definitions: dict[str, str] = Field(description="What each score is.")
    n: dict[str, int] = Field(description="Images of each part.")
    test_uses: int | None = Field(description="How often the test part was scored; the more, the less it says.")
    alerts: list[str] = Field(description="What should be known before it is used.")
    licences: dict[str, Any]
    data_licence: dict[str, Any] | None


class Limits(BaseModel):
    """What a request may bring."""

    most_bytes: int
    most_px: int
    timeout_s: float


class ModelList(BaseModel):
    """Which models there are; the first is asked where none is named."""

    models: list[ModelHead]
    limits: Limits


class FileError(BaseModel):
    """One file of several that could not be answered."""

    file: str
    error: ErrorText


class Answers(BaseModel):
    """Of several files, in their order."""

    predictions: list[Answer | FileError]


def models_of(request: Request) -> Models:
    """Returns the models of the application that a request came to."""
    models: Models = request.app.state.models
    return models


def router() -> APIRouter:
    """Returns the routes under `/v1`, and `/health`."""
    routes = APIRouter(tags=["segbench"], responses=ERRORS)

    @routes.get("/health", summary="Does the server live?")
    @routes.get("/health/live", summary="Does the server live?")
    async def health() -> Health:
        return Health(status="ok")

    @routes.get(
        "/health/ready",
        summary="Does the server take requests?",
        responses={503: {"model": Health, "description": "It was told to stop."}},
        response_model=Health,
    )
    async def ready(request: Request) -> JSONResponse:
        stopping = request.app.state.stopping.is_set()
        return JSONResponse({"status": "stopping" if stopping else "ok"}, status_code=503 if stopping else 200)

    @routes.get("/v1/models", summary="Which models there are")
    async def models(request: Request) -> ModelList:
        settings = request.app.state.settings
        limits = Limits(most_bytes=settings.most_bytes, most_px=settings.most_px, timeout_s=settings.timeout_s)
        return ModelList(models=[_head(model) for model in models_of(request).values()], limits=limits)

    @routes.get("/v1/models/{name}", summary="Classes, scores, licences of a model, and what goes in")
    async def model(request: Request, name: str) -> ModelDetails:
        return _details(models_of(request).named(name))

    routes.post("/v1/predict", **_PREDICT)(predict)
    return routes


_PREDICT: dict[str, Any] = {
    "summary": "An image in, its mask out",
    "description": "The image is the body itself, or a file of a form (`multipart/form-data`). Several files of a form "
    "get `predictions`, one after the other, or one ZIP file. What comes out says `as`, or the header `Accept`: JSON "
    "(areas, objects, doubt), the mask as PNG of class indices (as `segbench predict` writes it), an overlay as JPEG, "
    "polygons as GeoJSON, or all of them as ZIP. `X-Timeout` gives the seconds that the client will wait.",
    "response_model": Answer | Answers,
    "responses": {
        200: {
            "description": "What was asked for.",
            "content": {kind: each for media in MEDIA_TYPES.values() for kind, each in binary_answer(media).items()}
            | {
                "application/json": {
                    "example": {
                        "model": "ph2",
                        "model_id": "534e9d7cb0ead5d52051b5434090e4a4385fa465286456decd86151c9c9c93a3",
                        "file": "photo.jpg",
                        "height": 576,
                        "width": 768,
                        "areas": {
                            "background": {"px": 331776, "frac": 0.75},
                            "lesion": {"px": 110592, "frac": 0.25, "objects": 1},
                        },
                        "doubt": {
                            "mean_entropy": 0.04,
                            "confidence": 0.96,
                            "expected_iou": {"value": 0.88, "low": 0.79, "high": 0.93},
                            "unlike_training": "unlike the images it learnt from: darker, bluer",
                        },
                        "threshold": 0.5,
                        "policy": "resize",
                        "network_px": [96, 128],
                        "notes": [],
                    }
                },
                "application/geo+json": {"schema": {"type": "object"}},
            },
        }
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": binary_answer("image/*")
            | binary_answer("application/octet-stream")
            | {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"image": {"type": "string", "format": "binary"}},
                        "required": ["image"],
                    }
                }
            },
        }
    },
}


async def predict(
    request: Request,
    model: Annotated[str | None, Query(description="Name; the first one if left out.")] = None,
    threshold: Annotated[
        float | None, Query(gt=0, lt=1, description="Of the probability; not for exclusive classes.")
    ] = None,
    policy: Annotated[SizePolicy | None, Query(description="Of images of other sizes than in training.")] = None,
    kind: Annotated[Kind | None, Query(alias="as", description="What comes out; `json` if left out.")] = None,
    parts: Annotated[
        str, Query(alias="with", pattern=_PARTS, description="What JSON holds beside: mask,overlay,polygons.")
    ] = "",
    label: Annotated[
        str | None, Query(alias="class", description="With as=mask of a multilabel model: whose mask.")
    ] = None,
    mm_per_px: Annotated[float | None, Query(gt=0, lt=1e9, description="Side of a pixel, for areas in mm2.")] = None,
) -> Response:
    """Answers `/v1/predict`."""
    require_known_parameters(request)
    served = models_of(request).named(model)
    served.variant(threshold, policy)  # whether there is one
    if label is not None and label not in served.predictor.class_map.names:
        told = f"{served.name} has no class {label[:40]!r}; expected one of {shorten(served.predictor.class_map.names)}"
        raise ServeError(422, told, code="bad_parameter")
    chosen = kind or _accepted(request.headers.get("accept", ""))
    wanted = Wanted(
        kind=chosen,
        parts=frozenset(filter(None, parts.split(","))),  # type: ignore[arg-type]  # the pattern has judged them
        label=label,
        mm_per_px=mm_per_px,
    )
    sent, fields = await sent_files(request)
    if fields:
        told = (
            f"parameters belong in the address (/v1/predict?threshold=...), got the field {next(iter(fields))[:40]!r}"
        )
        raise ServeError(422, told, code="bad_parameter")

    async def made(file: SentFile, make: Any) -> Any:
        return await served.answer(
            file.data,
            partial(make, served, file, wanted),
            threshold=threshold,
            policy=policy,
            deadline=deadline_of(request),
        )

    if len(sent) == 1:
        content = await answer_while_connected(request, made(sent[0], _content))
    else:
        if chosen not in ("json", "zip"):
            told = f"{len(sent)} files have no answer as={chosen}; ask for json or zip, or send one"
            raise ServeError(422, told, code="bad_parameter")
        content = await answer_while_connected(request, _several(request, sent, chosen, made))
    return Response(content, media_type=MEDIA_TYPES[chosen])


def _accepted(header: str) -> Kind:
    """Returns the first kind of answer that a header `Accept` names; JSON where it names none."""
    for each in header.split(","):
        media = each.partition(";")[0].strip().lower()
        for kind, own in MEDIA_TYPES.items():
            if media == own:
                return kind
    return "json"


def _told_of(served: ServedModel, file: SentFile, predictor: Predictor) -> Told:
    return Told(
        model=served.name,
        model_id=served.id,
        file=file.name,
        pipeline=predictor.pipeline,
        card=predictor.card,
        data=None if predictor.bands is None else file.data,
    )


def _content(
    served: ServedModel, file: SentFile, wanted: Wanted, predictor: Predictor, prediction: Prediction
) -> bytes:
    return written(prediction, _told_of(served, file, predictor), wanted)


def _files(
    served: ServedModel, file: SentFile, wanted: Wanted, predictor: Predictor, prediction: Prediction
) -> Mapping[str, bytes]:
    return files(prediction, _told_of(served, file, predictor), wanted)


async def _several(request: Request, sent: Sequence[SentFile], kind: Kind, made: Any) -> bytes:
    """Returns the answer to several files; one that cannot be answered says why in its place."""
    gate = asyncio.Semaphore(request.app.state.settings.batch)  # so that one client does not fill the queue

    async def one(file: SentFile) -> Any:
        try:
            async with gate:
                return await made(file, _files if kind == "zip" else _content)
        except ServeError as error:
            wrong = json.dumps({"file": file.name, **error.to_dict()}).encode()
            return {"error.json": wrong} if kind == "zip" else wrong

    found = await asyncio.gather(*(one(file) for file in sent))
    if kind == "zip":
        return zipped([(file.name, named) for file, named in zip(sent, found, strict=True)])
    return b'{"predictions":[' + b",".join(found) + b"]}"


def _head(model: ServedModel) -> ModelHead:
    class_map = model.predictor.class_map
    classes = [
        ModelClass(
            index=index, name=name, color="#{:02x}{:02x}{:02x}".format(*color), background=index == class_map.background
        )
        for index, (name, color) in enumerate(zip(class_map.names, class_map.colors, strict=True))
    ]
    return ModelHead(name=model.name, id=model.id, task=str(class_map.task), classes=classes)  # type: ignore[arg-type]


def _details(model: ServedModel) -> ModelDetails:
    settings, card = model.predictor.pipeline.settings, model.card
    scores = card.get("scores") or {}
    named = {name for part in scores.values() for name in part}
    alerts = [*card.get("alerts", ()), *(f"{each} is not trained to the end" for each in card.get("unfinished", ()))]
    alerts += [f"{each} collapsed: it predicts one class only" for each in card.get("collapsed", ())]
    return ModelDetails(
        **_head(model).model_dump(),
        threshold=None if settings.class_map.task is Task.MULTICLASS else settings.threshold,
        input=ModelInput(
            channels=settings.channels,
            bands=None if settings.bands is None else list(settings.bands.numbers),
            network_px=None if settings.size == ORIGINAL else settings.size,
            training_px=settings.training_px,
            policy=settings.policy,
            tta=settings.tta,
        ),
        runtime=model.predictor.runtime,
        device=str(model.predictor.device),
        summary=(card.get("main") or {}).get("sentence"),
        scores=scores,
        definitions={name: text for name, text in (card.get("definitions") or {}).items() if name in named},
        n=card.get("n") or {},
        test_uses=card.get("test_uses"),
        alerts=alerts,
        licences=card.get("licences") or {},
        data_licence=(card.get("data") or {}).get("licence"),
    )
