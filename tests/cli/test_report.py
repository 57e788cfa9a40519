"""`segbench compare` and `segbench report` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.compare._study import write_study

from segbench.cli.main import main
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Returns exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(word) for word in words])
    captured = capsys.readouterr()
    return int(exit_info.value.code or 0), captured.out, captured.err


@pytest.mark.slow
def test_compare_prints_a_verdict_and_writes_it(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [runs / name for name in ("a_seed0", "a_seed1", "b_seed0", "b_seed1")]
    out = tmp_path / "verdict.json"
    code, text, errors = call(
        capsys, "compare", *names, "--score", "dice_per_image", "--baseline", "a", "-o", out, "-q"
    )
    assert (code, errors) == (0, "")
    assert "Dice per image on 3 test images, 95 % intervals" in text
    assert "Dice = 2 TP / (2 TP + FP + FN) of each image, class lesion" in text or "foreground" in text
    written = json.loads(out.read_text())
    assert written["score"] == "dice_per_image"
    assert written["verdict"]["names"] == ["a", "b"]
    assert written["sources"]["a"].endswith("a_seed0 and 1 more")
    halves = sorted((entry["mean"]["high"] - entry["mean"]["low"]) / 2 for entry in written["verdict"]["entries"])
    digits = 2 if halves[1] >= 1 else 3 if halves[1] >= 0.002 else 4
    for name in written["verdict"]["names"]:
        results = [json.loads((runs / f"{name}_seed{seed}" / "result.json").read_text()) for seed in (0, 1)]
        mean = sum(result["scores"]["test"]["dice_per_image"] for result in results) / 2
        assert f" {mean:.{digits}f} " in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--score", "iou"], 2, "error: score: iou is no score; known: "),
        (["--resolution", "big"], 2, "error: --resolution: expected auto, training, original, got 'big'"),
        (["--masks", "colours"], 2, "error: --masks: expected auto, values, indices, got 'colours'"),
        (["--baseline", "c"], 2, "error: baseline: there is no entry 'c'; known: a_seed0, b_seed0"),
        (["-o", "x.html"], 2, "error: --out: expected a file that ends in .json, got 'x.html'"),
    ],
)
def test_compare_says_what_is_wrong(
    runs: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, text: str
) -> None:
    found, _, errors = call(capsys, "compare", runs / "a_seed0", runs / "b_seed0", "-q", *words)
    assert found == code
    assert text in errors


@pytest.fixture
def study_and_masks(tmp_path: Path) -> tuple[Path, Path]:
    """Returns a study that is decided by Dice and has a baseline, and another tool's perfect masks."""
    losses = {"bce": {"bce": 1}, "dice+bce": {"dice": 0.5, "bce": 0.5}}
    study = write_study(
        tmp_path,
        networks={"segnet": "segnet"},
        losses=losses,
        images=24,
        epochs=3,
        seeds=(0,),
        score="dice_per_image",
        baseline={"loss": "bce"},
    )
    manifest = Manifest.read(study.manifest_file)
    (tmp_path / "tool").mkdir()
    for sample in manifest.split("test"):
        target = load_sample(manifest, sample)[1]
        Image.fromarray((target == 1).astype(np.uint8)).save(tmp_path / "tool" / f"{Path(sample.image).stem}.png")
    return study.path, tmp_path / "tool"


