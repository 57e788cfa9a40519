"""What of a large prediction is done, so that the same command goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
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


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What a journal says.

    Attributes:
        out: folder of the predictions.
        entries: of each image, what `Journal.add` noted.
        end: what `Journal.finish` noted; None where something was begun after it, or nothing came to its end.
    """

    out: Path
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    end: Mapping[str, Any] | None = None

    def row_of(self, name: str, path: Path) -> dict[str, Any] | None:
        """Returns the row that was written of an image; None where there is none, the file is another one by now, or
        something that was written is gone."""
        entry = self.entries.get(name)
        if entry is None or entry["state"] != _state(path) or not self.has(entry["files"]):
            return None
        return dict(entry["row"])

    def has(self, files: Iterable[str]) -> bool:
        """Tells whether all of them are there; names below the folder."""
        return all((self.out / file).exists() for file in files)


class Journal:
    """The file `predicted.jsonl` in a folder of predictions: a line of JSON an image, written after its files, and one
    at the end of a call.

    A line that a killed process wrote half is none; its image is predicted again. See `opened_journal`.
    """

    def __init__(self, stream: IO[str], before: Noted) -> None:
        self._stream, self._out = stream, before.out
        self.before = before

    def add(self, name: str, path: Path, row: Mapping[str, Any], files: Iterable[Path] = ()) -> None:
        """Notes that all files of an image are written."""
        self._line({"name": name, "state": _state(path), "row": row, "files": self._below(files)})

    def finish(self, facts: Mapping[str, Any], files: Iterable[Path]) -> None:
        """Notes that the call came to its end, and what it wrote of all images together."""
        self._line({"end": {**facts, "files": self._below(files)}})

    def _below(self, files: Iterable[Path]) -> list[str]:
        return [file.relative_to(self._out).as_posix() for file in files]

    def _line(self, plain: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(plain, ensure_ascii=False) + "\n")
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
        before = Noted(out=out) if again else read_journal(out, key)
        with file.open("a" if before.entries else "w", encoding="utf-8", errors="surrogateescape") as stream:
            # A line of its own, since a killed process may have left half of one; an empty one is none.
            stream.write("\n" if before.entries else json.dumps({"key": key}) + "\n")
            yield Journal(stream, before)


def read_journal(out: Path, key: str | None = None) -> Noted:
    """Returns what the journal of a folder says; nothing where there is none, or it is of another key than one given.

    Whoever wrote may be at it still: then there is no end.
    """
    file = out / JOURNAL
    if not file.is_file():
        return Noted(out=out)
    first, *rest = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines() or [""]
    if key not in (None, _decoded(first).get("key")):
        return Noted(out=out)
    lines = [_decoded(line) for line in rest]
    entries = {line["name"]: line for line in lines if line.keys() >= {"name", "state", "row", "files"}}
    return Noted(out=out, entries=entries, end=lines[-1].get("end") if lines else None)


def _decoded(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _state(path: Path) -> list[int]:
    """Returns what tells that a file is the same; a list, as JSON gives it back."""
    return list(file_state(path))
