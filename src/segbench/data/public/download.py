"""Downloads that go on where they were cut off, are checked, and end up as a folder that can be read."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from segbench.data.public.archive import unpack
from segbench.data.public.sets import PublicSet, RemoteFile
from segbench.errors import DatasetError
from segbench.files import locked, write_json
from segbench.speech import argument
from segbench.types import Progress

__all__ = ["Received", "fetch", "get_public"]

_CHUNK = 1 << 18
_TIMEOUT_S = 30.0
_WAITS_S = (1.0, 2.0, 4.0)  # before each new try; a try that brought something on begins them anew
_SPARE_BYTES = 1 << 26
_WAIT_AND_SEE = frozenset({408, 425, 429, 500, 502, 503, 504})
_CUT = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


@dataclass(frozen=True, kw_only=True)
class Received:
    """A file that is here.

    Attributes:
        path: where.
        sha256: of what came.
        checked: whether that is known to be right; else nobody published what it should be.
    """

    path: Path
    sha256: str
    checked: bool


def get_public(
    name: str, public: PublicSet, out: Path, *, progress: Progress | None = None
) -> tuple[Path, Sequence[Received]]:
    """Returns the folder of a public data set below `out`, and the archives it came in; what is there already is used.

    The archives are kept in `out/NAME.download`, also for those who have to bring them there themselves.

    Raises:
        DatasetError: no connection, a file that is gone or another one than expected, or an archive that is refused.
    """
    target, downloads = out / name, out / f"{name}.download"
    if target.is_dir():
        return target / public.folder, ()
    received = [fetch(file, downloads / file.name, page=public.page, progress=progress) for file in public.files]
    parts = out / f".{name}.unpacked"
    shutil.rmtree(parts, ignore_errors=True)
    try:
        for number, archive in enumerate(received):
            unpack(archive.path, parts / str(number), progress=progress)
        for number in range(1, len(received)):
            shutil.copytree(parts / str(number), parts / "0", dirs_exist_ok=True, copy_function=shutil.move)
        if not (parts / "0" / public.folder).is_dir():
            raise DatasetError(
                f"expected the folder {public.folder} in the archive, but it is not there; its makers may have changed "
                f"it, see {public.page}",
                path=received[0].path,
            )
        (parts / "0").rename(target)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    return target / public.folder, received


def fetch(
    file: RemoteFile,
    target: Path,
    *,
    page: str = "",
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Received:
    """Returns a file that was downloaded, or that was there already; half a file is continued, if it is the same one.

    Args:
        page: told to the user where the file cannot be had.
        progress: called with megabytes.
        sleep: waits before another try.
    Raises:
        DatasetError: no connection, no such file any more, too little space, or another size or checksum than known.
        OSError: the folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_name(f".{target.name}.lock")):
        if not target.is_file():
            _Download(file, target, page, progress, sleep).run()
        return _checked(file, target)


def _checked(file: RemoteFile, path: Path) -> Received:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    size = path.stat().st_size
    if file.sha256 is None and (file.size is None or size == file.size):
        return Received(path=path, sha256=found, checked=False)
    if found == file.sha256:
        return Received(path=path, sha256=found, checked=True)
    raise DatasetError(
        f"this is not the file that was expected from {file.url}: it has {size} bytes and SHA-256 {found}, expected "
        f"{'any number of' if file.size is None else file.size} bytes and SHA-256 {file.sha256 or 'unknown'}; delete "
        "it and run the same command again, and if it comes again like this, its makers have changed it",
        path=path,
    )


@dataclass
class _Download:
    """One file on its way: `NAME.part` holds what came, `NAME.part.json` which state of the remote file that is."""

    file: RemoteFile
    target: Path
    page: str
    progress: Progress | None
    sleep: Callable[[float], None]

    def __post_init__(self) -> None:
        self.part = self.target.with_name(f"{self.target.name}.part")
        self.note = self.target.with_name(f"{self.target.name}.part.json")

    def run(self) -> None:
        tries = 0
        while True:
            before = self._here()
            try:
                if self._receive():
                    break
                cut: Exception = ConnectionError("the connection was cut")
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in _WAIT_AND_SEE:
                    raise self._unavailable(f"the server answers {error.code} {error.reason}") from error
                cut = error
            except _CUT as error:
                cut = error
            tries = 0 if self._here() > before else tries
            if tries == len(_WAITS_S) or isinstance(getattr(cut, "reason", None), socket.gaierror):
                raise self._unavailable(str(getattr(cut, "reason", "") or cut or type(cut).__name__)) from cut
            self.sleep(_WAITS_S[tries])
            tries += 1
        self.part.replace(self.target)
        self.note.unlink(missing_ok=True)

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _receive(self) -> bool:
        """Receives what the server sends, and returns whether that is all."""
        here, validator = self._here(), str(self._note().get("validator") or "")
        headers = {"User-Agent": "segbench", "Accept-Encoding": "identity"}
        if here and validator:
            headers |= {"Range": f"bytes={here}-", "If-Range": validator}  # all of it, if it is another file by now
        try:
            request = urllib.request.Request(self.file.url, headers=headers)
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return self._store(answer, here if answer.status == 206 else 0)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            error.close()  # nothing behind what is here: it is all, or not what it should be
            whole = here == self._note().get("total")
            if not whole:
                self._forget()
            return whole

    def _store(self, answer: Any, start: int) -> bool:
        if answer.headers.get_content_type() == "text/html":
            raise self._unavailable("the server sends a web page instead of the file")
        if start and not str(answer.headers.get("Content-Range", "")).startswith(f"bytes {start}-"):
            self._forget()
            return False
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length is not None else self.file.size
        self._check_space(0 if total is None else total - start)
        validator = answer.headers.get("ETag", "")
        if not validator or validator.startswith("W/"):  # a weak one may not be used for a range
            validator = answer.headers.get("Last-Modified", "")
        write_json(self.note, {"url": self.file.url, "validator": validator, "total": total})
        with self.part.open("ab" if start else "wb") as stream:
            self._copy(answer, stream, start, total)
        return total is None or self._here() >= total

    def _copy(self, answer: IO[bytes], stream: IO[bytes], done: int, total: int | None) -> None:
        while chunk := answer.read(_CHUNK):
            stream.write(chunk)
            done += len(chunk)
            if self.progress is not None:
                self.progress(f"downloading {self.target.name}, MB", done >> 20, (total or done) >> 20)

    def _note(self) -> dict[str, Any]:
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # none, or cut off: then the file is begun anew
        return note if isinstance(note, dict) and note.get("url") == self.file.url else {}

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if needed + _SPARE_BYTES > free:
            raise DatasetError(
                f"{needed / 1e9:.2f} GB are to be downloaded and {free / 1e9:.2f} GB are free; free some space, or "
                f"choose a folder on another disk with {argument('out')}",
                path=self.target.parent,
            )

    def _unavailable(self, why: str) -> DatasetError:
        here = f" ({self._here() >> 20} MB of it are here and are kept)" if self._here() else ""
        page = f"; its page: {self.page}" if self.page else ""
        return DatasetError(
            f"cannot download {self.file.url}: {why}{here}. Run the same command again when there is a connection, or "
            f"bring the file from elsewhere, put it here under the name {self.target.name}, and run the same command "
            f"again{page}",
            path=self.target,
        )
