"""The samples of the data set: pages of the grid, and their pictures."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from segbench.data.manifest.manifest import Manifest
from segbench.serve.answers import ServeError
from segbench.studio.pictures import Look, picture
from segbench.studio.place_api import place_of
from segbench.types import Sample

MOST_LISTED = 500


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
            "classes": [
                {"index": index, "name": name, "color": list(color)}
                for index, (name, color) in enumerate(zip(class_map.names, class_map.colors, strict=True))
            ],
        }

    @routes.get("/samples")
    def samples(
        request: Request,
        start: int = Query(0, ge=0),
        count: int = Query(100, ge=1, le=MOST_LISTED),
    ) -> dict[str, Any]:
        manifest = place_of(request).manifest
        chosen = range(start, min(start + count, len(manifest)))
        return {"total": len(manifest), "samples": [row_of(manifest, index) for index in chosen]}

    @routes.get("/samples/{index}/{look}")
    def shown(request: Request, index: int, look: Look, side: int | None = Query(None, ge=16, le=8192)) -> Response:
        manifest = place_of(request).manifest
        sample = sample_at(manifest, index)
        tag = f'"{sample.image_hash[:16]}{sample.mask_hash[:16]}"'
        headers = {"ETag": tag, "Cache-Control": "private, max-age=0, must-revalidate"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        data, kind = picture(manifest, sample, look, side)
        return Response(data, media_type=kind, headers=headers)

    return routes


def row_of(manifest: Manifest, index: int) -> dict[str, Any]:
    """Returns what the grid knows of a sample."""
    sample = manifest.samples[index]
    return {
        "index": index,
        "id": sample.id,
        "part": sample.split,
        "group": sample.group,
        "height": sample.height,
        "width": sample.width,
        "foreground": sample.foreground_frac,
    }
