from __future__ import annotations

import base64
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.serve.conftest import as_png

from segbench.locale import message
from segbench.predict.files import predict_files
from segbench.predict.outputs import OutputOptions
from segbench.predict.pipeline import Pipeline
from segbench.predict.predictor import Predictor
from segbench.predict.sizes import SizePlan


def test_the_models_are_listed(client: Any) -> None:
    found = client.get("/v1/models").json()
    assert [each["name"] for each in found["models"]] == ["lesion", "street"]
    assert found["limits"] == {"most_bytes": 32 << 20, "most_px": 50_000_000, "timeout_s": 60.0}


def test_a_model_says_what_goes_in_and_what_comes_out(client: Any, bundles: dict[str, Path]) -> None:
    found = client.get("/v1/models/street").json()
    assert found["id"] == Predictor.load(bundles["street"]).model_id
    assert [each["color"] for each in found["classes"]] == ["#5a5a5a", "#0000ff", "#ff0000"]
    assert (found["task"], found["threshold"]) == ("multiclass", None)
    assert found["input"] | {"tta": ""} == {
        "channels": 3, "bands": None, "network_px": [40, 48], "training_px": None, "policy": None, "tta": "",
    }  # fmt: skip
    assert client.get("/v1/models/lesion").json()["threshold"] == 0.5


def test_areas_are_the_predictors(client: Any, bundles: dict[str, Path], image: np.ndarray, png: bytes) -> None:
    found = client.post("/v1/predict?model=street&mm_per_px=0.5", content=png).json()
    expected = Predictor.load(bundles["street"])(image)
    assert (found["height"], found["width"]) == (61, 47)
    assert {name: area["frac"] for name, area in found["areas"].items()} == pytest.approx(expected.area_fracs)
    for index, (name, area) in enumerate(found["areas"].items()):
        assert area["px"] == (expected.mask == index).sum(), name
        assert area["mm2"] == pytest.approx(area["px"] / 4)
        assert "m2" not in area
    assert "objects" not in found["areas"]["road"]
    assert found["areas"]["sky"]["objects"] > 0
    assert 0 < found["doubt"]["mean_entropy"] <= 1
    assert found["doubt"]["expected_iou"] is None
    assert found["policy"] == "resize"


@pytest.mark.parametrize("model", ["lesion", "street"])
def test_what_comes_out_is_what_the_command_line_writes(
    client: Any, bundles: dict[str, Path], png: bytes, tmp_path: Path, model: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png)
    out = tmp_path / "out"
    options = OutputOptions(polygons=("geojson",))
    predict_files(Predictor.load(bundles[model]), [tmp_path / "in"], out, options=options)
    mask, overlay = (out / "masks" / "a.png").read_bytes(), (out / "overlays" / "a.jpg").read_bytes()
    polygons = json.loads((out / "polygons" / "geojson" / "a.geojson").read_bytes())

    address = f"/v1/predict?model={model}"
    answer = client.post(f"{address}&as=mask", content=png)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == mask
    assert client.post(address, content=png, headers={"Accept": "image/png, */*"}).content == mask
    answer = client.post(f"{address}&as=overlay", content=png)
    assert (answer.headers["content-type"], answer.content) == ("image/jpeg", overlay)
    answer = client.post(f"{address}&as=polygons", content=png)
    assert (answer.headers["content-type"], answer.json()) == ("application/geo+json", polygons)
    plain = client.post(f"{address}&with=mask,overlay,polygons", files={"image": ("a.png", png)}).json()
    assert base64.b64decode(plain["mask"]) == mask
    assert base64.b64decode(plain["overlay"]) == overlay
    assert plain["polygons"] == polygons
    answer = client.post(f"{address}&as=zip", content=png)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.read("mask.png") == mask
        assert archive.read("overlay.jpg") == overlay
        assert json.loads(archive.read("polygons.geojson")) == polygons
        assert json.loads(archive.read("answer.json"))["areas"] == plain["areas"]


def test_other_thresholds_and_policies(client: Any, bundles: dict[str, Path], image: np.ndarray, png: bytes) -> None:
    for threshold, policy in ((0.3, None), (None, "whole"), (0.7, "tiles")):
        given = {key: value for key, value in (("threshold", threshold), ("policy", policy)) if value is not None}
        answer = client.post("/v1/predict?as=mask", params=given | {"as": "mask"}, content=png)
        expected = Predictor.load(bundles["lesion"], threshold=threshold, policy=policy)(image)  # type: ignore[arg-type]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), expected.mask), given
    answer = client.post("/v1/predict?model=street&threshold=0.4", content=png)
    assert answer.status_code == 422
    told = "street has exclusive classes: the most probable one is taken, and there is no threshold"
    assert answer.json()["error"] == {"code": "bad_parameter", "message": told}


