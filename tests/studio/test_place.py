from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_picture
from segbench.errors import DatasetError
from segbench.folders.study import StudyFolder
from segbench.studio.place import Place
from segbench.studio.texts import TEXTS
from segbench.studio.vendor import HASHES

Open = Callable[..., Any]


def test_what_is_opened_is_recognised(lesions: Path, study: StudyFolder, model: Path, tmp_path: Path) -> None:
    run = study.run(study.read_plan().runs[0].id).path
    for path, kind in ((lesions, "data"), (study.path, "study"), (run, "run"), (model, "bundle"), (None, "work")):
        assert Place(path, tmp_path / "work").kind == kind
    with pytest.raises(DatasetError, match="no such file or folder"):
        Place(tmp_path / "nothing", tmp_path / "work")


def test_a_study_has_its_runs_and_models(open_place: Open, study: StudyFolder) -> None:
    place = open_place(study.path).get("/api/place").json()
    assert (place["kind"], place["runs"], place["reading"]["state"]) == ("study", 8, "ready")


def test_a_folder_that_cannot_be_read_says_why(open_place: Open, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    client = open_place(tmp_path / "empty")
    state = client.get("/api/place").json()["reading"]
    assert state["state"] == "error"
    assert str(tmp_path / "empty") in state["told"]
    answer = client.get("/api/samples")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "unreadable_data")


def test_pages_of_the_grid(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions)
    first = client.get("/api/samples?start=0&count=5").json()
    last = client.get("/api/samples?start=10&count=5").json()
    assert (first["total"], len(first["samples"]), [each["index"] for each in last["samples"]]) == (12, 5, [10, 11])
    assert client.get("/api/samples/12/image").json()["error"]["code"] == "unknown_sample"


def test_pictures_are_those_of_the_data_set(open_place: Open, lesions: Path) -> None:
    client, manifest = open_place(lesions), read_dataset(lesions)
    image, labels = load_picture(manifest, manifest.samples[3])
    answer = client.get("/api/samples/3/labels")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), labels)
    shown = np.asarray(Image.open(io.BytesIO(client.get("/api/samples/3/image").content)))
    assert np.abs(shown.astype(int) - image).mean() < 4, "JPEG"
    tint = np.asarray(Image.open(io.BytesIO(client.get("/api/samples/3/tint").content)))
    assert np.array_equal(tint[..., 3] > 0, labels == 1)
    assert client.get("/api/samples/3/image", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    small = Image.open(io.BytesIO(client.get("/api/samples/3/overlay?side=32").content))
    assert small.size == (32, 24)


def test_a_file_that_has_gone_is_told(open_place: Open, lesions: Path) -> None:
    client, manifest = open_place(lesions), read_dataset(lesions)
    manifest.image_path(manifest.samples[0]).unlink()
    answer = client.get("/api/samples/0/image")
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "unreadable_image")


def test_every_sentence_of_the_page_is_there() -> None:
    page = Path(str(files("segbench.studio"))) / "page" / "js"
    used = set()
    for script in page.rglob("*.js"):
        used |= set(re.findall(r"""\bt\("(\w+)\"""", script.read_text(encoding="utf-8")))
    assert used - set(TEXTS) == set()


def test_libraries_are_those_of_the_packages() -> None:
    vendor = Path(str(files("segbench.studio"))) / "page" / "vendor"
    found = {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in vendor.iterdir() if each.suffix != ".md"
    }
    assert found == HASHES


def test_texts_come_in_both_languages(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions)
    english, russian = (client.get(f"/api/texts/{lang}").json() for lang in ("en", "ru"))
    assert english.keys() == russian.keys()
    assert russian["study"] != english["study"]
    assert client.get("/api/texts/xx").json()["error"]["code"] == "unknown_language"


def test_every_route_that_writes_refuses_a_visitor(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions, read_only=True)
    bodies = {
        "/api/place/answer": {"command": ""},
        "/api/findings": {"code": "specks", "title": "", "files": [], "decision": "accepted", "who": "", "why": ""},
        "/api/export": {"model": "0", "format": "onnx"},
        "/api/correct/retrain": {"run": "a"},
        "/api/new/start": {"yaml": ""},
    }
    looks = {
        "/api/try",
        "/api/new/check",
    }  # they change nothing that is kept; what is for a study is refused without one
    paths = client.app.openapi()["paths"]
    writes = [(path, verb) for path, verbs in paths.items() for verb in verbs if verb in ("post", "put", "delete")]
    assert len(writes) > 8
    for path, verb in writes:
        if path in looks or path.startswith("/api/study/"):
            continue
        filled = re.sub(r"\{index\}", "0", re.sub(r"\{(name|run|key)\}", "a", path))
        answer = client.request(verb, filled, json=bodies.get(path, {}))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "read_only"), (path, verb, answer.text)
