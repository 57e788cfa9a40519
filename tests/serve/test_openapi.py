"""What the OpenAPI description says of the foreign protocols is true: its examples are answered as it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from segbench.serve.hugging_face import Segment
from segbench.serve.open_inference_docs import IndexEntry, ModelConfig, ModelMetadata, ServerMetadata
from segbench.serve.open_inference_tensors import InferResponse

ANSWERS: dict[str, Any] = {
    "/v2": ServerMetadata,
    "/v2/models/{name}": ModelMetadata,
    "/v2/models/{name}/config": ModelConfig,
    "/v2/repository/index": list[IndexEntry],
    "/v2/models/{name}/infer": InferResponse,
    "/models/{name}": list[Segment],
    "/": list[Segment],
}


@pytest.mark.parametrize("path", ANSWERS)
def test_examples_are_answered_as_described(client: Any, path: str) -> None:
    ((method, told),) = client.get("/openapi.json").json()["paths"][path].items()
    request = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    answer = client.request(method, path.replace("{name}", "lesion"), json=request)
    assert answer.status_code == 200, answer.text
    found = TypeAdapter(ANSWERS[path]).validate_python(answer.json())
    assert TypeAdapter(ANSWERS[path]).dump_python(found, exclude_unset=True) == answer.json()
    example = told["responses"]["200"]["content"]["application/json"].get("example")
    if example is not None:
        TypeAdapter(ANSWERS[path]).validate_python(example)


def test_every_reference_leads_somewhere(client: Any) -> None:
    described = client.get("/openapi.json").json()
    found = list(references(described))
    assert found
    for reference in found:
        place: Any = described
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


@pytest.mark.parametrize("path", ["/v2/models/%0A", "/v2/models/a%0Ab/infer", "/models/%0A", "/v2/nothing", "/v2%0A/x"])
def test_errors_of_foreign_protocols_are_sentences_whatever_the_address(client: Any, path: str) -> None:
    answer = client.post(path, content=b"x")
    assert answer.status_code in (404, 405)
    assert isinstance(answer.json()["error"], dict if path == "/v2%0A/x" else str)
