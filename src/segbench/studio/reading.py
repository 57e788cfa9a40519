"""A data set that is read in the background, so that the page is there at once: how far it is, or what it asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.errors import ChoiceError, DatasetError, SegbenchError
from segbench.locale import message
from segbench.serve.answers import ServeError

_LOG = logging.getLogger("segbench.serve")


class Reading:
    """One data set; `start` begins, and may be called again with an answer.

    Args:
        path: folder, archive or manifest; None: there is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._manifest: Manifest | None = None
        self._error: SegbenchError | None = None
        self._options: dict[str, Any] = {}
        self._progress = ("", 0, 0)
        self._thread: threading.Thread | None = None
        self._asked = threading.Lock()

    def start(self, options: Mapping[str, Any] | None = None) -> None:
        """Begins to read; `options` are added to those of before. What is being read is not begun again."""
        with self._asked:
            if self._path is None or (self._thread is not None and self._thread.is_alive()):
                return
            self._options |= options or {}
            self._error = self._manifest = None
            self._thread = threading.Thread(target=self._read, name="reading", daemon=True)
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
        if self._path is None:
            raise ServeError(404, message("no data set was opened: segbench studio FOLDER"), code="no_data")
        raise ServeError(503, message("the data set is still being read"), code="reading", headers={"Retry-After": "1"})

    def state(self) -> dict[str, Any]:
        """Returns `state` (`none`, `reading`, `question`, `error` or `ready`), and what belongs to it."""
        if self._path is None:
            return {"state": "none"}
        if self._manifest is not None:
            return {"state": "ready", "samples": len(self._manifest)}
        error = self._error
        if isinstance(error, ChoiceError):
            return {
                "state": "question",
                "told": error.reason,
                "option": error.option,
                "choices": [{"value": value, "told": told} for value, told in error.choices.items()],
            }
        if error is not None:
            return {"state": "error", "told": str(error)}
        what, done, total = self._progress
        return {"state": "reading", "what": what, "done": done, "total": total}

    def _read(self) -> None:
        assert self._path is not None

        def progress(what: str, done: int, total: int) -> None:
            self._progress = (what, done, total)

        try:
            self._manifest = read_dataset(self._path, progress=progress, **self._options)
        except SegbenchError as error:
            self._error = error
        except Exception as error:  # a thread's end is seen by nobody; the page says it  # noqa: BLE001
            _LOG.exception("%s could not be read", self._path)
            self._error = DatasetError(f"{type(error).__name__}: {error}", path=self._path)
