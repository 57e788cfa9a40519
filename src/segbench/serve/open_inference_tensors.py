"""Tensors of the Open Inference Protocol: what a request holds, judged before it is built, and what an answer holds.

JSON, or raw bytes behind the JSON (the extension for binary tensor data of Triton and KServe), compressed or not.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segbench.predict.predictor import Predictor
from segbench.serve.answers import ServeError
from segbench.serve.settings import ServeSettings
from segbench.serve.uploads import judge_upload
from segbench.types import SizePolicy

INPUT = "image"
_MOST_JSON_BYTES = 8 << 20  # numbers as text take ten times their size while they are read
_ANSWER_TIMES = 4  # the largest body: what an answer may have
_JSON_NUMBER = {"UINT8": 4, "FP32": 20}  # bytes that one takes
_BINARY_NUMBER = {"UINT8": 1, "FP32": 4}
_LENGTH_BYTES = 4  # before each element of BYTES, the lowest first
_WRITTEN_AT_ONCE = 1 << 16  # numbers; between two pieces other threads get their turn
_WBITS = {"gzip": 31, "deflate": 15}  # of zlib; `deflate` means zlib's own form (RFC 9110)

_Name = Annotated[str, Field(max_length=128)]  # that another one is not known is said in a sentence of our own


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class TensorParameters(_Strict):
    """Of one tensor."""

    model_config = ConfigDict(extra="allow")
    binary_data_size: int | None = Field(default=None, ge=0, description="Bytes of this tensor behind the JSON.")
    shared_memory_region: Any = Field(default=None, description="Refused: there is no memory that is shared.")


class InputTensor(_Strict):
    """The image, or several."""

    name: _Name = Field(json_schema_extra={"enum": [INPUT]})
    datatype: _Name = Field(
        json_schema_extra={"enum": ["UINT8", "BYTES"]},
        description="`UINT8`: pixels, 0-255; `BYTES`: image files, one an element.",
    )
    shape: list[Annotated[int, Field(ge=1, le=(1 << 31) - 1)]] = Field(
        max_length=8,
        description="UINT8: (height, width, channels) or (images, height, width, channels); BYTES: (images).",
    )
    parameters: TensorParameters = TensorParameters()
    data: list[Any] | None = Field(
        default=None, description="UINT8: whole numbers, flat or nested, row by row; BYTES: files in base64."
    )


class OutputParameters(_Strict):
    """Of one tensor that is asked for."""

    model_config = ConfigDict(extra="allow")
    binary_data: bool | None = Field(default=None, description="As bytes behind the JSON; else as numbers in it.")
    classification: Any = Field(default=None, description="Refused: pixels are classified, not images.")
    shared_memory_region: Any = Field(default=None, description="Refused: there is no memory that is shared.")


class RequestedOutput(_Strict):
    """A tensor that is asked for."""

    name: _Name = Field(json_schema_extra={"enum": ["mask", "probabilities"]})
    parameters: OutputParameters = OutputParameters()


class RequestParameters(_Strict):
    """Of the whole request; others are refused, so that a misspelt one does not go unnoticed."""

    model_config = ConfigDict(extra="forbid")
    threshold: float | None = Field(
        default=None, gt=0, lt=1, description="Of the probability, in place of the model's own (binary, multilabel)."
    )
    policy: SizePolicy | None = Field(
        default=None, description="How an image of another size goes through the network."
    )
    timeout: int | None = Field(default=None, ge=1, description="Microseconds after which the request is given up.")
    priority: int | None = Field(default=None, description="Taken, and not looked at.")
    binary_data_output: bool = Field(default=False, description="Every output as bytes behind the JSON.")


class InferRequest(_Strict):
    """What is posted to `/v2/models/NAME/infer`."""

    id: str | None = Field(default=None, max_length=1024, description="Comes back in the answer.")
    parameters: RequestParameters = RequestParameters()
    inputs: list[InputTensor] = Field(min_length=1, max_length=8, json_schema_extra={"maxItems": 1})
    outputs: list[RequestedOutput] = Field(default=[], max_length=8, description="Empty: all.")


class OutputTensor(BaseModel):
    """A tensor of the answer."""

    name: str
    datatype: Literal["UINT8", "FP32"]
    shape: list[int]
    parameters: dict[str, Any] | None = None
    data: list[int] | list[float] | None = None


class InferResponse(BaseModel):
    """The answer to a request for inference."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


