"""The study: how far it is, the verdict so far, and the images behind a cell of the confusion table."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from segbench.serve.answers import ServeError
from segbench.studio.judging import Judge, Judgement, confusion_of
from segbench.studio.place_api import answer_in

_LOOK_EVERY_S = 2.0


def judge_of(request: Request) -> Judge:
    """Returns what judges the study that is open; ServeError 404 where none is."""
    judge: Judge | None = request.app.state.judge
    if judge is None:
        raise ServeError(404, "no study is open: segbench studio STUDY", code="no_study")
    return judge


def judged(request: Request, *, without_collapsed: bool) -> Judgement:
    """Returns the verdict so far; ServeError 409 with the reason where there is none yet."""
    found = judge_of(request).judgement(without_collapsed=without_collapsed)
    if isinstance(found, Judgement):
        return found
    raise ServeError(409, answer_in(request, found), code="not_yet")


def router() -> APIRouter:
    """Returns the routes under `/api/study`."""
    routes = APIRouter(prefix="/api/study")

    @routes.get("")
    def progress(request: Request) -> dict[str, Any]:
        found: dict[str, Any] = answer_in(request, judge_of(request).progress())
        return found

    @routes.get("/events")
    async def events(request: Request) -> StreamingResponse:
        judge = judge_of(request)

        async def changes() -> AsyncIterator[str]:
            before = ""
            stopping: asyncio.Event = request.app.state.stopping
            while not stopping.is_set() and not await request.is_disconnected():
                there = await asyncio.to_thread(judge.progress)
                now = json.dumps(answer_in(request, there), ensure_ascii=False)
                yield f"data: {now}\n\n" if now != before else ": nothing new\n\n"
                before = now
                await asyncio.sleep(_LOOK_EVERY_S)

        return StreamingResponse(changes(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @routes.get("/verdict")
    def verdict(request: Request, without_collapsed: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = answer_in(request, judged(request, without_collapsed=without_collapsed).to_dict())
        return found

    @routes.get("/confusion/{place}")
    def confusion(request: Request, place: int, without_collapsed: bool = False) -> dict[str, Any]:
        return confusion_of(judged(request, without_collapsed=without_collapsed), place)

    return routes
