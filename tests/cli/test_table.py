"""`segbench compare --table`, and over data sets, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.cli.test_report import call
from tests.compare._study import write_study

from segbench.compare.runs import compare_runs


def write_table(path: Path, sets: int = 1) -> Path:
    drawn = np.random.default_rng(0)
    lines = ["dataset,entry,seed,image,iou"]
    for d in range(sets):
        hard = drawn.normal(0.7, 0.08, 10)
        lines += [
            f"set {d},{name},{s},img{i},{hard[i] + shift + drawn.normal(0, 0.01):.4f}"
            for name, shift in (("unet", 0.1), ("segnet", 0.0), ("fcn", -0.1))
            for s in (1, 2)
            for i in range(10)
        ]
    path.write_text("\n".join(lines))
    return path


def test_a_table_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = write_table(tmp_path / "scores.csv"), tmp_path / "verdict.json"
    code, text, errors = call(
        capsys,
        "compare",
        "--table",
        table,
        "--score-name",
        "IoU",
        "--baseline",
        "fcn",
        "--all",
        "-o",
        out,
        "--figures",
        tmp_path,
    )
    assert (code, errors) == (0, "")
    assert text.startswith("Best: unet\n")
    assert "IoU (higher is better) on 10 images, 95 % intervals" in text
    assert "The baseline is fcn" in text
    written = json.loads(out.read_text())
    assert (written["score"], written["verdict"]["winner"]) == ("IoU", 0)
    assert "all pairs" in (tmp_path / "significance_map.svg").read_text()
    assert not (tmp_path / "critical_difference.svg").exists()


def test_the_answer_is_short_unless_all_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_table(tmp_path / "scores.csv")
    table.write_text(table.read_text().rpartition("\n")[0])  # fcn lacks its last image
    _, short, _ = call(capsys, "compare", "--table", table)
    _, whole, _ = call(capsys, "compare", "--table", table, "--all")
    assert short.startswith("Best: unet\n  ")
    assert "note: 1 of 10 images have no score in at least one training" in " ".join(short.split())
    assert "The intervals speak of the approaches" in whole
    assert "The intervals speak of the approaches" not in short


def test_several_data_sets_have_one_answer_and_a_diagram(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_table(tmp_path / "scores.csv", sets=5)
    code, text, errors = call(capsys, "compare", "--table", table, "--figures", tmp_path / "figures")
    assert (code, errors) == (0, "")
    assert text.startswith("Over 5 data sets the best is unet\n")
    assert "On other data sets like these" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("unet  ")] == ["1.00"]
    assert "unet - segnet" in text
    assert "unet  1.00" in (tmp_path / "figures" / "critical_difference.svg").read_text()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--table", "scores.csv", "runs/a"], 2, "--table: a table is judged by itself"),
        ([], 2, "PATH: expected folders of runs or studies to compare, or a table of scores (--table)"),
        (["scores.csv"], 2, "scores.csv is a table; it is compared with --table scores.csv"),
        (["runs", "--score-name", "x"], 2, "--score-name: belongs to --table"),
        (["runs", "--lower-is-better"], 2, "--lower-is-better: belongs to --table"),
        (["--table", "scores.csv", "--score", "dice"], 2, "--score: scores.csv has no column 'dice'; known: "),
        (["--table", "none.csv"], 1, "none.csv: cannot read the table: No such file"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "scores.csv")
    (tmp_path / "runs").mkdir()
    found, _, errors = call(capsys, "compare", *words)
    assert (found, told in errors) == (code, True), errors


@pytest.mark.slow
def test_studies_on_different_data_are_judged_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses = {"bce": {"bce": 1}, "dice+bce": {"dice": 0.5, "bce": 0.5}}
    folders = [
        write_study(tmp_path / name, losses=dict(list(losses.items())[:kept]), images=images, epochs=2).path
        for name, images, kept in (("skin", 24, 2), ("eyes", 30, 2), ("lungs", 36, 1))
    ]
    out = tmp_path / "verdict.json"
    code, text, _ = call(capsys, "compare", *folders, "-o", out, "-q")
    assert code == 0
    assert text.startswith("Over 3 data sets ")
    assert "segnet | dice+bce, unet_nearest | dice+bce have no score on some of the data sets" in text
    written = json.loads(out.read_text())["across"]
    assert written["names"] == ["segnet | bce", "unet_nearest | bce"]
    assert len(set(written["datasets"])) == 3
    alone = compare_runs(folders[0])
    place = [entry.name for entry in alone.evidence.entries].index("segnet | bce")
    assert written["means"][0][0] == pytest.approx(alone.verdict.standing(place).mean.value)


@pytest.mark.slow
def test_runs_are_written_for_a_paper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_study(tmp_path, images=24, epochs=2).path
    code, text, _ = call(capsys, "compare", folder, "--latex", tmp_path / "paper", "-q")
    assert (code, f"written: {tmp_path / 'paper' / 'results.tex'}" in text) == (0, True)
    methods = (tmp_path / "paper" / "methods.tex").read_text()
    assert "on the same 8 test images (data, at 64 x 80 pixels)" in methods
    assert "IoU = TP / (TP + FP + FN) of each image" in methods
    assert r"unet\_nearest \textbar{} dice+bce" in (tmp_path / "paper" / "results.tex").read_text()
