"""What the entries of a study have reached while it runs."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tests.compare._study import write_study

from segbench.compare.image_scores import read_part
from segbench.compare.runs import compare_runs
from segbench.folders.study import StudyFolder
from segbench.study.live import ConsoleStudyCallback
from segbench.study.means import StudyMeans


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Returns a study of two entries with two seeds, of which one run failed; read only."""
    return write_study(
        tmp_path_factory.mktemp("study"), networks={"segnet": "segnet"}, failed=("segnet__dice+bce__seed1",), epochs=3
    )


def test_they_are_means_over_finished_runs_and_images(study: StudyFolder) -> None:
    bce, dice = StudyMeans(study).of(study.status())
    assert (bce.finished, bce.planned, bce.is_complete) == (2, 2, True)
    assert (dice.finished, dice.planned, dice.is_complete) == (1, 2, False)
    runs = [
        read_part(study.run(f"segnet__bce__seed{seed}"), "test", "iou_per_image").pick("iou_per_image").values
        for seed in (0, 1)
    ]
    assert bce.mean is not None
    assert bce.mean.value == pytest.approx(np.mean(runs))
    assert bce.mean.low < bce.mean.value < bce.mean.high
    verdict = compare_runs(study.path).verdict
    assert [bce.mean, dice.mean] == [verdict.standing(index).mean for index in (0, 1)]
    assert bce.line().startswith("segnet | bce: IoU per image 0.")
    assert bce.line().endswith("] on the test images, 2 seeds")


def test_two_images_have_a_mean_and_no_interval(tmp_path: Path) -> None:
    small = write_study(tmp_path, networks={"segnet": "segnet"}, images=6, epochs=3)
    bce, _ = StudyMeans(small).of(small.status())
    assert bce.mean is not None
    assert bce.cells() == ("2/2", f"{bce.mean.value:.3f}", "–")
    assert bce.line() == f"segnet | bce: IoU per image {bce.mean.value:.3f} on the test images, 2 seeds"


def test_a_damaged_run_is_left_out(study: StudyFolder, tmp_path: Path) -> None:
    statuses = study.status()
    counts = study.run("segnet__bce__seed0").table_file("counts", "test")
    kept = counts.read_bytes()
    try:
        counts.write_bytes(b"nonsense")
        (bce, _) = StudyMeans(study).of(statuses)
    finally:
        counts.write_bytes(kept)
    assert bce.finished == 1


def test_an_entry_is_told_once_when_its_last_run_is_finished(study: StudyFolder) -> None:
    finished = [status for status in study.status() if status.run.entry == "segnet | bce"]
    stream = io.StringIO()
    watch = ConsoleStudyCallback(Console(file=stream, width=200), folder=study)
    watch.update([finished[0], replace(finished[1], state="running")])
    assert "IoU per image 0." not in stream.getvalue()
    for _ in range(2):
        watch.update(finished)
    assert stream.getvalue().count("on the test images, 2 seeds") == 1
    again = io.StringIO()
    ConsoleStudyCallback(Console(file=again, width=200), folder=study).update(finished)
    assert "on the test images" not in again.getvalue(), "what was finished before is not news"
