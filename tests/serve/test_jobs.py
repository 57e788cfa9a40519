"""Jobs in one process: sent, worked on, told, fetched, ended, and what is refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.serve.conftest import as_png

from segbench.errors import ConfigError
from segbench.predict import large, tiles
from segbench.predict.files import predict_files
from segbench.predict.outputs import OutputOptions
from segbench.predict.predictor import Predictor
from segbench.serve import job_folder, job_runner, job_upload, jobs
from segbench.serve.app import create_app
from segbench.serve.job_folder import JobFolder, now
from segbench.serve.job_upload import safe_name
from segbench.serve.models import Models
from segbench.serve.settings import ServeSettings

Served = Callable[..., TestClient]


@pytest.fixture
def served(bundles: dict[str, Path], tmp_path: Path) -> Iterator[Served]:
    """Returns a function that returns a client of a server with jobs; keywords are those of `ServeSettings`."""
    opened: list[TestClient] = []

    def start(**given: Any) -> TestClient:
        settings = ServeSettings(**{"jobs": tmp_path / "jobs", **given})
        app = create_app(Models.open(list(bundles.values()), settings), settings)
        client = TestClient(app, base_url="http://localhost")
        opened.append(client.__enter__())
        return opened[-1]

    yield start
    for client in opened:
        client.__exit__()


@pytest.fixture
def images(image: np.ndarray) -> dict[str, bytes]:
    """Returns name -> PNG of six images of two sizes."""
    return {f"{number}.png": as_png(np.roll(image, 3 * number, axis=0)[: 61 - number % 2]) for number in range(6)}


def form(images: dict[str, bytes]) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("files", (name, data, "image/png")) for name, data in images.items()]


def send(client: TestClient, images: dict[str, bytes], **options: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", files=form(images), params=options)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{found['id']}"
    return found


def ended(client: TestClient, name: str) -> dict[str, Any]:
    for _ in range(400):
        job: dict[str, Any] = client.get(f"/v1/jobs/{name}").json()
        if job["state"] in ("done", "failed", "cancelled"):
            with client.app.state.jobs.folder.holding(name, 5.0):  # type: ignore[attr-defined]  # it is let go
                return job
        time.sleep(0.05)
    raise AssertionError(job)


def holds(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Lets no job's network run until the returned event is set."""
    free = threading.Event()
    models: Models = client.app.state.models  # type: ignore[attr-defined]
    for model in models.values():
        real = model.queue.in_turn
        monkeypatch.setattr(model.queue, "in_turn", lambda call, real=real: (free.wait(20), real(call))[1])
    return free


def test_a_jobs_results_are_those_of_the_command(
    served: Served, images: dict[str, bytes], bundles: dict[str, Path], tmp_path: Path
) -> None:
    client = served()
    sent = send(client, images | {"left eye/0.png": images["1.png"], "broken.png": b"no image"},
                model="street", polygons="geojson,coco", objects=True, probs_as="npz")  # fmt: skip
    assert sent["state"] == "waiting"
    assert (sent["total"], len(sent["id"])) == (8, 22)
    job = ended(client, sent["id"])
    assert (job["state"], job["done"], job["total"], job["failed"]) == ("done", 8, 8, 1)
    assert list(job["failures"]) == ["broken.png"]
    assert str(tmp_path) not in json.dumps(job)

    for name, data in images.items():
        (tmp_path / "sent" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "sent" / name).write_bytes(data)
    (tmp_path / "sent" / "left eye").mkdir()
    (tmp_path / "sent" / "left eye" / "0.png").write_bytes(images["1.png"])
    options = OutputOptions(polygons=("geojson", "coco"), objects=True, probs="npz")
    predict_files(Predictor.load(bundles["street"]), [tmp_path / "sent"], tmp_path / "own", options=options)
    own = {path.relative_to(tmp_path / "own").as_posix(): path for path in (tmp_path / "own").rglob("*")}
    own = {name: path for name, path in own.items() if path.is_file() and name not in ("predicted.jsonl", ".lock")}

    listed = client.get(f"/v1/jobs/{sent['id']}/files").json()["files"]
    assert {each["name"] for each in listed} == set(own)
    with zipfile.ZipFile(io.BytesIO(client.get(f"/v1/jobs/{sent['id']}/result.zip").content)) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == set(own)
        for each in listed:
            data = archive.read(each["name"])
            assert len(data) == each["bytes"]
            assert data == own[each["name"]].read_bytes(), each["name"]
            assert str(tmp_path / "jobs").encode() not in data
    one = client.get(f"/v1/jobs/{sent['id']}/files/masks/left eye/0.png")
    assert one.content == own["masks/left eye/0.png"].read_bytes()
    part = client.get(f"/v1/jobs/{sent['id']}/files/areas.csv", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, own["areas.csv"].read_bytes()[:10])
    assert not (tmp_path / "jobs" / sent["id"] / "images").exists()  # uploads do not stay


