"""Work that takes longer than an answer may: begun once for what is asked, and asked after again until it is there."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

from segbench.errors import SegbenchError
from segbench.types import Progress

Work: TypeAlias = Callable[[Progress], Any]
_KEPT = 16


@dataclass(kw_only=True)
class _Job:
    thread: threading.Thread | None = None
    what: str = ""
    done: int = 0
    total: int = 0
    value: Any = None
    told: str | None = None

    @property
    def has_ended(self) -> bool:
        return self.thread is not None and not self.thread.is_alive()


class Background:
    """Remembers the last answers. Safe with several threads; one piece of work at a time, since there is one person."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._asked, self._turn = threading.Lock(), threading.Lock()

    def ask(self, key: Hashable, work: Work, *, anew: bool = False) -> dict[str, Any]:
        """Returns `state`: `working` with what, done and total; `ready` with the value; `error` with what is told.

        Args:
            key: of what is asked; the same key is worked on once.
            work: is told a function to say how far it is; what it cannot do is tried again when it is asked next.
            anew: begin again, where it is there already.
        """
        with self._asked:
            job = self._jobs.get(key)
            if job is None or (anew and job.has_ended):
                job = self._jobs[key] = _Job()
                job.thread = threading.Thread(target=self._run, args=(job, work), name="background", daemon=True)
                job.thread.start()
            self._jobs.move_to_end(key)
            if not job.has_ended:
                return {"state": "working", "what": job.what, "done": job.done, "total": job.total}
            if job.told is not None:
                self._jobs.pop(key)
                return {"state": "error", "told": job.told}
            for old in [each for each, there in self._jobs.items() if there.has_ended][:-_KEPT]:
                self._jobs.pop(old)
            return {"state": "ready", "value": job.value}

    def _run(self, job: _Job, work: Work) -> None:
        def progress(what: str, done: int, total: int) -> None:
            job.what, job.done, job.total = what, done, total

        with self._turn:
            try:
                job.value = work(progress)
            except (SegbenchError, OSError, RuntimeError, ValueError) as error:
                job.told = str(error)
