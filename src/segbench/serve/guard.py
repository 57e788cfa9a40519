"""Who may ask, and how much a request may bring: judged before any route sees it.

One layer around the application. In order: the name in `Host` (a page elsewhere may point a name of its own at this
machine), the page's `Origin` where a request changes something, the token, the size and the pace of the body. It also
adds the headers of safe answers, writes a line a request (never what stands behind `?`), and says of what went wrong
inside nothing but where the log tells it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segbench.serve.answers import ServeError, error_answer
from segbench.serve.batching import QueueFull
from segbench.serve.settings import ServeSettings, is_loopback

OPEN_PATHS = frozenset(  # answered without a token: they say whether the server lives, and nothing else
    ("/health", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready")
)
JOBS_PATH = "/v1/jobs"
_FOR_PEOPLE = ("/docs", "/openapi.json")  # a browser asks for the token there
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
}
_BODIES = 8  # times the largest body: what all requests together may have in memory
_DRAIN_S, _DRAIN_TIMES = 5.0, 2  # how long, and times the largest body, a refused one is read on, so that the client
# who is still sending gets to read why
_LOG = logging.getLogger("segbench.serve")


class Guard:
    """A layer around an ASGI application.

    Args:
        app: what is guarded.
        settings: see `ServeSettings`.
        stopping: set when the server is told to stop; connections are closed after their answer then.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, stopping: asyncio.Event) -> None:
        self._app, self._settings, self._stopping = app, settings, stopping
        self._held = 0  # bytes of bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or passes the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Guarded(self, scope, receive, send)
        try:
            await request.answer()
        finally:
            self._held -= request.received

    def hold(self, size: int) -> None:
        """Counts bytes of a body in; QueueFull where all requests together have too many."""
        self._held += size
        if self._held > _BODIES * self._settings.most_bytes:
            raise QueueFull(1.0, "too many uploads are under way")

    def require_known(self, scope: Scope) -> None:
        """Raises ServeError where a request has no business here."""
        headers = list(_pairs(scope))
        hosts = [value for name, value in headers if name == "host"]
        for host in hosts:
            if not self._is_ours(host):
                told = f"this server is not known as {_name(host)[:100]!r}; if it is, start it with --allow-host"
                raise ServeError(403, told, code="unknown_host")
        if scope["method"] not in _SAFE_METHODS:
            self._require_own_origin(headers, hosts)
        if self._settings.token is not None and scope["path"] not in OPEN_PATHS:
            given = [value for name, value in headers if name == "authorization"]
            if len(given) != 1 or not _is_token(given[0], self._settings.token):
                basic = scope["path"] in _FOR_PEOPLE
                told = "expected the header Authorization: Bearer TOKEN with the token of this server"
                raise ServeError(
                    401,
                    told + ("; the one that came is another" if given else ""),
                    code="wrong_token" if given else "no_token",
                    headers={"WWW-Authenticate": f'{"Basic" if basic else "Bearer"} realm="segbench"'},
                )

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        known = self._settings.hosts
        if self._settings.token is not None and not known:
            return True
        return is_loopback(name) or name in {each.lower().rstrip(".") for each in known}

    def _require_own_origin(self, headers: list[tuple[str, str]], hosts: list[str]) -> None:
        origins = [value for name, value in headers if name == "origin"]
        sites = [value for name, value in headers if name == "sec-fetch-site"]
        allowed = self._settings.origins
        for origin in origins:
            if origin not in allowed and [urlsplit(origin).netloc.lower()] != [each.lower() for each in hosts]:
                told = f"pages of {origin[:100]!r} may not ask this server; if they should, start it with --origin"
                raise ServeError(403, told, code="foreign_origin")
        if "cross-site" in sites and not origins:
            raise ServeError(403, "pages of other sites may not ask this server", code="foreign_origin")

    @property
    def settings(self) -> ServeSettings:
        """See `ServeSettings`."""
        return self._settings

    @property
    def is_stopping(self) -> bool:
        """Whether the server was told to stop."""
        return self._stopping.is_set()

    @property
    def app(self) -> ASGIApp:
        """What is guarded."""
        return self._app


