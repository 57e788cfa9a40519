"""What detection and readers ask is asked on the page, as ways to read the folder that work when typed."""

from __future__ import annotations

import io
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.cli.data import read_options
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.writers.convert import convert_dataset
from segbench.speech import speaking
from segbench.studio.place import Place

Open = Callable[..., Any]


@pytest.fixture(autouse=True)
def typed() -> Iterator[None]:
    """Makes sentences in the words of the command line, as `segbench studio` does."""
    with speaking("shell"):
        yield


def several_formats(lesions: Path, out: Path) -> None:
    convert_dataset(lesions, "via", out)
    convert_dataset(lesions, "coco", out.with_name("coco"))
    shutil.copytree(out.with_name("coco"), out, dirs_exist_ok=True)


def several_masks(lesions: Path, out: Path) -> None:
    shutil.copytree(lesions, out)
    shutil.copytree(out / "masks", out / "masks b'c")


def several_files(lesions: Path, out: Path) -> None:
    convert_dataset(lesions, "via", out)
    shutil.copy(out / "via_project.json", out / "second.json")


def several_sets(lesions: Path, out: Path) -> None:
    for name in ("coco", "via"):
        convert_dataset(lesions, name, out / f"from_{name}")


def unknown_values(lesions: Path, out: Path) -> None:
    shutil.copytree(lesions, out)
    for file in (out / "masks").iterdir():
        labels = np.where(np.asarray(Image.open(file)) > 0, 200, 0).astype(np.uint8)
        labels[:10, :10] = 100
        Image.fromarray(labels).save(file)


def a_mask_without_image(lesions: Path, out: Path) -> None:
    shutil.copytree(lesions, out)
    sorted((out / "images").iterdir())[0].unlink()


def as_typed(command: str) -> Place:
    """Returns what a command opens."""
    words = shlex.split(command)
    assert words[:2] == ["segbench", "studio"]
    given: dict[str, list[str]] = {"--format": [], "--option": []}
    for flag, value in zip(words[3::2], words[4::2], strict=True):
        given[flag] = [*given[flag], value]
    name = given["--format"][0] if given["--format"] else None
    place = Place(Path(words[2]), Path("work"), format=name, options=read_options(given["--option"]))
    place.reading.start()
    place.reading.wait()
    return place


@pytest.mark.parametrize(
    ("made", "choices"),
    [
        (several_formats, ["coco", "via"]),
        (several_masks, ["masks: masks", "masks: masks b'c"]),
        (several_files, ["annotations: second.json", "annotations: via_project.json"]),
        (several_sets, ["from_coco", "from_via"]),
        (unknown_values, ["classes: {background: 0, class_1: 100, class_2: 200}"]),
        (a_mask_without_image, ["unpaired: skip"]),
    ],
)
def test_every_question_is_a_choice_whose_command_reads_the_same(
    open_place: Open, lesions: Path, tmp_path: Path, made: Callable[[Path, Path], None], choices: list[str]
) -> None:
    made(lesions, tmp_path / "asks")
    client = open_place(tmp_path / "asks")
    state = client.get("/api/place").json()["reading"]
    assert state["state"] == "question", state
    assert state["told"]
    assert [each["given"] for each in state["choices"]] == choices
    last = state["choices"][-1]
    shown = client.get(f"/api/place/choices/{len(choices) - 1}")
    assert max(Image.open(io.BytesIO(shown.content)).size) <= 240
    assert client.post("/api/place/answer", json={"command": "segbench studio other"}).status_code == 409
    client.post("/api/place/answer", json={"command": last["command"]})
    place = client.app.state.place
    place.reading.wait()
    found = client.get("/api/place").json()
    assert (found["reading"]["state"], found["reading"]["chosen"]) == ("ready", last["command"])
    typed = as_typed(last["command"])
    assert typed.manifest.content_hash == place.manifest.content_hash
    assert (typed.path, typed.name) == (place.path, found["name"])
    assert client.get("/api/samples/0/overlay?side=64").status_code == 200


def test_what_was_chosen_is_what_is_shown_and_trained_on(open_place: Open, lesions: Path, tmp_path: Path) -> None:
    several_masks(lesions, tmp_path / "two")
    for file in (tmp_path / "two" / "masks b'c").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    client = open_place(tmp_path / "two")
    second = client.get("/api/place").json()["reading"]["choices"][1]
    client.post("/api/place/answer", json={"command": second["command"]})
    client.app.state.place.reading.wait()
    manifest, own = client.app.state.place.manifest, read_dataset(lesions)
    assert np.array_equal(load_sample(manifest, manifest.samples[0])[1], 1 - load_sample(own, own.samples[0])[1])
    while (drafted := client.get("/api/new").json())["state"] == "working":
        pass
    assert "masks b'c" in drafted["value"]


def test_a_wrong_choice_is_taken_back(open_place: Open, lesions: Path, tmp_path: Path) -> None:
    several_formats(lesions, tmp_path / "asks")
    (tmp_path / "asks" / "images").mkdir(exist_ok=True)
    client = open_place(tmp_path / "asks")
    reading = client.app.state.place.reading
    state = client.get("/api/place").json()["reading"]
    (file,) = (tmp_path / "asks").glob("annotations/*.json")
    file.write_text('{"images": [], "annotations": [{}], "categories": "none"}')
    client.post("/api/place/answer", json={"command": state["choices"][0]["command"]})
    reading.wait()
    assert client.get("/api/place").json()["reading"]["state"] in ("error", "question")
    assert client.get("/api/place").json()["reading"]["chosen"] == state["choices"][0]["command"]
    client.post("/api/place/answer", json={"command": ""})
    reading.wait()
    assert client.get("/api/place").json()["reading"]["chosen"] == ""


def test_a_visitor_sees_the_question_and_does_not_answer_it(open_place: Open, lesions: Path, tmp_path: Path) -> None:
    several_masks(lesions, tmp_path / "two")
    client = open_place(tmp_path / "two", read_only=True)
    command = client.get("/api/place").json()["reading"]["choices"][0]["command"]
    assert client.post("/api/place/answer", json={"command": command}).status_code == 403
