"""The order in which masks are corrected; and the data set with its corrected masks, written in its own format."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from segbench.data.manifest.manifest import Manifest
from segbench.data.writers import WRITERS
from segbench.data.writers.convert import ConvertReport, convert_dataset
from segbench.folders.run import RunFolder
from segbench.locale import message, plural
from segbench.predict.predictor import Predictor
from segbench.serve.answers import ServeError
from segbench.speech import in_shell
from segbench.studio.background import Background
from segbench.studio.correct_api import corrections_of
from segbench.studio.corrections import Corrections, summary
from segbench.studio.place import Model, Place
from segbench.studio.place_api import answer_in, place_of, require_writable
from segbench.studio.queue import Order, Queued, parts_of, queue_of
from segbench.studio.trials import Trials
from segbench.studio.try_api import model_of
from segbench.types import Progress

_MOST_TOGETHER = 5  # models that are asked about every image


class Write(BaseModel):
    """What is written. Attributes: to, a format; empty: the data set's own, or masks where it cannot be written."""

    to: str = ""


def router() -> APIRouter:
    """Returns the routes `/api/correct/queue` and `/api/correct/write`."""
    routes = APIRouter(prefix="/api/correct")

    @routes.get("/queue")
    def queue(
        request: Request, order: Order, model: str = Query(), test: bool = False, anew: bool = False
    ) -> dict[str, Any]:
        place = place_of(request)
        manifest, chosen = place.manifest, model_of(place, model)
        parts = parts_of(manifest, RunFolder(chosen.path))
        wanted = [index for index, each in enumerate(manifest.samples) if test or parts[each.id] != "test"]
        trials: Trials = request.app.state.trials

        def work(progress: Progress) -> list[dict[str, Any]]:
            asked = _together(place, chosen) if order == "disagreement" else trials.predictor(chosen.path)
            found = queue_of(manifest, corrections_of(place), asked, order, wanted, progress)
            return [_row(manifest, parts[manifest.samples[each.index].id], each) for each in found]

        background: Background = request.app.state.background
        key = ("queue", order, str(chosen.path), _written_at(chosen), test, manifest.content_hash)
        answer = background.ask(key, work, anew=anew)
        left_out = len(manifest) - len(wanted)
        told = message(
            "The test part is among them. Once one of its masks is corrected, scores before and after are not "
            "comparable; and whoever corrects what a model got wrong, and only that, makes the model look better."
        )
        shown: dict[str, Any] = answer_in(request, {"left_out": left_out, "told": told if test else ""} | answer)
        return shown

    @routes.post("/write")
    def write(request: Request, wanted: Write) -> dict[str, Any]:
        place = place_of(request)
        require_writable(place)
        corrections = corrections_of(place)
        if not corrections.all():
            raise ServeError(409, message("nothing is corrected yet"), code="nothing_corrected")
        manifest = place.manifest
        to = wanted.to or own_format(manifest)
        if to not in WRITERS.names():
            raise ServeError(422, f"expected one of {', '.join(WRITERS.names())}, got {to!r}", code="unknown_format")
        corrected = corrections.corrected(manifest)
        background: Background = request.app.state.background
        answer = background.ask(
            ("write", to, corrected.content_hash, str(place.work)),
            lambda progress: written(place, corrections, manifest, to, progress),
        )
        shown: dict[str, Any] = answer_in(request, answer | {"formats": WRITERS.names(), "to": to})
        return shown

    return routes


def _together(place: Place, chosen: Model) -> Predictor:
    """Returns a model and others beside it, which may contradict each other."""
    others = [each.path for each in place.models() if each.path != chosen.path]
    return Predictor.load([chosen.path, *others[: _MOST_TOGETHER - 1]])


def own_format(manifest: Manifest) -> str:
    """Returns the format that a data set came in; `folder` (images and masks) where that cannot be written."""
    return manifest.format if manifest.format in WRITERS.names() else "folder"


def written(
    place: Place, corrections: Corrections, manifest: Manifest, to: str, progress: Progress | None = None
) -> dict[str, Any]:
    """Writes the data set with its corrected masks, reads it back, and returns what changed, and where it lies.

    Raises:
        SegbenchError: see `convert_dataset`.
    """
    out = corrections.folder.with_name(f"{corrections.folder.name}_{to}")
    report = convert_dataset(corrections.corrected(manifest), to, out, overwrite=True, progress=progress)
    told = summary(corrections, manifest)
    return {
        "path": str(out),
        "told": _told(report, len(told["samples"])),
        "changes": [
            {"name": each.name, "pixels": each.pixels, "changed": each.changed}
            for each in report.changes
            if each.changed
        ],
        "worst": [{"id": name, "iou": iou} for name, iou in list(report.worst.items())[:10]],
        "notes": list(report.written.notes),
        "command": f"segbench data convert {in_shell(corrections.manifest_file)} {in_shell(out)} --to {to} --overwrite",
    }


def _told(report: ConvertReport, corrected: int) -> Any:
    images, name = len(report.written.images), report.written.format
    if report.identical:
        return plural(
            "{n} image, {corrected} with a corrected mask, was written as {format} and read back: every pixel is as it "
            "was corrected",
            "{n} images, {corrected} of them with corrected masks, were written as {format} and read back: every pixel "
            "is as it was corrected",
            n=images,
            corrected=corrected,
            format=name,
        )
    return plural(
        "{n} image, {corrected} with a corrected mask, was written as {format} and read back; pixels that are not as "
        "they were corrected: {pixels:,}",
        "{n} images, {corrected} of them with corrected masks, were written as {format} and read back; pixels that are "
        "not as they were corrected: {pixels:,}",
        n=images,
        corrected=corrected,
        format=name,
        pixels=sum(each.changed for each in report.changes),
    )


def _row(manifest: Manifest, part: str | None, each: Queued) -> dict[str, Any]:
    sample = manifest.samples[each.index]
    return {
        "index": each.index,
        "id": sample.id,
        "part": part,
        "why": each.why,
        "value": None if math.isnan(each.value) else each.value,
    }


def _written_at(model: Model) -> int:
    """Returns when a model's weights were written, by which another training in the same folder is another model."""
    best = RunFolder(model.path).best_file
    file: Path = best if best.is_file() else model.path
    return file.stat().st_mtime_ns
