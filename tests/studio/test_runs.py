from __future__ import annotations

import gzip
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.config.run import parse_config
from segbench.config.text import change_yaml, parse_yaml, write_yaml
from segbench.data.manifest.manifest import Manifest
from segbench.data.synthetic.write import write_lesions
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.studio import new_run
from segbench.studio.fields import KEYS, fields_of, values_of
from segbench.studio.tasks import Tasks
from segbench.types import Task

Open = Callable[..., Any]

SMALL = {
    "network": "{name: unet_nearest, widths: [4, 8]}",
    "weights": "none",
    "optimizer.encoder_lr": "",
    "ema_decay": "",
    "steps": "6",
    "data.size": "[32, 32]",
    "output": "runs/small",
}


def first(client: Any) -> dict[str, Any]:
    """Returns the first draft, when it is there."""
    return until(lambda: client.get("/api/new").json(), lambda found: found["state"] == "ready")


def until(ask: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not good(found := ask()):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def ended(client: Any, task: str) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: client.get(f"/api/tasks/{task}").json(), lambda told: not told["running"], 300
    )
    return found


def test_fields_come_from_the_schema() -> None:
    fields = {each["key"]: each for each in fields_of(Task.BINARY)}
    assert tuple(fields) == KEYS
    assert (fields["optimizer.lr"]["kind"], fields["optimizer.lr"]["above"], fields["optimizer.lr"]["most"]) == (
        "number",
        0.0,
        100.0,
    )
    assert (fields["seed"]["kind"], fields["seed"]["least"], fields["seed"]["below"]) == ("integer", 0, 2**31)
    assert fields["steps"]["help"].startswith("optimiser steps of the whole run")
    assert fields["optimizer.lr"]["help"] == "the learning rate (one-cycle: its maximum)."
    assert "smp/unet" in fields["network"]["choices"]
    assert "strong" in fields["data.augment"]["choices"]
    assert all(each["help"] for each in fields.values())
    assert "bce" in fields["loss"]["choices"]
    assert "bce" not in next(each for each in fields_of(Task.MULTICLASS) if each["key"] == "loss")["choices"]


def test_a_change_keeps_the_comments_but_for_the_reason_of_what_changed() -> None:
    text = "# head\nloss: dice   # one reason\n# about steps\nsteps: 400   # another\noptimizer: adamw\nseed: 0   # 3\n"
    found = change_yaml(text, {"steps": "20", "optimizer.lr": "1e-2", "seed": "", "loss": "{dice: 1.0, bce: 2.0}"})
    assert parse_yaml(found)[0] == {
        "loss": {"dice": 1.0, "bce": 2.0},
        "steps": 20,
        "optimizer": {"name": "adamw", "lr": 0.01},
    }
    assert "# head" in found
    assert "# about steps" in found
    assert "one reason" not in found
    assert "another" not in found
    epochs = parse_yaml(change_yaml(text, {"epochs": "3"}))[0]
    assert (epochs["epochs"], epochs.get("steps")) == (3, None), "one length takes the place of the other"


def test_a_form_starts_from_what_config_new_writes(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions)
    found = first(client)
    assert {each["key"] for each in found["fields"]} == set(KEYS)
    plain, _ = parse_yaml(found["value"])
    assert plain["data"]["path"] == str(lesions)
    assert parse_config(plain).run_folder == Path("runs/lesions")
    told = client.post("/api/new/check", json={"yaml": found["value"]}).json()
    assert (told["error"], told["values"]) == ("", values_of(plain))
    assert told["command"] == "segbench train configs/lesions.yaml"


def test_what_is_wrong_stands_at_its_field_before_anything_starts(
    open_place: Open, lesions: Path, tmp_path: Path
) -> None:
    client = open_place(lesions)
    text = first(client)["value"]
    for changes, key, told in (
        ({"optimizer.lr": "-1"}, "optimizer.lr", "greater than 0"),
        ({"network": "unet_neerest"}, "network", "did you mean 'unet_nearest'"),
        ({"loss": "cross_entropi"}, "loss", "cross_entropy"),
        ({"steps": "many"}, "steps", "many"),
        ({"seed": "[1"}, "seed", "not valid YAML"),
        ({"data.size": "[10, 10]"}, "data.size", "32 to 8192"),
    ):
        answer = client.post("/api/new/check", json={"yaml": text, "changes": changes}).json()
        assert answer["key"].startswith(key)
        assert told in answer["error"]
        assert answer["command"] == ""
        assert client.post("/api/new/start", json={"yaml": text, "changes": changes}).status_code == 422
    typo = client.post("/api/new/check", json={"yaml": text.replace("batch_size", "batchsize")}).json()
    assert typo["line"] == next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith("batch_size"))
    assert "batch_size" in typo["error"]
    broken = client.post("/api/new/check", json={"yaml": text + "\nseed: [1\n"}).json()
    assert broken["line"] > 1
    assert not (tmp_path / "work" / "configs").exists()
    assert client.get("/api/tasks").json() == []