def test_several_files_in_one_form(client: Any, image: np.ndarray) -> None:
    sent = [
        ("image", ("a.png", as_png(image))),
        ("image", ("broken.png", b"\x89PNG\r\n\x1a\nno")),
        ("image", ("../../c.png", as_png(image[::2]))),
    ]
    answer = client.post("/v1/predict?with=mask", files=sent)
    first, wrong, last = answer.json()["predictions"]
    assert [each["file"] for each in (first, wrong, last)] == ["a.png", "broken.png", "../../c.png"]
    assert (first["height"], last["height"]) == (61, 31)
    assert wrong["error"]["code"] in ("no_image", "unreadable_image")
    with zipfile.ZipFile(io.BytesIO(client.post("/v1/predict?as=zip", files=sent).content)) as archive:
        names = archive.namelist()
    assert "001_broken.png/error.json" in names
    assert "002_c.png/mask.png" in names
    assert not [name for name in names if ".." in name or name.startswith("/")]
    answer = client.post("/v1/predict?as=mask", files=sent)
    assert answer.json()["error"]["message"] == "3 files have no answer as=mask; ask for json or zip, or send one"


def test_curl_that_calls_an_image_a_form_is_understood(client: Any, png: bytes) -> None:
    answer = client.post("/v1/predict", content=png, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 200


def test_wrong_questions_are_told(client: Any, png: bytes) -> None:
    for address, sent, status, code, told in [
        ("?model=tree", {"content": png}, 404, "unknown_model", "expected one of lesion, street, got 'tree'"),
        (
            "?treshold=0.4",
            {"content": png},
            422,
            "bad_parameter",
            "there is no parameter 'treshold' here; expected some of model, threshold, policy, as, with, class, "
            "mm_per_px",
        ),
        (
            "?threshold=0.4&threshold=0.6",
            {"content": png},
            422,
            "bad_parameter",
            "threshold stands more than once in the address",
        ),
        (
            "?class=tree",
            {"content": png},
            422,
            "bad_parameter",
            "lesion has no class 'tree'; expected one of skin, lesion",
        ),
        ("?threshold=2", {"content": png}, 422, "bad_parameter", "threshold: Input should be less than 1"),
        (
            "?policy=best",
            {"content": png},
            422,
            "bad_parameter",
            "policy: Input should be 'whole', 'resize' or 'tiles'",
        ),
        (
            "",
            {"files": {"image": png}, "data": {"threshold": "0.4"}},
            422,
            "bad_parameter",
            "parameters belong in the address (/v1/predict?threshold=...), got the field 'threshold'",
        ),
        (
            "",
            {"content": b"nothing", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
            "bad_form",
            "the form cannot be read: Invalid multipart data.",
        ),
        (
            "",
            {"content": b"--x--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
            "no_image",
            "expected a file in the form, such as image=@photo.jpg, got none",
        ),
    ]:
        answer = client.post(f"/v1/predict{address}", **sent)
        assert answer.status_code == status, answer.text
        assert answer.json() == {"error": {"code": code, "message": told}}


def test_notes_speak_of_the_address_not_of_a_command(client: Any, png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Pipeline.plan

    def squeezed(pipeline: Pipeline, size: tuple[int, int]) -> SizePlan:
        return replace(plan(pipeline, size), note=message("squeezed; use --policy tiles"))

    monkeypatch.setattr(Pipeline, "plan", squeezed)
    assert client.post("/v1/predict", content=png).json()["notes"] == ["squeezed; use policy=tiles"]


def test_the_docs_load_nothing_from_elsewhere(client: Any) -> None:
    answer = client.get("/docs")
    assert "POST /v1/predict" in answer.text
    assert "src=" not in answer.text
    assert "http" not in answer.text.replace("openapi.json", "").partition("<h1>")[0]
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]


def test_the_description_is_true_of_what_comes(client: Any, png: bytes) -> None:
    import jsonschema

    described = client.get("/openapi.json").json()

    def check(value: Any, name: str) -> None:
        jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", "components": described["components"]})

    check(client.get("/v1/models").json(), "ModelList")
    check(client.get("/v1/models/lesion").json(), "ModelDetails")
    check(client.post("/v1/predict?with=mask,overlay,polygons&mm_per_px=1", content=png).json(), "Answer")
    check(client.post("/v1/predict", files=[("a", png), ("b", b"no")]).json(), "Answers")
    check(client.get("/nothing").json(), "ErrorAnswer")
    route = described["paths"]["/v1/predict"]["post"]
    check(route["responses"]["200"]["content"]["application/json"]["example"], "Answer")
    refused = {
        each["content"]["application/json"]["schema"]["$ref"]
        for code, each in route["responses"].items()
        if code != "200"
    }
    assert refused == {"#/components/schemas/ErrorAnswer"}
