"""A new training: what suits the data set, what a person makes of it, and its start."""

from __future__ import annotations

import threading
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from segbench.locale import message
from segbench.serve.answers import ServeError
from segbench.studio.background import Background
from segbench.studio.fields import fields_of
from segbench.studio.new_run import command_of, drafted, first_draft, notes_of, started
from segbench.studio.place import Place
from segbench.studio.place_api import answer_in, place_of, require_writable
from segbench.studio.tasks_api import tasks_of


class Wanted(BaseModel):
    """A config. Attributes: yaml, its text; changes, key -> another value as YAML, empty for the default."""

    yaml: str
    changes: dict[str, str] = {}


def router() -> APIRouter:
    """Returns the routes under `/api/new`."""
    routes = APIRouter(prefix="/api/new")
    one_by_one = threading.Lock()  # two clicks start one training

    @routes.get("")
    def first(request: Request) -> dict[str, Any]:
        place = data_place(request)
        background: Background = request.app.state.background
        key = ("new", place.manifest.content_hash, tuple(run.path.name for run in place.runs()))
        found = background.ask(key, lambda progress: first_draft(place, progress))
        if found["state"] == "ready":
            found["fields"] = fields_of(place.manifest.class_map.task)
        answer: dict[str, Any] = answer_in(request, found)
        return answer

    @routes.post("/check")
    def check(request: Request, wanted: Wanted) -> dict[str, Any]:
        place = data_place(request)
        draft = drafted(place, place.manifest, wanted.yaml, wanted.changes)
        found = {
            "yaml": draft.yaml,
            "values": draft.values,
            "error": draft.error,
            "key": draft.key,
            "line": draft.line,
            "notes": notes_of(place, tasks_of(request)),
            "command": "" if draft.config is None else command_of(place, draft.config),
        }
        answer: dict[str, Any] = answer_in(request, found)
        return answer

    @routes.post("/start")
    def start(request: Request, wanted: Wanted) -> dict[str, Any]:
        place, tasks = data_place(request), tasks_of(request)
        require_writable(place)
        with one_by_one:
            draft = drafted(place, place.manifest, wanted.yaml, wanted.changes)
            return tasks.to_dict(started(place, tasks, draft))

    return routes


def data_place(request: Request) -> Place:
    """Returns the place; ServeError 409 where it is no data set that trainings could be begun on."""
    place = place_of(request)
    if place.kind != "data":
        told = message("a training is begun on a data set: segbench studio FOLDER")
        raise ServeError(409, told, code="no_data")
    return place