class _Guarded:
    """One request on its way through the guard."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard, self._scope, self._receive, self._send = guard, scope, receive, send
        given = next((value for name, value in _pairs(scope) if name == "x-request-id"), "")
        self._id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self._began = time.perf_counter()
        self._ends = asyncio.get_running_loop().time() + guard.settings.timeout_s
        # A body that nobody reads, and of which more may come, ends the connection.
        self._complete = not any(name == "transfer-encoding" or _length(name, value) for name, value in _pairs(scope))
        self._refused: ServeError | None = None
        self._status = 0
        self._swallow = False
        # The files of a job go to the disk, and have limits of their own.
        self._is_job = guard.settings.jobs is not None and (scope["method"], scope["path"]) == ("POST", JOBS_PATH)
        self.received = 0

    async def answer(self) -> None:
        state = self._scope.setdefault("state", {})
        state["request_id"] = self._id
        try:
            self._guard.require_known(self._scope)
            state["deadline"] = self._ends = self._deadline()
            self._require_small()
            await self._guard.app(self._scope, self._take, self._give)
        except ServeError as error:
            await self._refuse(error)
        except asyncio.CancelledError:
            self._status = self._status or 499
            raise
        except Exception:
            _LOG.exception("request %s failed", self._id)
            if self._status:
                raise  # the server cuts the connection, so that nobody takes half an answer for a whole one
            told = "something went wrong here, not with your request; the server's log says what, under"
            await self._refuse(ServeError(500, f"{told} {self._id}", code="internal"))
        finally:
            path = quote(self._scope["path"], safe="/-._~!$&'()*+,;=:@")[:200]
            took = 1000 * (time.perf_counter() - self._began)
            _LOG.info("%s %s %s %.0f ms %s", self._scope["method"], path, self._status or 499, took, self._id)

    def _deadline(self) -> float:
        """Returns the time of the loop at which the answer is of no use any more."""
        given = next((value for name, value in _pairs(self._scope) if name == "x-timeout"), None)
        if given is None:
            return self._ends
        try:
            seconds = float(given)
            if not 0 < seconds < float("inf"):
                raise ValueError
        except ValueError:
            told = f"expected seconds above 0 in X-Timeout, got {given[:40]!r}"
            raise ServeError(422, told, code="bad_parameter") from None
        return min(self._ends, asyncio.get_running_loop().time() + seconds)

    def _require_small(self) -> None:
        if self._is_job:
            return
        for name, value in _pairs(self._scope):
            if (size := _length(name, value)) > self._guard.settings.most_bytes:
                raise self._too_large(f"got {size:,}")

    def _too_large(self, got: str) -> ServeError:
        told = f"expected at most {self._guard.settings.most_bytes:,} bytes, {got}; send less, or large images as jobs"
        return ServeError(413, told, code="too_large")

    async def _take(self) -> Message:
        """Gives the application the next part of the body, as long as it is neither too large nor too slow."""
        if self._complete:
            return await self._receive()
        if self._is_job:
            message = await self._receive()
            self._complete = not message.get("more_body", False)
            return message
        try:
            async with asyncio.timeout_at(self._ends):
                message = await self._receive()
        except TimeoutError:
            told = f"the body had not come after {self._guard.settings.timeout_s:g} s; send it faster, or less"
            self._refused = ServeError(408, told, code="too_slow")
            raise self._refused from None
        if message["type"] == "http.request":
            self._complete = not message.get("more_body", False)
            self._count(len(message.get("body", b"")))
        else:
            self._complete = True  # the client has gone
        return message

    def _count(self, size: int) -> None:
        self.received += size
        try:
            self._guard.hold(size)
            if self.received > self._guard.settings.most_bytes:
                raise self._too_large("got more")
        except ServeError as error:
            self._refused = error
            raise

    async def _give(self, message: Message) -> None:
        """Passes an answer on, with the headers of safe ones; a refused request gets that answer and no other."""
        if message["type"] == "http.response.start":
            if self._refused is not None and self._status == 0 and not self._swallow:
                self._swallow = True
                await self._refuse(self._refused)
                return
            if not self._swallow:
                self._begin(message)
        if not self._swallow:
            await self._send(message)

    def _begin(self, message: Message) -> None:
        self._status = message["status"]
        headers = list(message.get("headers", ()))
        there = {name.lower() for name, _ in headers}
        headers += [(name, value) for name, value in _HEADERS.items() if name not in there]
        headers.append((b"x-request-id", self._id.encode()))
        if (
            (self._guard.is_stopping or not self._complete)
            and b"connection" not in there
            and self._scope["http_version"] != "2"
        ):
            headers.append((b"connection", b"close"))
        message["headers"] = headers

    async def _refuse(self, error: ServeError) -> None:
        """Answers with an error; a client who is still sending is listened to for a while, or would not read it."""
        if self._status:
            return
        answer = error_answer(error, self._scope)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._begin(message)
            elif not self._complete and self.received:
                await self._send({**message, "more_body": True})
                await self._drain()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await self._send(message)

        await answer(self._scope, self._receive, send)

    async def _drain(self) -> None:
        left = _DRAIN_TIMES * self._guard.settings.most_bytes
        try:
            async with asyncio.timeout(_DRAIN_S):
                while left > 0:
                    message: dict[str, Any] = dict(await self._receive())
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return


def _pairs(scope: Scope) -> Iterator[tuple[str, str]]:
    for name, value in scope["headers"]:
        yield name.decode("latin-1").lower(), value.decode("latin-1")


def _length(name: str, value: str) -> int:
    """Returns what a header says of the body's size in bytes; 0 for any other."""
    return int(value[:20]) if name == "content-length" and value.isdecimal() else 0


def _name(host: str) -> str:
    """Returns the name in a `Host` header, without the port."""
    name = host.strip().lower()
    return name.rpartition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0].rstrip(".")


def _is_token(header: str, token: str) -> bool:
    """Tells whether an `Authorization` header brings the token, in a time that does not tell how much of it is right.

    As `Bearer` or `Token`, or as the password of `Basic`, which annotation tools use.
    """
    kind, _, given = header.strip().partition(" ")
    given = given.strip()
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() not in ("bearer", "token"):
        return False
    return hmac.compare_digest(given.encode(), token.encode())
