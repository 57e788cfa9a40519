"""The Open Inference Protocol, asked by Triton's own client, and by hand where that client cannot be wrong enough."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serve.conftest import as_png

from segbench.predict.predictor import Predictor
from segbench.predict.recipe import Recipe

triton = pytest.importorskip("tritonclient.http")


@pytest.fixture
def asked(server: Callable[..., str]) -> Iterator[Any]:
    """Returns Triton's client of a real server."""
    with triton.InferenceServerClient(server().removeprefix("http://")) as made:
        yield made


def predictor_of(path: Path, **given: Any) -> Predictor:
    """Returns what `segbench predict` and the server use: `Predictor.load` whose batch norms are folded."""
    return Recipe(models=(str(path),), **given).make()


def image_input(array: np.ndarray, *, binary: bool = True) -> Any:
    kind = "BYTES" if array.dtype == object else {"uint8": "UINT8", "float32": "FP32"}[str(array.dtype)]
    made = triton.InferInput("image", list(array.shape), kind)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def files(*content: bytes) -> np.ndarray:
    return np.array(content, dtype=np.object_)


def test_the_client_finds_out_what_there_is(asked: Any) -> None:
    assert asked.is_server_live()
    assert asked.is_server_ready()
    assert asked.is_model_ready("lesion")
    assert asked.is_model_ready("street", "1")
    assert not asked.is_model_ready("tree")
    assert "binary_tensor_data" in asked.get_server_metadata()["extensions"]
    told = asked.get_model_metadata("street")
    assert told["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert told["outputs"] == [
        {"name": "mask", "datatype": "UINT8", "shape": [-1, -1, -1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3, -1, -1]},
    ]
    assert asked.get_model_config("lesion")["output"][1]["dims"] == [-1, 1, -1, -1]
    assert [each["name"] for each in asked.get_model_repository_index()] == ["lesion", "street"]


