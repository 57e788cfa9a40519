"""What somebody may change in run folders and studies, by mistake or on purpose, and what is said then."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compare._study import write_study

from segbench.compare.gather import load_evidence
from segbench.compare.runs import Comparison, compare_runs
from segbench.errors import RunError
from segbench.files import write_csv, write_json
from segbench.folders.mask_archive import MaskArchive, save_masks
from segbench.folders.registration import hash_of
from segbench.folders.run import RunFolder
from segbench.folders.seal import hash_file
from segbench.folders.study import StudyFolder


@pytest.fixture
def own(runs: Path, tmp_path: Path) -> Path:
    """Returns a copy of four trained runs, nets a and b with seeds 0 and 1, that a test may change."""
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def all_of(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())


def read_table(file: Path) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def change(file: Path, **values: Any) -> None:
    write_json(file, {**json.loads(file.read_text(encoding="utf-8")), **values})


def turn_misses_into_hits(run: Path) -> None:
    """Turns false negatives into true positives in the counts, and writes the scores that follow from them."""
    file = run / "counts_test.csv"
    header, *rows = read_table(file)
    for row in rows:
        row[5] = str(int(row[5]) + int(row[4]))
        row[4] = "0"
    write_csv(file, header, rows)
    scores = run / "scores_test.csv"
    header, *lines = read_table(scores)
    for line, row in zip(lines, rows, strict=True):
        line[header.index("iou")] = repr(int(row[5]) / (int(row[3]) + int(row[5])))
    write_csv(scores, header, lines)


def forget_hashes(run: Path) -> None:
    """Makes a run look as one of a version that kept no hashes."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    write_json(run / "result.json", {key: value for key, value in result.items() if key != "sha256"})


def hash_again(run: Path) -> None:
    """Writes the hashes of the changed files into the record, as who tampers with care would."""
    sums = json.loads((run / "result.json").read_text(encoding="utf-8"))["sha256"]
    change(run / "result.json", sha256={name: hash_file(run / name) for name in sums})


@pytest.mark.slow
def test_counts_that_were_edited_are_refused(own: Path) -> None:
    turn_misses_into_hits(own / "b_seed0")
    with pytest.raises(RunError) as caught:
        compare_runs(all_of(own))
    assert "b_seed0: 2 of its files are not those that were scored: counts_test.csv: expected SHA-256" in str(
        caught.value
    )
    assert "score its weights again: `segbench evaluate" in str(caught.value)


@pytest.mark.slow
def test_counts_are_held_against_the_masks_where_the_hashes_were_edited_too(own: Path) -> None:
    run = own / "b_seed0"
    turn_misses_into_hits(run)
    hash_again(run)
    change_mean(run)
    with pytest.raises(RunError, match=r"predicted_test.zip of image \S+ does not give what counts_test.csv says"):
        compare_runs(all_of(own), verify=True)


@pytest.mark.slow
def test_counts_of_a_run_without_hashes_are_held_against_all_masks(own: Path) -> None:
    for run in all_of(own):
        forget_hashes(run)
    notes = load_evidence(all_of(own)).notes
    assert (
        "4 runs keep no hashes of their files, since an earlier version made them: their masks were counted again "
        "instead, all of them" in notes
    )
    turn_misses_into_hits(own / "b_seed0")
    change_mean(own / "b_seed0")
    with pytest.raises(RunError, match=r"\d+ pixels in cell \[\d, \d\] by the counts, \d+ by the mask"):
        compare_runs(all_of(own))


def change_mean(run: Path) -> None:
    """Writes the mean that the changed scores have into the result."""
    header, *rows = read_table(run / "scores_test.csv")
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    result["scores"]["test"]["iou_per_image"] = float(np.mean([float(row[header.index("iou")]) for row in rows]))
    write_json(run / "result.json", result)


@pytest.mark.slow
def test_scores_that_do_not_follow_from_the_counts_are_refused(own: Path) -> None:
    run = own / "a_seed1"
    file = run / "scores_test.csv"
    header, *lines = read_table(file)
    lines[0][header.index("iou")] = "0.99"
    write_csv(file, header, lines)
    hash_again(run)
    with pytest.raises(RunError, match=r"iou_per_image of image \S+ is 0.99 in scores_test.csv, and the counts of"):
        compare_runs(all_of(own))


