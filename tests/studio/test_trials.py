from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.predict.predictor import Predictor
from segbench.studio.tasks import Tasks

Open = Callable[..., Any]


def as_png(image: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def image() -> np.ndarray:
    coarse = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((90, 70), Image.Resampling.BICUBIC))


def test_an_image_is_segmented_as_by_the_predictor(open_place: Open, model: Path, image: np.ndarray) -> None:
    client = open_place(model)
    said = client.post("/api/try?model=0", content=as_png(image)).json()
    predictor = Predictor.load(model)
    expected = predictor(image)
    mask = client.get(f"/api/try/{said['key']}/mask")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(mask.content))), expected.mask)
    assert [each["share"] for each in said["areas"]] == pytest.approx(list(expected.area_fracs.values()))
    moved = client.get(f"/api/try/{said['key']}?threshold=0.6").json()
    other = Predictor.load(model, threshold=0.6)(image)
    assert [each["share"] for each in moved["areas"]] == pytest.approx(list(other.area_fracs.values()))
    assert moved["threshold"] == 0.6
    assert moved["chosen"] == 0.5
    for look in ("image", "tint", "doubt"):
        assert Image.open(io.BytesIO(client.get(f"/api/try/{said['key']}/{look}").content)).size == (90, 70)


def test_only_the_last_images_are_kept(open_place: Open, model: Path, image: np.ndarray) -> None:
    client = open_place(model)
    keys = [client.post("/api/try?model=0", content=as_png(image)).json()["key"] for _ in range(7)]
    assert client.get(f"/api/try/{keys[0]}").json()["error"]["code"] == "gone"
    assert client.get(f"/api/try/{keys[-1]}").status_code == 200


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "no_image"), (b"text", "no_image"), (b"\x89PNG\r\n\x1a\n cut", "unreadable_image")]
)
def test_what_is_no_image_is_told(open_place: Open, model: Path, data: bytes, code: str) -> None:
    answer = open_place(model).post("/api/try?model=0", content=data)
    assert answer.status_code // 100 == 4
    assert answer.json()["error"]["code"] in (code, "no_image")


def test_a_model_that_is_not_there(open_place: Open, model: Path, image: np.ndarray) -> None:
    client = open_place(model)
    assert client.post("/api/try?model=9", content=as_png(image)).json()["error"]["code"] == "unknown_model"
    model.write_bytes(b"PK\x03\x04 damaged")
    answer = client.post("/api/try?model=0", content=as_png(image))
    assert answer.json()["error"]["code"] == "unusable_model"


def ended(tasks: Tasks, task: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while tasks.is_running(task):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_command_is_known_to_a_studio_that_starts_again(tmp_path: Path) -> None:
    tasks = Tasks(tmp_path / "tasks")
    task = tasks.start("list", ["list", "losses"], cwd=tmp_path)
    ended(tasks, task)
    assert "dice" in tasks.log(task)
    assert tasks.to_dict(task)["failed"] is False
    wrong = tasks.start("list", ["list", "nothing"], cwd=tmp_path)
    ended(tasks, wrong)
    assert tasks.to_dict(wrong)["failed"] is True
    again = Tasks(tmp_path / "tasks")
    assert {each.id for each in again.all()} == {task.id, wrong.id}
    assert not again.is_running(again.find(task.id))
    assert again.find(task.id).command == "segbench list losses"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are told from later ones by /proc")
def test_a_command_is_stopped_by_a_studio_that_did_not_start_it(tmp_path: Path) -> None:
    tasks = Tasks(tmp_path / "tasks")
    task = tasks.start("serve", ["studio", "--no-browser", "--port", "0", "--work", str(tmp_path)], cwd=tmp_path)
    again = Tasks(tmp_path / "tasks")
    assert again.is_running(again.find(task.id))
    again.stop(again.find(task.id))
    ended(tasks, task)