@pytest.mark.parametrize("name", ["lesion", "street"])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_the_answer_is_the_predictors(
    asked: Any, bundles: dict[str, Path], image: np.ndarray, name: str, binary: bool, compression: str | None
) -> None:
    outputs = [triton.InferRequestedOutput(each, binary_data=binary) for each in ("probabilities", "mask")]
    found = asked.infer(
        name,
        [image_input(image, binary=binary)],
        outputs=outputs,
        request_id="photo-7",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    wanted = predictor_of(bundles[name])(image)
    assert found.get_response()["id"] == "photo-7"
    assert np.array_equal(found.as_numpy("mask"), wanted.mask)
    assert np.array_equal(found.as_numpy("probabilities"), wanted.probs)
    assert found.as_numpy("probabilities").dtype == np.float32


def test_without_outputs_the_client_gets_all(asked: Any, bundles: dict[str, Path], image: np.ndarray) -> None:
    found = asked.infer("lesion", [image_input(image)])
    wanted = predictor_of(bundles["lesion"])(image)
    assert np.array_equal(found.as_numpy("mask"), wanted.mask)
    assert np.array_equal(found.as_numpy("probabilities"), wanted.probs)


def test_several_images_have_an_axis_of_their_own(asked: Any, bundles: dict[str, Path], image: np.ndarray) -> None:
    images = np.stack([np.roll(image, 5 * shift, axis=0) for shift in range(3)])
    predictor = predictor_of(bundles["street"])
    by_pixels = asked.infer("street", [image_input(images)])
    by_files = asked.infer("street", [image_input(files(*map(as_png, images)))])
    for index, each in enumerate(images):
        for found in (by_pixels, by_files):
            assert np.array_equal(found.as_numpy("mask")[index], predictor(each).mask)
            assert found.as_numpy("probabilities")[index] == pytest.approx(predictor(each).probs, abs=1e-6)


def test_one_image_of_a_batch_of_one_keeps_the_axis(asked: Any, image: np.ndarray) -> None:
    assert asked.infer("lesion", [image_input(image[None])]).as_numpy("mask").shape == (1, 61, 47)
    assert asked.infer("lesion", [image_input(files(as_png(image)))]).as_numpy("mask").shape == (1, 61, 47)
    assert asked.infer("lesion", [image_input(files(as_png(image))[None])]).as_numpy("mask").shape == (1, 61, 47)


def test_files_in_json_are_base64(asked: Any, bundles: dict[str, Path], image: np.ndarray, png: bytes) -> None:
    found = asked.infer("lesion", [image_input(files(base64.b64encode(png)), binary=False)])
    assert np.array_equal(found.as_numpy("mask")[0], predictor_of(bundles["lesion"])(image).mask)


def test_threshold_and_policy_are_the_requests(asked: Any, bundles: dict[str, Path], image: np.ndarray) -> None:
    usual = predictor_of(bundles["lesion"])(image)
    threshold = float(np.quantile(usual.probs, 0.4))
    found = asked.infer("lesion", [image_input(image)], parameters={"threshold": threshold}).as_numpy("mask")
    assert np.array_equal(found, predictor_of(bundles["lesion"], threshold=threshold)(image).mask)
    assert not np.array_equal(found, usual.mask)
    found = asked.infer("lesion", [image_input(image)], parameters={"policy": "whole"}).as_numpy("probabilities")
    assert np.array_equal(found, predictor_of(bundles["lesion"], policy="whole")(image).probs)
    assert not np.array_equal(found, usual.probs)


def test_asynchronous_requests_of_the_client(asked: Any, bundles: dict[str, Path], image: np.ndarray) -> None:
    wanted = predictor_of(bundles["lesion"])(image).mask
    for each in [asked.async_infer("lesion", [image_input(image)]) for _ in range(4)]:
        assert np.array_equal(each.get_result().as_numpy("mask"), wanted)


def test_the_asyncio_client(server: Callable[..., str], bundles: dict[str, Path], image: np.ndarray) -> None:
    from tritonclient.http.aio import InferenceServerClient

    async def ask() -> Any:
        async with InferenceServerClient(server().removeprefix("http://")) as made:
            assert await made.is_server_ready()
            return await made.infer("street", [image_input(image)])

    assert np.array_equal(asyncio.run(ask()).as_numpy("probabilities"), predictor_of(bundles["street"])(image).probs)


@pytest.mark.parametrize(
    ("made", "status", "told"),
    [
        (lambda image: image_input(image.transpose(2, 0, 1)[None].copy()), "400", "channels come last"),
        (lambda image: image_input(image[..., :2].copy()), "400", "(height, width, 3)"),
        (lambda image: image_input(image.astype(np.float32)), "400", "expected UINT8"),
        (lambda image: image_input(files(b"no image")), "415", "not an image"),
        (lambda image: image_input(files(as_png(image), as_png(image[:-1]))), "400", "60 x 47 and 61 x 47"),
        (lambda image: image_input(np.zeros((65, 1, 1, 3), np.uint8)), "413", "at most 64 images"),
    ],
)
def test_the_client_is_told_what_is_wrong(
    asked: Any, image: np.ndarray, made: Callable[[np.ndarray], Any], status: str, told: str
) -> None:
    with pytest.raises(triton.InferenceServerException) as error:
        asked.infer("lesion", [made(image)])
    assert error.value.status() == status
    assert told in error.value.message()


def test_unknown_names_are_told(asked: Any, image: np.ndarray) -> None:
    for ask, told in [
        (lambda: asked.infer("tree", [image_input(image)]), "expected one of lesion, street"),
        (lambda: asked.infer("lesion", [image_input(image)], model_version="7"), "one version"),
        (lambda: asked.get_model_metadata("tree"), "expected one of lesion, street"),
        (
            lambda: asked.infer("lesion", [image_input(image)], outputs=[triton.InferRequestedOutput("logits")]),
            "expected outputs among mask, probabilities",
        ),
        (lambda: asked.infer("lesion", [image_input(image)], parameters={"treshold": 0.4}), "parameters.treshold"),
        (lambda: asked.infer("street", [image_input(image)], parameters={"threshold": 0.4}), "has exclusive classes"),
        (lambda: asked.infer("lesion", [image_input(image)], sequence_id=3), "parameters.sequence_id"),
        (lambda: asked.load_model("lesion"), "there is nothing at this address"),
    ]:
        with pytest.raises(triton.InferenceServerException, match=told):
            ask()


def test_a_clients_own_limit_of_time(asked: Any, image: np.ndarray) -> None:
    with pytest.raises(triton.InferenceServerException) as error:
        asked.infer("lesion", [image_input(image)], timeout=1)
    assert error.value.status() in ("503", "504")  # it may be known at once that it cannot be ready


def test_the_client_brings_the_token(server: Callable[..., str], image: np.ndarray) -> None:
    with triton.InferenceServerClient(server(token="0123456789abcdef").removeprefix("http://")) as made:
        assert made.is_server_ready()
        with pytest.raises(triton.InferenceServerException, match="expected the header Authorization"):
            made.infer("lesion", [image_input(image)])
        headers = {"Authorization": "Bearer 0123456789abcdef"}
        assert made.infer("lesion", [image_input(image)], headers=headers).as_numpy("mask").shape == (61, 47)


def request_of(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [2, 2, 3], "data": list(range(12))}
    return {"inputs": [tensor | changes]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shape": [-1, 2, 3]}, "inputs.0.shape.0"),
        ({"shape": "-1"}, "inputs.0.shape"),
        ({"shape": []}, "expected a shape"),
        ({"shape": [2, 2, 2**40]}, "inputs.0.shape.2"),
        ({"shape": [2**31 - 1, 2**31 - 1, 3]}, "at most 50,000,000 pixels"),
        ({"data": [{"b64": "aGVsbG8="}]}, "12 numbers, got 1"),
        ({"data": [256] * 12}, "whole numbers from 0 to 255"),
        ({"data": [0.5] * 12}, "whole numbers from 0 to 255"),
        ({"data": ["x"] * 12}, "whole numbers from 0 to 255"),
        ({"data": [[[1, 2, 3], [1, 2, 3]], [[1, 2, 3], 4]]}, "lists as deep everywhere"),
        ({"data": list(range(11))}, "12 numbers, got 11"),
        ({"data": None}, "either data, or binary_data_size"),
        ({"datatype": "BYTES", "shape": [1], "data": ["no base64!"]}, "base64"),
        ({"datatype": "BYTES", "shape": [2], "data": ["aGVsbG8="]}, "2 elements, got 1"),
        ({"name": "input0"}, "expected one input, image, got input0"),
        ({"parameters": {"shared_memory_region": "mine"}}, "no shared memory"),
        ({"parameters": {"binary_data_size": 12}, "data": None}, "expected 12 bytes of the tensor behind the JSON"),
    ],
)
def test_a_request_that_makes_no_sense(client: Any, changes: dict[str, Any], told: str) -> None:
    answer = client.post("/v2/models/lesion/infer", json=request_of(**changes))
    assert answer.status_code in (400, 413)
    assert told in answer.json()["error"]


