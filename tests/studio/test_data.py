"""The page Data: what is filtered and sorted, what the doctor found and people decided, where the classes lie."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench import check_dataset
from segbench.compare.image_scores import read_scores
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.folders.study import StudyFolder
from segbench.studio.columns import Columns, Table, columns_of
from segbench.studio.filters import Filters, corners, inside, selected

Open = Callable[..., Any]


@pytest.fixture
def flawed(lesions: Path) -> Path:
    """Returns a labelled folder in which one mask is empty, one has a speck, and one image is much darker."""
    images, masks = (sorted((lesions / name).iterdir()) for name in ("images", "masks"))
    first = np.array(Image.open(masks[0]))
    Image.fromarray(np.zeros_like(first)).save(masks[0])
    second = np.array(Image.open(masks[1]))
    value = second.max()
    second[:] = 0
    second[10:30, 10:30], second[44, 60] = value, value
    Image.fromarray(second).save(masks[1])
    dark = np.array(Image.open(images[2])) // 8
    Image.fromarray(dark).save(images[2])
    return lesions


def opened(open_place: Open, folder: Path, **how: Any) -> Any:
    client = open_place(folder, **how)
    view = client.app.state.view
    view.table.wait()
    view.examination.wait()
    return client


def places(client: Any, asked: str) -> list[int]:
    answer = client.get(f"/api/samples?{asked}")
    assert answer.status_code == 200, answer.text
    return [each["index"] for each in answer.json()["samples"]]


def test_samples_are_filtered_and_sorted_by_what_their_masks_hold(open_place: Open, flawed: Path) -> None:
    client, manifest = opened(open_place, flawed), read_dataset(flawed)
    shares = [float((load_sample(manifest, sample)[1] == 1).mean()) for sample in manifest.samples]
    assert places(client, "shows=1") == [place for place, share in enumerate(shares) if share > 0]
    by_share = sorted(range(12), key=lambda place: -shares[place])
    assert places(client, "shows=1&sort=share&down=true") == by_share[:-1]
    assert places(client, "sort=brightness")[0] == 2
    middle = sorted(shares)[6]
    assert places(client, f"foreground_min={middle}") == [
        place for place in range(12) if shares[place] >= middle - 1e-6
    ]
    assert places(client, f"text={manifest.samples[7].id.upper()}") == [7]
    assert places(client, "part=val") == []
    assert places(client, "shows=9") == []
    assert client.get("/api/columns").json()["classes_known"]


def test_a_line_around_points_filters(open_place: Open, flawed: Path) -> None:
    client = opened(open_place, flawed)
    drawn = client.get("/api/scatter").json()
    assert (drawn["of"], len(drawn["brightness"])) == (12, 12)
    dark = drawn["brightness"][2]
    assert places(client, f"lasso=0,0,1000,0,1000,{dark + 1},0,{dark + 1}") == [2]
    for wrong in ("1,2,3", "1,2,3,4", "a,b,c,d,e,f", "nan,1,2,3,4,5"):
        assert client.get(f"/api/samples?lasso={wrong}").json()["error"]["code"] == "bad_filter"
    assert client.get("/api/samples?sort=beauty").json()["error"]["code"] == "bad_filter"


def test_points_inside_a_polygon_are_those_of_the_even_odd_rule() -> None:
    star = corners("0,10,10,0,5,12,0,0,10,10")
    x, y = np.array([1, 5, 9, np.nan], np.float32), np.array([8.5, 8, 5, 5], np.float32)
    assert inside(star, x, y).tolist()[2:] == [False, False]
    square = corners("0,0,10,0,10,10,0,10")
    assert inside(square, x, y).tolist() == [True, True, True, False]


def test_a_sample_knows_its_neighbours_in_what_is_shown(open_place: Open, flawed: Path) -> None:
    client, manifest = opened(open_place, flawed), read_dataset(flawed)
    told = client.get("/api/samples/0?sort=id&down=true").json()
    assert (told["at"], told["total"], told["previous"], told["next"]) == (11, 12, 1, None)
    labels = load_sample(manifest, manifest.samples[1])[1]
    assert client.get("/api/samples/1").json()["pixels"] == [int((labels == 0).sum()), int((labels == 1).sum()), 0]
    elsewhere = client.get("/api/samples/0?shows=1").json()
    assert (elsewhere["at"], elsewhere["previous"], elsewhere["next"]) == (-1, None, None)
    manifest.mask_paths(manifest.samples[1])[0].unlink()
    gone = client.get("/api/samples/1").json()
    assert gone["pixels"] == []
    assert manifest.samples[1].id in gone["unreadable"]


def test_findings_are_those_of_the_doctor(open_place: Open, flawed: Path) -> None:
    client = opened(open_place, flawed)
    told = client.get("/api/findings").json()
    assert [each["title"] for each in told["findings"]] == [each.title for each in check_dataset(flawed).findings]
    assert places(client, "finding=empty_masks") == [0]
    assert places(client, "finding=specks") == [1]
    about = client.get("/api/findings/of/1").json()["findings"]
    speck = next(each for each in about if each["code"] == "specks")
    assert speck["places"] == [{"x": 60, "y": 44, "width": 1, "height": 1}]
    assert client.get("/api/findings?lang=ru").json()["findings"][0]["title"] != told["findings"][0]["title"]


def test_what_is_decided_is_kept_beside_the_data_set_and_known_to_the_doctor(open_place: Open, flawed: Path) -> None:
    before = sorted(flawed.rglob("*"))
    client = opened(open_place, flawed)
    given = {"code": "empty_masks", "decision": "not_a_problem", "who": "Ada", "why": "healthy"}
    told = client.post("/api/findings", json=given).json()
    assert next(each for each in told["findings"] if each["code"] == "empty_masks")["open"] == 0
    assert places(client, "finding=empty_masks") == []
    assert places(client, "finding=empty_masks&reviewed=true") == [0]
    review = client.get("/api/findings/of/0").json()["findings"][0]["review"]
    assert (review["decision"], review["who"], review["why"]) == ("not_a_problem", "Ada", "healthy")
    assert sorted(flawed.rglob("*")) == before
    assert json.loads((flawed.parent / "lesions.reviewed.json").read_text())["reviews"][0]["who"] == "Ada"
    checked = check_dataset(flawed)
    assert (checked.reviewed, "empty_masks" in {each.code for each in checked.findings}) == (1, False)
    client.post("/api/findings", json={**given, "decision": None})
    assert check_dataset(flawed).reviewed == 0


def test_decisions_that_cannot_be_are_refused(open_place: Open, flawed: Path) -> None:
    client = opened(open_place, flawed)
    given = {"code": "empty_masks", "decision": "accepted"}
    assert client.post("/api/findings", json={**given, "code": "no_such"}).json()["error"]["code"] == "unknown_finding"
    strange = client.post("/api/findings", json={**given, "files": ["../../etc/passwd"]})
    assert (strange.status_code, strange.json()["error"]["code"]) == (409, "not_remembered")
    assert client.post("/api/findings", json={**given, "decision": "burnt"}).status_code == 422
    assert not (flawed.parent / "lesions.reviewed.json").exists()


def test_a_studio_that_only_shows_decides_nothing(open_place: Open, flawed: Path) -> None:
    client = opened(open_place, flawed, read_only=True)
    answer = client.post("/api/findings", json={"code": "empty_masks", "decision": "accepted"})
    assert answer.json()["error"]["code"] == "read_only"
    assert not (flawed.parent / "lesions.reviewed.json").exists()


def test_heat_maps_are_the_mean_of_the_masks(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions)
    heat = client.app.state.view.heat
    heat.wait()
    manifest = read_dataset(lesions)
    mean = float(np.mean([(load_sample(manifest, sample)[1] == 1).mean() for sample in manifest.samples]))
    assert heat.maps.shape == (2, 72, 96)
    assert float(heat.maps[1].mean()) == pytest.approx(mean, abs=0.01)
    assert np.allclose(heat.maps.sum(axis=0), 1, atol=1e-5)
    shown = np.asarray(Image.open(io.BytesIO(client.get("/api/heat/1").content)).convert("L"))
    assert np.corrcoef(shown.ravel(), heat.maps[1].ravel())[0, 1] > 0.95
    assert client.get("/api/heat/2").json()["error"]["code"] == "unknown_class"
    assert client.get("/api/heat").json()["ready"]


def test_a_mask_is_drawn_as_outline_and_class_by_class(open_place: Open, flawed: Path) -> None:
    client = open_place(flawed)

    def alpha(more: str) -> np.ndarray:
        answer = client.get(f"/api/samples/1/tint?{more}")
        return np.asarray(Image.open(io.BytesIO(answer.content)))[..., 3] > 0

    area, line = alpha("only=1"), alpha("only=1&outline=true")
    assert not alpha("only=").any()
    assert area[10:30, 10:30].all()
    assert (line & ~area).sum() == 0
    assert line[10, 10:30].all()
    assert line[10:30, 29].all()
    assert not line[12:28, 12:28].any()


def test_a_hundred_thousand_samples_answer_at_once(lesions: Path) -> None:
    columns = _many(read_dataset(lesions), 100_000)
    slowest = 0.0
    for asked in (
        {"text": "0999"},
        {"part": "val", "shows": 1, "sort": "share", "down": True},
        {"lasso": "300,20,1500,20,1500,200,900,120,300,200", "sort": "brightness"},
    ):
        started = time.perf_counter()
        assert len(selected(columns, Filters.model_validate(asked)))
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 1.0, "0.03 s here; a busy machine has time"


def _many(manifest: Manifest, number: int) -> Columns:
    rng = np.random.default_rng(0)
    parts = ("train", "val", "test")
    samples = tuple(
        replace(manifest.samples[0], id=f"image_{place:06d}", split=parts[place % 3], height=200 + place % 1700)
        for place in range(number)
    )
    columns = columns_of(replace(manifest, samples=samples))
    assert columns.side[3] == pytest.approx((203 * manifest.samples[0].width) ** 0.5)
    return replace(
        columns,
        side=rng.uniform(200, 2000, number).astype(np.float32),
        shares=rng.random((number, 2), dtype=np.float32),
        brightness=rng.uniform(0, 255, number).astype(np.float32),
    )


def test_files_that_have_gone_leave_a_word(lesions: Path) -> None:
    manifest = read_dataset(lesions)
    for path in (lesions / "masks").iterdir():
        path.unlink()
    table = Table(manifest)
    table.wait()
    assert table.ready
    assert len(selected(table.columns, Filters())) == 12


def test_images_are_filtered_by_the_score_of_an_approach(open_place: Open, study: StudyFolder) -> None:
    client = opened(open_place, study.path)
    names = client.get("/api/columns").json()["scored"]
    assert names == sorted({run.entry for run in study.read_plan().runs}, key=names.index)
    manifest = Manifest.read(study.manifest_file)
    expected = {}
    for run in (each for each in study.read_plan().runs if each.entry == names[0]):
        scores = read_scores(study.run(run.id), "test")
        for name, value in zip(scores.ids, scores.image_means("iou"), strict=True):
            expected.setdefault(name, []).append(value)
    means = {name: float(np.mean(values)) for name, values in expected.items()}
    asked = f"of={names[0]}&sort=score&part=test"
    rows = client.get(f"/api/samples?{asked}").json()["samples"]
    assert {row["id"]: row["score"] for row in rows} == pytest.approx(means)
    assert [row["score"] for row in rows] == pytest.approx(sorted(means.values()))
    middle = float(np.median(list(means.values())))
    low = places(client, f"{asked}&score_max={middle}")
    assert {manifest.samples[place].id for place in low} == {name for name, value in means.items() if value <= middle}
    assert client.get("/api/samples?of=nobody").status_code == 404
    assert places(client, "sort=score") == list(range(len(manifest))), "of nothing: the data set's own order"
