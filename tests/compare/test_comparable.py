"""What a comparison takes for one approach, what it refuses, and what it tells about unequal terms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.compare._study import write_study

from segbench.compare.gather import judge_evidence, load_evidence, study_baseline
from segbench.compare.runs import evidence_of
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError, RunError
from segbench.files import write_json
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder

Train = Callable[..., Path]


@pytest.fixture
def own(runs: Path, tmp_path: Path) -> Path:
    """Returns a copy of the runs that a test may change."""
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def change(file: Path, **values: Any) -> None:
    """Writes other values under top-level keys of a JSON file; None removes a key."""
    plain = {**json.loads(file.read_text()), **values}
    write_json(file, {key: value for key, value in plain.items() if value is not None})


@pytest.mark.slow
def test_a_copy_of_a_run_is_no_second_seed(own: Path) -> None:
    shutil.copytree(own / "a_seed0", own / "again")
    with pytest.raises(RunError, match=r"again: has the config and the seed \(0\) of .*a_seed0: a copy, or the same"):
        load_evidence([own / "a_seed0", own / "again", own / "b_seed0"])


@pytest.mark.slow
def test_one_folder_of_masks_twice_is_refused(own: Path, tmp_path: Path) -> None:
    folder = truths(RunFolder(own / "a_seed0").manifest_file, tmp_path / "tool")
    with pytest.raises(RunError, match=r"named twice: .*tool"):
        load_evidence([own / "a_seed0", folder, tmp_path / "runs" / ".." / "tool"])


@pytest.mark.slow
def test_seeds_of_one_config_stay_one_entry_wherever_they_were_trained(own: Path) -> None:
    config = own / "a_seed1" / "config.yaml"
    text = config.read_text()
    path = RunFolder(own / "a_seed0").read_config().data.path
    config.write_text(text.replace(f"path: {path}", f"path: {path}/.").replace("device: cpu", "device: auto"))
    assert config.read_text() != text
    evidence = load_evidence([own / "a_seed0", own / "a_seed1", own / "b_seed0"])
    assert [entry.seeds for entry in evidence.entries] == [(0, 1), (0,)]


@pytest.mark.slow
def test_unequal_budgets_and_machines_are_told(train: Train, own: Path, binary_pairs: Path, tmp_path: Path) -> None:
    short = train(binary_pairs, tmp_path / "short", epochs=1)
    facts = RunFolder(short).read_facts()
    change(short / "run.json", environment={**facts["environment"], "threads": 7, "processor": "A different one"})
    notes = load_evidence([own / "a_seed0", short]).notes
    assert "epochs differs between runs: 1, 4; the comparison is not at equal terms" in notes
    assert any(
        note.startswith("threads differs between runs: ") and note.endswith("7; times cannot be compared")
        for note in notes
    )
    assert any(note.startswith("the processor differs between runs: A different one, ") for note in notes)
    assert not any("differs between" in note for note in load_evidence([own / "a_seed0", own / "b_seed0"]).notes)


@pytest.mark.slow
def test_mirror_images_are_unequal_terms_but_no_busy_machine(own: Path) -> None:
    for name, speed in (("a_seed0", 40.0), ("a_seed1", 10.0)):
        change(own / name / "result.json", images_per_s={"training": 5.0, "prediction": speed})
    runs = [own / "a_seed0", own / "a_seed1", own / "b_seed0"]
    assert any("no approach is called the quickest" in note for note in load_evidence(runs).notes)
    config = own / "a_seed1" / "config.yaml"
    config.write_text(config.read_text().replace("tta: none", "tta: flips"))
    notes = load_evidence(runs).notes
    assert "tta differs between runs: flips, none; the comparison is not at equal terms" in notes
    assert not any("no approach is called the quickest" in note for note in notes)


@pytest.mark.slow
def test_results_of_another_version(own: Path) -> None:
    change(own / "a_seed0" / "result.json", flops=None, seconds={"total": 3.0})
    costs = load_evidence([own / "a_seed0", own / "b_seed0"]).entries[0].costs
    assert np.isnan([costs.flops, costs.training_s]).all()
    assert costs.parameters > 0
    change(own / "a_seed0" / "result.json", seed=None)
    with pytest.raises(RunError, match=r"a_seed0: result.json lacks seed: it is damaged, or of another version"):
        load_evidence([own / "a_seed0", own / "b_seed0"])


@pytest.mark.slow
def test_definitions_that_are_not_there_are_taken_from_the_run(own: Path) -> None:
    file = own / "a_seed0" / "scores_test.definitions.json"
    expected = load_evidence([own / "a_seed0", own / "b_seed0"])
    file.unlink()
    evidence = load_evidence([own / "a_seed0", own / "b_seed0"])
    assert evidence.definition == expected.definition
    assert evidence.notes == expected.notes
    file.write_text("{")
    with pytest.raises(
        RunError, match=r"a_seed0: scores_test.definitions.json, which says .* cannot be read; run `seg"
    ):
        load_evidence([own / "a_seed0", own / "b_seed0"])


@pytest.mark.slow
def test_masks_that_one_seed_lacks_are_told(own: Path) -> None:
    (own / "a_seed1" / "predicted_test.zip").unlink()
    evidence = load_evidence([own / "a_seed0", own / "a_seed1", own / "b_seed0"])
    assert evidence.entries[0].masks == ()
    assert any(
        note.startswith("there is no predicted_test.zip in ") and "a_seed1, so no masks of a are looked at" in note
        for note in evidence.notes
    )


@pytest.mark.slow
def test_scores_of_an_earlier_epoch_are_made_again(own: Path) -> None:
    names = [own / "a_seed0", own / "b_seed0"]
    first = load_evidence(names, resolution="original")
    assert "2 runs were scored again, at each image's own size" in first.notes
    assert not any("scored again" in note for note in load_evidence(names, resolution="original").notes)
    best = RunFolder(names[0]).read_result().result["best_epoch"]
    change(names[0] / "evaluation_test_original.json", epoch=best + 1)
    shutil.copy(names[1] / "counts_test_original.csv", names[0] / "counts_test_original.csv")
    again = load_evidence(names, resolution="original")
    assert "1 runs were scored again, at each image's own size" in again.notes
    np.testing.assert_array_equal(again.entries[0].values, first.entries[0].values)


@pytest.mark.slow
def test_entries_of_one_name_are_told_apart_by_their_place(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "b_seed0", tmp_path / "elsewhere" / "runs" / "a_seed0")
    config = tmp_path / "elsewhere" / "runs" / "a_seed0" / "config.yaml"
    config.write_text(config.read_text().replace("b_seed0", "a_seed0"))
    evidence = load_evidence([own / "a_seed0", config.parent])
    ours = tmp_path.name
    assert [entry.name for entry in evidence.entries] == [
        f"a_seed0 ({ours}/runs/a_seed0)",
        "a_seed0 (elsewhere/runs/a_seed0)",
    ]
    assert len(judge_evidence(evidence).entries) == 2


def truths(manifest_file: Path, folder: Path) -> Path:
    """Writes the truths of the test part as another tool's masks."""
    manifest = Manifest.read(manifest_file)
    folder.mkdir()
    for sample in manifest.split("test"):
        _, target = load_sample(manifest, sample)
        Image.fromarray(((target == 1) * 255).astype(np.uint8)).save(folder / f"{Path(sample.image).stem}.png")
    return folder


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyFolder, StudyFolder]:
    """Returns two studies of the same data and entries, decided by Dice and by IoU; read only."""
    root = tmp_path_factory.mktemp("studies")
    values: dict[str, Any] = {"networks": {"segnet": "segnet"}, "images": 24, "epochs": 3, "seeds": (0,)}
    first = write_study(root / "one", score="dice_per_image", baseline={"loss": "bce"}, **values)
    second = write_study(root / "two", score="iou_per_image", failed=("segnet__bce__seed0",), **values)
    return first, second