def test_names_that_are_taken_and_a_full_disk_are_told(
    open_place: Open, lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work" / "runs" / "lesions").mkdir(parents=True)
    (tmp_path / "work" / "runs" / "lesions" / "notes.txt").write_text("mine")
    client = open_place(lesions)
    text = first(client)["value"]
    assert parse_yaml(text)[0]["output"] == "runs/lesions-2"
    taken = client.post("/api/new/check", json={"yaml": text, "changes": {"output": "runs/lesions"}}).json()
    assert (taken["key"], "not empty" in taken["error"]) == ("output", True)
    monkeypatch.setattr(new_run, "free_bytes", lambda folder: 5 * 10**8)
    full = client.post("/api/new/check?lang=en", json={"yaml": text}).json()
    assert "0.5 GB are free" in full["notes"][0]
    answer = client.post("/api/new/start", json={"yaml": text})
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full")


def test_who_only_looks_starts_nothing(open_place: Open, lesions: Path, study: StudyFolder) -> None:
    client = open_place(lesions, read_only=True)
    assert client.post("/api/new/start", json={"yaml": first(client)["value"]}).status_code == 403
    assert open_place(study.path).get("/api/new").status_code == 409
    shown = open_place(study.path, read_only=True)
    assert shown.post("/api/study/continue", json={}).status_code == 403


@pytest.mark.slow
def test_a_training_is_started_stopped_by_another_studio_and_continued(
    open_place: Open, lesions: Path, tmp_path: Path
) -> None:
    client = open_place(lesions)
    text = first(client)["value"]
    asked = {"yaml": text, "changes": SMALL | {"steps": "", "epochs": "3000"}}
    task = client.post("/api/new/start", json=asked).json()
    assert task["command"] == "segbench train configs/small.yaml"
    again = client.post("/api/new/start", json=asked)
    assert again.status_code in (409, 422), "two clicks start one training"
    until(lambda: client.get(f"/api/tasks/{task['id']}").json()["progress"], lambda told: told and told["done"] > 0)
    other = open_place(lesions)
    seen = other.get("/api/tasks").json()
    assert [(each["id"], each["running"], each["killed"]) for each in seen] == [(task["id"], True, False)]
    assert seen[0]["progress"]["seconds_left"] > 0
    assert "running" in other.post("/api/new/check", json=asked).json()["notes"][0]
    assert other.post("/api/runs/small/stop", json={}).status_code == 200
    assert ended(client, task["id"])["stopped"]
    row = next(each for each in other.get("/api/runs").json() if each["name"] == "small")
    assert row["state"] == "stopped"
    run = RunFolder(tmp_path / "work" / "runs" / "small")
    begun = other.post("/api/runs/small/continue", json={}).json()
    assert str(run.path) in begun["command"]
    until(lambda: len(run.read_history()), lambda epochs: epochs > row["epoch"])
    assert client.post(f"/api/tasks/{begun['id']}/stop", json={}).status_code == 200
    ended(other, begun["id"])


def test_a_finished_study_is_not_begun_again(open_place: Open, study: StudyFolder) -> None:
    client = open_place(study.path)
    there = client.get("/api/study/task").json()
    assert (there["running"], there["finished"], there["task"]) == (False, True, None)
    assert client.post("/api/study/continue", json={}).json()["error"]["code"] == "finished"
    assert client.post("/api/study/stop", json={}).json()["error"]["code"] == "not_ours"


@pytest.mark.slow
def test_a_study_is_continued_and_stopped_as_a_task(open_place: Open, lesions: Path, tmp_path: Path) -> None:
    base = {
        "data": {"path": str(lesions), "size": [32, 32]},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "epochs": 3000,
    }
    config = {"study": "seeds", "base": base, "vary": {"loss": ["dice", "bce"], "seed": [0]}}
    (tmp_path / "seeds.yaml").write_text(write_yaml(config | {"output": str(tmp_path / "seeds")}))
    tasks = Tasks(tmp_path / "tasks")
    folder, command = StudyFolder(tmp_path / "seeds"), ["study", "run", str(tmp_path / "seeds.yaml"), "--workers", "1"]
    elsewhere = tasks.start("study", command, cwd=tmp_path)
    until(lambda: folder.is_study and any(each.epoch for each in folder.status()), bool)
    client = open_place(folder.path)
    there = client.get("/api/study/task").json()
    assert (there["running"], there["ours"]) == (True, False)
    assert client.post("/api/study/continue", json={}).json()["error"]["code"] == "running"
    assert client.post("/api/study/stop", json={}).json()["error"]["code"] == "not_ours"
    tasks.stop(elsewhere)
    until(lambda: tasks.is_running(elsewhere), lambda running: not running)
    until(lambda: client.get("/api/study/task").json()["running"], lambda running: not running)
    epochs = max(each.epoch for each in folder.status())
    begun = client.post("/api/study/continue", json={}).json()
    assert begun["task"]["progress"] == {"done": 0, "total": 2, "seconds_left": None}
    until(lambda: max(each.epoch for each in folder.status()), lambda now: now > epochs)
    assert client.post("/api/study/stop", json={}).status_code == 200
    told = ended(client, begun["task"]["id"])
    assert told["stopped"], told["log"]
    until(lambda: client.get("/api/study/task").json()["running"], lambda running: not running)


@pytest.mark.slow
def test_masks_are_corrected_trained_again_and_what_that_gained_is_told(open_place: Open, tmp_path: Path) -> None:
    write_lesions(tmp_path / "lesions", count=24, seed=0, size=(48, 64))
    client = open_place(tmp_path / "lesions")
    text = first(client)["value"]
    task = client.post("/api/new/start", json={"yaml": text, "changes": SMALL}).json()
    assert not ended(client, task["id"])["failed"], ended(client, task["id"])["log"]
    before = RunFolder(tmp_path / "work" / "runs" / "small")
    parts = {each.id: each.split for each in Manifest.read(before.manifest_file).samples}
    rows = client.get("/api/samples").json()["samples"]
    learnt = [row["index"] for row in rows if parts[row["id"]] == "train"][:3]
    for index in learnt:
        correct(client, index)
    assert client.get("/api/correct").json()["told"] == ""
    assert client.get("/api/correct/result/small").json()["error"]["code"] == "not_trained"

    task = client.post("/api/correct/retrain", json={"run": "small"}).json()
    assert not ended(client, task["id"])["failed"], ended(client, task["id"])["log"]
    after = RunFolder(tmp_path / "work" / "runs" / "small_corrected")
    trained = Manifest.read(after.manifest_file)
    assert {each.id: each.split for each in trained.samples} == parts, (
        "the same test images, though the parts are drawn"
    )
    gain = client.get("/api/correct/result/small").json()
    assert gain["low"] <= gain["difference"] <= gain["high"]
    assert gain["images"] == list(parts.values()).count("test")
    scores = [run.read_result().scores["test"]["iou_per_image"] for run in (after, before)]
    assert gain["difference"] == pytest.approx(scores[0] - scores[1], abs=1e-9)
    assert gain["shown"] == (gain["low"] > 0 or gain["high"] < 0)

    tested = next(row["index"] for row in rows if parts[row["id"]] == "test")
    correct(client, tested)
    assert "not comparable" in client.get("/api/correct").json()["told"], "its own part is none; the training's is test"
    task = client.post("/api/correct/retrain", json={"run": "small"}).json()
    assert "small_corrected2" in task["command"], "other masks are another training"
    assert not ended(client, task["id"])["failed"], ended(client, task["id"])["log"]
    error = client.get("/api/correct/result/small").json()["error"]
    assert (error["code"], "1 mask of the test part was corrected" in error["message"]) == ("not_comparable", True)


def correct(client: Any, index: int) -> None:
    """Turns a quarter of a mask round."""
    answer = client.get(f"/api/correct/{index}/labels")
    labels = np.frombuffer(answer.content, np.uint8).reshape(48, 64).copy()
    labels[:24, :32] = 1 - labels[:24, :32]
    sent = {"content": gzip.compress(labels.tobytes()), "headers": {"X-Version": answer.headers["x-version"]}}
    assert client.put(f"/api/correct/{index}/labels", **sent).status_code == 200


@pytest.mark.slow
def test_how_a_task_ended_is_known_by_a_studio_that_did_not_start_it(tmp_path: Path) -> None:
    first, other = Tasks(tmp_path / "tasks"), Tasks(tmp_path / "tasks")
    started = [
        first.start("train", ["train", str(tmp_path / "nothing.yaml")], cwd=tmp_path),
        first.start("list", ["list", "losses"], cwd=tmp_path),
        first.start("make", ["data", "make", "lesions", str(tmp_path / "made"), "--count", "100000"], cwd=tmp_path),
    ]
    until(lambda: other.log(started[2]) or (tmp_path / "made").exists(), bool)
    os.kill(started[2].pid, signal.SIGKILL)
    until(lambda: [other.is_running(each) for each in started], lambda found: not any(found))
    for tasks in (first, other):
        told = [tasks.to_dict(each) for each in started]
        assert [(each["failed"], each["stopped"], each["killed"]) for each in told] == [
            (True, False, False),
            (False, False, False),
            (False, False, True),
        ], [other.log(each) for each in started]


def test_tasks_of_before_are_still_read(tmp_path: Path) -> None:
    (tmp_path / "1-a.json").write_text(
        '{"id": "1-a", "what": "train", "arguments": ["train"], "pid": 1, "born": "x", "started": 1.0}'
    )
    (tmp_path / "2-b.json").write_text("{")
    tasks = Tasks(tmp_path)
    (task,) = tasks.all()
    assert not tasks.is_running(task), "another process has its number"
    assert (tasks.to_dict(task)["killed"], tasks.to_dict(task)["progress"]) == (True, None)
