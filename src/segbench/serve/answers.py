"""Errors that a client is told: `{"error": {"code": "unknown_model", "message": "..."}}`.

Where a foreign client reads them, in the form that it expects: `{"error": "..."}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from fastapi.responses import JSONResponse

_SENTENCE_ONLY = re.compile(r"/(v2(/.*)?|models/.*)?")  # Open Inference Protocol, Hugging Face


class ServeError(Exception):
    """A request that cannot be answered.

    Attributes:
        status: of HTTP.
        code: a word that a program can ask for.
        message: one sentence for people: what was expected, what came, what to do.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, *, code: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.message, self.code = status, str(message), code
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
