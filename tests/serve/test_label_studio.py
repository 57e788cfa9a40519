"""The server as Label Studio's machine learning backend: what it answers is what Label Studio's own library takes."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.formats._draw import labels
from tests.serve._label_studio import ACCESS, REFRESH, TOKEN, Studio, jwt, label_studio
from tests.serve.conftest import as_png, noisy_image

from segbench.data.manifest.read import read_dataset
from segbench.data.shapes.trace import mask_iou
from segbench.data.writers.convert import convert
from segbench.errors import ConfigError
from segbench.predict.predictor import Predictor
from segbench.serve.batching import QueueFull
from segbench.serve.models import ServedModel
from segbench.serve.settings import ServeSettings

pytest.importorskip("fastapi", reason="the extra serve is not installed")

SIZE = (61, 47)
UPLOAD = "/data/upload/1/0a1b2c3d-a.png"
BRUSH = '<BrushLabels name="strokes" toName="photo"><Label value="Lesion"/></BrushLabels>'
POLYGONS = '<PolygonLabels name="outlines" toName="photo"><Label value="SKY"/><Label value="car"/></PolygonLabels>'
IMAGE = '<Image name="photo" value="$image"/>'


def view(*tags: str) -> str:
    return f"<View>{''.join(tags)}</View>"


def task(image: object = UPLOAD, number: int = 5, key: str = "image") -> dict[str, Any]:
    return {"id": number, "data": {key: image}}


def asked(*tasks: dict[str, Any], config: str = view(IMAGE, BRUSH), context: object = None) -> dict[str, Any]:
    """Returns the body of Label Studio's request for predictions."""
    params = {"login": None, "password": None, "context": context}
    return {"tasks": list(tasks), "project": "1.1700000000", "label_config": config, "params": params}


@pytest.fixture
def studio(png: bytes) -> Iterator[Studio]:
    with label_studio(Studio(files={UPLOAD: png})) as running:
        yield running


@pytest.fixture
def backend(bundles: dict[str, Path], studio: Studio) -> Iterator[Callable[..., Any]]:
    """Returns a function that gives a client of the application, told of the Label Studio; keywords are settings."""
    from contextlib import ExitStack

    from starlette.testclient import TestClient

    from segbench.serve.app import create_app
    from segbench.serve.models import Models

    with ExitStack() as stack:

        def start(**given: Any) -> Any:
            settings = ServeSettings(
                **{"label_studio": studio.address, "label_studio_token": TOKEN, "threads": 1, **given}
            )
            models = Models.open(list(bundles.values()), settings)
            return stack.enter_context(TestClient(create_app(models, settings), base_url="http://127.0.0.1"))

        yield start


