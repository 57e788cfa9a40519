"""What was found in files, on disk rather than in memory: a data set may have more files than memory has room for."""

from __future__ import annotations

import marshal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

Value = TypeVar("Value")

_LENGTH_BITS = 32
_AHEAD = 64 * 1024  # bytes that are read at once, as values are mostly asked for in order


class Held(Mapping[Path, Value], Generic[Value]):
    """Path -> what was found there, made anew each time it is asked for; in the order in which it was put.

    It lies in a temporary file without a name, which is gone with this object or its process; memory holds only where
    each value begins. What the disk has no room for is held in memory.

    Args:
        folder: of the temporary file.
        plain: value -> whole numbers, text, and tuples, lists and mappings of such.
        parse: the way back.
    """

    def __init__(self, folder: Path, plain: Callable[[Value], Any], parse: Callable[[Any], Value]) -> None:
        self._folder, self._plain, self._parse = folder, plain, parse
        self._places: dict[Path, int | bytes] = {}
        self._file: IO[bytes] | None = None
        self._end = 0
        self._ahead, self._ahead_from = b"", 0  # a part of the file, and where it begins
        self._lock = threading.Lock()

    def put(self, path: Path, value: Value) -> None:
        """Holds a value; a path is put once."""
        blob = marshal.dumps(self._plain(value))
        with self._lock:
            self._places[path] = blob if self._written(blob) is None else (self._end << _LENGTH_BITS) | len(blob)
            self._end += len(blob)

    def __getitem__(self, path: Path) -> Value:
        place = self._places[path]
        if isinstance(place, bytes):
            return self._parse(marshal.loads(place))  # written by this process
        with self._lock:
            blob = self._read(place >> _LENGTH_BITS, place & ((1 << _LENGTH_BITS) - 1))
        return self._parse(marshal.loads(blob))

    def __contains__(self, path: object) -> bool:
        return path in self._places

    def __iter__(self) -> Iterator[Path]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def _read(self, start: int, length: int) -> bytes:
        begin = start - self._ahead_from
        if begin < 0 or begin + length > len(self._ahead):
            assert self._file is not None, "something was written"
            self._file.seek(start)
            self._ahead, self._ahead_from, begin = self._file.read(max(length, _AHEAD)), start, 0
        return self._ahead[begin : begin + length]

    def _written(self, blob: bytes) -> int | None:
        """Writes at the end; returns None where that was not possible."""
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._folder, prefix="facts-", buffering=0)  # noqa: SIM115
            self._file.seek(self._end)
            return len(blob) if self._file.write(blob) == len(blob) else None
        except OSError:
            return None
