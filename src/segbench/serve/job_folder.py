"""Jobs on the disk: a folder each, and files in it that say what was asked and how far it is. There is no database.

::

    JOBS/ID/job.json     what was asked; never changes
            state.json   how far it is; replaced as a whole
            cancel       is there when somebody wants it to end
            images/      what was sent, until the job is done
            out/         what `predict_files` writes
    JOBS/.new-ID/        is still being sent
    JOBS/.locks/         which a process holds as long as it works on a job; the system ends a lock with its process

Everything that a client may learn of a job is read from these files, so that several processes serve the same jobs, and
a new one goes on where a killed one stopped.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from segbench.errors import ConfigError
from segbench.files import locked, write_json
from segbench.predict.journal import JOURNAL
from segbench.predict.outputs import OutputOptions
from segbench.serve.answers import ServeError
from segbench.serve.settings import ServeSettings
from segbench.speech import argument
from segbench.types import SizePolicy

State: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})

KEPT_FREE_BYTES = 256 << 20  # of the disk, which jobs never take
MOST_JOBS = 1000
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_NEW, _LOCKS = ".new-", ".locks"
_OLD_LOCK_S = 3600.0


class Held(Exception):  # noqa: N818  # no error: somebody else is at it
    """Another thread or process works on it."""


class JobRequest(BaseModel):
    """What was asked, and when; see `predict_files` for the options."""

    model_config = ConfigDict(frozen=True)

    id: str
    model: str
    created: datetime
    images: tuple[str, ...]
    threshold: float | None = None
    policy: SizePolicy | None = None
    keep_uploads: bool = False
    options: OutputOptions = OutputOptions()


class JobState(BaseModel):
    """How far a job is.

    Attributes:
        version: counts every change, from 1.
        done: images (a page of a stack is one) that are through, with those that failed, of `total`.
        part: of the large image that is worked on, 0-1.
        failed: name of an image -> why it was not segmented.
        message: why it waits or failed as a whole; empty where there is nothing to say.
    """

    model_config = ConfigDict(frozen=True)

    version: int = 1
    state: State = "waiting"
    done: int = 0
    total: int
    part: float = 0.0
    failed: dict[str, str] = {}
    message: str = ""
    begun: datetime | None = None
    ended: datetime | None = None


class Job:
    """A job that was accepted.

    Attributes:
        folder: of its files.
        request: see `JobRequest`.
    """

    def __init__(self, folder: Path, request: JobRequest) -> None:
        self.folder, self.request = folder, request

    @property
    def id(self) -> str:
        """Its name, which nobody can guess."""
        return self.request.id

    @property
    def images(self) -> Path:
        """Folder of what was sent."""
        return self.folder / "images"

    @property
    def out(self) -> Path:
        """Folder of the results."""
        return self.folder / "out"

    @property
    def state(self) -> JobState:
        """How far it is now."""
        return JobState.model_validate_json((self.folder / "state.json").read_bytes())

    def note(self, **changes: object) -> JobState:
        """Changes its state; for whoever holds it (`JobFolder.holding`) alone."""
        before = self.state
        after = before.model_copy(update={**changes, "version": before.version + 1})
        write_json(self.folder / "state.json", after.model_dump(mode="json"))
        return after

    def is_cancelled(self) -> bool:
        """Whether somebody wants it to end."""
        return (self.folder / "cancel").exists()

    def cancel(self) -> None:
        """Says that it is to end."""
        (self.folder / "cancel").touch()

    def end(self, state: State, message: str = "") -> None:
        """Notes that it ended, and takes away what is needed no more; for whoever holds it alone."""
        self.note(state=state, message=message, ended=now(), part=0.0)
        self.tidy()

    def tidy(self) -> None:
        """Takes away the uploads of a job that is through."""
        if not self.request.keep_uploads:
            shutil.rmtree(self.images, ignore_errors=True)

    def results(self) -> dict[str, Path]:
        """Returns name -> file of what a client may have: finished files, but for notes of ours."""
        found = sorted(path for path in self.out.rglob("*") if path.is_file())
        names = {path.relative_to(self.out).as_posix(): path for path in found}
        return {name: path for name, path in names.items() if _is_result(name)}

    def result(self, name: str) -> Path | None:
        """Returns one of `results`; None where there is no such."""
        path = self.out.joinpath(*name.split("/")) if _is_result(name) else None
        return path if path is not None and path.is_file() else None


def _is_result(name: str) -> bool:
    """Tells whether a name may be one of a result's: no way out of the folder, nothing hidden, no notes of ours."""
    parts = name.split("/")
    return name != JOURNAL and not any(not part or part[0] == "." or set(part) & set("\\:\0") for part in parts)


