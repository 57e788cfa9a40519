"""Errors that a client is told: `{"error": {"code": "unknown_model", "message": "..."}}`.

Where a foreign client reads them, in the form that it expects: `{"error": "..."}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

_SENTENCE_ONLY = re.compile(r"/(v2(/.*)?|models/.*)?", re.DOTALL)  # Open Inference Protocol, Hugging Face


_OPTION = re.compile(r"--([a-z][a-z-]*)(?: ([a-z0-9.]+))?")


def in_addresses(sentence: str) -> str:
    """Returns a sentence of the command line as a client gives its options, who has an address and no shell.

    Example:
        >>> in_addresses("use --policy tiles"), in_addresses("--mm-per-px: expected more")
        ('use policy=tiles', 'mm_per_px: expected more')
    """

    def parameter(found: re.Match[str]) -> str:
        name, value = found[1].replace("-", "_"), found[2]
        return f"{name}={value}" if value else name

    return _OPTION.sub(parameter, sentence)


class ErrorText(BaseModel):
    """What went wrong."""

    code: str = Field(description="A word that a program can ask for.")
    message: str = Field(description="One sentence for people: what was expected, what came, what to do.")


class ErrorAnswer(BaseModel):
    """The body of every answer that is none."""

    error: ErrorText


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": told}
    for status, told in {
        400: "What was sent cannot be understood: `no_image`, `bad_form`.",
        401: "The token is missing or another one: `no_token`, `wrong_token`.",
        403: "The name in `Host`, or the page in `Origin`, is not allowed: `unknown_host`, `foreign_origin`.",
        404: "No such model, or nothing at this address: `unknown_model`, `unknown_path`.",
        408: "The body came too slowly: `too_slow`.",
        413: "More than is taken: `too_large`, `too_many_pixels`, `too_much_work`, `too_much_memory`.",
        415: "No image: `no_image`.",
        422: "An image or a parameter that cannot be used: `unreadable_image`, `bad_parameter`.",
        500: "A fault of the server: `internal`; its log says more under `X-Request-Id`.",
        503: "Too much waits: `queue_full`; `Retry-After` says when to come again.",
        504: "It took longer than it may: `timeout`.",
    }.items()
}


class ServeError(Exception):
    """A request that cannot be answered.

    Attributes:
        status: of HTTP.
        code: a word that a program can ask for.
        message: one sentence for people: what was expected, what came, what to do.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, *, code: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.message, self.code = status, message, code
        self.headers = dict(headers or {})
        super().__init__(self.message)

    def to_dict(self) -> dict[str, dict[str, str]]:
        """Returns the body of the answer."""
        return {"error": {"code": self.code, "message": self.message}}


def error_answer(error: ServeError, scope: MutableMapping[str, Any]) -> JSONResponse:
    """Returns the answer to a request (its ASGI scope) that failed, and notes the code for `/metrics`."""
    scope.setdefault("state", {})["error_code"] = error.code
    body = {"error": error.message} if _SENTENCE_ONLY.fullmatch(scope["path"]) else error.to_dict()
    return JSONResponse(body, status_code=error.status, headers=error.headers)
