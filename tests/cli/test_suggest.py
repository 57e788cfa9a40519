"""`segbench suggest` on the command line: what it says, what it writes, what it refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_report import call
from tests.predict.test_bundle_file import bundle_of

from segbench.assist.suggest import STUDY


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    bundle_of().write(tmp_path / "a.segbench")
    bundle_of((1,)).write(tmp_path / "b.segbench")
    return tmp_path / "a.segbench"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_the_order_and_the_truth_about_it(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["suggest", model, photos, "-n", "3", "--strategy", "disagreement", "--ensemble", tmp_path / "b.segbench"]
    code, text, _ = call(capsys, *words, "-o", tmp_path / "next", "--as", "via", "--copy-to", tmp_path / "batch")
    assert code == 0
    assert "3 of 5 images without a label, by disagreement" in text
    assert str(STUDY) in " ".join(text.split())
    with (tmp_path / "next" / "suggestions.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    scores = [float(row["score"]) for row in rows]
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert scores == sorted(scores, reverse=True)
    chosen = sorted(Path(row["path"]).name for row in rows)
    assert sorted(path.name for path in (tmp_path / "batch").iterdir()) == chosen
    assert sorted(path.name for path in (tmp_path / "next" / "via").glob("*.png")) == chosen
    assert (tmp_path / "next" / "sheet.png").is_file()


def test_what_it_wrote_itself_is_not_suggested(model: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["suggest", model, photos, "-n", "9", "-o", photos / "next", "--copy-to", photos / "batch"]
    for _ in range(2):
        code, text, _ = call(capsys, *words)
        assert code == 0
        assert "5 of 5 images without a label" in text
        assert "9 were asked for; there are no more" in text


def test_an_image_that_cannot_be_read_is_told_at_the_end(
    model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "x.png").write_bytes(b"no image")
    code, text, _ = call(capsys, "suggest", model, photos, "--quiet")
    assert code == 1
    assert f"left out: {photos / 'x.png'}: not an image segbench can read" in text
    assert str(STUDY) not in " ".join(text.split())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--strategy", "best"], "--strategy: expected random, diversity, entropy, confidence, disagreement"),
        (["--strategy", "disagreement"], "--strategy: one network cannot disagree with itself: name more trainings"),
        (["--link"], "--link: goes with --copy-to only"),
        (["--as", "via"], "--as: needs a folder to write into: give --out, too"),
        (["--group", "("], "--group: not a regular expression: '('"),
        (["--labelled", "nowhere"], "nowhere: there is no such folder"),
    ],
)
def test_wrong_use_is_one_sentence(
    model: Path, photos: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    code, _, error = call(capsys, "suggest", model, photos, *options)
    assert code in (1, 2)
    assert error.startswith("error: ")
    assert told in error
    assert "Traceback" not in error


def test_a_folder_of_labelled_images_has_nothing_left(
    model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = call(capsys, "suggest", model, photos, "--labelled", photos)
    assert code == 1
    assert "all of its 5 images have a label; there is nothing left to suggest" in error
