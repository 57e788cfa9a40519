from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.serve.conftest import CLASSES, write_model

from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.writers.convert import convert_dataset
from segbench.metrics.scores import score_masks
from segbench.predict.predictor import Predictor
from segbench.studio.background import Background
from segbench.studio.corrections import Corrections
from segbench.studio.place import Place
from segbench.studio.queue_api import written

Open = Callable[..., Any]


@pytest.fixture
def parted(lesions: Path, tmp_path: Path) -> Path:
    """Returns the manifest of the lesions, of which the last four are the test part."""
    manifest = read_dataset(lesions)
    parts = {each.id: "test" if index >= 8 else "train" for index, each in enumerate(manifest.samples)}
    manifest.with_splits(parts).write(tmp_path / "parted.json")  # type: ignore[arg-type]
    return tmp_path / "parted.json"


def asked(ask: Callable[[], Any]) -> dict[str, Any]:
    """Asks until the work is done."""
    end = time.monotonic() + 120
    while (found := ask().json()).get("state") == "working":
        assert time.monotonic() < end
        time.sleep(0.05)
    answer: dict[str, Any] = found
    return answer


def with_model(open_place: Open, path: Path, model: Path, tmp_path: Path) -> Any:
    (tmp_path / "work").mkdir(exist_ok=True)
    model.rename(tmp_path / "work" / model.name)
    return open_place(path)


def flipped(manifest: Manifest, index: int) -> np.ndarray:
    return 1 - load_sample(manifest, manifest.samples[index])[1]


def test_the_worst_by_a_models_score_come_first_and_no_test_image(
    open_place: Open, parted: Path, model: Path, tmp_path: Path
) -> None:
    client = with_model(open_place, parted, model, tmp_path)
    found = asked(lambda: client.get("/api/correct/queue?order=score&model=0"))
    manifest, predictor = Manifest.read(parted), Predictor.load(tmp_path / "work" / model.name)
    expected = []
    for sample in manifest.samples[:8]:
        mask, truth = predictor(manifest.image_path(sample)).mask, load_sample(manifest, sample)[1]
        expected.append(float(score_masks([mask], [truth], manifest.class_map).image_means("iou")[0]))
    values = [row["value"] for row in found["value"]]
    assert values == sorted(values)
    assert {row["index"]: row["value"] for row in found["value"]} == pytest.approx(dict(enumerate(expected)))
    assert (found["left_out"], found["told"]) == (4, "")
    assert f"{values[0]:.2f}" in found["value"][0]["why"]
    tested = asked(lambda: client.get("/api/correct/queue?order=score&model=0&test=true"))
    assert len(tested["value"]) == 12
    assert "not comparable" in tested["told"]


def test_what_a_model_is_unsure_of_comes_first(open_place: Open, parted: Path, model: Path, tmp_path: Path) -> None:
    client = with_model(open_place, parted, model, tmp_path)
    for order in ("entropy", "confidence"):
        found = asked(lambda order=order: client.get(f"/api/correct/queue?order={order}&model=0"))
        values = [row["value"] for row in found["value"]]
        assert (len(values), values) == (8, sorted(values, reverse=True))
        assert found["value"][0]["why"]
    assert client.get("/api/correct/queue?order=alphabet&model=0").status_code == 422
    assert client.get("/api/correct/queue?order=score&model=9").status_code == 404


def test_an_image_that_is_gone_is_told_and_the_others_are_there(
    open_place: Open, parted: Path, model: Path, tmp_path: Path
) -> None:
    client = with_model(open_place, parted, model, tmp_path)
    manifest = Manifest.read(parted)
    manifest.image_path(manifest.samples[3]).unlink()
    for order in ("score", "entropy"):
        found = asked(lambda order=order: client.get(f"/api/correct/queue?order={order}&model=0"))
        assert found["value"][-1]["index"] == 3
        assert found["value"][-1]["value"] is None
        assert manifest.samples[3].image in found["value"][-1]["why"]
        assert all(row["value"] is not None for row in found["value"][:-1])


