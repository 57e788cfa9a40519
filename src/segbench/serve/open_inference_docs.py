"""How the OpenAPI description tells of the Open Inference Protocol: texts, schemas and examples."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from segbench.serve.open_inference_tensors import InferRequest, InferResponse
from segbench.serve.schemas import binary_answer, schema_of, sentences


class ServerMetadata(BaseModel):
    """What `/v2` says."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor: -1 in a shape is any number."""

    name: str
    datatype: Literal["UINT8", "FP32"]
    shape: list[int]


class ModelMetadata(BaseModel):
    """What `/v2/models/NAME` says."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ConfigTensor(BaseModel):
    """A tensor, in the words of Triton's model configuration."""

    name: str
    data_type: str
    dims: list[int]


class ModelConfig(BaseModel):
    """What `/v2/models/NAME/config` says."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[ConfigTensor]
    output: list[ConfigTensor]


class IndexEntry(BaseModel):
    """A model in the index of the repository."""

    name: str
    version: str
    state: str
    reason: str


_REQUEST: dict[str, Any] = {
    "id": "photo-7",
    "parameters": {"threshold": 0.4},
    "inputs": [
        {
            "name": "image",
            "datatype": "UINT8",
            "shape": [2, 2, 3],
            "data": [[[255, 0, 0], [250, 5, 0]], [[0, 0, 90], [0, 9, 80]]],
        }
    ],
    "outputs": [{"name": "mask"}],
}
_ANSWER: dict[str, Any] = {
    "model_name": "lesion",
    "model_version": "1",
    "id": "photo-7",
    "outputs": [{"name": "mask", "datatype": "UINT8", "shape": [2, 2], "data": [1, 1, 0, 0]}],
}
_BINARY = (
    "JSON, whose length the header `Inference-Header-Content-Length` says, and behind it the bytes of the tensors: "
    "UINT8 one byte a number, FP32 four, the lowest first; BYTES 4 bytes of length before each element."
)

READY: dict[str, Any] = {
    "responses": sentences(401) | {404: sentences(404)[404], 503: {"description": "Not now: the server is ending."}}
}
METADATA: dict[str, Any] = {
    "summary": "The server",
    "responses": {200: {"model": ServerMetadata}} | sentences(401),
}
MODEL: dict[str, Any] = {
    "summary": "A model's tensors",
    "responses": {200: {"model": ModelMetadata}} | sentences(401, 404),
}
MODEL_CONFIG: dict[str, Any] = {
    "summary": "A model's tensors, in the words of Triton's model configuration",
    "responses": {200: {"model": ModelConfig}} | sentences(401, 404),
}
INDEX: dict[str, Any] = {
    "summary": "The models",
    "responses": {200: {"model": list[IndexEntry]}} | sentences(401),
}
INFER: dict[str, Any] = {
    "summary": "Images in, masks and probabilities out",
    "description": (
        "One input, `image`: UINT8 pixels (0-255, not normalised), or BYTES, image files. Outputs at the image's own "
        "size: `mask`, class indices (H, W), multilabel 0 and 1 (C, H, W); `probabilities` (C, H, W), C is 1 for a "
        "binary model. They have the images as first axis where the input has. Bodies may be compressed by gzip or "
        "deflate. " + _BINARY
    ),
    "responses": {
        200: {
            "model": InferResponse,
            "description": "The outputs that were asked for.",
            "content": {"application/json": {"example": _ANSWER}} | binary_answer("application/octet-stream"),
        }
    }
    | sentences(400, 401, 404, 413, 415, 422, 503, 504),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema_of(InferRequest), "example": _REQUEST}}
            | binary_answer("application/octet-stream"),
        }
    },
}
