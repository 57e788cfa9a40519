"""Test-time flips and ensembles through training, evaluation and prediction: one run, scored with and without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segbench
from segbench import cli
from segbench.config.run import parse_config
from segbench.config.study import expand, parse_study
from segbench.data.files.images import read_image
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError, PredictionError, RunError
from segbench.folders.mask_archive import MaskArchive
from segbench.metrics.counts import count_masks
from segbench.predict.predictor import Predictor
from segbench.train.callback import Callback

SIZE = (40, 48)


def config_of(images: Path, run: Path, **changes: Any) -> dict[str, Any]:
    config = {
        "data": {"path": str(images), "size": list(SIZE), "augment": "none"},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "optimizer": {"lr": 0.02},
        "epochs": 6,
        "batch_size": 2,
        "device": "cpu",
        "scores": {"surface": False},
        "output": str(run),
    }
    return config | changes


@pytest.fixture(scope="module")
def runs(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Returns finished runs; read only: flips with a threshold by validation; two seeds without."""
    root = tmp_path_factory.mktemp("runs")
    told = [{"tta": "flips", "threshold": "validation"}, {"seed": 1}, {"seed": 2, "threshold": 0.4}]
    for number, changes in enumerate(told):
        segbench.fit(config_of(binary_pairs, root / str(number), **changes), watch=Callback())
    return tuple(root / str(number) for number in range(len(told)))


def test_the_key_is_checked_and_old_runs_keep_their_fingerprint() -> None:
    plain = parse_config({"data": "x"})
    assert plain.tta == "none"
    assert parse_config({"data": "x", "tta": None}).fingerprint() == plain.fingerprint()
    assert parse_config({"data": "x", "tta": "flips"}).fingerprint() != plain.fingerprint()
    with pytest.raises(ConfigError, match=r"none.*hflip.*flips"):
        parse_config({"data": "x", "tta": "shifts"})


def test_a_study_may_vary_it() -> None:
    study = {"study": "looks", "base": {"data": "x"}, "vary": {"tta": ["none", "flips"], "seed": [0, 1]}}
    plan = expand(parse_study(study))
    assert [run.config.tta for run in plan.runs] == ["none", "none", "flips", "flips"]


@pytest.mark.slow
def test_the_result_says_what_flips_gained_on_validation(runs: tuple[Path, ...], tmp_path: Path) -> None:
    result = json.loads((runs[0] / "result.json").read_text())
    told = result["tta"]
    assert (told["name"], told["val"]["score"]) == ("flips", "iou_per_image")
    assert told["val"]["value"] == result["scores"]["val"]["iou_per_image"]
    assert told["val"]["gain"] == pytest.approx(told["val"]["value"] - told["val"]["without"])
    # Each at the threshold that is best for it: so none of the fixed ones may be better without.
    plain = segbench.evaluate(runs[0], "val", tta="none", out=tmp_path / "plain", watch=Callback()).summary()
    assert told["val"]["without"] >= plain["iou_per_image"] - 1e-12
    assert result["threshold_choice"]["value"] == pytest.approx(told["val"]["value"])
    assert json.loads((runs[1] / "result.json").read_text())["tta"] == {"name": "none"}


@pytest.mark.slow
def test_scores_of_a_run_are_those_of_its_averaged_masks(runs: tuple[Path, ...]) -> None:
    predictor = Predictor.from_run(runs[0])
    assert predictor.tta == "flips"
    manifest = segbench.read_dataset(runs[0] / "manifest.json")
    archive = MaskArchive(runs[0] / "predicted_test.zip")
    single = Predictor.from_run(runs[0], tta="none")
    differs = 0
    for sample in manifest.split("test"):
        image, _ = load_sample(manifest, sample)
        mask = predictor(image).mask
        np.testing.assert_array_equal(mask, archive.read(sample.id))
        by_hand = np.mean([single(image).probs[0], *(
            np.flip(single(np.flip(image, axes).copy()).probs[0], axes) for axes in ((0,), (1,), (0, 1))
        )], axis=0)  # fmt: skip
        np.testing.assert_allclose(predictor(image).probs[0], by_hand, atol=1e-5)
        differs += int((mask != single(image).mask).sum())
    assert differs > 0


