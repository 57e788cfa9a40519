"""What routes need of a request: its deadline, its files, and to notice that its client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from segbench.serve.answers import ServeError

_MOST_FILES = 64

T = TypeVar("T")


class ClientGone(ServeError):  # noqa: N818  # the field's word
    """Nobody reads the answer any more."""

    def __init__(self) -> None:
        super().__init__(499, "the client has gone", code="client_gone")


def deadline_of(request: Request) -> float:
    """Returns the time of the event loop after which the answer is of no use: what the settings say from when the
    request began, or what the client wants in the header `X-Timeout` (seconds), if that is less."""
    deadline: float = request.scope["state"]["deadline"]
    return deadline


def require_known_parameters(request: Request) -> None:
    """Raises ServeError where the address has a parameter that its route does not know, or one twice: whoever
    misspelt `threshold` would otherwise take the answer for one of that threshold."""
    known = [each.alias for each in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            told = f"there is no parameter {name[:40]!r} here; expected some of {', '.join(known)}"
            raise ServeError(422, told, code="bad_parameter")
        if len(request.query_params.getlist(name)) > 1:
            raise ServeError(422, f"{name} stands more than once in the address", code="bad_parameter")


async def answer_while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Returns what `work` gives; cancels it when the client has gone, so that its places are free again.

    Args:
        request: whose body has been read.
        work: what is done for it.
    Raises:
        ClientGone: it has gone.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@dataclass(frozen=True)
class SentFile:
    """A file that a client sent. Attributes: name, as the client calls it; never a path here; data."""

    name: str
    data: bytes


async def sent_files(request: Request) -> tuple[list[SentFile], dict[str, str]]:
    """Returns the files in a request's body, and the other fields of its form. Nothing is written to disk.

    A body that is no form with files is one file, whatever it says it is (`curl --data-binary` says it is a form).

    Raises:
        ServeError: a form that is damaged or has no file.
    """
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return [SentFile("image", body)], {}

    async def stream() -> AsyncIterator[bytes]:
        yield body

    parser = _InMemory(request.headers, stream(), max_files=_MOST_FILES, max_fields=_MOST_FILES)  # type: ignore[arg-type]
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ServeError(400, f"the form cannot be read: {error.message}", code="bad_form") from error
    files, fields = [], {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.append(SentFile(value.filename or name, await value.read()))
            await value.close()
        else:
            fields[name] = value
    if not files:
        told = "expected a file in the form, such as image=@photo.jpg, got none"
        raise ServeError(400, told, code="no_image")
    return files, fields


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 62  # bytes of a file that stay in memory; the body's limit is the guard's