def test_a_threshold_is_the_jobs_own(served: Served, images: dict[str, bytes], bundles: dict[str, Path]) -> None:
    client = served()
    found = {}
    for threshold in (None, 0.3):
        options = {} if threshold is None else {"threshold": threshold}
        sent = send(client, images, overlays=False, **options)
        assert ended(client, sent["id"])["state"] == "done"
        data = client.get(f"/v1/jobs/{sent['id']}/files/masks/0.png").content
        found[threshold] = np.asarray(Image.open(io.BytesIO(data)))
    image = np.asarray(Image.open(io.BytesIO(images["0.png"])))
    for threshold, mask in found.items():
        assert np.array_equal(mask, Predictor.load(bundles["lesion"], threshold=threshold)(image).mask)
    assert not np.array_equal(found[None], found[0.3])


def test_events_tell_everything_once_and_end(
    served: Served, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served()
    monkeypatch.setattr(job_runner, "_NOTE_S", 0.0)
    monkeypatch.setattr(jobs, "_HEARTBEAT_S", 0.25)
    free = holds(client, monkeypatch)
    sent = send(client, images)
    threading.Timer(0.8, free.set).start()
    answer = client.get(f"/v1/jobs/{sent['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    blocks = answer.text.strip().split("\n\n")
    assert blocks[0] == "retry: 2000"
    assert ": it goes on" in blocks
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks if "event:" in block]
    numbers = [int(event["id"]) for event in events]
    assert numbers == sorted(set(numbers))
    told = [json.loads(event["data"]) for event in events]
    assert [each["done"] for each in told] == sorted(each["done"] for each in told)
    assert (events[-1]["event"], told[-1]["state"], told[-1]["done"]) == ("end", "done", 6)

    again = client.get(f"/v1/jobs/{sent['id']}/events", headers={"Last-Event-ID": str(numbers[-1] - 1)})
    assert again.text.count("event:") == 1
    assert client.get(f"/v1/jobs/{sent['id']}/events", headers={"Last-Event-ID": events[-1]["id"]}).status_code == 204
    assert client.get(f"/v1/jobs/{sent['id']}/events", headers={"Last-Event-ID": "x"}).text.count("event:") == 1


def test_events_end_when_the_server_does(
    served: Served, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served()
    free = holds(client, monkeypatch)
    sent = send(client, images)
    threading.Timer(0.5, client.app.state.stopping.set).start()  # type: ignore[attr-defined]
    assert "event: end" not in client.get(f"/v1/jobs/{sent['id']}/events").text
    free.set()


def test_a_job_is_cancelled_in_the_middle(
    served: Served, images: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served()
    free = holds(client, monkeypatch)
    running, waiting = send(client, images), send(client, images)
    while client.get(f"/v1/jobs/{running['id']}").json()["state"] != "running":
        time.sleep(0.02)
    assert client.post(f"/v1/jobs/{waiting['id']}/cancel").json()["state"] == "cancelled"
    threading.Timer(0.3, free.set).start()
    job = client.post(f"/v1/jobs/{running['id']}/cancel").json()
    assert job["state"] == "cancelled"
    assert job["done"] < 6
    assert job["expires"] > job["ended"]
    assert client.post(f"/v1/jobs/{running['id']}/cancel").json() == job
    assert not (tmp_path / "jobs" / running["id"] / "images").exists()
    assert ended(client, send(client, images)["id"])["state"] == "done"


def test_a_deleted_job_leaves_nothing(
    served: Served, images: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served()
    done = send(client, images, keep_uploads=True)
    ended(client, done["id"])
    assert (tmp_path / "jobs" / done["id"] / "images").is_dir()
    free = holds(client, monkeypatch)
    running = send(client, images)
    threading.Timer(0.3, free.set).start()
    for job in (done, running):
        assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
        assert client.get(f"/v1/jobs/{job['id']}").status_code == 404
        assert client.delete(f"/v1/jobs/{job['id']}").json()["error"]["code"] == "unknown_job"
    assert client.get("/v1/jobs").json() == {"jobs": []}
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [".locks"]


def test_a_server_that_ends_leaves_its_job_to_the_next(
    served: Served, images: dict[str, bytes], bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = served()
    free = holds(first, monkeypatch)
    sent = send(first, images, model="street")
    while first.get(f"/v1/jobs/{sent['id']}").json()["state"] != "running":
        time.sleep(0.02)
    threading.Timer(0.3, free.set).start()
    first.__exit__()
    monkeypatch.undo()
    folder = first.app.state.jobs.folder  # type: ignore[attr-defined]
    state = folder.job(sent["id"]).state
    assert (state.state, state.message) == ("waiting", "the server ended; the job goes on when it is there again")

    lesion = bundles.pop("street"), bundles
    without = served()
    time.sleep(1.2)
    told = without.get(f"/v1/jobs/{sent['id']}").json()
    assert told["message"] == "its model street is not served now; the job goes on when it is"
    bundles["street"] = lesion[0]
    assert ended(served(), sent["id"])["state"] == "done"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../x.png", "x.png"),
        ("/etc/x.png", "etc/x.png"),
        ("..\\..\\x.png", "x.png"),
        ("C:\\Users\\me\\x.png", "C_/Users/me/x.png"),
        ("a\x00b\r\n.png", "ab.png"),
        ("CON.png", "_CON.png"),
        ("nul.tar.png", "_nul.tar.png"),
        ("com1.png/x.png", "_com1.png/x.png"),
        (".png", "png"),
        (".htaccess.png", "htaccess.png"),
        ("a/./b/../c.png", "a/b/c.png"),
        ("x.png. .", "x.png"),
        ('<"|?*>.png', "______.png"),
        ("\u202egnp.exe.png", "gnp.exe.png"),
        ("", "file"),
        ("...", "file"),
        ("a" * 300 + ".png", "a" * 76 + ".png"),
        ("ä" * 300 + ".png", "ä" * 38 + ".png"),
        ("/".join("abcdefgh") + ".png", "e/f/g/h.png"),
        ("photo of 3 März.jpeg", "photo of 3 März.jpeg"),
    ],
)
def test_names_are_made_safe(given: str, kept: str) -> None:
    assert safe_name(given) == kept
    assert safe_name(kept) == kept or kept == "png"


HOSTILE = ("../x.png", "X.png", "x.png", "a.png", "a.png/b.png", "c.png/d.png", "C.PNG", "NUL.png", "y" * 300 + ".png")


def test_hostile_names_stay_in_the_jobs_folder(served: Served, png: bytes, tmp_path: Path) -> None:
    client = served()
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n' % (name.encode(), png)
        for name in HOSTILE
    )
    answer = client.post(
        "/v1/jobs?keep_uploads=true&overlays=false",
        content=body + b"--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    names = answer.json()["images"]
    assert names == [
        "x.png", "X_2.png", "x_3.png", "a.png", "a.png_b.png", "c.png/d.png", "C_2.PNG", "_NUL.png", "y" * 76 + ".png"
    ]  # fmt: skip
    job = ended(client, answer.json()["id"])
    assert (job["state"], job["failed"], job["done"]) == ("done", 0, len(HOSTILE))
    folder = tmp_path / "jobs" / job["id"]
    assert {
        path.relative_to(folder / "images").as_posix() for path in (folder / "images").rglob("*") if path.is_file()
    } == set(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs"]
    masks = [each["name"] for each in client.get(f"/v1/jobs/{job['id']}/files").json()["files"]]
    assert len([name for name in masks if name.startswith("masks/") and name.endswith(".png")]) == len(HOSTILE)


@pytest.mark.parametrize(
    "name",
    [
        "../job.json", "..%2Fjob.json", "%2E%2E/job.json", "masks/../../job.json", "predicted.jsonl", ".lock", "",
        "masks", "/etc/passwd", "%2Fetc%2Fpasswd", "masks\\..\\..\\job.json", "a%00b", "masks//0.png", "none.png",
    ],
)  # fmt: skip
def test_only_results_are_handed_out(served: Served, png: bytes, name: str) -> None:
    client = served()
    sent = send(client, {"0.png": png})
    ended(client, sent["id"])
    answer = client.get(f"/v1/jobs/{sent['id']}/files/{name}")
    assert answer.status_code == 404
    assert b'"options"' not in answer.content


@pytest.mark.parametrize("name", ["x", "..", "%2E%2E", "a" * 22, ".locks", "%00", "a" * 21 + "/"])
def test_an_unknown_job_is_told_so(served: Served, name: str) -> None:
    answer = served().get(f"/v1/jobs/{name}")
    assert answer.status_code == 404


PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'
FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "no_form"),
        ("multipart/form-data", b"", 415, "no_form"),
        (FORM, b"", 400, "damaged_form"),
        (FORM, b"--b--\r\n", 400, "no_image"),
        (FORM, b"garbage", 400, "damaged_form"),
        (FORM, PART + b"abc", 400, "damaged_form"),
        (FORM, PART + b"abc\r\n", 400, "damaged_form"),
        (FORM, PART.replace(b"x.png", b"x.exe") + b"abc\r\n--b--\r\n", 415, "no_image"),
        (FORM, PART.replace(b"x.png", b"CON") + b"abc\r\n--b--\r\n", 415, "no_image"),
        (FORM, PART.replace(b"x.png", b"") + b"\r\n--b--\r\n", 400, "no_image"),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n--b--\r\n', 400, "unknown_field"),
        (FORM, b"--b\r\n\r\nx\r\n--b--\r\n", 400, "unknown_field"),
        (FORM, b"--b\r\n" + b"a: b\r\n" * 5000 + b"\r\nx\r\n--b--\r\n", 400, "damaged_form"),
    ],
)
def test_a_form_that_is_none_is_refused_and_leaves_nothing(
    served: Served, tmp_path: Path, kind: str, body: bytes, status: int, code: str
) -> None:
    answer = served().post("/v1/jobs", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [".locks"]


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        ({"model": "tree"}, 404, "expected one of lesion, street, got 'tree'"),
        ({"polygons": "svg"}, 422, "\"polygons: expected some of geojson, coco, labelme, via, got 'svg'\""),
        ({"treshold": 0.4}, 422, "there is no parameter 'treshold' here"),
        ({"threshold": 2}, 422, ""),
        ({"threshold": 0.4, "model": "street"}, 422, "street has exclusive classes"),
        ({"probs_as": "exe"}, 422, ""),
        ({"policy": "guess"}, 422, ""),
        ({"mm_per_px": 0}, 422, ""),
    ],
)
def test_options_are_judged_before_anything_is_kept(
    served: Served, png: bytes, options: dict[str, Any], status: int, told: str
) -> None:
    client = served()
    answer = client.post("/v1/jobs", files=form({"x.png": png}), params=options)
    assert answer.status_code == status
    assert told in answer.text
    assert client.get("/v1/jobs").json() == {"jobs": []}