def interface(config: str) -> Any:
    """Returns Label Studio's own reading of a labelling setup."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydantic, about the library
        module = pytest.importorskip("label_studio_sdk.label_interface", reason="label-studio-sdk is not installed")
        return module.LabelInterface(config)


def exported(folder: Path, results: dict[str, list[dict[str, Any]]], image: bytes) -> Path:
    """Writes an export of Label Studio, in which a person accepted predictions as they are."""
    tasks = [
        {
            "id": number,
            "data": {"image": f"/data/upload/1/0a1b2c3d-{name}.png"},
            "annotations": [{"id": number, "completed_by": 1, "result": result}],
        }
        for number, (name, result) in enumerate(results.items(), 1)
    ]
    (folder / "images").mkdir(parents=True)
    for name in results:
        (folder / "images" / f"{name}.png").write_bytes(image)
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder


def test_a_project_is_connected(backend: Callable[..., Any], bundles: dict[str, Path]) -> None:
    client = backend()
    for start, name in (("/label-studio", "lesion"), ("/label-studio/street", "street")):
        for path in ("", "/", "/health"):
            assert client.get(start + path).json() == {"status": "UP", "model_class": name}
        config = view(IMAGE, BRUSH if name == "lesion" else POLYGONS)
        body = {
            "project": "1.17",
            "schema": config,
            "hostname": "http://evil",
            "access_token": "x",
            "extra_params": None,
        }
        version = client.post(f"{start}/setup", json=body).json()["model_version"]
        assert version == f"{name}-{Predictor.load(bundles[name]).model_id[:12]}"
        assert client.get(f"{start}/versions").json() == {"versions": [version]}
        assert client.post(f"{start}/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 201
    for path, body in (("webhook", {"action": "START_TRAINING", "project": {"id": 1}}), ("train", {"annotations": []})):
        refused = client.post(f"/label-studio/{path}", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (501, "no_training")


def test_a_server_with_a_token_is_asked_with_basic_authentication(backend: Callable[..., Any]) -> None:
    token = "a-token-of-some-length-0123456789"
    client = backend(token=token)
    assert client.get("/label-studio/health").status_code == 401
    assert client.post("/label-studio/predict", json=asked(task()), auth=("label-studio", "other")).status_code == 401
    assert client.get("/label-studio/health", auth=("label-studio", token)).status_code == 200
    assert client.post("/label-studio/predict", json=asked(task()), auth=("any", token)).status_code == 200


def test_strokes_are_the_mask_for_label_studio_and_for_us(
    backend: Callable[..., Any], bundles: dict[str, Path], png: bytes, image: np.ndarray, tmp_path: Path
) -> None:
    answer = backend().post("/label-studio/lesion/predict", json=asked(task())).json()
    (result,) = answer["results"]
    mask = Predictor.load(bundles["lesion"])(image).mask
    assert 0.01 < mask.mean() < 0.99

    assert interface(view(IMAGE, BRUSH)).validate_prediction(result, return_errors=True) == []
    (region,) = result["result"]
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    picture = brush.decode_rle(region["value"]["rle"]).reshape(*SIZE, 4)
    assert np.array_equal(picture[:, :, 3] > 0, mask == 1)
    assert (region["from_name"], region["to_name"], region["value"]["brushlabels"]) == ("strokes", "photo", ["Lesion"])
    assert 0.5 < region["score"] < 1.0
    assert 0.0 < result["score"] <= 1.0
    assert result["model_version"] == answer["model_version"]

    root = exported(tmp_path / "export", {"a": result["result"]}, png)
    assert np.array_equal(labels(read_dataset(root, "labelstudio"), "a"), mask)
    convert(read_dataset(root, "labelstudio"), "folder", tmp_path / "folder")
    assert np.array_equal(labels(read_dataset(tmp_path / "folder"), "a"), mask)


def test_bitmasks_are_the_mask(
    backend: Callable[..., Any], bundles: dict[str, Path], png: bytes, image: np.ndarray, tmp_path: Path
) -> None:
    config = view(IMAGE, POLYGONS.replace("Polygon", "Bitmask"))  # which the library's check knows from 2.1 on
    (result,) = backend().post("/label-studio/street/predict", json=asked(task(), config=config)).json()["results"]
    assert [region["type"] for region in result["result"]] == ["bitmasklabels"] * 2
    root = exported(tmp_path, {"a": result["result"]}, png)
    back = labels(read_dataset(root, "labelstudio", classes=["SKY", "car"], background="road"), "a")
    assert np.array_equal(back, Predictor.load(bundles["street"])(image).mask)


def test_polygons_are_those_of_the_mask(
    backend: Callable[..., Any], bundles: dict[str, Path], png: bytes, image: np.ndarray, tmp_path: Path
) -> None:
    config = view(IMAGE, POLYGONS)
    (result,) = backend().post("/label-studio/street/predict", json=asked(task(), config=config)).json()["results"]
    assert interface(config).validate_prediction(result, return_errors=True) == []
    assert {region["type"] for region in result["result"]} == {"polygonlabels"}
    mask = Predictor.load(bundles["street"])(image).mask
    root = exported(tmp_path, {"a": result["result"]}, png)
    back = labels(read_dataset(root, "labelstudio", classes=["SKY", "car"], background="road"), "a")
    for value in (1, 2):
        assert (mask == value).any()
        assert mask_iou(back == value, mask == value) > 0.95


def test_label_studios_converter_writes_the_mask(
    backend: Callable[..., Any], bundles: dict[str, Path], png: bytes, image: np.ndarray, tmp_path: Path
) -> None:
    (result,) = backend().post("/label-studio/lesion/predict", json=asked(task())).json()["results"]
    root = exported(tmp_path / "export", {"a": result["result"]}, png)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter = pytest.importorskip("label_studio_sdk.converter")
        (tmp_path / "png").mkdir()
        made = converter.Converter(view(IMAGE, BRUSH), str(root), download_resources=False)
        made.convert(str(root / "export.json"), str(tmp_path / "png"), "BRUSH_TO_PNG", is_dir=False)
    (file,) = (tmp_path / "png").glob("*.png")
    from PIL import Image

    assert np.array_equal(np.asarray(Image.open(file)) > 0, Predictor.load(bundles["lesion"])(image).mask == 1)


def test_labels_are_found_by_all_their_names(backend: Callable[..., Any]) -> None:
    client = backend()
    for label, written in (
        ('<Label value="LESION"/>', "LESION"),
        ('<Label value="Melanoma" alias=" lesion"/>', " lesion"),
        ('<Label value="Melanom" predicted_values="nevus, Lesion"/>', "Melanom"),
        ('<View><Header value="x"/><Label value="hair"/><Label value="lesion"/></View>', "lesion"),
    ):
        config = view(IMAGE, f'<BrushLabels name="b" toName="photo">{label}</BrushLabels>')
        (result,) = client.post("/label-studio/predict", json=asked(task(), config=config)).json()["results"]
        assert [region["value"]["brushlabels"] for region in result["result"]] == [[written]]
        assert interface(config).validate_prediction(result, return_errors=True) == []


def test_the_control_that_has_most_classes_is_filled(backend: Callable[..., Any]) -> None:
    few = '<BrushLabels name="few" toName="photo"><Label value="car"/></BrushLabels>'
    other = '<PolygonLabels name="other" toName="text"><Label value="car"/><Label value="sky"/></PolygonLabels>'
    config = view('<Text name="text" value="$text"/>', IMAGE, few, other, POLYGONS)
    (result,) = backend().post("/label-studio/street/predict", json=asked(task(), config=config)).json()["results"]
    assert {region["from_name"] for region in result["result"]} == {"outlines"}


def refusal(
    client: Any, config: str = view(IMAGE, BRUSH), image: object = UPLOAD, model: str = "lesion", **more: Any
) -> tuple[int, str, str]:
    """Returns status, code and sentence of an answer."""
    answer = client.post(f"/label-studio/{model}/predict", json=asked(task(image, **more), config=config))
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            view(IMAGE, BRUSH.replace("Lesion", "Hair")),
            "no label of the project is a class of the model: the labels are Hair, the classes lesion; rename one, or "
            'say which is meant: <Label value="..." predicted_values="lesion"/>',
        ),
        (
            view(IMAGE),
            "the labeling setup has no BrushLabels, BitmaskLabels or PolygonLabels for its image; add one with lesion",
        ),
        (
            view(IMAGE, BRUSH.replace('toName="photo"', 'toName="nothing"')),
            "the labeling setup has no BrushLabels, BitmaskLabels or PolygonLabels for its image; add one with lesion",
        ),
        (
            view('<Video name="photo" value="$image"/>', BRUSH),
            "this model segments images, and the labeling setup shows none (other data: Video); it needs "
            '<Image name="image" value="$image"/>',
        ),
        (
            view('<Text name="photo" value="$text"/>', BRUSH),
            "this model segments images, and the labeling setup shows none (other data: Text); it needs "
            '<Image name="image" value="$image"/>',
        ),
        (
            view(IMAGE, '<Image name="right" value="$right"/>', BRUSH, BRUSH.replace("photo", "right")),
            "expected labels of the model's classes on one image, got them on photo, right",
        ),
        (
            view('<Image name="photo" valueList="$images"/>', BRUSH),
            "expected one image a task, got a list of them (valueList)",
        ),
        (
            view('<Image name="photo" value="https://example.org/a.png"/>', BRUSH),
            "expected <Image value=\"$key\"/> with a key of the task's data, got 'https://example.org/a.png'",
        ),
        ("", "expected the labeling setup as XML, got none; set up the labels of the project first"),
        ("<View>", "the labeling setup is no XML: no element found: line 1, column 6"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View/>', "expected a labeling setup without a document type"),
        (view(" " * 300_000), "expected a labeling setup of at most 262,144 characters, got 300,013"),
    ],
)
def test_a_setup_without_matching_labels_says_what_is_missing(
    backend: Callable[..., Any], studio: Studio, config: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = backend()
    assert refusal(client, config) == (422, "label_config", told)
    assert f"/label-studio/lesion/predict: {told}" in caplog.text  # Label Studio itself shows the status alone
    answer = client.post("/label-studio/lesion/setup", json={"schema": config})
    assert (answer.status_code, answer.json()["error"]["message"]) == (422, told)
    assert studio.asked == []


def test_several_images_are_fine_where_one_has_labels(backend: Callable[..., Any]) -> None:
    config = view('<Image name="depth" value="$depth"/>', IMAGE, BRUSH)
    (result,) = backend().post("/label-studio/predict", json=asked(task(), config=config)).json()["results"]
    assert {region["to_name"] for region in result["result"]} == {"photo"}


def test_classes_without_a_label_are_not_drawn(backend: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    config = view(IMAGE, '<BrushLabels name="b" toName="photo"><Label value="car"/></BrushLabels>')
    client = backend()
    with caplog.at_level(logging.WARNING):
        assert client.post("/label-studio/street/setup", json={"schema": config}).status_code == 200
    assert "no label for sky; it is not drawn there" in caplog.text
    (result,) = client.post("/label-studio/street/predict", json=asked(task(), config=config)).json()["results"]
    assert {label for region in result["result"] for label in region["value"]["brushlabels"]} == {"car"}


def test_images_are_fetched_with_the_token(backend: Callable[..., Any], studio: Studio, png: bytes) -> None:
    local, plain = "/data/local-files/?d=some folder/ä.png", "/data/local-files/?d=1/8.png"
    studio.files |= {
        local: png,
        plain: png,
        "/storage-data/uploaded/?filepath=upload/1/a.png": png,
        "/data/upload/1/a.png": png,
    }
    client = backend()
    for image, path in (
        (UPLOAD, UPLOAD),
        (UPLOAD.removeprefix("/data/"), UPLOAD),
        (f"{studio.address}{UPLOAD}", UPLOAD),
        (local, local),
        ("/data/local-files/?d=some%20folder/%C3%A4.png", local),
        ("/storage-data/uploaded/?filepath=upload/1/a.png", "/storage-data/uploaded/?filepath=upload/1/a.png"),
        ("/data/local-files?d=1/8.png", plain),
        ("/data/upload/moved.png", "/data/upload/1/a.png"),
    ):
        studio.asked.clear()
        answer = client.post("/label-studio/predict", json=asked(task(image)))
        assert answer.status_code == 200, answer.text
        assert studio.asked[-1] == (path, f"Token {TOKEN}")
    studio.asked.clear()
    data = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    assert client.post("/label-studio/predict", json=asked(task(data))).status_code == 200
    assert studio.asked == []


def test_a_label_studio_below_a_path(backend: Callable[..., Any], studio: Studio, png: bytes) -> None:
    studio.files = {f"/labeling{UPLOAD}": png}
    client = backend(label_studio=f"{studio.address}/labeling/")
    for image in (f"/labeling{UPLOAD}", UPLOAD, f"{studio.address}/labeling{UPLOAD}"):
        assert client.post("/label-studio/predict", json=asked(task(image))).status_code == 200
        assert studio.paths[-1] == f"/labeling{UPLOAD}"


def test_a_personal_access_token_is_exchanged_once(backend: Callable[..., Any], studio: Studio) -> None:
    client = backend(label_studio_token=REFRESH)
    for _ in range(2):
        assert client.post("/label-studio/predict", json=asked(task())).status_code == 200
    assert studio.asked == [("/api/token/refresh/", ""), (UPLOAD, f"Bearer {ACCESS}"), (UPLOAD, f"Bearer {ACCESS}")]
    assert backend(label_studio_token=ACCESS).post("/label-studio/predict", json=asked(task())).status_code == 200


FOREIGN = (
    "http://169.254.169.254/latest/meta-data/",
    "https://example.org/a.png",
    "//example.org/data/upload/a.png",
    "http://127.0.0.1:1/data/upload/a.png",
    "http://127.0.0.1@example.org/data/a.png",
    "http://[::1/data/upload/a.png",
    "http://127.0.0.1:99999/data/a.png",
    "ftp://127.0.0.1/data/upload/a.png",
    "file:///etc/passwd",
    "/etc/passwd",
    "/api/users/",
    "/data/../api/users/",
    "/data/upload/..%2f..%2f..%2fapi/users/",
    "/data\\..\\api",
    "photo.png",
    "C:\\photos\\a.png",
    "",
)


def test_foreign_images_are_refused_without_being_asked_for(backend: Callable[..., Any], studio: Studio) -> None:
    client = backend()
    for address in FOREIGN:
        told = (
            f"task 5: images are fetched from {studio.address}/data/ alone, got {address!r}; upload it to Label Studio"
        )
        status, code, sentence = refusal(client, image=address)
        assert (status, code) == (422, "foreign_image")
        assert sentence == f"{told}, or predict beforehand (segbench predict --as labelstudio)"
    for scheme in ("s3", "gs", "azure-blob"):
        status, code, sentence = refusal(client, image=f"{scheme}://bucket/a.png")
        assert (status, code) == (422, "foreign_image")
        assert sentence.startswith(f"task 5: images of a cloud storage ({scheme}://) are not fetched; upload it")
    assert studio.asked == []


def test_redirects_away_are_not_followed(backend: Callable[..., Any], studio: Studio, png: bytes) -> None:
    with label_studio(Studio(files={"/data/upload/1/a.png": png})) as other:
        studio.elsewhere = f"{other.address}/data/upload/1/a.png"
        status, code, told = refusal(backend(), image="/data/upload/away.png")
        assert (status, code) == (502, "label_studio")
        assert told.startswith(f"task 5: Label Studio sends the image from another host, {other.address[7:]};")
        assert other.asked == []


def test_what_label_studio_does_not_give_is_told(backend: Callable[..., Any], studio: Studio, png: bytes) -> None:
    assert refusal(backend(), image="/data/upload/1/gone.png") == (
        422,
        "image_gone",
        "task 5: Label Studio has no such image (any more): /data/upload/1/gone.png",
    )
    assert refusal(backend(), image="/data/upload/1/lost.png") == (
        502,
        "label_studio",
        "task 5: Label Studio answered with status 500 to /data/upload/1/lost.png; is the file there?",
    )
    refused = (
        "task 5: Label Studio refused the token or the file: the token must be of a person who may see the project, "
        "and a file of a local storage needs that storage added to the project"
    )
    for token in ("0" * 40, jwt(token_type="refresh"), jwt(token_type="access")):
        assert refusal(backend(label_studio_token=token)) == (502, "label_studio", refused)
    assert refusal(backend(label_studio_token=None)) == (
        502,
        "label_studio",
        "task 5: Label Studio asks for a token; give one with --label-studio-token-file, or in LABEL_STUDIO_API_KEY",
    )
    assert refusal(backend(label_studio=None)) == (
        422,
        "no_label_studio",
        "task 5: the server was told of no Label Studio to fetch images from; start it with --label-studio URL",
    )
    status, code, told = refusal(backend(label_studio="http://127.0.0.1:1"))
    assert (status, code) == (502, "label_studio")
    assert told.startswith("task 5: Label Studio cannot be reached at http://127.0.0.1:1; in a container")
    studio.slow_s = 1.0
    status, code, told = refusal(backend(timeout_s=0.3))
    assert (status, code, told) == (504, "label_studio", "task 5: Label Studio did not send the image within 0.3 s")


def test_large_and_broken_images_are_told(backend: Callable[..., Any], studio: Studio, png: bytes) -> None:
    small = backend(most_bytes=1000)
    told = f"task 5: expected an image of at most 1,000 bytes, got {len(png):,}"
    assert refusal(small) == (413, "too_large", told)
    data = base64.b64encode(png).decode()
    assert refusal(small, image=f"data:image/png;base64,{data}")[:2] == (413, "too_large")
    assert refusal(backend(most_px=1000))[:2] == (413, "too_many_pixels")
    client = backend()
    for content, code in ((b"<html></html>", "no_image"), (png[:200], "unreadable_image"), (b"", "no_image")):
        studio.files[UPLOAD] = content
        status, found, told = refusal(client)
        assert (status // 100, found) == (4, code)
        assert told.startswith("task 5: ")
    assert refusal(client, image="data:image/png,abc")[2].startswith("task 5: expected a data address in base64")
    assert refusal(client, image="data:image/png;base64,a")[2].startswith("task 5: the data address is damaged")


def test_tasks_without_an_image_are_told(backend: Callable[..., Any]) -> None:
    client = backend()
    assert refusal(client, key="text")[2] == "task 5: expected an image under data.image, got only text"
    several = refusal(client, image=[UPLOAD, UPLOAD])[2]
    assert several == "task 5: expected the address of one image under data.image, got several"
    for broken in ({}, {"data": []}, "x", None):
        answer = client.post("/label-studio/predict", json=asked(broken))  # type: ignore[arg-type]
        assert answer.json()["error"]["message"] == "tasks[0]: expected an image under data.image, got only nothing"


def test_a_task_that_fails_costs_its_own_prediction(backend: Callable[..., Any], studio: Studio, png: bytes) -> None:
    studio.files["/data/upload/1/b.png"] = as_png(noisy_image(1, (30, 80)))
    images = [UPLOAD, "/data/upload/1/gone.png", "/data/upload/1/b.png", *[UPLOAD] * 9]
    answer = backend(queue=2).post(
        "/label-studio/predict", json=asked(*(task(image, number) for number, image in enumerate(images)))
    )
    results = answer.json()["results"]
    assert len(results) == len(images)
    assert results[1] == {"error": "task 1: Label Studio has no such image (any more): /data/upload/1/gone.png"}
    assert [result["result"][0]["original_width"] for result in results if "result" in result] == [47, 80, *[47] * 9]


def test_tasks_wait_where_the_queue_is_full(backend: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    predict, refused = ServedModel.predict, []

    async def full_once(self: ServedModel, *given: Any, **more: Any) -> Any:
        if not refused:
            refused.append(1)
            raise QueueFull(1.0)
        return await predict(self, *given, **more)

    monkeypatch.setattr(ServedModel, "predict", full_once)
    client = backend()
    assert client.post("/label-studio/predict", json=asked(task())).json()["results"][0]["result"]
    refused.clear()
    answer = backend(timeout_s=0.5).post("/label-studio/predict", json=asked(task()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_what_is_ready_in_time_is_answered(backend: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    predict, begun = ServedModel.predict, []

    async def slow_but_once(self: ServedModel, *given: Any, **more: Any) -> Any:
        begun.append(1)
        if len(begun) > 1:
            await asyncio.sleep(max(0.0, more["deadline"] - asyncio.get_running_loop().time()))
        return await predict(self, *given, **more)

    monkeypatch.setattr(ServedModel, "predict", slow_but_once)
    results = backend(timeout_s=2.0).post("/label-studio/predict", json=asked(task(), task(number=6))).json()["results"]
    done = sorted(results, key=lambda result: "error" in result)
    assert done[0]["result"]
    assert done[1]["error"].endswith(
        ": the answer was not ready in time; send fewer at once, smaller images, or wait longer"
    )


def test_requests_that_are_none(backend: Callable[..., Any]) -> None:
    client = backend()
    for path in ("setup", "predict", "webhook"):
        for body in (b"", b"{", b"[]", b"1", b"[" * 100_000, b"\xff"):
            answer = client.post(f"/label-studio/{path}", content=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    answer = client.post("/label-studio/predict", json={**asked(), "tasks": {}})
    assert answer.json()["error"]["message"] == "expected a list under `tasks`"
    assert client.post("/label-studio/predict", json={**asked(), "params": [1]}).json()["results"] == []
    assert client.get("/label-studio/nothing/health").status_code == 404


def prompt(kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"result": [{"type": kind, "value": value, "from_name": "tool", "to_name": "photo", **more}]}


def test_smart_tools_ask_for_what_they_show(
    backend: Callable[..., Any], bundles: dict[str, Path], image: np.ndarray
) -> None:
    client, brush = backend(), pytest.importorskip("label_studio_sdk.converter.brush")
    mask = Predictor.load(bundles["lesion"])(image).mask == 1

    def shown(context: object) -> np.ndarray:
        (result,) = client.post("/label-studio/lesion/predict", json=asked(task(), context=context)).json()["results"]
        if not result["result"]:
            return np.zeros(SIZE, bool)
        return brush.decode_rle(result["result"][0]["value"]["rle"]).reshape(*SIZE, 4)[:, :, 3] > 0

    box = {"x": 100 * 10 / 47, "y": 100 * 20 / 61, "width": 100 * 15 / 47, "height": 100 * 30 / 61}
    inside = np.zeros_like(mask)
    inside[20:50, 10:25] = mask[20:50, 10:25]
    assert inside.any()
    assert np.array_equal(
        shown(prompt("rectanglelabels", {**box, "rotation": 0, "rectanglelabels": ["Lesion"]})), inside
    )
    assert np.array_equal(shown(prompt("rectangle", box)), inside)

    from scipy import ndimage

    objects, count = ndimage.label(mask, structure=np.ones((3, 3)))
    assert count > 1
    for number in (1, count):
        row, column = np.argwhere(objects == number)[0]
        point = {"x": 100 * (column + 0.5) / 47, "y": 100 * (row + 0.5) / 61, "width": 0.4}
        assert np.array_equal(
            shown(prompt("keypointlabels", {**point, "keypointlabels": ["Lesion"]})), objects == number
        )
        assert np.array_equal(shown(prompt("keypoint", point)), objects == number)
        assert not shown(prompt("keypoint", point, is_positive=False)).any()
    row, column = np.argwhere(~mask)[0]
    assert not shown(prompt("keypoint", {"x": 100 * (column + 0.5) / 47, "y": 100 * (row + 0.5) / 61})).any()
    assert np.array_equal(shown(None), mask)
    assert np.array_equal(shown({"result": []}), mask)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("ellipselabels", {"x": 1, "y": 1, "radiusX": 3, "radiusY": 3}),
        ("rectangle", {"x": 1, "y": 1, "width": 3, "height": 3, "rotation": 20}),
        ("keypoint", {"x": "1", "y": 1}),
        ("keypoint", {"x": float("inf"), "y": 1}),
        ("keypoint", None),
    ],
)
def test_other_smart_tools_are_refused(backend: Callable[..., Any], kind: str, value: Any) -> None:
    body = json.dumps(asked(task(), context=prompt(kind, value)))
    answer = backend().post("/label-studio/predict", content=body)
    assert answer.status_code == 422
    told = f"expected a key point or an upright rectangle of a smart tool, got {kind.removesuffix('labels')!r}"
    assert answer.json()["error"] == {"code": "smart_tool", "message": told}


@pytest.mark.parametrize("address", ["localhost:8080", "ftp://x", "http://", "http://me:secret@x", "http://x/?a=1"])
def test_an_address_that_is_none_ends_the_start(address: str) -> None:
    with pytest.raises(ConfigError, match="expected the address of Label Studio such as http://localhost:8080"):
        ServeSettings(label_studio=address)