@pytest.mark.slow
def test_evaluate_with_another_tta_leaves_the_runs_own_scores(runs: tuple[Path, ...], tmp_path: Path) -> None:
    run = tmp_path / "copy"
    shutil.copytree(runs[1], run)
    before = (run / "counts_val.csv").read_bytes()
    flipped = segbench.evaluate(run, "val", tta="flips", watch=Callback())
    assert (run / "counts_val.csv").read_bytes() == before
    written = json.loads((run / "evaluation_val_flips.json").read_text())
    assert written["tta"] == "flips"
    assert written["scores"]["iou_per_image"] == flipped.summary()["iou_per_image"]
    own = json.loads((run / "result.json").read_text())["scores"]["val"]
    assert flipped.summary()["iou_per_image"] != own["iou_per_image"]
    original = segbench.evaluate(run, "val", resolution="original", tta="flips", watch=Callback())
    assert original.summary()["iou_per_image"] == pytest.approx(flipped.summary()["iou_per_image"])  # of that size
    assert (run / "counts_val_original_flips.csv").is_file()


@pytest.mark.slow
def test_an_ensemble_is_scored_where_a_person_says(runs: tuple[Path, ...], tmp_path: Path) -> None:
    members, out = runs[1:], tmp_path / "both"
    with pytest.raises(RunError, match="an ensemble of 2 runs belongs to none of them"):
        segbench.evaluate(members, "val", watch=Callback())
    with pytest.raises(RunError, match="whose own scores would be overwritten"):
        segbench.evaluate(members, "val", out=runs[0], watch=Callback())
    scores = segbench.evaluate(members, "val", out=out, watch=Callback())
    written = json.loads((out / "evaluation_val.json").read_text())
    assert written["ensemble"].keys() == {str(run) for run in members}
    assert written["threshold"] == pytest.approx(0.45)
    manifest = segbench.read_dataset(runs[1] / "manifest.json")
    singles = [Predictor.from_run(run) for run in members]
    for sample, confusion in zip(manifest.split("val"), scores.counts.confusion, strict=True):
        image, target = load_sample(manifest, sample)
        by_hand = np.mean([each(image).probs[0] for each in singles], axis=0) > 0.45
        table, _ = count_masks(by_hand.astype(np.uint8), target, 2)
        np.testing.assert_array_equal(table, confusion)
    with pytest.raises(PredictionError, match="must agree in tta"):
        Predictor.from_runs(runs)
    assert Predictor.from_runs(runs, tta="hflip").tta == "hflip"
    with pytest.raises(PredictionError, match="each one once"):
        Predictor.from_runs([runs[1], runs[1]])


@pytest.mark.slow
def test_runs_with_other_parts_are_no_ensemble_to_be_scored(
    runs: tuple[Path, ...], binary_pairs: Path, tmp_path: Path
) -> None:
    data = {"path": str(binary_pairs), "size": list(SIZE), "augment": "none", "split": {"seed": 5}}
    segbench.fit(config_of(binary_pairs, tmp_path / "other", data=data, epochs=1), watch=Callback())
    both = [runs[1], tmp_path / "other"]
    assert Predictor.from_runs(both).size == SIZE  # new images may be predicted by both
    with pytest.raises(RunError, match="may have been learnt by the other"):
        segbench.evaluate(both, "val", out=tmp_path / "out", watch=Callback())


@pytest.mark.slow
def test_the_commands_take_them(
    runs: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], binary_pairs: Path
) -> None:
    def run_cli(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            cli.main([*arguments])
        told = capsys.readouterr()
        return int(end.value.code or 0), told.out + told.err

    several = [str(runs[1]), "--ensemble", str(runs[2])]
    code, told = run_cli("evaluate", *several, "--split", "val", "--tta", "hflip", "-o", str(tmp_path / "e"), "-q")
    assert code == 0, told
    assert "2 runs averaged; scored at 40x48 pixels (H x W), the training size" in " ".join(told.split())
    assert "tta hflip: several looks at an image are averaged" in told
    assert (tmp_path / "e" / "evaluation_val_hflip.json").is_file()
    photos = tmp_path / "photos"
    photos.mkdir()
    image = next((binary_pairs / "images").glob("*"))
    shutil.copy(image, photos)
    code, told = run_cli("predict", several[0], str(photos), *several[1:], "--tta", "flips", "-o", str(tmp_path / "p"))
    assert code == 0, told
    expected = Predictor.from_runs(runs[1:], tta="flips")(read_image(image)).mask
    [written] = (tmp_path / "p" / "masks").glob("*.png")
    np.testing.assert_array_equal(np.asarray(Image.open(written)), expected)
    code, told = run_cli("predict", several[0], str(photos), "--tta", "rot", "-o", str(tmp_path / "q"))
    assert code != 0
    assert "got 'rot'" in told
    assert "expected none, hflip, flips, rotations, flips_and_rotations, scales" in " ".join(told.split())
