"""The drawings of a data set, kept by their hash, so that a sample is drawn without reading its annotation file again.

The file in the cache folder may be deleted at any time: it is filled anew from the annotation files.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from segbench.data.shapes.drawing import Painting
from segbench.files import cache_folder


class DrawingStore:
    """Paintings by SHA-256, for one data set."""

    def __init__(self, root: Path) -> None:
        digest = hashlib.sha256(str(root).encode()).hexdigest()[:24]
        self.path = cache_folder() / "drawings" / f"{digest}.sqlite"

    def add(self, paintings: Iterable[Painting]) -> None:
        """Stores paintings that are not there yet; OSError where that cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = [(painting.sha256, zlib.compress(painting.to_json().encode(), 1)) for painting in paintings]
        try:
            self._write(rows)
        except sqlite3.OperationalError as error:
            raise OSError(f"cannot write {self.path}: {error}") from error
        except sqlite3.DatabaseError:
            self.path.unlink(missing_ok=True)  # damaged: it is only a memory
            self._write(rows)

    def get(self, sha256: str) -> Painting | None:
        """Returns the painting with this hash, or None where it is not stored (any more), or not readable."""
        if not self.path.is_file():
            return None
        try:
            with closing(self._connect()) as connection:
                row = connection.execute("SELECT body FROM drawings WHERE sha256 = ?", (sha256,)).fetchone()
            painting = None if row is None else Painting.from_json(zlib.decompress(row[0]).decode())
        except (sqlite3.DatabaseError, zlib.error, ValueError, KeyError, TypeError):
            return None  # damaged or half written: the caller writes it anew
        return painting if painting is not None and painting.sha256 == sha256 else None

    def _write(self, rows: Iterable[tuple[str, bytes]]) -> None:
        with closing(self._connect()) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS drawings (sha256 TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID")
            connection.executemany("INSERT OR REPLACE INTO drawings VALUES (?, ?)", rows)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30.0)