@dataclass(frozen=True)
class Images:
    """Attributes: each, arrays (H, W, C) uint8, or image files; pixels, of all; batched, tells whether outputs have the
    images as their first axis."""

    each: Sequence[np.ndarray] | Sequence[bytes]
    pixels: int
    batched: bool


def inflated(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """Returns a body without its compression; no more than `most_bytes` are ever made of it.

    Raises:
        ServeError: another compression, damaged or cut off, or too large.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WBITS:
        raise ServeError(415, f"expected gzip, deflate or no compression, got {encoding[:32]!r}", code="compression")
    engine = zlib.decompressobj(_WBITS[encoding])
    try:
        found = engine.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise ServeError(400, f"the body is not compressed by {encoding}, or damaged", code="compression") from error
    if len(found) > most_bytes:
        raise ServeError(413, f"expected at most {most_bytes:,} bytes without compression", code="too_large")
    if not engine.eof:
        raise ServeError(400, f"the body, compressed by {encoding}, ends too early", code="compression")
    return found


def deflated(body: bytes, accepted: str) -> tuple[bytes, str | None]:
    """Returns a body as the header Accept-Encoding allows it, and the compression that was chosen, None for none."""
    offers = {name: rest for name, _, rest in (each.replace(" ", "").partition(";") for each in accepted.split(","))}
    for encoding, wbits in _WBITS.items():
        if offers.get(encoding, "q=0") not in ("q=0", "q=0.0"):
            engine = zlib.compressobj(1, zlib.DEFLATED, wbits)
            return engine.compress(body) + engine.flush(), encoding
    return body, None


def read_request(body: bytes, header_length: str | None) -> tuple[InferRequest, bytes]:
    """Returns the request, and the bytes behind its JSON.

    Args:
        body: without compression.
        header_length: of the header Inference-Header-Content-Length; None: all is JSON.
    Raises:
        ServeError: neither.
    """
    length = len(body)
    if header_length is not None:
        if not header_length.isascii() or not header_length.isdigit() or not 0 < int(header_length[:16]) <= length:
            told = f"expected Inference-Header-Content-Length from 1 to {length:,}, the bytes of the whole body"
            raise ServeError(400, f"{told}, got {header_length[:32]!r}", code="header_length")
        length = int(header_length[:16])
    if length > _MOST_JSON_BYTES:
        told = f"expected at most {_MOST_JSON_BYTES:,} bytes of JSON, got {length:,}; send the tensor as binary data"
        raise ServeError(413, told, code="too_large")
    try:
        return InferRequest.model_validate_json(body[:length]), body[length:]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] != "json_invalid":
            where = ".".join(map(str, first["loc"]))[:128]
            raise ServeError(400, f"{where}: {first['msg']}", code="request") from error
        told = f"the first {length:,} bytes are no JSON: {first['ctx']['error']}"
        if header_length is None:
            told += "; where bytes of a tensor follow, Inference-Header-Content-Length says how long the JSON is"
        else:
            told += "; so long it is by Inference-Header-Content-Length"
        raise ServeError(400, told, code="request") from error


def read_images(request: InferRequest, binary: bytes, predictor: Predictor, settings: ServeSettings) -> Images:
    """Returns the images of a request.

    Args:
        request: from `read_request`.
        binary: what stood behind its JSON.
        predictor: that they are for.
        settings: for what may be sent.
    Raises:
        ServeError: not one input of the right name, type and shape, too much, data of another size, or no images.
    """
    names = [each.name for each in request.inputs]
    if names != [INPUT]:
        raise ServeError(400, f"expected one input, {INPUT}, got {', '.join(names)}", code="input")
    tensor = request.inputs[0]
    if tensor.parameters.shared_memory_region is not None:
        raise ServeError(400, "there is no shared memory here; send the tensor itself", code="input")
    size = tensor.parameters.binary_data_size
    if (size or 0) != len(binary):
        told = f"expected {size or 0:,} bytes of the tensor behind the JSON (its binary_data_size)"
        raise ServeError(400, f"{told}, got {len(binary):,}", code="input")
    if (size is None) == (tensor.data is None):
        raise ServeError(400, "expected either data, or binary_data_size and the bytes behind the JSON", code="input")
    if tensor.datatype == "BYTES":
        return _files(tensor, binary, predictor, settings)
    if tensor.datatype == "UINT8":
        return _pixels(tensor, binary, predictor.pipeline.settings.channels, settings)
    told = "expected UINT8 (pixels, 0-255, not normalised) or BYTES (image files)"
    raise ServeError(400, f"{told}, got {tensor.datatype}", code="datatype")


def _pixels(tensor: InputTensor, binary: bytes, channels: int, settings: ServeSettings) -> Images:
    shape = tensor.shape
    if len(shape) not in (3, 4) or shape[-1] != channels:
        told = f"expected a shape (height, width, {channels}) or (images, height, width, {channels}), got {shape}"
        first = len(shape) in (3, 4) and shape[-3] == channels
        raise ServeError(400, told + "; channels come last" * first, code="shape")
    batched = len(shape) == 4
    images, height, width = (shape if batched else [1, *shape])[:3]
    _require_room(images, images * height * width, settings)
    wanted = images * height * width * channels
    if tensor.data is None:
        if len(binary) != wanted:
            told = f"a tensor of shape {shape} and type UINT8 has {wanted:,} bytes, got {len(binary):,}"
            raise ServeError(400, told, code="shape")
    else:
        binary = _whole_numbers(tensor.data, wanted, shape)
    every = np.frombuffer(binary, np.uint8).reshape(images, height, width, channels)
    return Images([image.copy() for image in every], images * height * width, batched)


def _whole_numbers(data: list[Any], wanted: int, shape: Sequence[int]) -> bytes:
    flat = data
    while flat and isinstance(flat[0], list):
        if not all(isinstance(each, list) for each in flat):
            raise ServeError(400, "data: expected numbers, or lists as deep everywhere", code="data")
        flat = list(itertools.chain.from_iterable(flat))
    if len(flat) != wanted:
        raise ServeError(400, f"a tensor of shape {shape} has {wanted:,} numbers, got {len(flat):,}", code="shape")
    try:
        return bytes(flat)
    except (TypeError, ValueError) as error:
        raise ServeError(400, "data: expected whole numbers from 0 to 255 (UINT8)", code="data") from error


def _files(tensor: InputTensor, binary: bytes, predictor: Predictor, settings: ServeSettings) -> Images:
    shape = tensor.shape
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
        raise ServeError(400, f"expected a shape (images) of BYTES, one file an element, got {shape}", code="shape")
    _require_room(shape[0], 0, settings)
    files = list(_elements(binary)) if tensor.data is None else [_decoded(each) for each in tensor.data]
    if len(files) != shape[0]:
        raise ServeError(400, f"a tensor of shape {shape} has {shape[0]} elements, got {len(files)}", code="shape")
    pixels = sum(judge_upload(each, predictor, settings).pixels for each in files)
    _require_room(len(files), pixels, settings)
    return Images(files, pixels, batched=True)


def _elements(binary: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(binary):
        begins = place + _LENGTH_BYTES
        ends = begins + int.from_bytes(binary[place:begins], "little")
        if ends > len(binary):
            told = "BYTES: before each element stand 4 bytes, its length, the lowest first; one ends behind the tensor"
            raise ServeError(400, told, code="data")
        yield binary[begins:ends]
        place = ends


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ServeError(400, "data: expected files in base64 (BYTES)", code="data") from error


def _require_room(images: int, pixels: int, settings: ServeSettings) -> None:
    if images > settings.queue:
        told = f"expected at most {settings.queue} images in a request, got {images}"
        raise ServeError(413, told, code="too_many_images")
    if pixels > settings.most_px:
        told = f"expected at most {settings.most_px:,} pixels in a request, got {pixels:,}"
        raise ServeError(413, told, code="too_many_pixels")


@dataclass(frozen=True)
class Output:
    """Attributes: name, datatype and planes (numbers a pixel) of an output; binary, tells whether it goes as bytes."""

    name: str
    datatype: Literal["UINT8", "FP32"]
    planes: int
    binary: bool


def read_outputs(request: InferRequest, known: Sequence[Output], pixels: int, settings: ServeSettings) -> list[Output]:
    """Returns the outputs that are wanted.

    Args:
        request: from `read_request`.
        known: what the model has.
        pixels: of all images.
        settings: for what may be sent.
    Raises:
        ServeError: an unknown one, one twice, or more than may be sent.
    """
    by_name = {each.name: each for each in known}
    asked = request.outputs or [RequestedOutput(name=name) for name in by_name]
    names = [each.name for each in asked]
    if not set(names) <= set(by_name) or len(set(names)) < len(names):
        told = f"expected outputs among {', '.join(by_name)}, each once, got {', '.join(names)}"
        raise ServeError(400, told, code="output")
    found = []
    for each in asked:
        if each.parameters.shared_memory_region is not None or each.parameters.classification:
            raise ServeError(400, f"{each.name}: neither shared memory nor classification is known here", code="output")
        binary = each.parameters.binary_data
        binary = request.parameters.binary_data_output if binary is None else binary
        output = by_name[each.name]
        found.append(Output(output.name, output.datatype, output.planes, binary))
    size = sum(
        pixels * each.planes * (_BINARY_NUMBER if each.binary else _JSON_NUMBER)[each.datatype] for each in found
    )
    if size > (most := _ANSWER_TIMES * settings.most_bytes):
        told = f"the answer would have about {size:,} bytes, and at most {most:,} are sent"
        raise ServeError(413, f"{told}; ask for mask alone, as binary data, or send smaller images", code="too_large")
    return found


def write_answer(
    head: dict[str, Any], outputs: Sequence[Output], tensor_of: Callable[[str], np.ndarray]
) -> tuple[bytes, int | None]:
    """Returns the body, and how long its JSON is where bytes follow it, else None.

    Args:
        head: first keys of the JSON.
        outputs: what is wanted.
        tensor_of: gives the tensor of a name; called once for each.
    """
    told, raw = [], []
    for output in outputs:
        tensor = tensor_of(output.name)
        entry: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(tensor.shape)}
        if output.binary:
            raw.append(np.ascontiguousarray(tensor).tobytes())
            text = json.dumps(entry | {"parameters": {"binary_data_size": len(raw[-1])}})
        else:
            text = f'{json.dumps(entry)[:-1]}, "data": [{_numbers(tensor)}]}}'
        told.append(text)
    whole = f'{json.dumps(head)[:-1]}, "outputs": [{", ".join(told)}]}}'.encode()
    return b"".join([whole, *raw]), len(whole) if raw else None


def _numbers(tensor: np.ndarray) -> str:
    flat = tensor.reshape(-1)
    starts = range(0, math.prod(tensor.shape), _WRITTEN_AT_ONCE)
    return ",".join(json.dumps(flat[start : start + _WRITTEN_AT_ONCE].tolist())[1:-1] for start in starts)
