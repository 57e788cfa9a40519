"""Hugging Face's task image-segmentation, asked by its own client."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.serve.conftest import as_png

from segbench.predict.predictor import Prediction, Predictor
from segbench.predict.recipe import Recipe
from segbench.types import ClassMap, Task

hub = pytest.importorskip("huggingface_hub")


def predictor_of(path: Path, **given: Any) -> Predictor:
    return Recipe(models=(str(path),), **given).make()


def as_mask(segment: Any) -> np.ndarray:
    """Returns (H, W) bool of what the client gives."""
    assert segment.mask.mode == "L"
    pixels = np.asarray(segment.mask)
    assert set(np.unique(pixels)) == {0, 255}
    return pixels == 255


def require_equal(found: list[Any], wanted: Prediction) -> None:
    names = wanted.class_map.names
    assert [each.label for each in found] == [names[index] for index in np.unique(wanted.mask)]
    for each in found:
        index = names.index(each.label)
        mask = wanted.mask == index
        probs = wanted.probs[index] if len(wanted.probs) > 1 else np.abs(1 - index - wanted.probs[0])
        assert np.array_equal(as_mask(each), mask)
        assert each.score == pytest.approx(probs[mask].mean(), abs=1e-6)


@pytest.mark.parametrize("way", ["bytes", "path", "file name", "parameters"])
@pytest.mark.parametrize(("name", "place"), [("lesion", ""), ("lesion", "/"), ("street", "/models/street")])
def test_the_client_gets_the_predictors_masks(
    server: Callable[..., str],
    bundles: dict[str, Path],
    image: np.ndarray,
    tmp_path: Path,
    name: str,
    place: str,
    way: str,
) -> None:
    Image.fromarray(image).save(tmp_path / "photo.png")
    given = {"bytes": as_png(image), "path": tmp_path / "photo.png", "file name": str(tmp_path / "photo.png")}
    more = {"threshold": 0.0, "subtask": "semantic", "overlap_mask_area_threshold": 0.8} if way == "parameters" else {}
    client = hub.InferenceClient(model=server() + place)
    found = client.image_segmentation(given.get(way, given["path"]), **more)
    assert len(found) >= 2
    require_equal(found, predictor_of(bundles[name])(image))


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how huggingface_hub 2.4 sends bytes
def test_the_asynchronous_client(server: Callable[..., str], bundles: dict[str, Path], image: np.ndarray) -> None:
    async def ask() -> Any:
        async with hub.AsyncInferenceClient(model=f"{server()}/models/street") as client:
            return await client.image_segmentation(as_png(image))

    require_equal(asyncio.run(ask()), predictor_of(bundles["street"])(image))


def test_mask_threshold_of_a_binary_model_is_its_threshold(
    server: Callable[..., str], bundles: dict[str, Path], image: np.ndarray
) -> None:
    threshold = float(np.quantile(predictor_of(bundles["lesion"])(image).probs, 0.4))
    client = hub.InferenceClient(model=server())
    found = client.image_segmentation(as_png(image), mask_threshold=threshold)
    require_equal(found, predictor_of(bundles["lesion"], threshold=threshold)(image))


def test_mask_threshold_of_several_classes_takes_unsure_pixels_out(
    server: Callable[..., str], bundles: dict[str, Path], image: np.ndarray
) -> None:
    wanted = predictor_of(bundles["street"])(image)
    best = wanted.probs.max(axis=0)
    threshold = float(np.median(best))
    client = hub.InferenceClient(model=f"{server()}/models/street")
    found = client.image_segmentation(as_png(image), mask_threshold=threshold)
    assert found
    for each in found:
        index = wanted.class_map.names.index(each.label)
        assert np.array_equal(as_mask(each), (wanted.mask == index) & (wanted.probs[index] > threshold))
        assert each.score > threshold


def test_threshold_leaves_out_what_has_a_lower_score(server: Callable[..., str], image: np.ndarray) -> None:
    client = hub.InferenceClient(model=f"{server()}/models/street")
    scores = sorted(each.score for each in client.image_segmentation(as_png(image)))
    assert scores[0] < scores[-1]
    found = client.image_segmentation(as_png(image), threshold=scores[0] + 1e-9)
    assert sorted(each.score for each in found) == scores[1:]
    assert client.image_segmentation(as_png(image), threshold=1.0) == []


@pytest.mark.parametrize(
    ("place", "content", "more", "status", "told"),
    [
        ("/models/tree", None, {}, 404, "expected one of lesion, street, got 'tree'"),
        ("", b"no image at all", {}, 415, "not an image"),
        ("", None, {"subtask": "instance"}, 400, "subtask instance: this model tells classes apart"),
        ("", None, {"mask_threshold": 1.5}, 400, "parameters.mask_threshold"),
    ],
)
def test_the_client_shows_what_is_wrong(
    server: Callable[..., str],
    image: np.ndarray,
    place: str,
    content: bytes | None,
    more: dict[str, Any],
    status: int,
    told: str,
) -> None:
    client = hub.InferenceClient(model=server() + place)
    with pytest.raises(hub.errors.HfHubHTTPError) as error:
        client.image_segmentation(as_png(image) if content is None else content, **more)
    assert error.value.response.status_code == status
    assert told in str(error.value)


def test_the_client_brings_the_token(server: Callable[..., str], image: np.ndarray) -> None:
    address = server(token="0123456789abcdef")
    assert hub.InferenceClient(model=address, token="0123456789abcdef").image_segmentation(as_png(image))
    with pytest.raises(hub.errors.HfHubHTTPError, match="expected the header Authorization"):
        hub.InferenceClient(model=address, token="another").image_segmentation(as_png(image))


def test_what_the_body_is_decides_not_its_content_type(client: Any, png: bytes) -> None:
    text = base64.b64encode(png).decode()
    wanted = client.post("/", content=png).json()
    for kind in ("application/x-www-form-urlencoded", "application/json", "image/jpeg"):
        assert client.post("/", content=png, headers={"Content-Type": kind}).json() == wanted
    for inputs in (text, f"data:image/png;base64,{text}", "\n".join(text[i : i + 76] for i in range(0, len(text), 76))):
        request = {"inputs": inputs, "parameters": {}, "options": {"wait_for_model": True}}
        assert client.post("/", json=request).json() == wanted
        assert client.post("/", json=request, headers={"Content-Type": "text/plain"}).json() == wanted
    assert client.post("/", json={"inputs": text, "parameters": None}).json() == wanted


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"inputs": "https://example.org/photo.jpg"}, "no address is opened"),
        ({"inputs": "file:///etc/passwd"}, "no address is opened"),
        ({"inputs": "no base64!"}, "expected an image file in base64"),
        ({"inputs": ["aGVsbG8="]}, "inputs: "),
        ({"image": "aGVsbG8="}, "inputs: Field required"),
        ({"inputs": "aGVsbG8=", "parameters": {"treshold": 0.5}}, "parameters.treshold"),
        ({"inputs": "aGVsbG8=", "parameters": {"threshold": "0.5"}}, "parameters.threshold"),
        ({"inputs": [[]] * 1000}, "got more"),
    ],
)
def test_a_request_that_makes_no_sense(client: Any, request_: Any, told: str) -> None:
    answer = client.post("/models/lesion", json=request_)
    assert answer.status_code == 400
    assert told in answer.json()["error"]


def test_nothing_found_is_an_empty_list_and_labels_may_overlap() -> None:
    from segbench.serve.hugging_face import Parameters, segments

    class_map = ClassMap(names=("wet", "dark", "cold"), values=((1,),) * 3, task=Task.MULTILABEL, background=None)
    probs = np.zeros((3, 4, 4), np.float32)
    probs[:2, :2] = [[[0.9]], [[0.8]]]
    prediction = Prediction(
        image=np.zeros((4, 4, 3), np.uint8),
        mask=(probs > 0.5).astype(np.uint8),
        class_map=class_map,
        network_probs=probs,
    )
    found = segments(prediction, Parameters())
    assert [(each.label, round(each.score, 6)) for each in found] == [("wet", 0.9), ("dark", 0.8)]
    assert all(np.asarray(Image.open(io.BytesIO(base64.b64decode(each.mask))))[:2].all() for each in found)
    nowhere = replace(prediction, mask=np.zeros_like(prediction.mask))
    assert segments(nowhere, Parameters()) == []


def test_pixels_without_data_are_in_no_mask() -> None:
    from segbench.serve.hugging_face import Parameters, segments

    class_map = ClassMap(names=("skin", "lesion"), values=((0,), (255,)), task=Task.BINARY)
    nodata = np.zeros((4, 4), bool)
    nodata[0] = True
    prediction = Prediction(
        image=np.zeros((4, 4, 3), np.uint8),
        mask=np.zeros((4, 4), np.uint8),
        class_map=class_map,
        network_probs=np.full((1, 4, 4), 0.25, np.float32),
        nodata=nodata,
    )
    (found,) = segments(prediction, Parameters())
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.mask)))) == 255
    assert np.array_equal(mask, ~nodata)
    assert found.score == 0.75
