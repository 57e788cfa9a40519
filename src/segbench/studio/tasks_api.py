"""What the page started: how far it is, what it says, and an end to it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from segbench.studio.place_api import place_of, require_writable
from segbench.studio.tasks import Tasks


def tasks_of(request: Request) -> Tasks:
    """Returns the tasks of the application that a request came to."""
    tasks: Tasks = request.app.state.tasks
    return tasks


def router() -> APIRouter:
    """Returns the routes under `/api/tasks`."""
    routes = APIRouter(prefix="/api/tasks")

    @routes.get("")
    def every(request: Request) -> list[dict[str, Any]]:
        tasks = tasks_of(request)
        return [tasks.to_dict(each) for each in tasks.all()]

    @routes.get("/{name}")
    def one(request: Request, name: str) -> dict[str, Any]:
        tasks = tasks_of(request)
        return tasks.to_dict(tasks.find(name), with_log=True)

    @routes.post("/{name}/stop")
    def stop(request: Request, name: str) -> dict[str, Any]:
        require_writable(place_of(request))
        tasks = tasks_of(request)
        task = tasks.find(name)
        tasks.stop(task)
        return tasks.to_dict(task)

    return routes
