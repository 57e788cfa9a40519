"""A data set that is read in the background, so that the page is there at once: how far it is, or what it asks."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.public.archive import is_archive, open_archive
from segbench.errors import DatasetError, SegbenchError
from segbench.locale import message
from segbench.serve.answers import ServeError
from segbench.studio.ways import Way, picture_of, ways_of

_LOG = logging.getLogger("segbench.serve")


class Reading:
    """One data set; `start` begins, `choose` answers what is asked.

    Args:
        way: folder, archive or manifest, and how it is read; None: there is none.

    Attributes:
        way: as it is read now; what was chosen stays chosen.
    """

    def __init__(self, way: Way | None) -> None:
        self._first = self.way = way
        self._manifest: Manifest | None = None
        self._error: SegbenchError | None = None
        self._question, self._ways = "", list[Way]()
        self._progress = ("", 0, 0)
        self._thread: threading.Thread | None = None
        self._asked = threading.Lock()

    def start(self) -> None:
        """Begins to read. What is being read is not begun again."""
        with self._asked:
            self._begin()

    def choose(self, command: str) -> None:
        """Answers the question, and reads.

        Args:
            command: of the way that is meant; empty: the question that was asked first is asked again.
        Raises:
            ServeError: 409, this is not asked (any more).
        """
        with self._asked:
            chosen = next((each for each in self._ways if each.command == command), None)
            chosen = chosen if command else self._first if self._error is not None else None
            if chosen is None:
                raise ServeError(409, message("this is not asked any more; look at the page again"), code="not_asked")
            self.way = chosen
            self._begin()

    def _begin(self) -> None:
        if self.way is None or (self._thread is not None and self._thread.is_alive()):
            return
        self._error = self._manifest = None
        self._ways = []
        self._thread = threading.Thread(target=self._read, args=(self.way,), name="reading", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Returns when it is read, or cannot be."""
        if self._thread is not None:
            self._thread.join()

    @property
    def manifest(self) -> Manifest:
        """The data set.

        Raises:
            ServeError: there is none, it is not read yet, or cannot be.
        """
        if self._manifest is not None:
            return self._manifest
        if self._error is not None:
            raise ServeError(409, str(self._error), code="unreadable_data")
        if self.way is None:
            raise ServeError(404, message("no data set was opened: segbench studio FOLDER"), code="no_data")
        raise ServeError(503, message("the data set is still being read"), code="reading", headers={"Retry-After": "1"})

    def state(self) -> dict[str, Any]:
        """Returns `state` (`none`, `reading`, `question`, `error` or `ready`), and what belongs to it."""
        if self.way is None or self._first is None:
            return {"state": "none"}
        chosen = {"chosen": self.way.command if self.way != self._first else ""}
        if self._manifest is not None:
            return {"state": "ready", "samples": len(self._manifest), **chosen}
        if self._error is None:
            what, done, total = self._progress
            return {"state": "reading", "what": what, "done": done, "total": total, **chosen}
        if not self._ways:
            return {"state": "error", "told": str(self._error), **chosen}
        choices = [
            {
                "command": each.command,
                "given": each.given,
                "told": each.told,
                "samples": each.samples,
                "classes": list(each.classes),
            }
            for each in self._ways
        ]
        return {"state": "question", "told": self._question, "choices": choices, **chosen}

    def picture(self, number: int) -> bytes | None:
        """Returns an image with its mask as a choice would read it (JPEG); None where none can be shown quickly."""
        ways = self._ways
        return picture_of(ways[number], _root(ways[number].path)) if 0 <= number < len(ways) else None

    def _read(self, way: Way) -> None:
        def progress(what: str, done: int, total: int) -> None:
            self._progress = (what, done, total)

        try:
            self._manifest = read_dataset(way.path, way.format, progress=progress, **way.options)
        except SegbenchError as error:
            self._question, self._ways = _asked(way, error)
            self._error = error
        except Exception as error:  # a thread's end is seen by nobody; the page says it  # noqa: BLE001
            _LOG.exception("%s could not be read", way.path)
            self._error = DatasetError(f"{type(error).__name__}: {error}", path=way.path)


def _asked(way: Way, error: SegbenchError) -> tuple[str, list[Way]]:
    try:
        return ways_of(way, _root(way.path), error)
    except Exception:  # as above: what went wrong first is told all the same  # noqa: BLE001
        _LOG.exception("%s: no choices were found", way.path)
        return "", []


def _root(path: Path) -> Path:
    return open_archive(path) if is_archive(path) else path
