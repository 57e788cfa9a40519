"""A cross-validation as a study: trained fold by fold, resumed, judged by the out-of-fold scores of all images."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segbench.compare.folds import notes_of_folds
from segbench.compare.runs import compare_runs
from segbench.config.study import StudyConfig
from segbench.data.manifest.manifest import Manifest
from segbench.errors import ConfigError, RunError
from segbench.folders.study import StudyFolder
from segbench.locale import Message, message
from segbench.report.runs import report_runs
from segbench.report.tables import write_results
from segbench.statistics.folds import shared_training_factor
from segbench.study.dry_run import dry_run
from segbench.study.run import run_study

FOLDS = 3


@pytest.fixture(scope="module")
def trained(make_study: Callable[..., StudyConfig], tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    """Returns a finished study of two losses, two seeds and three folds; read only."""
    vary = {"loss": ["dice", "bce"], "seed": [0, 1]}
    study = make_study(
        tmp_path_factory.mktemp("folds") / "study", {"epochs": 1, "scores": {"surface": False}}, folds=FOLDS, vary=vary
    )
    run_study(study, workers=1, threads=1)
    return study


@pytest.fixture
def copied(trained: StudyConfig, tmp_path: Path) -> StudyFolder:
    shutil.copytree(trained.study_folder, tmp_path / "copy")
    return StudyFolder(tmp_path / "copy")


@pytest.mark.slow
def test_every_image_is_tested_in_one_fold(trained: StudyConfig) -> None:
    folder = StudyFolder(trained.study_folder)
    assert {item.state for item in folder.status()} == {"finished"}
    parts = [
        {sample.id for sample in Manifest.read(folder.manifest_file_of(fold)).split("test")} for fold in range(FOLDS)
    ]
    whole = Manifest.read(folder.manifest_file)
    assert set.union(*parts) == {sample.id for sample in whole.samples}
    assert sum(map(len, parts)) == len(whole.samples)
    hashes = folder.read_facts()["fold_hashes"]
    assert len(set(hashes)) == FOLDS
    for run in folder.read_plan().runs:
        assert run.fold is not None
        assert run.id.endswith(f"__seed{run.seed}__fold{run.fold}")
        assert folder.run(run.id).read_facts()["manifest_hash"] == hashes[run.fold]


@pytest.mark.slow
def test_the_verdict_is_over_all_images_with_the_scores_of_their_folds(trained: StudyConfig, tmp_path: Path) -> None:
    folder = StudyFolder(trained.study_folder)
    comparison = compare_runs(folder.path)
    evidence, verdict = comparison.evidence, comparison.verdict
    assert verdict.n_images == len(Manifest.read(folder.manifest_file).samples)
    assert [standing.seeds for standing in verdict.entries] == [2, 2]
    assert verdict.fold_factor == pytest.approx(shared_training_factor(evidence.folds or ()))
    entry = evidence.entries[0]
    assert entry.values.shape == (2, verdict.n_images)
    for run, seed in zip(entry.runs, entry.seeds, strict=True):
        result = json.loads(run.result_file.read_text())
        assert seed == result["seed"]
        fold = run.read_config().data.split.fold
        own = np.array(evidence.folds) == fold
        assert entry.values[seed, own].mean() == pytest.approx(result["scores"]["test"]["iou_per_image"])
    assert "n = 24 images" in evidence.definition["sentence"]
    image_id = evidence.ids[-1]
    assert entry.masks[1].read(image_id).shape == (32, 32)
    assert any("scored by trainings on the other 2 of 3 folds" in note for note in evidence.notes)
    assert comparison.factors is not None
    files = report_runs(trained.study_folder, tmp_path / "report.html", latex=tmp_path / "paper")
    text = files.markdown.read_text()
    assert "scored by trainings on the other 2 of 3 folds" in text
    assert "fold 0 of 3" not in text
    assert "- test, fold 1 of 3: 8 images\n- compared on: 24 images, each tested in one fold" in text
    assert "the images' variance is multiplied by 2.5" in text
    assert "nadeaubengio2003" in (tmp_path / "paper" / "methods.tex").read_text()


@pytest.mark.slow
def test_a_finished_one_is_not_trained_again_and_a_missing_fold_is(copied: StudyFolder) -> None:
    study = copied.read_config().model_copy(update={"output": str(copied.path)})
    gone = copied.run("dice__seed1__fold2")
    kept = copied.run("bce__seed0__fold1").result_file.stat().st_mtime_ns
    shutil.rmtree(gone.path)
    told = compare_runs(copied.path).evidence.problems
    assert any("dice: seed 1 was not trained on every fold and does not count" in problem for problem in told)
    run_study(study, workers=1, threads=1)
    assert gone.is_finished
    assert copied.run("bce__seed0__fold1").result_file.stat().st_mtime_ns == kept
    assert [standing.seeds for standing in compare_runs(copied.path).verdict.entries] == [2, 2]


@pytest.mark.slow
def test_what_cannot_be_compared_is_refused(copied: StudyFolder, trained: StudyConfig) -> None:
    with pytest.raises(ConfigError, match="a cross-validation is compared by itself"):
        compare_runs([copied.path, trained.study_folder])
    for seed in (0, 1):
        shutil.rmtree(copied.run(f"dice__seed{seed}__fold0").path)
    with pytest.raises(
        RunError, match="fold 0 has finished runs of bce, and a verdict needs two entries or more; run the study on"
    ):
        compare_runs(copied.path)


@pytest.mark.slow
def test_the_dry_run_plans_with_all_folds(make_study: Callable[..., StudyConfig], tmp_path: Path) -> None:
    vary = {"loss": ["dice", "bce"], "seed": [0, 1, 2]}
    found = dry_run(make_study(tmp_path / "study", folds=FOLDS, vary=vary), threads=1)
    assert (found.seeds, found.entries, len(found.statuses)) == (3, 2, 18)
    assert not any("fold 0 of 3" in note for note in found.notes)
    lines = found.lines()
    assert lines[2].endswith(" test (fold 1 of 3; every image is tested in one of them)")
    assert any(
        line.startswith(f"what {sum(found.images.values())} test images of 3 folds and 3 seeds") for line in lines
    )


@pytest.mark.slow
def test_a_note_is_told_once_for_all_folds(copied: StudyFolder) -> None:
    for number, run in enumerate(copied.read_plan().runs):
        file = copied.run(run.id).result_file
        result = json.loads(file.read_text())
        result["images_per_s"]["prediction"] = 100.0 * (1 + number)
        file.write_text(json.dumps(result))
    evidence = compare_runs(copied.path).evidence
    assert not evidence.times_comparable
    told = [note for note in evidence.notes if "one network predicted up to" in note]
    assert told == [
        "one network predicted up to 12.0 times as fast in one run as in another: other work was done on the machine, "
        "so no approach is called the quickest"
    ]


def test_what_folds_say_alike_is_said_once() -> None:
    def sealed(n: int) -> Message:
        return message("{n} runs keep no hashes", n=n)

    same, lonely = message("the data moved"), message("{name} predicts nothing", name="unet")
    assert notes_of_folds([[same, sealed(3)], [same, sealed(4), lonely], [same, sealed(5)]]) == [
        "the data moved",
        "3 runs keep no hashes (fold 1 of 3; with other numbers in 2 more)",
        "unet predicts nothing (fold 2 of 3)",
    ]


@pytest.mark.slow
def test_other_folds_than_registered_are_told(copied: StudyFolder) -> None:
    registration = json.loads(copied.registration_file.read_text())
    assert registration["folds"] == FOLDS
    registration["folds"] = 5
    copied.registration_file.write_text(json.dumps(registration))
    assert any(
        problem.startswith("folds was changed after the registration") and problem.endswith("registered 5, now 3")
        for problem in compare_runs(copied.path).evidence.problems
    )
    del registration["folds"]  # as an earlier version wrote it
    copied.registration_file.write_text(json.dumps(registration))
    assert not any("folds was changed" in problem for problem in compare_runs(copied.path).evidence.problems)


@pytest.mark.slow
def test_tables_count_seeds_not_runs(trained: StudyConfig, tmp_path: Path) -> None:
    from segbench.compare.runs import evidence_of
    from segbench.report.analysis import analyze

    evidence, study = evidence_of(trained.study_folder)
    write_results(tmp_path / "results.csv", analyze(evidence, study=study))
    with (tmp_path / "results.csv").open() as stream:
        assert [row["n_seeds"] for row in csv.DictReader(stream)] == ["2", "2"]
