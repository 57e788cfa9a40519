"""Files of a form, written straight into a folder of their own, whatever a client calls them; never held in memory."""

from __future__ import annotations

import asyncio
import os
import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from segbench.data.formats import IMAGE_SUFFIXES
from segbench.serve.answers import ServeError

MOST_FILES = 10_000
_PART_BYTES = 1 << 20
_DRAIN_S = 5.0
_LOOK_BYTES = 64 << 20  # after so many it is looked again how much room there is
_LONGEST_NAME = 80  # bytes of a part: what is written beside it gets longer names
_DEEPEST = 4  # folders and the file
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?", re.IGNORECASE)  # no files, on Windows


class Body:
    """The body of a request, of any length; it is counted by nobody else (see `Guard`)."""

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        headers = request.headers
        self._is_whole = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"

    async def chunk(self) -> bytes | None:
        """Returns the next bytes; None at the end. ServeError where the client has gone."""
        if self._is_whole:
            return None
        message = await self._receive()
        self._is_whole = not message.get("more_body", False)
        if message["type"] != "http.request":
            raise ServeError(400, "the connection ended before the form did", code="damaged_form")
        return bytes(message.get("body", b""))

    async def part(self, within_s: float) -> bytes:
        """Returns about a megabyte; less at the end, nothing behind it. ServeError where it does not come in time."""
        found = bytearray()
        try:
            async with asyncio.timeout(within_s):
                while len(found) < _PART_BYTES and (chunk := await self.chunk()) is not None:
                    found += chunk
        except TimeoutError as error:
            told = f"expected at least 1 MB in {within_s:g} s; send it again, faster, or fewer files at once"
            raise ServeError(408, told, code="too_slow") from error
        return bytes(found)

    async def read_on(self) -> None:
        """Reads for a moment what nobody wants: a client who is still sending would not read why."""
        with suppress(TimeoutError, ServeError):
            async with asyncio.timeout(_DRAIN_S):
                while await self.chunk() is not None:
                    pass


