"""What a study says of itself before it is run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segbench.config.study import StudyConfig
from segbench.errors import ConfigError
from segbench.folders.study import StudyFolder
from segbench.statistics.planning import images_needed, minimum_detectable_difference, resolvable_margin
from segbench.statistics.variance import VarianceParts
from segbench.study.dry_run import dry_run
from segbench.study.engine import Machine
from segbench.study.run import run_study

MakeStudy = Callable[..., StudyConfig]


class Here:
    """An engine that must not be asked to train."""

    name = "here"

    def machine(self) -> Machine:
        return Machine(cores=2, gpus=0)

    def run(self, *args: Any, **keywords: Any) -> None:
        raise AssertionError("a dry run trains nothing")


def snapshot(folder: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in folder.rglob("*")}


@pytest.mark.slow
def test_a_new_study_is_listed_timed_and_judged_without_a_trace(make_study: MakeStudy, tmp_path: Path) -> None:
    vary = {"loss": ["dice", "bce", "jaccard"], "seed": [0, 1]}
    result = dry_run(make_study(tmp_path / "study", vary=vary), engine=Here())
    assert not (tmp_path / "study").exists()
    assert [status.state for status in result.statuses] == ["waiting"] * 6
    assert (result.workers, result.threads, result.seeds, result.entries) == (2, 1, 2, 3)
    assert result.images == {"train": 17, "val": 4, "test": 3}
    assert 0.0 < result.cost.seconds < 60.0
    assert result.cost.problems == {}
    cache_mb = 24 * 4 * 32 * 32 / 1e6
    assert cache_mb < result.cost.disk_mb < 20.0
    assert [row.case for row in result.detectable] == [
        f"if differences of images have SD {sd} and seeds make none" for sd in ("0.05", "0.10", "0.15")
    ]
    parts = VarianceParts(seed_sd=0.0, image_sd=0.10, residual_sd=0.0)
    lead = minimum_detectable_difference(parts, images=3, seeds=2, entries=3)
    margin = resolvable_margin(parts, images=3, seeds=2, entries=3)
    assert (result.detectable[1].lead, result.detectable[1].margin) == (lead, margin)
    images = images_needed(0.01, parts, seeds=2, entries=3, margin=True)
    assert (result.practical, result.detectable[1].images) == (0.01, images)
    assert images is not None
    assert resolvable_margin(parts, images=images, seeds=2, entries=3) <= 0.01
    lines = result.lines()
    assert lines[0] == "runs: 6 of 6 to do, 2 at once, CPU threads each: 1"
    assert lines[1] == "length of a run: 2 epochs"
    assert lines[2] == "images: 17 train, 4 val, 3 test"
    assert "  timed on random images, alone on the machine: a few steps for 3 entries" in lines
    assert "  side by side runs slow each other down, which is left out" in lines
    assert f"  {result.detectable[1].case}: ahead by {lead:.4f}; equivalent within {margin:.4f}" in lines
    assert f"  {result.detectable[1].case}: {images:,} images".replace(",", " ") in lines


@pytest.mark.slow
def test_an_entry_that_would_fail_is_a_problem_and_the_others_are_timed(make_study: MakeStudy, tmp_path: Path) -> None:
    network = {"good": "unet_nearest", "bad": {"name": "unet", "widths": [8], "deep_supervision": True}}
    reason = (
        "network.deep_supervision: deep_supervision needs a coarser stage to supervise, but widths has one stage only"
    )
    result = dry_run(make_study(tmp_path, vary={"network": network}), engine=Here())
    assert result.cost.problems == {"bad": reason}
    assert result.cost.seconds > 0.0
    assert f"problem: bad would fail: {reason}" in result.lines()


@pytest.mark.slow
def test_a_loss_for_another_task_is_a_problem_and_a_score_of_no_class_is_refused(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    result = dry_run(make_study(tmp_path, vary={"loss": ["dice", "cross_entropy"]}), engine=Here())
    assert list(result.cost.problems) == ["cross_entropy"]
    with pytest.raises(ConfigError, match=r"score: there is no 'iou_per_image\[nope\]'"):
        dry_run(make_study(tmp_path, score="iou_per_image[nope]"), engine=Here())


@pytest.mark.slow
def test_more_epochs_take_longer_and_one_entry_has_no_difference(make_study: MakeStudy, tmp_path: Path) -> None:
    vary = {"seed": [0, 1]}
    short, long = (dry_run(make_study(tmp_path, {"epochs": epochs}, vary=vary), engine=Here()) for epochs in (2, 200))
    assert long.cost.seconds > 20 * short.cost.seconds
    assert long.detectable == ()
    assert long.notes[0].startswith("there is one entry, 'small': its runs can be trained, but there is nothing to")
    assert not any("difference" in line for line in long.lines())


@pytest.mark.slow
def test_finished_runs_stand_for_what_was_assumed(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", vary={"loss": ["dice", "bce"], "seed": [0, 1]})
    run_study(study, workers=1, threads=1)
    before = snapshot(tmp_path / "study")
    done = dry_run(study, engine=Here())
    assert done.cost.seconds == 0.0
    assert done.lines()[0] == "runs: 0 of 4 to do, 2 at once, CPU threads each: 1"
    (row,) = done.detectable
    assert row.case == "as finished runs vary, the middle of 1 pair"
    more = dry_run(study.model_copy(update={"vary": {**study.vary, "seed": [0, 1, 2]}}), engine=Here())
    mean = [status.seconds for status in done.statuses]
    expected = max(sum(mean[:2]) / 2, sum(mean[2:]) / 2)
    assert more.cost.seconds == pytest.approx(max(expected, sum(mean) / 4))
    assert more.cost.basis[0] == "seconds of finished runs stand for 2 entries"
    assert not any("timed" in sentence for sentence in more.cost.basis)
    assert snapshot(tmp_path / "study") == before


@pytest.mark.slow
def test_a_begun_run_is_known_by_its_own_epochs(make_study: MakeStudy, tmp_path: Path) -> None:
    run = StudyFolder(tmp_path).run("dice__seed0")
    run.write_facts({})
    run.write_history([{"epoch": 1.0, "val_iou_per_image": 0.5, "seconds": 5000.0}])
    result = dry_run(make_study(tmp_path, {"epochs": 3}), engine=Here())
    assert [status.state for status in result.statuses] == ["stopped", "waiting"]
    assert result.cost.seconds == 10000.0
    assert result.lines()[3].startswith("time: about 2:47 h; disk: about ")
    assert "timed on random images, alone on the machine: a few steps for 1 entry" in result.cost.basis


def test_what_run_refuses_is_refused(make_study: MakeStudy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no network"):
        dry_run(make_study(tmp_path, {"network": "unet_nearst"}), engine=Here())


@pytest.mark.slow
def test_groups_are_what_counts(make_study: MakeStudy, tmp_path: Path) -> None:
    result = replace(dry_run(make_study(tmp_path), engine=Here()), groups=2, tested=2)
    assert "images: 17 train, 4 val, 3 test; the test images are 2 groups" in result.lines()
    assert any("what 2 test groups and 1 seed show" in line for line in result.lines())
    assert not math.isnan(result.cost.seconds)