def test_without_a_folder_there_are_no_jobs(client: TestClient, png: bytes) -> None:
    for answer in (client.post("/v1/jobs", files=form({"x.png": png})), client.get("/v1/jobs/x/events")):
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "no_jobs"
        assert "--jobs FOLDER" in answer.json()["error"]["message"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--jobs: .*file/jobs cannot be written \(Not a directory\) by user"):
        JobFolder(tmp_path / "file" / "jobs", most_bytes=1, keep_hours=1)


def test_there_is_no_more_on_the_disk_than_there_may_be(
    served: Served, image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = as_png(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))
    client = served(jobs_bytes=int(1.5 * len(data)))
    too_much = client.post("/v1/jobs", files=form({"a.png": data, "b.png": data}))
    assert (too_much.status_code, too_much.json()["error"]["code"]) == (507, "no_room")

    def chunks() -> Iterator[bytes]:  # no length is told before
        yield PART + data
        yield data

    monkeypatch.setattr(job_upload, "_PART_BYTES", 1)
    answer = client.post("/v1/jobs", content=chunks(), headers={"Content-Type": FORM})
    assert answer.status_code == 507
    assert job_folder.size_of(tmp_path / "jobs") < 1000
    monkeypatch.setattr(job_upload, "MOST_FILES", 1)
    assert client.post("/v1/jobs", files=form({"a.png": b"1", "b.png": b"2"})).status_code == 413
    monkeypatch.setattr(jobs, "MOST_JOBS", 0)
    assert client.post("/v1/jobs", files=form({"a.png": b"1"})).status_code == 507


def test_a_job_may_be_larger_than_a_request(served: Served, image: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    client = served(most_bytes=50_000)
    sent = send(client, {f"{number}.png": as_png(noise) for number in range(3)}, overlays=False)
    assert ended(client, sent["id"])["state"] == "done"
    answer = client.post(f"/v1/jobs/{sent['id']}/cancel", content=b"x" * 50_001)
    assert answer.status_code == 413  # other requests may not


def test_a_full_disk_loses_nothing(served: Served, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    client = served()
    monkeypatch.setattr(job_runner, "_AGAIN_S", 0.2)
    real = job_runner.local_stages
    calls: list[int] = []

    def full(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return real(*given, **named)

    monkeypatch.setattr(job_runner, "local_stages", full)
    free_disk = threading.Event()
    monkeypatch.setattr(JobFolder, "room", lambda _: 1 << 30 if free_disk.is_set() or not calls else 0)
    monkeypatch.setattr(job_runner, "_ROOM_S", 0.0)
    sent = send(client, images)
    told = set()
    for _ in range(200):
        told.add(client.get(f"/v1/jobs/{sent['id']}").json()["message"])
        if len(calls) > 2:
            break
        time.sleep(0.02)
    assert any("No space left on device" in each for each in told)
    assert "there is no room for its results; the job goes on when other jobs are deleted" in told
    assert client.post("/v1/jobs", files=form(images)).status_code == 507
    free_disk.set()
    job = ended(client, sent["id"])
    assert (job["state"], job["done"], job["failed"]) == ("done", 6, 0)


def test_a_job_alone_larger_than_all_may_be_fails(
    served: Served, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served(jobs_bytes=60_000)
    monkeypatch.setattr(job_runner, "_ROOM_S", 0.0)
    sent = send(client, images, probs_as="npy", model="street", doubt=True)
    job = ended(client, sent["id"])
    assert job["state"] == "failed"
    assert job["message"] == "its results take more room than all jobs may have, 6e-05 GB"


def test_what_is_old_goes(served: Served, images: dict[str, bytes], tmp_path: Path) -> None:
    client = served()
    sent = send(client, images)
    ended(client, sent["id"])
    folder: JobFolder = client.app.state.jobs.folder  # type: ignore[attr-defined]
    job = folder.job(sent["id"])
    left = tmp_path / "jobs" / (".new-" + "a" * 22)
    left.mkdir()
    with folder.holding("a" * 22):
        folder.tidy()
        assert left.is_dir()  # it is still being sent
    folder.tidy()
    assert not left.exists()
    assert job.folder.is_dir()
    with folder.holding(job.id):
        job.note(ended=now() - timedelta(hours=24, seconds=1))
    folder.tidy()
    assert client.get(f"/v1/jobs/{job.id}").status_code == 404
    for lock in (tmp_path / "jobs" / ".locks").iterdir():
        os.utime(lock, (0, 0))
    folder.tidy()
    assert len(list((tmp_path / "jobs" / ".locks").iterdir())) == 0
    assert ended(client, send(client, images)["id"])["state"] == "done"


def test_what_a_killed_server_left_is_taken_away(served: Served, images: dict[str, bytes], tmp_path: Path) -> None:
    client = served()
    sent = send(client, images)
    ended(client, sent["id"])
    uploads = tmp_path / "jobs" / sent["id"] / "images"
    uploads.mkdir()  # killed between the note that it is done and the end of the uploads
    half = tmp_path / "jobs" / ("b" * 22)
    half.mkdir()  # killed while it was deleted
    shutil.copy(tmp_path / "jobs" / sent["id"] / "job.json", half)
    client.app.state.jobs.folder.tidy()  # type: ignore[attr-defined]
    assert not uploads.exists()
    assert not half.exists()
    assert client.get(f"/v1/jobs/{sent['id']}").json()["state"] == "done"


def test_an_image_that_promises_too_much_is_not_begun(
    served: Served, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runner, "MOST_PX", 61 * 47 - 1)
    client = served()
    job = ended(client, send(client, {"x.png": png})["id"])
    assert job["state"] == "done"
    assert job["failures"] == {"x.png": "expected at most 2,866 pixels, got 2,867"}


def test_a_large_image_goes_by_parts_and_tells_how_far_it_is(
    served: Served, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "LARGE_PX", 10_000)
    monkeypatch.setattr(tiles, "_TILES_MB", (1.0, 2.0, 4.0))
    monkeypatch.setattr(job_runner, "_NOTE_S", 0.0)
    client = served()
    parts: list[float] = []
    real = job_folder.Job.note
    monkeypatch.setattr(
        job_folder.Job, "note", lambda job, **changes: (parts.append(changes.get("part", -1)), real(job, **changes))[1]
    )
    wide = np.tile(image, (60, 2, 1))
    job = ended(client, send(client, {"wide.png": as_png(wide)}, policy="tiles")["id"])
    assert (job["state"], job["failed"]) == ("done", 0), job
    rows = [part for part in parts if part > 0]
    assert len(rows) > 3
    assert rows == sorted(rows)
    assert rows[-1] == 1.0


def test_an_image_goes_before_a_job(served: Served, images: dict[str, bytes], png: bytes) -> None:
    """An interactive image waits for one batch of the job at most; the job goes on although images keep coming."""
    client = served()
    model = client.app.state.models["lesion"]  # type: ignore[attr-defined]
    order: list[str] = []
    real_turn, real_run = model.queue.in_turn, model.queue._run
    model.queue.in_turn = lambda call: real_turn(lambda: (order.append("job"), time.sleep(0.05), call())[2])
    model.queue._run = lambda seen: (order.append("image"), real_run(seen))[1]
    many = {f"{number}.png": as_png(np.zeros((40 + number, 48, 3), dtype=np.uint8)) for number in range(30)}
    sent = send(client, many, policy="whole", overlays=False)
    for _ in range(10):
        begun = time.perf_counter()
        assert client.post("/v1/predict", content=png).status_code == 200
        assert time.perf_counter() - begun < 1.5
    assert ended(client, sent["id"])["state"] == "done"
    between = "".join(each[0] for each in order).split("i")
    assert order.count("image") == 10
    assert max(map(len, between[1:-1])) <= 3, between


def test_the_schema_names_the_routes_and_is_true(served: Served, images: dict[str, bytes]) -> None:
    from jsonschema import Draft202012Validator

    client = served()
    schema = client.get("/openapi.json").json()
    paths = ("", "/{job_id}", "/{job_id}/events", "/{job_id}/cancel", "/{job_id}/files", "/{job_id}/result.zip")
    assert {f"/v1/jobs{path}" for path in (*paths, "/{job_id}/files/{name}")} <= set(schema["paths"])
    sent = send(client, images)
    job = ended(client, sent["id"])
    for name, value in (
        ("JobAnswer", sent), ("JobAnswer", job), ("JobList", client.get("/v1/jobs").json()),
        ("ResultFiles", client.get(f"/v1/jobs/{job['id']}/files").json()),
    ):  # fmt: skip
        Draft202012Validator(schema["components"]["schemas"][name] | {"components": schema["components"]}).validate(
            value
        )
    upload = schema["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    assert list(upload) == ["multipart/form-data"]
