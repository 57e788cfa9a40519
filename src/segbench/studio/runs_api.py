"""Trainings while they run and after: curves, pictures, alerts; stopped, continued, begun."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from segbench.errors import RunError
from segbench.folders.run import RunFolder
from segbench.locale import message
from segbench.metrics.families import label_of, lower_is_better
from segbench.serve.answers import ServeError
from segbench.studio.place import Place
from segbench.studio.place_api import answer_in, place_of, require_writable
from segbench.studio.progress import seconds_left
from segbench.studio.tasks_api import tasks_of


def run_named(place: Place, name: str) -> RunFolder:
    """Returns a run of this place by its folder's name; ServeError 404 where there is none."""
    found = next((run for run in place.runs() if run.path.name == name), None)
    if found is None:
        raise ServeError(404, f"there is no run {name!r} here", code="unknown_run")
    return found


def router() -> APIRouter:
    """Returns the routes under `/api/runs`."""
    routes = APIRouter(prefix="/api/runs")

    @routes.get("")
    def every(request: Request) -> list[dict[str, Any]]:
        place = place_of(request)
        entries = {each.id: each.entry for each in place.study.read_plan().runs} if place.study else {}
        told = [{**told_of(run), "entry": entries.get(run.path.name, run.path.name)} for run in place.runs()]
        found: list[dict[str, Any]] = answer_in(request, told)
        return found

    @routes.get("/{name}/history")
    def history(request: Request, name: str) -> dict[str, Any]:
        return history_of(run_named(place_of(request), name))

    @routes.get("/{name}/pictures/{epoch}")
    def shown(request: Request, name: str, epoch: int) -> FileResponse:
        file = run_named(place_of(request), name).picture_file(epoch)
        if not file.is_file():
            raise ServeError(404, f"there is no picture of epoch {epoch}", code="no_picture")
        return FileResponse(file)

    @routes.post("/{name}/stop")
    def stop(request: Request, name: str) -> dict[str, Any]:
        place, tasks = place_of(request), tasks_of(request)
        require_writable(place)
        run = run_named(place, name)
        ours = tasks.running_on(run.path)
        if ours is None:
            told = message("this training was not started here; Ctrl-C where it runs stops it, and it can be continued")
            raise ServeError(409, told, code="not_ours")
        tasks.stop(ours)
        return tasks.to_dict(ours)

    @routes.post("/{name}/continue")
    def go_on(request: Request, name: str) -> dict[str, Any]:
        place, tasks = place_of(request), tasks_of(request)
        require_writable(place)
        run = run_named(place, name)
        if run.is_locked():
            raise ServeError(409, message("it is training already"), code="running")
        # A run's own config may name its folder from where it was begun.
        arguments = ["train", str(run.config_file), "--set", f"output={json.dumps(str(run.path))}"]
        return tasks.to_dict(tasks.start("train", arguments, cwd=place.work, about=run.path))

    return routes


def told_of(run: RunFolder) -> dict[str, Any]:
    """Returns how far a run is, from its files alone; those of a finished run are read once."""
    if not run.is_finished:
        return _read(run)
    return dict(_read_finished(run.path, run.result_file.stat().st_mtime_ns))


@lru_cache(maxsize=2000)
def _read_finished(path: Path, written_ns: int) -> dict[str, Any]:
    return _read(RunFolder(path))


def _read(run: RunFolder) -> dict[str, Any]:
    try:
        config, rows = run.read_config(), run.read_history()
        monitor = f"val_{config.monitor}"
        values = [row[monitor] for row in rows if not math.isnan(row.get(monitor, math.nan))]
        epochs = run.planned_epochs(config)
        finished, running = run.is_finished, run.is_locked()
        left = None if finished else seconds_left(rows, epochs)
        return {
            "name": run.path.name,
            "path": str(run.path),
            "state": "finished" if finished else "running" if running else "stopped",
            "network": config.network.name,
            "epoch": len(rows),
            "epochs": epochs,
            "seconds_left": left,
            "score": label_of(config.monitor),
            "column": monitor,
            "best": (min if lower_is_better(config.monitor) else max)(values, default=None),
            "collapsed": run.is_collapsed,
            "alerts": [{"sentence": each["sentence"], "advice": each["advice"]} for each in run.read_alerts()],
            "pictures": [epoch for epoch in range(len(rows) + 1) if run.picture_file(epoch).is_file()],
            "damage": "",
        }
    except (RunError, KeyError) as error:
        return {"name": run.path.name, "path": str(run.path), "state": "damaged", "damage": str(error)}


def history_of(run: RunFolder) -> dict[str, Any]:
    """Returns column -> values, an epoch each; None where there is none."""
    try:
        rows = run.read_history()
    except RunError as error:
        raise ServeError(409, str(error), code="damaged_run") from error
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [None if math.isnan(value := row.get(name, math.nan)) else value for row in rows] for name in names}