def test_corrected_masks_are_written_in_the_sets_own_format_and_read_back(
    open_place: Open, lesions: Path, tmp_path: Path
) -> None:
    client = open_place(lesions)
    assert client.post("/api/correct/write", json={}).json()["error"]["code"] == "nothing_corrected"
    manifest = read_dataset(lesions)
    for index in (2, 5):
        data = gzip.compress(flipped(manifest, index).tobytes())
        assert client.put(f"/api/correct/{index}/labels", content=data, headers={"X-Version": "0"}).status_code == 200
    before = {path: path.read_bytes() for path in lesions.rglob("*") if path.is_file()}
    found = asked(lambda: client.post("/api/correct/write", json={}))
    assert found["to"] == "folder"
    told = found["value"]
    assert "12 images, 2 of them" in told["told"]
    assert told["changes"] == []
    again = read_dataset(told["path"])
    masks = {sample.id.rpartition("/")[2]: load_sample(again, sample)[1] for sample in again.samples}
    for index, sample in enumerate(manifest.samples):
        own = load_sample(manifest, sample)[1]
        assert np.array_equal(masks[sample.id.rpartition("/")[2]], 1 - own if index in (2, 5) else own)
    assert {path: path.read_bytes() for path in lesions.rglob("*") if path.is_file()} == before
    assert told["command"].startswith("segbench data convert ")
    assert client.post("/api/correct/write", json={"to": "excel"}).status_code == 422
    assert open_place(lesions, read_only=True).post("/api/correct/write", json={}).status_code == 403


@pytest.mark.parametrize("to", ["via", "coco", "labelme", "voc"])
def test_formats_of_annotation_tools_stay_what_they_are(lesions: Path, tmp_path: Path, to: str) -> None:
    convert_dataset(lesions, to, tmp_path / "labelled")
    place = Place(tmp_path / "labelled", tmp_path / "work")
    place.reading.start()
    place.reading.wait()
    manifest, corrections = place.manifest, Corrections(place.corrected_folder)
    corrections.save(manifest, manifest.samples[1], flipped(manifest, 1), 0)
    told = written(place, corrections, manifest, to)
    again = read_dataset(told["path"])
    assert again.format == to
    by_name = {sample.id: sample for sample in again.samples}
    assert np.array_equal(load_sample(again, by_name[manifest.samples[1].id])[1], flipped(manifest, 1))


def test_what_cannot_be_done_is_told_and_tried_again() -> None:
    background, tries = Background(), []

    def work(progress: Callable[[str, int, int], None]) -> int:
        tries.append(1)
        progress("counting", 1, 2)
        if len(tries) == 1:
            raise OSError("no space left")
        return 7

    def result() -> dict[str, Any]:
        while (found := background.ask("key", work))["state"] == "working":
            time.sleep(0.01)
        return found

    assert result() == {"state": "error", "told": "no space left"}
    assert result() == {"state": "ready", "value": 7}
    assert result()["value"] == 7
    assert len(tries) == 2, "what is there is not worked on again"


def test_what_is_unlike_the_corrected_comes_first(open_place: Open, lesions: Path, model: Path, tmp_path: Path) -> None:
    client = with_model(open_place, lesions, model, tmp_path)
    manifest = read_dataset(lesions)
    odd = manifest.image_path(manifest.samples[7])
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(odd)
    manifest.image_path(manifest.samples[3]).unlink()
    data = gzip.compress(flipped(manifest, 0).tobytes())
    assert client.put("/api/correct/0/labels", content=data, headers={"X-Version": "0"}).status_code == 200
    found = asked(lambda: client.get("/api/correct/queue?order=diversity&model=0"))["value"]
    assert sorted(row["index"] for row in found) == list(range(12))
    assert found[0]["index"] == 7, "the only one of noise"
    assert "unlike all" in found[0]["why"]
    assert [row["index"] for row in found[-2:]] == [0, 3]
    assert found[-2]["why"] == "corrected already"
    assert found[-1]["value"] is None
    values = [row["value"] for row in found[:-2]]
    assert values == sorted(values, reverse=True), "k-center: what is left is ever nearer"


def test_models_that_contradict_each_other(open_place: Open, parted: Path, model: Path, tmp_path: Path) -> None:
    client = with_model(open_place, parted, model, tmp_path)
    alone = asked(lambda: client.get("/api/correct/queue?order=disagreement&model=0"))
    assert "one network cannot disagree with itself" in alone["told"]
    write_model(tmp_path / "work" / "other.segbench", CLASSES["lesion"], (48, 64), seed=4)
    found = asked(lambda: client.get("/api/correct/queue?order=disagreement&model=0"))["value"]
    values = [row["value"] for row in found]
    assert len(values) == 8
    assert values == sorted(values, reverse=True)
    assert values[0] > 0
    assert "contradict each other" in found[0]["why"]


def test_a_thumbnail_shows_the_corrected_mask(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions)
    before = client.get("/api/correct/2/overlay?side=64")
    assert before.content == client.get("/api/samples/2/overlay?side=64").content
    data = gzip.compress(flipped(read_dataset(lesions), 2).tobytes())
    assert client.put("/api/correct/2/labels", content=data, headers={"X-Version": "0"}).status_code == 200
    again = client.get("/api/correct/2/overlay?side=64", headers={"If-None-Match": before.headers["etag"]})
    assert (again.status_code, again.content != before.content) == (200, True)
    assert client.get("/api/samples/2/overlay?side=64").content == before.content, "the data set's own"