def test_studies_with_the_same_entries_are_told_apart(studies: tuple[StudyFolder, StudyFolder]) -> None:
    one, two = studies
    with pytest.raises(ConfigError, match=r"the studies are decided by different scores: dice_per_image .*one/study"):
        load_evidence([one.path, two.path])
    evidence = load_evidence([one.path, two.path], score="iou_per_image")
    names = [entry.name for entry in evidence.entries]
    assert names == ["segnet | bce", "segnet | dice+bce (one/study)", "segnet | dice+bce (two/study)"]
    assert len(judge_evidence(evidence).entries) == 3
    assert evidence_of([one.path, two.path], score="iou_per_image")[1] is None


def test_a_study_beside_masks_says_score_and_baseline(studies: tuple[StudyFolder, StudyFolder], tmp_path: Path) -> None:
    study = studies[0]
    masks = truths(study.manifest_file, tmp_path / "segnet | bce")
    evidence, only = evidence_of([study.path, masks])
    assert evidence.score == "dice_per_image"
    assert only is not None
    assert only.path == study.path
    assert study_baseline(study, evidence) == "segnet | bce (study)"  # the name alone is that of the masks, too
    np.testing.assert_array_equal(evidence.entries[-1].values, np.ones((1, len(evidence.ids))))


def test_a_baseline_without_a_finished_run_is_told(tmp_path: Path) -> None:
    study = write_study(
        tmp_path,
        networks={"segnet": "segnet", "unet_nearest": "unet_nearest"},
        losses={"bce": {"bce": 1}},
        images=24,
        epochs=3,
        seeds=(0,),
        baseline={"network": "segnet"},
        failed=("segnet__bce__seed0",),
    )
    masks = truths(study.manifest_file, tmp_path / "tool")
    evidence = load_evidence([study.path, masks])
    assert "the study's baseline, segnet | bce, has no finished run; nothing is measured against it" in evidence.notes
    assert study_baseline(study, evidence) is None
