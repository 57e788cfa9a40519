"""Commands that the page starts: each is a process of its own that goes on when the studio ends, and says what it does
into a log. What was started, and how it ended, stands in files, so that a studio that is started again knows it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segbench.files import write_json
from segbench.serve.answers import ServeError
from segbench.speech import in_shell
from segbench.studio.progress import progress_of

_LOG_BYTES = 20_000  # of a log's end that are shown
_INTERRUPTED = 130  # exit status of a command that was asked to end


@dataclass(frozen=True, kw_only=True)
class Task:
    """Attributes: id; what, in a word; arguments, of `segbench`; pid and born, which tell the process from a later one
    with its number; started, seconds since 1970; about, the run or study that it works on, where it does."""

    id: str
    what: str
    arguments: tuple[str, ...]
    pid: int
    born: str
    started: float
    about: str = ""

    @property
    def command(self) -> str:
        """What a person would type."""
        return " ".join(["segbench", *map(in_shell, self.arguments)])


class Tasks:
    """Starts commands, and knows those that were started.

    Args:
        folder: of their files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()  # a command may run in another folder
        self._ours: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, what: str, arguments: Sequence[str], *, cwd: Path, about: Path | None = None) -> Task:
        """Starts `segbench ARGUMENTS`; returns at once.

        Args:
            what: in a word, for people and programs: `train`, `export`.
            cwd: folder that paths in the arguments are meant from.
            about: folder of the run or the study that it works on.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{int(time.time())}-{secrets.token_hex(4)}"
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "segbench.studio.command", str(self._end(name)), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                start_new_session=True,
            )
        task = Task(
            id=name,
            what=what,
            arguments=tuple(arguments),
            pid=process.pid,
            born=_born(process.pid),
            started=time.time(),
            about="" if about is None else str(about),
        )
        write_json(self._folder / f"{name}.json", asdict(task))
        self._ours[name] = process
        return task

    def all(self) -> list[Task]:
        """Returns what was started, the latest first."""
        found = [self._read(path) for path in sorted(self._folder.glob("*.json"), reverse=True)]
        return [task for task in found if task is not None]

    def find(self, name: str) -> Task:
        """Returns a task by its id; ServeError 404 where there is none."""
        task = next((each for each in self.all() if each.id == name), None)
        if task is None:
            raise ServeError(404, f"there is no task {name!r}", code="unknown_task")
        return task

    def is_running(self, task: Task) -> bool:
        """Tells whether its process is there."""
        process = self._ours.get(task.id)
        if process is not None:
            return process.poll() is None
        return bool(task.born) and _born(task.pid) == task.born

    def running_on(self, folder: Path) -> Task | None:
        """Returns what works on a run or a study; None where nothing that was started here does."""
        return next((each for each in self.all() if each.about == str(folder) and self.is_running(each)), None)

    def stop(self, task: Task) -> None:
        """Asks it to end; what is finished is kept, and the same command goes on."""
        if self.is_running(task):
            os.kill(task.pid, signal.SIGTERM)

    def to_dict(self, task: Task, *, with_log: bool = False) -> dict[str, Any]:
        """Returns what the page shows; `killed`: it ended without a word, as by the system or with the machine."""
        running = self.is_running(task)
        status = None if running else self.status(task)
        shown = {
            "id": task.id,
            "what": task.what,
            "command": task.command,
            "about": Path(task.about).name,
            "running": running,
            "failed": status not in (None, 0, _INTERRUPTED),
            "stopped": status == _INTERRUPTED,
            "killed": not running and status is None,
            "started": task.started,
            "progress": progress_of(Path(task.about)) if task.about else None,
        }
        return shown | ({"log": self.log(task)} if with_log else {})

    def status(self, task: Task) -> int | None:
        """Returns the exit status of what has ended; None where it could not say one."""
        try:
            return int(self._end(task.id).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            process = self._ours.get(task.id)
            code = None if process is None else process.poll()
            return code if code is not None and code >= 0 else None

    def log(self, task: Task) -> str:
        """Returns the end of what it said."""
        file = self._log(task.id)
        if not file.is_file():
            return ""
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _LOG_BYTES))
            return stream.read().decode("utf-8", "replace")

    def _end(self, name: str) -> Path:
        return self._folder / f"{name}.end"

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _read(self, path: Path) -> Task | None:
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            return Task(**{**plain, "arguments": tuple(plain["arguments"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None  # it is being written, or damaged; the process goes on all the same


def _born(pid: int) -> str:
    """Returns when a process began, by which it is told from a later one with its number; empty where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]  # a zombie has ended, and nobody asked how
    except (OSError, IndexError):
        return ""
