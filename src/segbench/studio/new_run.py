"""A training that is about to be started: the config that suits the data, changed in a form or as text, and checked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segbench.config.run import RunConfig, parse_config
from segbench.config.text import change_yaml, line_of, parse_yaml
from segbench.data.manifest.manifest import Manifest
from segbench.doctor.run import examine_manifest
from segbench.errors import ConfigError, SegbenchError
from segbench.files import write_text
from segbench.folders.run import RunFolder
from segbench.locale import Message, message, plural
from segbench.serve.answers import ServeError
from segbench.speech import in_shell
from segbench.studio.fields import values_of
from segbench.studio.place import Place
from segbench.studio.tasks import Task, Tasks
from segbench.train.check import check_config, check_task
from segbench.train.config_template import config_template
from segbench.types import Progress

LEAST_FREE = 1 << 30  # bytes: checkpoints, decoded images and masks of a usual training


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A config as it stands in the form.

    Attributes:
        yaml: its text.
        values: see `values_of`.
        config: checked; None where something is wrong.
        error: what is wrong; empty where nothing is.
        key, line: where, if that is known; line from 1, else 0.
    """

    yaml: str
    values: dict[str, str]
    config: RunConfig | None
    error: str = ""
    key: str = ""
    line: int = 0


def first_draft(place: Place, progress: Progress | None = None) -> str:
    """Returns what `segbench config new` would write for the data set, with a folder that is free for the training."""
    manifest, data = place.manifest, place.path
    assert data is not None, "a data set is open"
    checkup = examine_manifest(manifest, progress=progress)
    text = config_template(
        manifest, data, f"configs/{_file_name(data.stem)}.yaml", checkup.suggestions, checkup.choices
    )
    first = Path(str(parse_yaml(text)[0]["output"]))
    free, number = first, 1
    while (place.work / free).exists():
        number += 1
        free = first.with_name(f"{first.name}-{number}")
    return text if free == first else change_yaml(text, {"output": str(free)})


def drafted(place: Place, manifest: Manifest, text: str, changes: Mapping[str, str]) -> Draft:
    """Returns a config with changes, and what is wrong with it: in itself, with the data, or with where it would go."""
    try:
        if changes:
            text = change_yaml(text, changes)
        plain, lines = parse_yaml(text)
    except ConfigError as error:
        return Draft(yaml=text, values={}, config=None, error=error.reason, key=error.key, line=error.line)
    values = values_of(plain)
    try:
        config = parse_config(plain, lines=lines)
        check_config(config)
        check_task(config, manifest.class_map.task)
        _require_free(place, config)
    except ConfigError as error:
        line = error.line or line_of(tuple(error.key.split(".")), lines)
        return Draft(yaml=text, values=values, config=None, error=error.reason, key=error.key, line=line)
    except SegbenchError as error:
        return Draft(yaml=text, values=values, config=None, error=str(error))
    return Draft(yaml=text, values=values, config=config)


def notes_of(place: Place, tasks: Tasks) -> list[Message]:
    """Returns what a person should know before a training starts."""
    notes = []
    running = sum(run.is_locked() for run in place.runs())
    if running:
        notes.append(
            plural(
                "{n} training is running here; both will be slower",
                "{n} trainings are running here; all will be slower",
                n=running,
            )
        )
    free = free_bytes(place.work)
    if free < LEAST_FREE:
        notes.append(_full(free))
    return notes


def file_of(place: Place, config: RunConfig) -> Path:
    """Returns where the config of a training is written, relative to `Place.work`."""
    return Path("configs") / f"{_file_name(config.run_folder.name)}.yaml"


def command_of(place: Place, config: RunConfig) -> str:
    """Returns what a person would type in `Place.work`."""
    return f"segbench train {in_shell(file_of(place, config))}"


def started(place: Place, tasks: Tasks, draft: Draft) -> Task:
    """Writes the config and starts its training.

    Raises:
        ServeError: 422, something is wrong with it; 409, it was started already; 507, the disk is full.
    """
    if draft.config is None:
        where = f"{draft.key}: " if draft.key else ""
        raise ServeError(422, f"{where}{draft.error}", code="bad_config")
    free = free_bytes(place.work)
    if free < LEAST_FREE:
        raise ServeError(507, _full(free), code="disk_full")
    folder = place.work / draft.config.run_folder
    if tasks.running_on(folder) is not None:
        raise ServeError(409, message("this training was started already"), code="running")
    file = place.work / file_of(place, draft.config)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, draft.yaml)
    arguments = ["train", str(file.relative_to(place.work))]
    return tasks.start("train", arguments, cwd=place.work, about=folder)


def free_bytes(folder: Path) -> int:
    """Returns what is free on the disk of a folder that may not be there yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _full(free: int) -> Message:
    return message(
        "the disk is nearly full: {free:.1f} GB are free, and a training needs about {needed:.0f} GB; free space first",
        free=free / 1e9,
        needed=LEAST_FREE / 1e9,
    )


def _require_free(place: Place, config: RunConfig) -> None:
    """Raises ConfigError where something lies in the folder that a training would go into."""
    folder = place.work / config.run_folder
    if RunFolder(folder).is_run:
        told = message("there is a training in {folder} already; choose another name", folder=str(config.run_folder))
        raise ConfigError(told, key="output")
    if folder.exists() and (not folder.is_dir() or any(each.name != ".lock" for each in folder.iterdir())):
        told = message("{folder} is there already, and not empty; choose another name", folder=str(config.run_folder))
        raise ConfigError(told, key="output")


def _file_name(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in name).lstrip(".-") or "training"