def test_nested_numbers_are_read_row_by_row(client: Any) -> None:
    nested = np.arange(12).reshape(2, 2, 3).tolist()
    answers = [
        client.post("/v2/models/lesion/infer", json=request_of(data=data)).json() for data in (nested, list(range(12)))
    ]
    assert answers[0] == answers[1]
    assert [each["name"] for each in answers[0]["outputs"]] == ["mask", "probabilities"]


@pytest.mark.parametrize("length", ["0", "-5", "99999999999999999999", "1e3", "²", "x"])
def test_a_length_of_the_json_that_cannot_be(client: Any, length: str) -> None:
    head = {"Inference-Header-Content-Length": length.encode()}
    answer = client.post("/v2/models/lesion/infer", json=request_of(), headers=head)
    assert answer.status_code == 400
    assert "Inference-Header-Content-Length" in answer.json()["error"]


def test_bytes_behind_the_json_without_the_header(client: Any) -> None:
    request = request_of(data=None, parameters={"binary_data_size": 12})
    body = json.dumps(request).encode() + bytes(range(12))
    answer = client.post("/v2/models/lesion/infer", content=body)
    assert "Inference-Header-Content-Length says how long" in answer.json()["error"]
    length = {"Inference-Header-Content-Length": str(len(body) - 12)}
    assert client.post("/v2/models/lesion/infer", content=body, headers=length).status_code == 200
    wrong = {"Inference-Header-Content-Length": "90"}
    answer = client.post("/v2/models/lesion/infer", content=body, headers=wrong)
    assert "the first 90 bytes are no JSON" in answer.json()["error"]
    assert answer.json()["error"].endswith("so long it is by Inference-Header-Content-Length")
    cut = client.post("/v2/models/lesion/infer", content=body[:-1], headers=length)
    assert cut.json()["error"] == "expected 12 bytes of the tensor behind the JSON (its binary_data_size), got 11"


@pytest.mark.parametrize("length", [5, 2**32 - 1])
def test_elements_that_end_behind_the_tensor(client: Any, length: int) -> None:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 8}}
    head = json.dumps({"inputs": [tensor]}).encode()
    body = head + length.to_bytes(4, "little") + b"abcd"
    length_of_json = {"Inference-Header-Content-Length": str(len(head))}
    answer = client.post("/v2/models/lesion/infer", content=body, headers=length_of_json)
    assert answer.status_code == 400
    assert "ends behind the tensor" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "encoding", "status", "told"),
    [
        (gzip.compress(bytes(100 << 20)), "gzip", 413, "without compression"),
        (zlib.compress(b"{}")[:-5], "deflate", 400, "ends too early"),
        (b"{}", "gzip", 400, "not compressed by gzip"),
        (b"{}", "br", 415, "got 'br'"),
    ],
)
def test_a_compressed_body_is_inflated_within_bounds(
    client: Any, body: bytes, encoding: str, status: int, told: str
) -> None:
    answer = client.post("/v2/models/lesion/infer", content=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == status
    assert told in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b'{"inputs": ' + b"[" * 50_000, b"[" * (9 << 20)])
def test_json_that_is_no_request(client: Any, body: bytes) -> None:
    answer = client.post("/v2/models/lesion/infer", content=body)
    assert answer.status_code in (400, 413)
    assert isinstance(answer.json()["error"], str)
    assert len(answer.content) < 1000


def test_an_answer_that_would_be_too_large_is_not_begun(client: Any) -> None:
    file = base64.b64encode(as_png(np.zeros((5000, 5000, 3), np.uint8))).decode()
    answer = client.post("/v2/models/street/infer", json=request_of(datatype="BYTES", shape=[1], data=[file]))
    assert answer.status_code == 413
    assert "ask for mask alone" in answer.json()["error"]
    metrics = client.get("/metrics").text
    assert 'segbench_images_total{model="street"} 0.0' in metrics