@pytest.mark.slow
def test_a_mean_that_was_written_into_the_result_is_refused(own: Path) -> None:
    result = json.loads((own / "a_seed0" / "result.json").read_text(encoding="utf-8"))
    result["scores"]["test"]["iou_per_image"] = 0.99
    write_json(own / "a_seed0" / "result.json", result)
    with pytest.raises(RunError, match=r"the mean of iou_per_image is 0.99 in result.json, and the counts of"):
        compare_runs(all_of(own))


def swap_masks(run: Path) -> None:
    """Puts empty masks in the place of the predicted ones."""
    archive = MaskArchive(run / "predicted_test.zip")
    save_masks(archive.path, [(name, np.zeros_like(archive.read(name))) for name in archive.ids])


@pytest.mark.slow
def test_masks_that_were_swapped_are_refused(own: Path) -> None:
    swap_masks(own / "a_seed0")
    with pytest.raises(RunError, match=r"1 of its files are not those that were scored: predicted_test.zip: expected"):
        compare_runs(all_of(own))
    hash_again(own / "a_seed0")
    with pytest.raises(RunError, match=r"masks or counts were changed or swapped afterwards; score the run again with"):
        compare_runs(all_of(own), verify=True)


@pytest.mark.slow
def test_weights_that_are_not_those_that_were_scored_are_refused(own: Path) -> None:
    shutil.copy(own / "a_seed1" / "best.safetensors", own / "a_seed0" / "best.safetensors")
    with pytest.raises(RunError, match=r"a_seed0: 1 of its files are not those .*: best.safetensors: expected SHA-256"):
        compare_runs(all_of(own))


def copy_as_seed(source: Path, target: Path, seed: int) -> None:
    shutil.copytree(source, target)
    change(target / "result.json", seed=seed, name=target.name)
    config = (target / "config.yaml").read_text(encoding="utf-8")
    old = RunFolder(source).read_config().seed
    (target / "config.yaml").write_text(config.replace(f"\nseed: {old}", f"\nseed: {seed}"), encoding="utf-8")


@pytest.mark.slow
def test_a_run_copied_under_another_seed_is_refused(own: Path) -> None:
    copy_as_seed(own / "b_seed1", own / "b_seed7", 7)
    with pytest.raises(
        RunError, match=r"b_seed7: has the same (weights|counts on every test image) .*as .*b_seed1: two"
    ):
        compare_runs(all_of(own))


@pytest.mark.slow
def test_a_copy_is_found_by_its_weights_where_counts_were_changed_too(own: Path) -> None:
    copy_as_seed(own / "b_seed1", own / "b_seed7", 7)
    turn_misses_into_hits(own / "b_seed7")
    change_mean(own / "b_seed7")
    hash_again(own / "b_seed7")
    (own / "b_seed7" / "predicted_test.zip").unlink()
    with pytest.raises(RunError, match=r"b_seed7: has the same weights \(SHA-256 of best.safetensors\) as .*b_seed1"):
        compare_runs(all_of(own))


