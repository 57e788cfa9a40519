"""Run folders and studies that segbench 0.1.0 wrote still load, go on and are reported; see old/make.py."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench
from segbench import cli
from segbench.metrics import CALIBRATION_SCORES, SURFACE_SCORES

OLD = Path(__file__).with_name("old") / "segbench_0.1.0.zip"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder with `data`, `finished`, `stopped` and `study`; it is the current folder."""
    root = tmp_path / "old"
    with zipfile.ZipFile(OLD) as file:
        file.extractall(root)
    for path in root.rglob("*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace('"/old/', f'"{root}/'), encoding="utf-8")
    monkeypatch.chdir(root)
    return root


def run_cli(*arguments: str) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([*arguments])
    assert not end.value.code


def losses(run: Path) -> list[float]:
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [float(row["train_loss"]) for row in csv.DictReader(file)]


def test_a_finished_run_is_returned_and_predicts(old: Path) -> None:
    before = json.loads((old / "finished/result.json").read_text(encoding="utf-8"))
    result = segbench.fit(old / "finished/config.yaml")
    assert result.scores == before["scores"]
    assert len(losses(old / "finished")) == 8
    image = np.asarray(Image.open(old / "data/images/lesion_00002.png"))
    mask = segbench.Predictor.from_run(old / "finished")(image).mask
    assert mask.shape == (40, 40)
    assert mask.any()


def test_a_finished_run_is_scored_anew_with_the_same_numbers(old: Path) -> None:
    before = json.loads((old / "finished/result.json").read_text(encoding="utf-8"))["scores"]["test"]
    scores = segbench.evaluate("finished", split="test").summary()
    assert set(before) - set(scores) <= {*SURFACE_SCORES, *CALIBRATION_SCORES}  # no score from counts has been lost
    known = [name for name in scores if name in before]  # a score may have come since
    assert {name: before[name] for name in known} == pytest.approx(
        {name: scores[name] for name in known}, abs=1e-4, nan_ok=True
    )


@pytest.mark.slow
def test_a_stopped_run_goes_on_from_its_last_epoch(old: Path) -> None:
    first = losses(old / "stopped")
    assert len(first) == 2
    segbench.fit(old / "stopped/config.yaml")
    assert losses(old / "stopped")[:2] == first
    assert losses(old / "stopped") == pytest.approx(losses(old / "finished"), rel=1e-2)


@pytest.mark.slow
def test_a_study_trains_what_is_missing_and_is_reported(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    untouched = (old / "study/runs/dice__seed0/result.json").read_bytes()
    run_cli("study", "run", "study/study.yaml")
    assert (old / "study/runs/dice__seed0/result.json").read_bytes() == untouched
    assert (old / "study/runs/bce__seed1/result.json").is_file()
    run_cli("compare", "study")
    assert "bce" in capsys.readouterr().out
    run_cli("report", "study", "-o", "report.html")
    assert "dice" in (old / "report.html").read_text(encoding="utf-8")
