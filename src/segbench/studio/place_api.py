"""What was opened: read on every page, and asked again while something is being read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from segbench.locale import languages, localize
from segbench.serve.answers import ServeError
from segbench.serve.settings import ServeSettings
from segbench.studio.place import Place
from segbench.studio.texts import texts_in


class Answer(BaseModel):
    """Which way to read a data set is meant. Attributes: command, of the way; empty: ask again."""

    command: str


def place_of(request: Request) -> Place:
    """Returns the place of the application that a request came to."""
    place: Place = request.app.state.place
    return place


def answer_in(request: Request, value: Any) -> Any:
    """Returns an answer with its sentences in the language that the page is read in (`?lang=`)."""
    return localize(value, known_language(request.query_params.get("lang", "en")))


def known_language(lang: str) -> str:
    """Returns the language; ServeError 404 where there is no such."""
    if lang not in languages():
        raise ServeError(404, f"expected one of {', '.join(languages())}, got {lang!r}", code="unknown_language")
    return lang


def require_writable(place: Place) -> None:
    """Raises ServeError 403 where the studio only shows."""
    if place.read_only:
        raise ServeError(403, "this studio only shows (--read-only)", code="read_only")


def router() -> APIRouter:
    """Returns the routes under `/api/place`, and `/api/texts`."""
    routes = APIRouter(prefix="/api")

    @routes.get("/place")
    def place(request: Request) -> dict[str, Any]:
        there = place_of(request)
        return {
            "name": there.name,
            "kind": there.kind,
            "path": str(there.path or there.work),
            "read_only": there.read_only,
            "reading": answer_in(request, there.reading.state()),
            "runs": len(there.runs()),
            "studies": [{"name": each.path.name, "path": str(each.path)} for each in there.studies()],
            "models": [{"key": each.key, "name": each.name} for each in there.models()],
            "upload_bytes": ServeSettings().most_bytes,
            "languages": languages(),
        }

    @routes.post("/place/answer")
    def answer(request: Request, given: Answer) -> dict[str, Any]:
        there = place_of(request)
        require_writable(there)  # a visitor's choice would be everybody's
        there.reading.choose(given.command)
        state: dict[str, Any] = answer_in(request, there.reading.state())
        return state

    @routes.get("/place/choices/{number}")
    def shown(request: Request, number: int) -> Response:
        found = place_of(request).reading.picture(number)
        headers = {"Cache-Control": "no-store"}
        return Response(status_code=204) if found is None else Response(found, media_type="image/jpeg", headers=headers)

    @routes.get("/texts/{lang}")
    def texts(lang: str) -> dict[str, Any]:
        return texts_in(known_language(lang))

    return routes
