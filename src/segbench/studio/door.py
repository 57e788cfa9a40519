"""Who may come in: whoever has the link that the terminal printed. It works once, and leaves a cookie in the browser.

A link is read over a shoulder, stays in a history, is sent on; so it opens the door for one browser only. A studio that
only shows may be opened by everyone who has its link: a class, say.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "segbench_studio"
ENTER = "/enter"
_DAY_S = 86_400
_CLOSED = (
    "This link does not open the studio (any more). Take the one that the terminal shows; it opens the studio once, in "
    "one browser. Start segbench studio again for a new link."
)


class Door:
    """A layer around an ASGI application.

    Args:
        app: what lies behind.
        link: the word in the printed link.
        once: whether it works for one browser only.
        port: of the server; cookies of one machine are the same for all its ports, so it is in the cookie's name.
    """

    def __init__(self, app: ASGIApp, *, link: str, once: bool, port: int) -> None:
        self._app, self._link, self._once = app, link, once
        self._cookie = f"{COOKIE}_{port}"
        self._keys: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on who has been let in, and lets in who has the link."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer: Callable[[Scope, Receive, Send], Awaitable[None]]
        if scope["path"] == ENTER:
            given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("key", [""])[0]
            answer = self._let_in() if self._opens(given) else self._app if self._is_in(scope) else _closed()
            if answer is self._app:
                answer = RedirectResponse("/", 303)
        else:
            answer = self._app if self._is_in(scope) else _closed()
        await answer(scope, receive, send)

    def _opens(self, given: str) -> bool:
        return bool(self._link) and hmac.compare_digest(given.encode(), self._link.encode())

    def _is_in(self, scope: Scope) -> bool:
        cookies = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"cookie"]
        given = cookie_parser("; ".join(cookies)).get(self._cookie, "")
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in self._keys)

    def _let_in(self) -> RedirectResponse:
        key = secrets.token_urlsafe(24)
        self._keys.add(key)
        if self._once:
            self._link = ""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, key, max_age=_DAY_S, httponly=True, samesite="strict", path="/")
        return answer


def _closed() -> PlainTextResponse:
    return PlainTextResponse(_CLOSED, 401)