class JobFolder:
    """The jobs in a folder.

    Args:
        root: made if missing, for this user alone.
        most_bytes: that all jobs together may have, uploads and results.
        keep_hours: after a job's end, until it is taken away.
    Raises:
        ConfigError: nothing can be written there.
    """

    def __init__(self, root: Path, *, most_bytes: int, keep_hours: float) -> None:
        self.root, self.most_bytes, self.keep_hours = root, most_bytes, keep_hours
        self._known: dict[str, Job] = {}  # what was asked never changes, so it is read once
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            (root / _LOCKS).mkdir(mode=0o700, exist_ok=True)
            (root / _LOCKS / "written").touch()
        except OSError as error:
            told = f"{root} cannot be written ({error.strerror}) by user {os.getuid() if os.name == 'posix' else ''}"
            raise ConfigError(
                f"{told.rstrip()}; give another folder, or change its owner", key=argument("jobs")
            ) from error

    @classmethod
    def of(cls, settings: ServeSettings) -> JobFolder | None:
        """Returns the folder of a server; None where it is to have no jobs."""
        if settings.jobs is None:
            return None
        return cls(settings.jobs, most_bytes=settings.jobs_bytes, keep_hours=settings.jobs_hours)

    def jobs(self) -> list[Job]:
        """Returns all that were accepted, the first that came first."""
        names = [path.name for path in self.root.iterdir() if _ID.fullmatch(path.name)]
        found = [job for job in map(self._found, names) if job is not None]
        return sorted(found, key=lambda job: (job.request.created, job.id))

    def job(self, name: str) -> Job:
        """Returns the job of an id; ServeError 404 where there is no such."""
        found = self._found(name) if _ID.fullmatch(name) else None
        if found is None:
            told = f"there is no such job; results are kept {self.keep_hours:g} hours after a job's end"
            raise ServeError(404, told, code="unknown_job")
        return found

    def _found(self, name: str) -> Job | None:
        folder = self.root / name
        if name not in self._known:
            try:
                request = JobRequest.model_validate_json((folder / "job.json").read_bytes())
            except (OSError, ValidationError):  # none, or not ours
                return None
            self._known[name] = Job(folder, request)
        if not (folder / "state.json").is_file():
            self._known.pop(name, None)
            return None
        return self._known[name]

    @contextmanager
    def holding(self, name: str, wait_s: float = 0.0) -> Iterator[None]:
        """Works on a job (or something else of a name) alone.

        Raises:
            Held: somebody else does, and did so for `wait_s`.
        """
        ends = now() + timedelta(seconds=wait_s)

        def refuse() -> None:
            if now() >= ends:
                raise Held

        with locked(self.root / _LOCKS / name, refuse):
            yield

    @contextmanager
    def receiving(self) -> Iterator[Path]:
        """Yields a new folder that nobody sees; it is gone afterwards, unless `accept` made a job of it."""
        name = secrets.token_urlsafe(16)
        folder = self.root / f"{_NEW}{name}"
        with self.holding(name):
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def accept(self, folder: Path, asked: JobRequest) -> Job:
        """Returns the job that a received folder becomes; from now on it survives the server's end."""
        name = folder.name.removeprefix(_NEW)
        request = asked.model_copy(update={"id": name, "created": now()})
        write_json(folder / "job.json", request.model_dump(mode="json"))
        write_json(folder / "state.json", JobState(total=len(request.images)).model_dump(mode="json"))
        folder.rename(self.root / name)
        return self.job(name)

    def remove(self, job: Job) -> None:
        """Takes a job's files away; for whoever holds it alone."""
        (job.folder / "state.json").unlink(missing_ok=True)  # first: from now on there is no such job
        self._known.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def tidy(self) -> None:
        """Takes away what is older than it is kept, and what a killed process left."""
        for path in list(self.root.iterdir()):
            name = path.name.removeprefix(_NEW)
            if not _ID.fullmatch(name):
                continue
            job = self._found(name) if path.name == name else None
            with suppress(Held), self.holding(name):
                if job is None:  # an upload that was cut off, or half removed
                    shutil.rmtree(path, ignore_errors=True)
                elif (state := job.state).ended is not None:
                    job.tidy()
                    if now() - state.ended > timedelta(hours=self.keep_hours):
                        self.remove(job)
        for lock in (self.root / _LOCKS).iterdir():
            is_needed = any((self.root / f"{new}{lock.name}").exists() for new in ("", _NEW))
            if not is_needed and time.time() - lock.stat().st_mtime > _OLD_LOCK_S:  # no upload that is just beginning
                lock.unlink(missing_ok=True)

    def room(self) -> int:
        """Returns how many bytes may still be written: of what jobs may have, and of the disk."""
        free = shutil.disk_usage(self.root).free - KEPT_FREE_BYTES
        return max(0, min(self.most_bytes - size_of(self.root), free))


def size_of(folder: Path) -> int:
    """Returns the bytes of all files below a folder, some of which may vanish meanwhile."""
    total = 0
    waiting = [str(folder)]
    while waiting:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    with suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_size
    return total


def now() -> datetime:
    """Returns the time, as it is written."""
    return datetime.now(UTC)
