"""Masks corrected by hand, and a training on them."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from numpy.typing import NDArray
from pydantic import BaseModel

from segbench.compare.runs import compare_runs
from segbench.config.text import write_yaml
from segbench.errors import DatasetError, SegbenchError
from segbench.files import write_text
from segbench.folders.run import RunFolder
from segbench.locale import message
from segbench.serve.answers import ServeError
from segbench.studio.corrections import Corrections, summary
from segbench.studio.place import Place
from segbench.studio.place_api import answer_in, place_of, require_writable
from segbench.studio.runs_api import run_named
from segbench.studio.samples_api import sample_at
from segbench.studio.tasks_api import tasks_of
from segbench.studio.trials import Trials
from segbench.studio.try_api import model_of
from segbench.types import Task

_MOST_PX = 25_000_000  # of a mask that a page can hold


class Retrain(BaseModel):
    """What is trained again. Attributes: run, name of the one that is repeated on the corrected masks."""

    run: str


def corrections_of(place: Place) -> Corrections:
    """Returns the corrections of the data set that is open."""
    return Corrections(place.corrected_folder)


def router() -> APIRouter:
    """Returns the routes under `/api/correct`."""
    routes = APIRouter(prefix="/api/correct")

    @routes.get("")
    def every(request: Request) -> dict[str, Any]:
        place = place_of(request)
        found: dict[str, Any] = answer_in(request, summary(corrections_of(place), place.manifest))
        return found

    @routes.get("/{index}/labels")
    def labels(request: Request, index: int) -> Response:
        place = place_of(request)
        sample = sample_at(place.manifest, index)
        if sample.height * sample.width > _MOST_PX:
            raise ServeError(413, message("images above 25 megapixels cannot be corrected here"), code="too_large")
        try:
            found, version = corrections_of(place).labels(place.manifest, sample)
        except DatasetError as error:
            raise ServeError(410, str(error), code="unreadable_mask") from error
        return _packed(found, {"X-Version": str(version)})

    @routes.get("/{index}/model/{key}")
    def predicted(request: Request, index: int, key: str) -> Response:
        place = place_of(request)
        sample = sample_at(place.manifest, index)
        trials: Trials = request.app.state.trials
        try:
            mask = trials.predictor(model_of(place, key).path)(place.manifest.image_path(sample)).mask
        except SegbenchError as error:
            raise ServeError(409, str(error), code="unusable_model") from error
        return _packed(mask, {})

    @routes.put("/{index}/labels")
    async def save(request: Request, index: int) -> dict[str, Any]:
        place = place_of(request)
        require_writable(place)
        sample = sample_at(place.manifest, index)
        planes = len(place.manifest.class_map.names) if place.manifest.class_map.task is Task.MULTILABEL else 1
        wanted = planes * sample.height * sample.width
        data = await _body(request, wanted)
        version = request.headers.get("x-version", "")
        if not version.isdigit():
            raise ServeError(428, "expected the version that was corrected (X-Version)", code="no_version")
        shape = (sample.height, sample.width) if planes == 1 else (planes, sample.height, sample.width)
        labels = np.frombuffer(data, np.uint8).reshape(shape)
        saved = await run_in_threadpool(corrections_of(place).save, place.manifest, sample, labels, int(version))
        return {"version": saved.version, "saved": saved.saved}

    @routes.post("/{index}/revert")
    def revert(request: Request, index: int) -> dict[str, Any]:
        place = place_of(request)
        require_writable(place)
        corrections_of(place).revert(place.manifest, sample_at(place.manifest, index))
        return every(request)

    @routes.post("/retrain")
    def retrain(request: Request, wanted: Retrain) -> dict[str, Any]:
        place = place_of(request)
        require_writable(place)
        config = retrained(place, wanted.run)
        tasks = tasks_of(request)
        return tasks.to_dict(tasks.start("train", ["train", str(config)], cwd=place.work))

    @routes.get("/result/{run}")
    def result(request: Request, run: str) -> dict[str, Any]:
        place = place_of(request)
        before, after = run_named(place, run), RunFolder(place.runs_folder / f"{run}_corrected")
        try:
            comparison = compare_runs([after.path, before.path])
        except SegbenchError as error:
            raise ServeError(409, str(error), code="not_comparable") from error
        pair = comparison.verdict.pair(0, 1)
        found: dict[str, Any] = answer_in(
            request,
            {
                "difference": pair.difference.value,
                "low": pair.difference.low,
                "high": pair.difference.high,
                "shown": pair.significant,
                "images": comparison.verdict.n_images,
                "score": comparison.evidence.label,
                "doubts": comparison.doubts,
                "command": f"segbench compare {after.path} {before.path}",
            },
        )
        return found

    return routes


def retrained(place: Place, name: str) -> Path:
    """Writes the config of a run again, on the data set with corrected masks; returns its file."""
    corrections = corrections_of(place)
    if not corrections.all():
        raise ServeError(409, message("nothing is corrected yet"), code="nothing_corrected")
    run = run_named(place, name)
    plain = run.read_config().to_dict()
    plain["name"] = f"{name}_corrected"
    plain["output"] = str(place.runs_folder / f"{name}_corrected")
    kept = {key: value for key, value in plain["data"].items() if key not in ("format", "options", "split")}
    plain["data"] = kept | {"path": str(corrections.manifest_file)}  # which names the parts, too
    file = place.work / "configs" / f"{name}_corrected.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, write_yaml(plain))
    return file


def _packed(labels: NDArray[np.uint8], headers: dict[str, str]) -> Response:
    data = gzip.compress(np.ascontiguousarray(labels).tobytes(), compresslevel=1)
    return Response(
        data,
        media_type="application/octet-stream",
        headers={"Content-Encoding": "gzip", "Cache-Control": "no-store", **headers},
    )


async def _body(request: Request, wanted: int) -> bytes:
    """Returns `wanted` bytes that were sent compressed with gzip.

    Raises:
        ServeError: more, fewer, or other bytes.
    """
    sent = bytearray()
    async for chunk in request.stream():
        sent += chunk
        if len(sent) > wanted + 1024:
            raise ServeError(413, f"expected {wanted:,} labels, got more", code="too_large")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(bytes(sent))) as stream:
            data = stream.read(wanted + 1)
    except (OSError, EOFError) as error:
        raise ServeError(400, "expected labels compressed with gzip", code="bad_labels") from error
    if len(data) != wanted:
        raise ServeError(400, f"expected {wanted:,} labels, got {len(data):,}", code="bad_labels")
    return data