def test_two_seeds_that_predict_one_class_everywhere_are_no_copies(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    for seed in (0, 1):
        blank(study.run(f"segnet__bce__seed{seed}"))
    evidence = load_evidence([study.path])
    assert evidence.entries[0].values.max() == 0.0
    one, other = (study.run(f"unet_nearest__bce__seed{seed}") for seed in (0, 1))
    for name in ("counts_test.csv", "scores_test.csv", "predicted_test.zip"):
        shutil.copy(one.path / name, other.path / name)
    change(other.result_file, scores=json.loads(one.result_file.read_text())["scores"])
    with pytest.raises(RunError, match=r"has the same counts on every test image as .*: two seeds of unet_nearest"):
        load_evidence([study.path])


def blank(run: RunFolder) -> None:
    """Makes a run of a small study predict the background alone."""
    archive = MaskArchive(run.predicted_file("test"))
    save_masks(archive.path, [(name, np.zeros_like(archive.read(name))) for name in archive.ids])
    header, *rows = read_table(run.counts_file("test"))
    for row in rows:
        row[2:] = [str(int(row[2]) + int(row[3])), "0", str(int(row[4]) + int(row[5])), "0"]
    write_csv(run.counts_file("test"), header, rows)
    run.scores_file("test").unlink()
    result = json.loads(run.result_file.read_text(encoding="utf-8"))
    result["scores"]["test"]["iou_per_image"] = 0.0
    write_json(run.result_file, result)


def small_study(root: Path, **more: Any) -> StudyFolder:
    given: dict[str, Any] = {"losses": {"bce": {"bce": 1}}, "images": 36, "epochs": 3, "looks": 2, **more}
    return write_study(root, **given)


def problems(study: StudyFolder, **asked: Any) -> tuple[str, ...]:
    return compare_runs(study.path, **asked).evidence.problems


def test_a_study_that_was_left_alone_has_no_problems(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    comparison = compare_runs(study.path)
    assert comparison.evidence.problems == ()
    assert comparison.evidence.look is not None
    assert (comparison.evidence.look.number, comparison.evidence.look.planned) == (1, 2)
    assert not any("registered" in note for note in comparison.evidence.notes)


def test_a_split_that_was_changed_is_refused_and_told(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    runs = [study.run(run.id) for run in study.read_plan().runs]
    first = json.loads(runs[0].manifest_file.read_text(encoding="utf-8"))
    moved = next(sample for sample in first["samples"] if sample["split"] == "test")
    moved["split"] = "train"
    write_json(runs[0].manifest_file, first)
    with pytest.raises(RunError, match=r"manifest.json is not the one it was trained with: expected the SHA-256"):
        compare_runs(study.path)


def test_runs_on_another_split_than_the_registered_one_are_told(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    registered = json.loads(study.registration_file.read_text(encoding="utf-8"))
    other = {**registered, "manifest_hash": "0" * 64}
    write_json(study.registration_file, {**other, "hash": hash_of(other)})
    change(study.plan_file, registration=hash_of(other))
    [told] = problems(study)
    assert told.startswith("the data or their split were changed after the registration of ")
    assert "registered 000000000000, now " in told


def test_another_score_is_exploratory_and_changing_the_declared_one_is_told(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    comparison = compare_runs(study.path, score="dice_per_image")
    assert comparison.evidence.look is None
    assert comparison.evidence.problems == (
        "this verdict is exploratory, and not the one that the study was made for: the study declares the score "
        "iou_per_image, and this is by dice_per_image",
    )
    assert comparison.sentences()[0] == comparison.evidence.problems[0]
    config = study.config_file.read_text(encoding="utf-8")
    study.config_file.write_text(config.replace("score: iou_per_image", "score: dice_per_image"), encoding="utf-8")
    [told] = problems(study)
    assert told.startswith("score was changed after the registration of ")
    assert told.endswith(": registered iou_per_image, now dice_per_image")


def test_a_registration_that_was_edited_is_told(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    change(study.registration_file, score="dice_per_image")
    told = problems(study)
    assert told[0].startswith("registration.json was edited: expected the SHA-256 ")
    assert told[1].startswith("score was changed after the registration")
    plain = json.loads(study.registration_file.read_text(encoding="utf-8"))
    change(study.registration_file, score="iou_per_image", seeds=[0, 1], hash=hash_of({**plain, "seeds": [0, 5]}))
    assert any(each.startswith("registration.json was edited") for each in problems(study))
    study.registration_file.unlink()
    assert problems(study)[0].startswith("registration.json is gone (SHA-256 ")
    study.registration_file.write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"registration.json cannot be read"):
        problems(study)


def test_a_run_that_was_deleted_is_told(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    assert problems(study) == ()
    run = study.run("segnet__bce__seed1")
    study.log_file("segnet__bce__seed1").parent.mkdir()
    study.log_file("segnet__bce__seed1").write_text("attempt 1 of 3\n", encoding="utf-8")
    shutil.rmtree(run.path)
    told = problems(study)
    assert told[0] == (
        "1 of 4 runs has no result, so its entry is judged by fewer trainings: segnet__bce__seed1 (waiting)"
    )
    assert told[1].startswith("begun, as their logs say, and their folders are gone: segnet__bce__seed1; a result that")
    assert told[2].startswith("judged earlier, and gone or not finished now: segnet__bce__seed1 (")


def test_a_run_that_was_trained_again_after_a_verdict_is_told(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    assert problems(study) == ()
    blank(study.run("segnet__bce__seed1"))
    assert problems(study)[0].startswith(
        "judged earlier, and trained or scored again since, with other results: segnet"
    )


def test_what_failed_counts_for_its_entry(tmp_path: Path) -> None:
    study = small_study(tmp_path, failed=("segnet__bce__seed0",), seeds=(0, 1, 2))
    comparison: Comparison = compare_runs(study.path)
    first = comparison.evidence.entries[0]
    assert (first.planned, len(first.runs), first.failed) == (3, 2, 1)
    assert comparison.sentences()[0] == (
        "1 of 6 runs has no result, so its entry is judged by fewer trainings: segnet__bce__seed0 (failed)"
    )


def test_an_entry_without_any_result_is_named(tmp_path: Path) -> None:
    losses = {"bce": {"bce": 1}, "dice": {"dice": 1}}
    failed = ("segnet__bce__seed0", "segnet__bce__seed1")
    told = problems(small_study(tmp_path, losses=losses, failed=failed))
    assert told[1] == "not judged at all, since no run of it is finished: segnet | bce"


def test_who_is_better_than_every_other_is_so_of_those_that_were_judged(tmp_path: Path) -> None:
    losses = {"bce": {"bce": 1}}
    networks = {"segnet": "segnet", "unet": "unet", "unet_nearest": "unet_nearest"}
    failed = tuple(f"unet__bce__seed{seed}" for seed in range(3))
    options = {"networks": networks, "losses": losses, "seeds": (0, 1, 2), "failed": failed, "spread": 2.5}
    comparison = compare_runs(write_study(tmp_path, images=96, epochs=3, **options).path)
    assert comparison.evidence.unjudged == ("unet | bce",)
    assert comparison.verdict.winner is not None
    assert any(each.endswith("better than every other approach that was judged.") for each in comparison.sentences())


def test_a_run_in_the_folder_that_the_study_does_not_plan_is_named(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    shutil.copytree(study.run("segnet__bce__seed1").path, study.path / "runs" / "tried_by_hand")
    (study.path / "runs" / "notes").mkdir()
    assert problems(study) == (
        "1 run lies in the folder of this study, which does not plan it, so it counts nowhere: tried_by_hand",
    )


def test_without_the_data_the_masks_cannot_be_checked_and_it_is_told(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    shutil.rmtree(tmp_path / "data")
    notes = compare_runs(study.path).evidence.notes
    assert any(
        note.startswith("whether the masks of the runs give their counts could not be checked") for note in notes
    )


@pytest.mark.parametrize("verify", [True, False])
def test_what_is_checked_is_told_while_it_is_checked(
    tmp_path: Path, verify: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = small_study(tmp_path, images=48)
    monkeypatch.setattr("segbench.compare.verify.SAMPLED", 3)
    for run in study.read_plan().runs:
        folder = study.run(run.id)
        change(folder.result_file, sha256={"counts_test.csv": hash_file(folder.counts_file("test"))})
    seen: list[tuple[str, int, int]] = []

    def note(what: str, done: int, total: int) -> None:
        seen.append((what, done, total))

    compare_runs(study.path, verify=verify, progress=note)
    assert seen[-1][0] == "counting masks again"
    assert seen[-1][2] == (16 if verify else 3)


def test_runs_that_were_picked_out_of_a_study_are_told(tmp_path: Path) -> None:
    study = small_study(tmp_path, seeds=(0, 1, 2))
    runs = study.read_plan().runs
    picked = [study.run(run.id).path for run in runs if run.seed != 1]
    (told,) = compare_runs(picked).evidence.problems
    assert told == "4 runs were picked out of the 6 of study: not the verdict that the study was made for"
    assert compare_runs([study.run(run.id).path for run in runs]).evidence.problems == ()