async def receive_files(
    request: Request, body: Body, folder: Path, room: Callable[[], int], within_s: float
) -> list[str]:
    """Writes all files of a form below a folder and returns their names there, in the order in which they came.

    Args:
        request: whose body is `multipart/form-data`.
        body: of the request.
        folder: made if missing.
        room: how many bytes may still be written; asked before, and now and then meanwhile.
        within_s: each megabyte must come.
    Raises:
        ServeError: another body, a file that is no image by its name, too much, too slow, or a full disk.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        told = "expected files as multipart/form-data (curl -F files=@photo.jpg)"
        raise ServeError(415, told, code="no_form")
    sent = request.headers.get("content-length", "")
    form = _Form(folder, options[b"boundary"], room)
    if sent.isdecimal():
        form.require(int(sent[:20]))
    try:
        while part := await body.part(within_s):
            await asyncio.to_thread(form.write, part)
        form.finish()
    except FormParserError as error:
        raise ServeError(400, "the form is damaged, or was cut off", code="damaged_form") from error
    except OSError as error:
        raise ServeError(507, f"the files could not be kept ({error.strerror})", code="no_room") from error
    finally:
        form.close()
    if not form.names:
        raise ServeError(400, "expected at least one file, got none", code="no_image")
    return form.names


class _Form:
    """Takes the bytes of a form and writes its files. Attributes: names, of the files below the folder."""

    def __init__(self, folder: Path, boundary: bytes, room: Callable[[], int]) -> None:
        self.names: list[str] = []
        self._folder, self._room = folder, room
        self._left, self._since = room(), 0
        self._names = _Names()
        self._header = b"", b""
        self._disposition = b""
        self._file: BinaryIO | None = None
        self._is_skipped = self._is_whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._add_header(data[start:end], b""),
                "on_header_value": lambda data, start, end: self._add_header(b"", data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": lambda data, start, end: self._add(data[start:end]),
                "on_part_end": self._end,
                "on_end": self._all,
            },
        )

    def write(self, data: bytes) -> None:
        """Takes bytes; FormParserError where they are no form."""
        self._parser.write(data)

    def finish(self) -> None:
        """Raises FormParserError where the form was cut off."""
        self._parser.finalize()
        if not self._is_whole:
            raise FormParserError("there is no end")

    def close(self) -> None:
        """Closes the file that was written last."""
        if self._file is not None:
            self._file.close()

    def require(self, number: int) -> None:
        """Raises ServeError where there is no room for so many bytes."""
        if number > self._left:
            told = f"there is room for {self._left / 1e6:,.0f} MB of files"
            more = "delete jobs that are done, or wait until they are; send fewer files at once"
            raise ServeError(507, f"{told}; {more}", code="no_room")

    def _begin(self) -> None:
        self._disposition = b""

    def _add_header(self, name: bytes, value: bytes) -> None:
        self._header = self._header[0] + name, self._header[1] + value

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = b"", b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"filename" not in options:
            field = options.get(b"name", b"").decode("utf-8", "replace")[:40]
            told = f"expected files alone, got the field {field!r}; options go into the address (?model=NAME)"
            raise ServeError(400, told, code="unknown_field")
        self._is_skipped = not options[b"filename"]  # what a browser sends for a field without a file
        if self._is_skipped:
            return
        if len(self.names) == MOST_FILES:
            raise ServeError(413, f"expected at most {MOST_FILES:,} files in a job", code="too_many_files")
        name = self._names.new(options[b"filename"].decode("utf-8", "replace"))
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb")
        self.names.append(name)

    def _add(self, data: bytes) -> None:
        if self._is_skipped or self._file is None:
            return
        if self._since > _LOOK_BYTES:
            self._left, self._since = self._room(), 0
        self.require(len(data))
        self._left -= len(data)
        self._since += len(data)
        self._file.write(data)

    def _end(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def _all(self) -> None:
        self._is_whole = True


class _Names:
    """Gives each file a name of its own: also where upper and lower case are one, and where folders are in the way."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def new(self, given: str) -> str:
        name = safe_name(given)
        if PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            raise ServeError(415, f"expected image files ({kinds}), got {name!r}", code="no_image")
        if any(parent in self._taken for parent in _parents(name)):
            name = name.replace("/", "_")
        path, number = PurePosixPath(name), 1
        while name.lower() in self._taken | self._folders:
            number += 1
            name = str(path.with_name(f"{path.stem}_{number}{path.suffix}"))
        self._taken.add(name.lower())
        self._folders.update(_parents(name))
        return name


def _parents(name: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(name.lower()).parents]


def safe_name(given: str) -> str:
    """Returns what a file is called that a client calls so: a relative path that every system can have.

    Folders are kept (`a/1.png` and `b/1.png` are two), a way up or to the root is not; neither are control characters,
    devices of Windows, hidden files, or names so long that something else would be cut off.

    Example:
        >>> safe_name("../../etc/passwd"), safe_name("C:\\\\photos\\\\NUL.png"), safe_name("left eye/1.png")
        ('etc/passwd', 'C_/photos/_NUL.png', 'left eye/1.png')
    """
    parts = [_safe_part(part) for part in re.split(r"[/\\]", unicodedata.normalize("NFC", given))]
    return "/".join([part for part in parts if part][-_DEEPEST:]) or "file"


def _safe_part(part: str) -> str:
    seen = "".join(sign for sign in part if unicodedata.category(sign)[0] != "C")
    plain = re.sub(r'[<>:"|?*]', "_", seen).strip(" .")
    stem, dot, suffix = plain.rpartition(".")
    stem, suffix = (stem, f".{suffix}") if dot and len(suffix) < 8 else (plain, "")
    room = _LONGEST_NAME - len(suffix.encode())
    plain = stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") + suffix
    return f"_{plain}" if _DEVICES.fullmatch(plain) else plain
