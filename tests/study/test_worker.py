"""One run in a process: what is noted, what is printed, and who is tried again."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segbench.config.study import StudyConfig, expand
from segbench.folders.study import Failure, StudyFolder
from segbench.study.worker import MAX_ATTEMPTS, Task, after_attempt, train_run


@pytest.fixture
def task(make_study: Callable[..., StudyConfig], tmp_path: Path) -> Task:
    run = expand(make_study(tmp_path / "elsewhere")).runs[0]
    folder = str(tmp_path / "study")
    return Task(study=folder, run_id="one", config=run.config.to_dict(), manifest=None, threads=1)


def test_a_task_travels_as_json(task: Task) -> None:
    assert Task(**json.loads(json.dumps(task.to_dict()))) == task


@pytest.mark.slow
def test_a_run_is_trained_in_its_place_and_prints_into_its_log(task: Task, capfd: pytest.CaptureFixture[str]) -> None:
    streams = sys.stdout, sys.stderr
    train_run(task)
    folder = StudyFolder(Path(task.study))
    assert folder.run("one").read_result().scores["test"]
    assert folder.read_failure("one") is None
    assert not (folder.path.parent / "elsewhere").exists()
    log = folder.log_file("one").read_text()
    assert log.startswith(f"attempt 1 of {MAX_ATTEMPTS}: process ")
    assert "epoch 2/2" in log
    assert (sys.stdout, sys.stderr) == streams
    os.write(1, b"out")
    os.write(2, b"err")
    assert capfd.readouterr() == ("out", "err")


def test_what_segbench_refuses_is_noted_in_its_words(task: Task) -> None:
    config = {**task.config, "network": {"name": "unet_nearest", "options": {"widths": [8, -1]}}}
    train_run(dataclasses.replace(task, config=config, attempt=2))
    folder = StudyFolder(Path(task.study))
    failure = folder.read_failure("one")
    assert failure is not None
    assert (failure.kind, failure.attempts) == ("refused", 2)
    assert failure.error == "network.widths: widths must be a list of 1 to 7 channel counts above 0, got [8, -1]"
    assert f"error: {failure.error}" in folder.log_file("one").read_text()


def test_anything_else_is_a_crash_with_its_traceback_in_the_log(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **keywords: Any) -> None:
        raise KeyError("no such thing")

    monkeypatch.setattr("segbench.train.fit.fit", broken)
    train_run(task)
    folder = StudyFolder(Path(task.study))
    assert folder.read_failure("one") == Failure(error="KeyError: 'no such thing'", kind="crashed", attempts=1)
    assert "Traceback (most recent call last)" in folder.log_file("one").read_text()


def test_a_killed_one_is_tried_again_until_it_was_tried_three_times(task: Task) -> None:
    folder = StudyFolder(Path(task.study))
    second = after_attempt(task, "was killed by SIGKILL")
    assert second == dataclasses.replace(task, attempt=2)
    assert folder.read_failure("one") is None
    third = after_attempt(second, "was killed by SIGKILL")
    assert third is not None
    assert after_attempt(third, "was killed by SIGKILL") is None
    assert folder.read_failure("one") == Failure(
        error="the process of the run was killed by SIGKILL", kind="crashed", attempts=3
    )


def test_a_noted_crash_is_tried_again_and_a_refusal_is_not(task: Task) -> None:
    folder = StudyFolder(Path(task.study))
    folder.write_failure("one", Failure(error="KeyError: 1", kind="crashed", attempts=1))
    again = after_attempt(task, "ended with exit code 0")
    assert again is not None
    assert folder.read_failure("one") is None
    folder.write_failure("one", Failure(error="lower lr", kind="refused", attempts=2))
    assert after_attempt(again, "ended with exit code 0") is None
    assert folder.read_failure("one") == Failure(error="lower lr", kind="refused", attempts=2)


@pytest.mark.slow
def test_a_finished_run_is_settled_however_its_process_ended(task: Task) -> None:
    train_run(task)
    assert after_attempt(task, "was killed by SIGKILL") is None
    folder = StudyFolder(Path(task.study))
    assert folder.read_failure("one") is None
