"""What the OpenAPI description says of routes whose bodies are read by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_REFERENCE = "#/$defs/"


class Sentence(BaseModel):
    """An error, as foreign clients read it."""

    error: str


def sentences(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the description of answers that hold an error as one sentence."""
    told = {
        400: "What was sent cannot be understood.",
        401: "The token is missing, or another one.",
        404: "There is no such model.",
        413: "More bytes or pixels than are taken.",
        415: "Something that is not read here.",
        422: "An image that this network cannot read.",
        503: "Too many images wait, or the server is ending; `Retry-After` says when to come again.",
        504: "It took longer than it may.",
    }
    return {status: {"model": Sentence, "description": told[status]} for status in statuses}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Returns the JSON schema of what is sent, with everything in place: parts that are referred to stand where they
    are used."""
    schema = model.model_json_schema(mode="validation")
    parts = schema.pop("$defs", {})

    def filled(value: Any) -> Any:
        if isinstance(value, Mapping):
            reference = value.get("$ref", "")
            if isinstance(reference, str) and reference.startswith(_REFERENCE):
                rest = {key: each for key, each in value.items() if key != "$ref"}
                return filled(parts[reference.removeprefix(_REFERENCE)]) | filled(rest)
            return {key: filled(each) for key, each in value.items()}
        return [filled(each) for each in value] if isinstance(value, list) else value

    found: dict[str, Any] = filled(schema)
    return found


def binary_answer(media_type: str) -> dict[str, Any]:
    """Returns the description of an answer, or a body, of bytes."""
    return {media_type: {"schema": {"type": "string", "format": "binary"}}}
