"""Runs become a bundle: everything about the model is in it, nothing about the machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from safetensors.torch import load, save
from tests.compare._study import write_study

import segbench
from segbench import cli
from segbench.bundle.card import without_places
from segbench.bundle.choose import choose_best
from segbench.bundle.make import bundle_runs
from segbench.config.study import expand, parse_study
from segbench.errors import BundleError, PredictionError, RunError
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.predict.bundle_file import ModelBundle
from segbench.predict.predictor import Predictor
from segbench.train.callback import Callback


class Told(Callback):
    """Keeps what was going on."""

    def __init__(self) -> None:
        self.doing: set[str] = set()

    def progress(self, what: str, done: int, total: int) -> None:
        self.doing.add(what)


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        cli.main([str(each) for each in arguments])
    told = capsys.readouterr()
    return int(end.value.code or 0), told.out + told.err


@pytest.mark.slow
def test_a_run_becomes_a_bundle_that_says_what_its_files_say(runs: Path, tmp_path: Path) -> None:
    run = RunFolder(runs / "a_seed0")
    bundle_runs(run.path, license="cc-by-4.0", watch=Callback()).write(tmp_path / "a.segbench")
    bundle = ModelBundle.read(tmp_path / "a.segbench")
    result, card = run.read_result().result, bundle.card
    assert bundle.settings.class_map == run.class_map()
    assert bundle.settings.normalization == run.normalization()
    assert (bundle.settings.threshold, bundle.settings.size) == (0.5, (32, 32))
    assert bundle.networks[0].name == "unet_nearest"
    assert card["scores"] == json.loads((run.path / "result.json").read_text())["scores"]
    assert card["definitions"] == result["definitions"]
    assert card["main"]["sentence"] == result["main"]["sentence"]
    fitted = card["calibration"]
    assert fitted["n"] == len(segbench.read_dataset(run.manifest_file).split("val"))
    assert bundle.settings.temperature == fitted["temperature"]["value"]
    assert {"image_statistics", "parts"} <= set(card["data"])
    for given, kept in (({}, True), ({"threshold": 0.5}, True), ({"threshold": 0.3}, False), ({"tta": "hflip"}, False)):
        loaded = Predictor.load(tmp_path / "a.segbench", device="cpu", **given)
        assert loaded.card is not None
        assert ("calibration" in loaded.card) is kept, "it was fitted to the model's own settings"
        assert loaded.pipeline.settings.temperature == (bundle.settings.temperature if kept else 1.0)
    assert (card["test_uses"], card["test_log"][0]["why"]) == (1, "end of training")
    assert card["licences"]["model"] == "cc-by-4.0"
    assert card["licences"]["starting_weights"][0]["source"] == "random"
    assert card["versions"]["segbench"] == segbench.__version__
    assert card["versions"]["training"]["torch"]
    data = card["data"]
    assert {split: part["images"] for split, part in data["parts"].items()} == result["n"]
    assert sum(each["share"] for each in data["classes"]) == pytest.approx(1.0, abs=1e-5)
    assert data["image_px"]["height"]["smallest"] > 0
    assert data["licence"] is None
    assert card["manifest_hash"] == run.read_facts()["manifest_hash"]


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes_and_no_place_of_this_machine(
    runs: Path, binary_pairs: Path, tmp_path: Path
) -> None:
    bundle_runs(runs / "a_seed0", watch=Callback()).write(tmp_path / "first.segbench")
    shutil.copytree(runs / "a_seed0", tmp_path / "moved")
    bundle_runs(tmp_path / "moved", watch=Callback()).write(tmp_path / "second.segbench")
    content = (tmp_path / "first.segbench").read_bytes()
    assert content == (tmp_path / "second.segbench").read_bytes()
    for place in (str(tmp_path), str(runs), str(binary_pairs)):
        assert place.encode() not in content
    sample = segbench.read_dataset(runs / "a_seed0" / "manifest.json").samples[0]
    assert sample.image.encode() not in content


@pytest.mark.slow
def test_several_runs_say_what_averaging_gains(runs: Path, tmp_path: Path) -> None:
    members, watch = [runs / "a_seed0", runs / "a_seed1", runs / "b_seed0"], Told()
    bundle = bundle_runs(members, device="cpu", watch=watch)
    gain = bundle.card["gain"]
    manifest = segbench.read_dataset(members[0] / "manifest.json")
    singles = [segbench.evaluate(run, "val", out=tmp_path / run.name, watch=Callback()) for run in members]
    together = segbench.evaluate(members, "val", out=tmp_path / "all", watch=Callback())
    differences = together.image_means("iou") - np.mean([each.image_means("iou") for each in singles], axis=0)
    assert gain["gain"] == pytest.approx(float(differences.mean()), abs=1e-6)
    half = 3.182446 * differences.std(ddof=1) / np.sqrt(4)  # t of 3 degrees of freedom
    assert gain["n_images"] == len(manifest.split("val")) == 4
    assert (gain["low"], gain["high"]) == pytest.approx((gain["gain"] - half, gain["gain"] + half), abs=1e-5)
    assert gain["sentence"].startswith("Averaged they reach IoU per image")
    assert bundle.card["scores"]["val"]["iou_per_image"] == pytest.approx(gain["value"], abs=1e-6)
    assert [each["seed"] for each in bundle.card["members"]] == [0, 1, 0]
    assert {"reading runs", "scoring the val part"} <= watch.doing
    bundle.write(tmp_path / "three.segbench")
    image = np.random.default_rng(0).integers(0, 256, (45, 37, 3), dtype=np.uint8)
    expected = Predictor.from_runs(members, device="cpu")(image).network_probs
    found = Predictor.load(tmp_path / "three.segbench", device="cpu")(image).network_probs
    np.testing.assert_array_equal(found, expected)
    assert not (runs / "a_seed0" / "evaluation_val.json").exists()


@pytest.mark.slow
def test_what_is_refused(
    runs: Path, train: Callable[..., Path], binary_pairs: Path, three_class_pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="each one once, got none"):
        bundle_runs([])
    with pytest.raises(BundleError, match="each one once"):
        bundle_runs([runs / "a_seed0", runs / "a_seed0"])
    with pytest.raises(BundleError, match="expected one study"):
        bundle_runs([runs / "a_seed0", runs / "a_seed1"], best=True, watch=Callback())
    with pytest.raises(RunError, match="this is no study folder"):
        bundle_runs(runs / "a_seed0", best=True, watch=Callback())
    with pytest.raises(RunError, match="this is no run folder"):
        bundle_runs(tmp_path, watch=Callback())
    bundle_runs(runs / "a_seed0", watch=Callback()).write(tmp_path / "a.segbench")
    with pytest.raises(BundleError, match=r"a\.segbench: is a bundle, .*; give the runs that it was made of"):
        bundle_runs([runs / "a_seed1", tmp_path / "a.segbench"], watch=Callback())
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.yaml").touch()
    with pytest.raises(RunError, match=r"this is a study with many runs; .* --best`"):
        bundle_runs(tmp_path / "study", watch=Callback())
    three = train(three_class_pairs, tmp_path / "three", loss="cross_entropy")
    with pytest.raises(PredictionError, match="must agree in classes"):
        bundle_runs([runs / "a_seed0", three], watch=Callback())
    shutil.copytree(runs / "a_seed0", tmp_path / "swapped")
    tensors = load((tmp_path / "swapped" / "best.safetensors").read_bytes())
    (tmp_path / "swapped" / "best.safetensors").write_bytes(save({name: 0 * each for name, each in tensors.items()}))
    with pytest.raises(RunError, match=r"best\.safetensors is not the file that its scores were made with"):
        bundle_runs(tmp_path / "swapped", watch=Callback())


@pytest.mark.slow
def test_a_run_that_is_not_finished_goes_without_scores(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs / "a_seed0", tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    bundle = bundle_runs(tmp_path / "run", watch=Callback())
    assert "scores" not in bundle.card
    bundle.write(tmp_path / "folder")
    assert "## Scores" in (tmp_path / "folder" / "README.md").read_text()  # the uses of the test part are known
    assert "Not trained to the end, and not scored: run." in (tmp_path / "folder" / "README.md").read_text()
    assert Predictor.load(tmp_path / "folder").card is not None
    code, told = run_cli(capsys, "bundle", tmp_path / "run", "-o", tmp_path / "x.segbench")
    assert (code, "warning: not trained to the end, and not scored: run" in told) == (0, True), told


@pytest.mark.slow
def test_nothing_is_measured_on_images_that_another_member_learnt(
    runs: Path, train: Callable[..., Path], binary_pairs: Path, tmp_path: Path
) -> None:
    data = {"path": str(binary_pairs), "size": 32, "split": {"seed": 5}}
    bundle = bundle_runs([runs / "a_seed0", train(binary_pairs, tmp_path / "other", data=data)], watch=Callback())
    assert "may have been learnt by the other" in " ".join(bundle.card["gain"]["sentence"].split())
    assert bundle.card["calibration"]["sentence"] == "Not known: the runs hold back different images."
    assert bundle.card["calibration"]["expected_score"] is None
    assert bundle.settings.temperature == 1.0


@pytest.mark.slow
def test_members_whose_data_are_gone_are_bundled_and_told(runs: Path, tmp_path: Path) -> None:
    for name in ("a_seed0", "a_seed1"):
        shutil.copytree(runs / name, tmp_path / name)
        file = tmp_path / name / "manifest.json"
        plain = json.loads(file.read_text())
        file.write_text(json.dumps({**plain, "root": str(tmp_path / "gone")}))
    bundle = bundle_runs([tmp_path / "a_seed0", tmp_path / "a_seed1"], watch=Callback())
    assert bundle.card["gain"]["sentence"].startswith("What averaging gains is not known: ")
    assert bundle.card["calibration"]["sentence"].startswith("Not known: ")
    assert bundle.settings.temperature == 1.0
    assert len(bundle.networks) == 2
    assert str(tmp_path) not in json.dumps(bundle.card), "a bundle is passed on without the places of this machine"


@pytest.mark.slow
def test_the_winner_is_chosen_and_else_the_cheapest_that_is_not_worse(tmp_path: Path) -> None:
    study = write_study(tmp_path / "clear", spread=1.7, seeds=(0, 1, 2, 3), images=96)
    comparison = segbench.compare_runs(study.path)
    assert comparison.verdict.winner is not None
    chosen = choose_best(study.path)
    assert chosen.entry == comparison.verdict.names[comparison.verdict.winner]
    assert chosen.why == f"Best: {chosen.entry}"
    assert [path.name for path in chosen.runs] == [path.name for path in study.finished_runs(chosen.entry)]
    assert "chosen among 4 entries by their scores on the test part" in chosen.notes[0]

    alike = write_study(tmp_path / "alike", spread=0.0, seeds=(0, 1, 2), images=90, practical=0.3)
    verdict = segbench.compare_runs(alike.path).verdict
    assert verdict.winner is None
    assert len(verdict.not_worse) > 1
    chosen = choose_best(alike.path)
    words = {
        "images_per_s": "predicts most images a second",
        "parameters": "has the fewest parameters",
        "training_s": "trains quickest",
    }
    cost = next(each for each in words if each in verdict.cheapest)  # at use first
    assert chosen.entry == verdict.names[verdict.cheapest[cost]]
    assert chosen.why.startswith(f"nobody wins; {chosen.entry} {words[cost]} of those not worse than the best (")


@pytest.mark.slow
def test_a_run_that_collapsed_is_no_part_of_the_best(tmp_path: Path) -> None:
    study = write_study(tmp_path, spread=1.4, seeds=(0, 1, 2))
    first = choose_best(study.path)
    result = first.runs[0] / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "collapsed": True}))
    chosen = choose_best(study.path)
    assert first.runs[0] not in chosen.runs
    if chosen.entry == first.entry:
        assert "1 run that collapsed is left out." in chosen.notes


def test_folds_have_no_best_network(tmp_path: Path) -> None:
    study = parse_study(
        {
            "study": "folds",
            "base": {"data": {"path": "x"}},
            "vary": {"network": ["segnet", "unet"]},
            "folds": 3,
            "output": str(tmp_path),
        }
    )
    StudyFolder(tmp_path).claim(study, expand(study), manifest_hash="0", threads=1, engine="local", fold_hashes="012")
    with pytest.raises(RunError, match="its runs are folds, which hold back different images"):
        choose_best(tmp_path)


@pytest.mark.slow
def test_the_command_bundles_the_best_of_a_study(
    binary_pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = parse_study(
        {
            "study": "small",
            "base": {
                "data": {"path": str(binary_pairs), "size": 32},
                "network": {"name": "unet_nearest", "widths": [4, 8]},
                "optimizer": {"lr": 0.02},
                "epochs": 2,
                "device": "cpu",
            },
            "vary": {"loss": ["dice", "bce"], "seed": [0, 1]},
            "output": str(tmp_path / "study"),
        }
    )
    plan, study = expand(asked), StudyFolder(tmp_path / "study")
    manifest_hash = ""
    for run in plan.runs:
        segbench.fit(run.config, watch=Callback())
        manifest_hash = study.run(run.id).read_facts()["manifest_hash"]
    study.claim(asked, plan, manifest_hash=manifest_hash, threads=1, engine="local")
    code, told = run_cli(capsys, "bundle", "study", "--best", "-q")
    assert code == 0, told
    chosen = ModelBundle.read(tmp_path / "study.segbench").card["chosen"]
    assert chosen["entry"] in ("dice", "bce")
    assert chosen["why"] in " ".join(told.split())
    assert "2 networks, averaged" in told
    assert "Averaged they reach IoU per image" in told
    assert "written  study.segbench" in told
    assert "segbench predict study.segbench IMAGES -o predicted" in told
    image = next((binary_pairs / "images").glob("*"))
    code, told = run_cli(capsys, "predict", "study.segbench", image, "-o", "out", "-q")
    assert code == 0, told
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == 1


@pytest.mark.slow
def test_the_command_changes_the_form_of_a_bundle_and_refuses_other_names(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = run_cli(capsys, "bundle", runs / "a_seed0", "-o", tmp_path / "folder", "--license", "my own terms")
    assert code == 0, told
    assert "model: my own terms" in told
    code, told = run_cli(capsys, "bundle", tmp_path / "folder", "-o", tmp_path / "x.segbench")
    assert code == 0, told
    assert ModelBundle.read(tmp_path / "x.segbench").id == ModelBundle.read(tmp_path / "folder").id
    code, told = run_cli(capsys, "bundle", runs / "a_seed0", "-o", tmp_path / "x.zip")
    assert (code, "expected a file that ends in .segbench, or a folder's name, got 'x.zip'" in told) == (2, True)
    code, told = run_cli(capsys, "bundle", runs / "a_seed0", "-o", tmp_path / "folder")
    assert (code, "this exists already" in " ".join(told.split())) == (1, True)
    damaged = tmp_path / "x.segbench"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    code, told = run_cli(capsys, "predict", damaged, tmp_path, "-o", tmp_path / "out")
    assert code == 1
    assert "is damaged or cut short" in told


@pytest.mark.slow
def test_the_card_is_one_that_the_hub_can_read(runs: Path, tmp_path: Path) -> None:
    bundle_runs(runs / "a_seed0", license="cc-by-4.0", watch=Callback()).write(tmp_path / "folder")
    card = ModelCard((tmp_path / "folder" / "README.md").read_text())
    assert (card.data.license, card.data.library_name) == ("cc-by-4.0", "segbench")
    assert card.data.pipeline_tag == "image-segmentation"
    result = RunFolder(runs / "a_seed0").read_result()
    found = {each.metric_type: each.metric_value for each in card.data.eval_results}
    assert found["iou_per_image"] == pytest.approx(result.scores["test"]["iou_per_image"], abs=1e-6)
    assert {each.dataset_split for each in card.data.eval_results} == {"test"}
    assert result.result["main"]["sentence"] in card.text
    assert "The test part was scored 1 time" in card.text
    bundle_runs(runs / "a_seed0", license="Only for my friends", watch=Callback()).write(tmp_path / "own")
    own = ModelCard((tmp_path / "own" / "README.md").read_text())
    assert (own.data.license, own.data.license_name) == ("other", "Only for my friends")
    assert "license" not in ModelCard(bundle_runs(runs / "a_seed0", watch=Callback()).readme()).data.to_dict()


def test_names_of_people_become_no_markdown(tmp_path: Path) -> None:
    from tests.predict.test_bundle_file import bundle_of

    made = bundle_of()
    object.__setattr__(made, "card", {"name": "a|b <script>\n# c", "scores": {}})
    text = made.readme()
    assert "# a\\|b \\<script\\> \\# c" in text
    assert "\n# c" not in text


def test_places_are_taken_out() -> None:
    plain = {
        "path": "/home/me/ph2",
        "deep": [{"file": "C:\\data\\x.csv"}],
        "rate": 0.1,
        "kept": "ph2/images",
        "n": "~/a",
    }
    assert without_places(plain) == {
        "path": "ph2",
        "deep": [{"file": "x.csv"}],
        "rate": 0.1,
        "kept": "ph2/images",
        "n": "a",
    }
