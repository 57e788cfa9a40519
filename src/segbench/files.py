"""Files written all or nothing, one process at a time in a folder, and where the cache is."""

from __future__ import annotations

import csv
import json
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_POLL_S = 0.1
_LONG_NAME = 180


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is flushed to the disk and renamed over `path`.

    Raises:
        OSError: the folder cannot be written, or the disk is full; `path` is then as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name
    if len(os.fsencode(name)) > _LONG_NAME:  # a file's name may have 255 bytes, the temporary one's, too
        name = f"{name[:40]}-{zlib.crc32(os.fsencode(name)):08x}"
    temporary = path.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text, all or nothing; what is no Unicode in a file's name becomes an escape (`\\udcff`)."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | Path, value: Any) -> None:
    """Writes readable JSON, all or nothing; NaN becomes null, since JSON has no NaN."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Returns readable JSON of plain values, keys in their order; NaN becomes null, since JSON has no NaN."""
    return json.dumps(_without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a table, all or nothing."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def cache_folder() -> Path:
    """Returns `$SEGBENCH_CACHE`, or `~/.cache/segbench`; the folder need not exist yet and may be deleted any time."""
    chosen = os.environ.get("SEGBENCH_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "segbench"


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds the lock of file `path` (made if missing, kept afterwards).

    A lock of a process that was killed is free at once: the operating system ends it with the process, so there is no
    stale lock to recognise. Threads of one process exclude each other too.

    Args:
        waiting: called about ten times a second while somebody else holds the lock.
    Raises:
        OSError: the file cannot be opened for writing.
    """
    with path.open("a+b") as stream:
        while not _try_lock(stream):
            if waiting is not None:
                waiting()
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            _unlock(stream)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(stream: IO[bytes]) -> bool:
        stream.seek(0)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(stream: IO[bytes]) -> None:
        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(stream: IO[bytes]) -> bool:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(stream: IO[bytes]) -> None:
        fcntl.flock(stream, fcntl.LOCK_UN)
