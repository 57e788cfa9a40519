"""Errors that a client is told, in one form: `{"error": {"code": "unknown_model", "message": "..."}}`."""

from __future__ import annotations

from collections.abc import Mapping


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
