"""The study: how far it is, the verdict so far, and the images behind a cell of the confusion table."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.locale import message
from segbench.serve.answers import ServeError
from segbench.studio.judging import Judge, Judgement, confusion_of
from segbench.studio.place_api import answer_in, place_of, require_writable
from segbench.studio.tasks_api import tasks_of

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


def task_of(request: Request, study: StudyFolder) -> dict[str, Any]:
    """Returns whether the study is running, whoever started it; whether all is finished; what was started here last."""
    tasks = tasks_of(request)
    ours = [each for each in tasks.all() if each.about == str(study.path)]
    running = tasks.running_on(study.path)
    shown = running or next(iter(ours), None)
    return {
        "running": running is not None or RunFolder(study.path).is_locked(),
        "ours": running is not None,
        "finished": all(each.state == "finished" for each in study.status()),
        "task": None if shown is None else tasks.to_dict(shown),
    }


def router() -> APIRouter:
    """Returns the routes under `/api/study`."""
    routes = APIRouter(prefix="/api/study")
    one_by_one = threading.Lock()  # two clicks start it once

    @routes.get("")
    def progress(request: Request) -> dict[str, Any]:
        found: dict[str, Any] = answer_in(request, judge_of(request).progress())
        return found

    @routes.get("/task")
    def task(request: Request) -> dict[str, Any]:
        return task_of(request, judge_of(request).study)

    @routes.post("/continue")
    def go_on(request: Request) -> dict[str, Any]:
        place, study = place_of(request), judge_of(request).study
        require_writable(place)
        with one_by_one:
            there = task_of(request, study)
            if there["running"]:
                raise ServeError(409, message("this study is running already"), code="running")
            if there["finished"]:
                raise ServeError(409, message("every training of this study is finished"), code="finished")
            arguments = ["study", "run", str(study.config_file), "--out", str(study.path)]
            tasks_of(request).start("study", arguments, cwd=place.work, about=study.path)
        return task_of(request, study)

    @routes.post("/stop")
    def stop(request: Request) -> dict[str, Any]:
        study, tasks = judge_of(request).study, tasks_of(request)
        require_writable(place_of(request))
        ours = tasks.running_on(study.path)
        if ours is None:
            told = message("this study was not started here; Ctrl-C where it runs stops it, and it can be continued")
            raise ServeError(409, told, code="not_ours")
        tasks.stop(ours)
        return task_of(request, study)

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
