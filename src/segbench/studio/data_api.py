"""What is wrong with the data set, what people decided about it, where its classes lie, how its images differ."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from segbench.doctor.reviewed import Decision, user_name
from segbench.serve.answers import ServeError
from segbench.studio.filters import Filters
from segbench.studio.place_api import answer_in, place_of, require_writable
from segbench.studio.samples_api import filters_of, sample_at, view_of


class Decided(BaseModel):
    """What a person decided. Attributes: code and title, of the finding; files, of it, None: all; decision, None: it is
    taken back; who, why."""

    code: str
    title: str = ""
    files: list[str] | None = None
    decision: Decision | None
    who: str = Field("", max_length=200)
    why: str = Field("", max_length=2000)


def router() -> APIRouter:
    """Returns the routes `/api/columns`, `/api/scatter`, and those under `/api/findings` and `/api/heat`."""
    routes = APIRouter(prefix="/api")

    @routes.get("/columns")
    def columns(request: Request) -> dict[str, Any]:
        return view_of(request).summary()

    @routes.get("/scatter")
    def scatter(request: Request, filters: Annotated[Filters, Depends(filters_of)]) -> dict[str, Any]:
        return view_of(request).points(filters)

    @routes.get("/findings")
    def findings(request: Request) -> dict[str, Any]:
        state = view_of(request).examination.state()
        found: dict[str, Any] = answer_in(request, state)
        return {**found, "who": user_name()}

    @routes.post("/findings")
    def decide(request: Request, given: Decided) -> dict[str, Any]:
        require_writable(place_of(request))
        examination = view_of(request).examination
        finding = examination.finding(given.code, given.title)
        files = list(finding.files or ("",)) if given.files is None else given.files
        if given.decision is None:
            examination.forget(given.code, files)
        else:
            examination.decide(finding, files, given.decision, given.who.strip(), given.why.strip())
        return findings(request)

    @routes.get("/findings/of/{index}")
    def of_sample(request: Request, index: int) -> dict[str, Any]:
        view = view_of(request)
        sample = sample_at(view.manifest, index)
        examination = view.examination
        told = examination.of_sample(index)
        for each in told:
            each["places"] = [asdict(place) for place in examination.where(each["code"], sample)]
        found: dict[str, Any] = answer_in(request, {"findings": told})
        return found

    @routes.get("/heat")
    def heat(request: Request) -> dict[str, Any]:
        maps = view_of(request).heat
        ready = maps.maps is not None
        highest = [] if maps.maps is None else [float(each.max()) for each in maps.maps]
        return {"ready": ready, "done": maps.done, "total": maps.total, "skipped": maps.skipped, "highest": highest}

    @routes.get("/heat/{index}")
    def heat_map(request: Request, index: int) -> Response:
        try:
            data, _ = view_of(request).heat.png(index)
        except KeyError as error:
            raise ServeError(404, f"there is no map of class {index} (yet)", code="unknown_class") from error
        return Response(data, media_type="image/png", headers={"Cache-Control": "no-cache"})

    return routes
