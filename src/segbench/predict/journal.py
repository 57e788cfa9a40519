"""What of a large prediction is done, so that the same command goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from segbench import __version__
from segbench.data.files.images import file_state
from segbench.errors import PredictionError
from segbench.files import locked

JOURNAL = "predicted.jsonl"
_LOCK = ".lock"


def journal_key(*parts: Mapping[str, Any] | str) -> str:
    """Returns what must be equal for results to be the same: a hash of everything that decides them but the image."""
    plain = json.dumps([__version__, *parts], sort_keys=True, default=str)
    return hashlib.sha256(plain.encode()).hexdigest()


class Journal:
    """The file `predicted.jsonl` in a folder of predictions: a line of JSON an image, written after its files.

    A line that a killed process wrote half is none; its image is predicted again. See `opened_journal`.
    """

    def __init__(self, stream: IO[str], finished: Mapping[str, Mapping[str, Any]]) -> None:
        self._stream, self._finished = stream, finished

    def row_of(self, name: str, path: Path) -> dict[str, Any] | None:
        """Returns the row that was written of an image whose file is still the same; None where there is none."""
        entry = self._finished.get(name)
        return None if entry is None or entry["state"] != _state(path) else dict(entry["row"])

    def add(self, name: str, path: Path, row: Mapping[str, Any]) -> None:
        """Notes that all files of an image are written."""
        line = json.dumps({"name": name, "state": _state(path), "row": row}, ensure_ascii=False)
        self._stream.write(line + "\n")
        self._stream.flush()


@contextmanager
def opened_journal(out: Path, key: str, *, again: bool = False) -> Iterator[Journal]:
    """Yields the journal of a folder, which no other process has meanwhile.

    Args:
        out: folder; made if missing.
        key: see `journal_key`; a journal of another key is begun anew.
        again: begin anew in any case.
    Raises:
        PredictionError: another process predicts into this folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = out / JOURNAL

    def refuse() -> None:
        raise PredictionError("another process writes predictions into this folder; wait, or give another", path=out)

    with locked(out / _LOCK, refuse):
        if file.is_file():
            for left in out.rglob(".*.tmp.*"):  # by a killed process; no other one writes here
                left.unlink()
        finished = {} if again else _read(file, key)
        with file.open("a" if finished else "w", encoding="utf-8", errors="surrogateescape") as stream:
            # A line of its own, since a killed process may have left half of one; an empty one is none.
            stream.write("\n" if finished else json.dumps({"key": key}) + "\n")
            yield Journal(stream, finished)


def _read(file: Path, key: str) -> dict[str, dict[str, Any]]:
    if not file.is_file():
        return {}
    first, *rest = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines() or [""]
    if _decoded(first).get("key") != key:
        return {}
    entries = (_decoded(line) for line in rest)
    return {entry["name"]: entry for entry in entries if entry.keys() >= {"name", "state", "row"}}


def _decoded(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _state(path: Path) -> list[int]:
    """Returns what tells that a file is the same; a list, as JSON gives it back."""
    return list(file_state(path))
