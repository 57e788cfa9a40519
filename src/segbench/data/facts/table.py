"""A table of facts about files, kept in one SQLite file in the cache folder."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

_VERSION = 3
_WRITE_EVERY_S, _WRITE_EVERY = 5.0, 2000  # whichever comes first; the second bounds the memory
_PER_QUERY = 500

Name = TypeVar("Name", str, Path)
Row = tuple[int, int, str]  # bytes, modification time, facts as JSON


class Memory:
    """A table of facts in a file; when that cannot be used, everything is read again and a reason is kept.

    Threads may put at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[tuple[str, str, int, int, str]] = []
        self._written = time.monotonic()
        self._trouble: str | None = None
        self._lock = threading.Lock()

    def get(self, kind: str, keys: Sequence[str]) -> dict[str, Row]:
        """Returns key -> (bytes, modification time, facts as JSON) of the keys that are known."""
        with self._lock:
            self._flush()
        if not self.path.is_file():
            return {}
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, size, mtime_ns, body FROM facts WHERE kind = ? AND key IN ({marks})"
        try:
            with closing(sqlite3.connect(self.path, timeout=30.0)) as connection:
                if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                    raise sqlite3.DatabaseError("another version")
                rows = connection.execute(query, (kind, *keys))
                return {key: (size, mtime_ns, body) for key, size, mtime_ns, body in rows}
        except sqlite3.OperationalError:
            return {}  # not readable now; what is found is still used, and saving says why
        except sqlite3.DatabaseError:
            self.path.unlink(missing_ok=True)  # damaged, or of another version: only a memory
            return {}

    def put(self, kind: str, key: str, size: int, mtime_ns: int, body: str) -> None:
        """Remembers a row; it is written with others, at the latest when the table is closed."""
        with self._lock:
            self._pending.append((kind, key, size, mtime_ns, body))
            if time.monotonic() - self._written > _WRITE_EVERY_S or len(self._pending) > _WRITE_EVERY:
                self._flush()

    def close(self) -> str | None:
        """Writes what is pending; returns why that was not possible, or None."""
        with self._lock:
            self._flush()
        return self._trouble

    def _flush(self) -> None:
        self._written = time.monotonic()
        if not self._pending or self._trouble is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=30.0)) as connection, connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS facts (kind TEXT, key TEXT, size INTEGER, mtime_ns INTEGER, body TEXT, "
                    "PRIMARY KEY (kind, key)) WITHOUT ROWID"
                )
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", self._pending)
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            self._trouble = (
                f"what was found could not be remembered in {self.path.parent} ({reason or error}); set "
                "SEGBENCH_CACHE to a folder that can be written"
            )
        self._pending.clear()


def batches(items: list[Name]) -> Iterator[list[Name]]:
    """Yields the items, as many at a time as one question to the database may name."""
    for start in range(0, len(items), _PER_QUERY):
        yield items[start : start + _PER_QUERY]