def test_a_study_beside_masks_says_score_and_baseline(
    study_and_masks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "verdict.json"
    code, text, errors = call(capsys, "compare", *study_and_masks, "--masks", "indices", "-o", out, "-q")
    assert (code, errors) == (0, "")
    assert "Dice per image on 8 test images" in text
    verdict = json.loads(out.read_text())["verdict"]
    assert verdict["names"] == ["segnet | bce", "segnet | dice+bce", "tool"]
    assert verdict["baseline"] == 0
    code, _, errors = call(capsys, "compare", *study_and_masks, "--masks", "values", "-q")
    assert code == 1
    assert "the masks hold the values 0, 1; expected those of the data set's own masks" in errors


def test_the_short_answer_begins_with_the_question_and_ends_with_what_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(tmp_path / "an own study", images=48, epochs=3, seeds=(0, 1, 2))
    code, text, errors = call(capsys, "compare", study.path, "-q")
    assert (code, errors) == (0, "")
    lines = text.split("\n\n")[0].splitlines()
    assert lines[0] == "question: Which of the networks and losses outlines the object best?"
    assert lines[-1].startswith("next: To tell unet_nearest | dice+bce from unet_nearest | bce at the estimated")
    answer = [line for line in lines[1:] if not line.startswith(("note: ", "next: "))]
    assert 30 < len(" ".join(answer).split()) <= 90
    one = {"losses": {"bce": {"bce": 1}}, "seeds": (0, 1, 2, 3), "failed": ("segnet__bce__seed3",)}
    clear = write_study(tmp_path / "a clear one", images=96, epochs=3, spread=2.5, **one)
    text = call(capsys, "compare", clear.path, "-q")[1]
    assert "next: Finish the runs that are missing: segbench study run goes on where it stopped." in text
    named = f"'{clear.path}/runs/unet_nearest__bce__seed0'"
    assert f"next: Use the best mean, unet_nearest | bce, on your images: segbench predict {named} IMAGES" in text
    assert call(capsys, "report", clear.path, "-o", tmp_path / "page.html", "-q")[0] == 0
    page = (tmp_path / "page.md").read_text()
    assert "Holds for new trainings (3 to 4 trainings each here)" in page
    answer_part = page.split("Holds for")[0].replace(" \\| bce", "")
    assert answer_part.count("unet\\_nearest minus segnet") == 1, (
        "the only factor, and not once more as first and second"
    )
    result = clear.path / "runs/unet_nearest__bce__seed0/result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "collapsed": True}))
    other = f"segbench predict '{clear.path}/runs/unet_nearest__bce__seed1' IMAGES"
    assert other in call(capsys, "compare", clear.path, "-q")[1], "a network that collapsed is no use"
    assert call(capsys, "report", clear.path, "-o", tmp_path / "page.html", "-q")[0] == 0
    assert other in (tmp_path / "page.md").read_text()


@pytest.mark.slow
def test_a_report_of_a_study_beside_masks(
    study_and_masks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, errors = call(capsys, "report", *study_and_masks, "-o", tmp_path / "report.html", "-q")
    assert (code, errors) == (0, "")
    text = (tmp_path / "report.html").read_text()
    assert "Dice per image" in text
    assert "Which network and which loss find it best?" in text


@pytest.mark.slow
def test_report_says_what_is_wrong(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [runs / "a_seed0", runs / "b_seed0"]
    code, _, errors = call(capsys, "report", *names, "--lang", "de")
    assert (code, errors) == (2, "error: --lang: expected en, ru, got 'de'\n")
    code, _, errors = call(capsys, "report", *names, "-o", tmp_path / "x.pdf")
    assert (code, errors) == (2, "error: --out: expected a file that ends in .html, got 'x.pdf'\n")
    code, _, errors = call(capsys, "report", tmp_path / "nothing", "-q")
    assert code == 1
    assert "expected the folder of a run, a study or masks, and there is no such folder" in errors
    (tmp_path / "study.yaml").write_text("study: s\nbase: {data: x}\nvary: {seed: [0]}\n")
    code, _, errors = call(capsys, "report", tmp_path, "-q")
    assert code == 1
    assert "none of the 1 runs of this study is finished; go on with `segbench study run`" in errors


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "ru"])
def test_a_report_of_loose_runs(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str) -> None:
    out = tmp_path / "report.html"
    names = [runs / name for name in ("a_seed0", "a_seed1", "b_seed0")]
    code, text, errors = call(capsys, "report", *names, "-o", out, "--lang", lang, "-q")
    assert (code, errors) == (0, "")
    assert f"report: {out}" in text
    assert f'<html lang="{lang}"' in out.read_text()
    assert (tmp_path / "results.csv").is_file()
    assert (tmp_path / "report.md").is_file()
