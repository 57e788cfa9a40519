"""Masks corrected by hand, and a training on them."""

from __future__ import annotations

import gzip
import io
import itertools
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from numpy.typing import NDArray
from pydantic import BaseModel

from segbench.compare.runs import compare_runs
from segbench.config.run import load_config
from segbench.config.text import write_yaml
from segbench.data.manifest.manifest import Manifest
from segbench.errors import DatasetError, SegbenchError
from segbench.files import write_text
from segbench.folders.run import RunFolder
from segbench.locale import message, plural
from segbench.serve.answers import ServeError
from segbench.speech import in_shell
from segbench.studio.corrections import Corrections, summary
from segbench.studio.pictures import Tint
from segbench.studio.place import Place
from segbench.studio.place_api import answer_in, place_of, require_writable
from segbench.studio.runs_api import run_named
from segbench.studio.samples_api import pictured, sample_at
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
    one_by_one = threading.Lock()  # two clicks train once

    @routes.get("")
    def every(request: Request) -> dict[str, Any]:
        place = place_of(request)
        found: dict[str, Any] = answer_in(request, summary(corrections_of(place), place.manifest, tested_in(place)))
        return found

    @routes.get("/{index}/overlay")
    def overlay(request: Request, index: int, side: int = Query(96, ge=16, le=512)) -> Response:
        place = place_of(request)
        sample = sample_at(place.manifest, index)
        return pictured(request, place.manifest, corrections_of(place).sample(sample), "overlay", side, Tint())

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
        if not version.isdecimal():
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
        tasks = tasks_of(request)
        with one_by_one:
            config = retrained(place, wanted.run)
            folder = load_config(config).run_folder
            if tasks.running_on(folder) is not None:
                raise ServeError(409, message("it is training already"), code="running")
            return tasks.to_dict(tasks.start("train", ["train", str(config)], cwd=place.work, about=folder))

    @routes.get("/result/{run}")
    def result(request: Request, run: str, quiet: bool = False) -> dict[str, Any] | None:
        place = place_of(request)
        try:
            found: dict[str, Any] = answer_in(request, gain_of(place, run_named(place, run)))
        except ServeError as error:
            if quiet and error.code == "not_trained":
                return None  # a page that was just opened only looks whether there is one
            raise
        return found

    return routes


def tested_in(place: Place) -> set[str]:
    """Returns the samples that some training of this data set is scored on; their parts may be drawn by each."""
    files = [run.manifest_file for run in place.runs() if run.manifest_file.is_file()]
    return {name for file in files for name in _test_part(file, file.stat().st_mtime_ns)}


@lru_cache(maxsize=256)
def _test_part(manifest_file: Path, written: int) -> frozenset[str]:
    """Returns the test part of a manifest; `written` tells it from one that stood there before."""
    try:
        return frozenset(sample.id for sample in Manifest.read(manifest_file).split("test"))
    except DatasetError:
        return frozenset()  # the run's own page says that it is damaged


def retrained(place: Place, name: str) -> Path:
    """Writes the config of a run again, on its own parts with corrected masks; returns its file.

    What was retrained on the masks as they are now, and not finished, goes on.

    Raises:
        ServeError: 409, nothing is corrected, or it is training already.
    """
    corrections = corrections_of(place)
    if not corrections.all():
        raise ServeError(409, message("nothing is corrected yet"), code="nothing_corrected")
    run = run_named(place, name)
    corrected = corrections.corrected(Manifest.read(run.manifest_file))  # with the parts that this run has drawn
    folder = next(
        each
        for each in _repeated(place, name)
        if not each.exists() or _goes_on(RunFolder(each), corrected.content_hash)
    )
    if RunFolder(folder).is_locked():
        raise ServeError(409, message("it is training already"), code="running")
    data, file = (place.work / "configs" / f"{folder.name}{suffix}" for suffix in (".manifest.json", ".yaml"))
    file.parent.mkdir(parents=True, exist_ok=True)
    corrected.write(data)
    plain = run.read_config().to_dict()
    plain["name"], plain["output"] = folder.name, str(folder)
    kept = {key: value for key, value in plain["data"].items() if key not in ("format", "options", "split")}
    plain["data"] = kept | {"path": str(data)}
    write_text(file, write_yaml(plain))
    return file


def gain_of(place: Place, before: RunFolder) -> dict[str, Any]:
    """Returns what the last retraining of a run gained on the test part, with its interval.

    Raises:
        ServeError: 409, it was not retrained, is not finished, or a test mask was corrected.
    """
    done = [each for each in _repeated_there(place, before.path.name) if RunFolder(each).is_finished]
    if not done:
        raise ServeError(409, message("no training on corrected masks is finished yet"), code="not_trained")
    after = RunFolder(done[-1])
    changed = _changed_test_masks(before, after)
    if changed:
        told = plural(
            "{n} mask of the test part was corrected, so scores before and after are not comparable: they are "
            "measured against different masks. Take the data set's own mask again there, and train again",
            "{n} masks of the test part were corrected, so scores before and after are not comparable: they are "
            "measured against different masks. Take the data set's own masks again there, and train again",
            n=changed,
        )
        raise ServeError(409, told, code="not_comparable")
    try:
        comparison = compare_runs([after.path, before.path])
    except SegbenchError as error:
        raise ServeError(409, str(error), code="not_comparable") from error
    pair = comparison.verdict.pair(0, 1)
    return {
        "after": after.path.name,
        "difference": pair.difference.value,
        "low": pair.difference.low,
        "high": pair.difference.high,
        "shown": pair.significant,
        "images": comparison.verdict.n_images,
        "score": comparison.evidence.label,
        "doubts": comparison.doubts,
        "command": f"segbench compare {in_shell(after.path)} {in_shell(before.path)}",
    }


def _repeated(place: Place, name: str) -> Iterator[Path]:
    """Yields the folders of a run's retrainings, there or not, without an end."""
    for number in itertools.count(1):
        yield place.runs_folder / f"{name}_corrected{number if number > 1 else ''}"


def _repeated_there(place: Place, name: str) -> list[Path]:
    return list(itertools.takewhile(lambda each: each.exists(), _repeated(place, name)))


def _goes_on(run: RunFolder, content_hash: str) -> bool:
    """Tells whether a training has begun on the same masks, and is not finished."""
    if run.is_finished:
        return False
    return not run.manifest_file.is_file() or Manifest.read(run.manifest_file).content_hash == content_hash


def _changed_test_masks(before: RunFolder, after: RunFolder) -> int:
    """Returns how many images of the test part have another mask now."""
    own = {each.id: each.mask_hash for each in Manifest.read(before.manifest_file).split("test")}
    now = {each.id: each.mask_hash for each in Manifest.read(after.manifest_file).split("test")}
    return sum(own[name] != now.get(name) for name in own)


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
