"""The samples of the data set: pages of the grid, and their pictures."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from numpy.typing import NDArray
from pydantic import ValidationError

from segbench.data.manifest.manifest import Manifest
from segbench.serve.answers import ServeError
from segbench.studio.data_view import DataView
from segbench.studio.filters import Filters
from segbench.studio.pictures import Look, Tint, picture
from segbench.studio.place_api import answer_in, place_of
from segbench.types import Sample

MOST_LISTED = 500


def view_of(request: Request) -> DataView:
    """Returns what is known of the data set of the application that a request came to."""
    view: DataView = request.app.state.view
    return view


def filters_of(request: Request) -> Filters:
    """Returns what was asked for in the address; ServeError 422 where it is no filter."""
    try:
        return Filters.model_validate(dict(request.query_params))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(each) for each in first["loc"])
        raise ServeError(422, f"{name}: {first['msg']}", code="bad_filter") from error


def sample_at(manifest: Manifest, index: int) -> Sample:
    """Returns a sample by its place in the data set; ServeError 404 where there is none."""
    if not 0 <= index < len(manifest):
        raise ServeError(404, f"expected a sample from 0 to {len(manifest) - 1}, got {index}", code="unknown_sample")
    return manifest.samples[index]


def router() -> APIRouter:
    """Returns the routes under `/api/samples`, and `/api/classes`."""
    routes = APIRouter(prefix="/api")

    @routes.get("/classes")
    def classes(request: Request) -> dict[str, Any]:
        class_map = place_of(request).manifest.class_map
        return {
            "task": str(class_map.task),
            "background": class_map.background,
            "ignore_index": class_map.ignore_index,
            "can_ignore": bool(class_map.ignore_values),
            "classes": [
                {"index": index, "name": name, "color": list(color)}
                for index, (name, color) in enumerate(zip(class_map.names, class_map.colors, strict=True))
            ],
        }

    @routes.get("/samples")
    def samples(
        request: Request,
        filters: Annotated[Filters, Depends(filters_of)],
        start: int = Query(0, ge=0),
        count: int = Query(100, ge=1, le=MOST_LISTED),
    ) -> dict[str, Any]:
        manifest = place_of(request).manifest
        chosen = view_of(request).selected(filters)
        scores = view_of(request).scores(filters)
        rows = [row_of(manifest, index, scores) for index in chosen[start : start + count].tolist()]
        return {"total": len(chosen), "samples": rows}

    @routes.get("/samples/{index}")
    def one(request: Request, index: int, filters: Annotated[Filters, Depends(filters_of)]) -> dict[str, Any]:
        view = view_of(request)
        sample = sample_at(view.manifest, index)
        found: dict[str, Any] = answer_in(request, view.told(index, sample, filters))
        return found

    @routes.get("/samples/{index}/{look}")
    def shown(
        request: Request,
        index: int,
        look: Look,
        side: int | None = Query(None, ge=16, le=8192),
        only: str | None = Query(None, pattern=r"^[0-9,]*$"),
        outline: bool = False,
    ) -> Response:
        manifest = place_of(request).manifest
        classes = None if only is None else tuple(int(each) for each in only.split(",") if each)
        return pictured(request, manifest, sample_at(manifest, index), look, side, Tint(only=classes, outline=outline))

    return routes


def pictured(
    request: Request, manifest: Manifest, sample: Sample, look: Look, side: int | None, tint: Tint
) -> Response:
    """Returns a picture of a sample (see `picture`); 304 where the browser has it already."""
    tag = f'"{sample.image_hash[:16]}{sample.mask_hash[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=0, must-revalidate"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    data, kind = picture(manifest, sample, look, side, tint)
    return Response(data, media_type=kind, headers=headers)


def row_of(manifest: Manifest, index: int, scores: NDArray[np.float32] | None = None) -> dict[str, Any]:
    """Returns what the grid knows of a sample; `scores`: (N,), NaN where none is known."""
    sample = manifest.samples[index]
    score = math.nan if scores is None else float(scores[index])
    return {
        "score": None if math.isnan(score) else score,
        "index": index,
        "id": sample.id,
        "part": sample.split,
        "group": sample.group,
        "height": sample.height,
        "width": sample.width,
        "foreground": sample.foreground_frac,
    }
