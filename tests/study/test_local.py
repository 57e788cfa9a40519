"""Runs side by side on this machine: killed ones go on, stopping stops all, and their number changes no bit."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from segbench.config.study import StudyConfig, expand
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.study.local import LocalEngine, _describe_ending
from segbench.study.worker import Task

MakeStudy = Callable[..., StudyConfig]
ProcessIds = Callable[[StudyFolder, str], list[int]]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

LONGER = {"epochs": 8, "batch_size": 2}


def tasks_of(study: StudyConfig) -> list[Task]:
    folder = str(study.study_folder)
    return [
        Task(study=folder, run_id=run.id, config=run.config.to_dict(), manifest=None, threads=1)
        for run in expand(study).runs
    ]


def train(tasks: Sequence[Task], workers: int = 1, on_tick: Callable[[], None] = lambda: None) -> None:
    LocalEngine().run(tasks, workers=workers, on_tick=on_tick)


@pytest.fixture(scope="module")
def whole(make_study: MakeStudy, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Returns a study of two runs that nobody disturbed, one after the other."""
    study = make_study(tmp_path_factory.mktemp("whole"), LONGER)
    train(tasks_of(study))
    return StudyFolder(study.study_folder)


@pytest.mark.slow
def test_workers_side_by_side_end_with_the_same_bits(
    whole: StudyFolder, make_study: MakeStudy, tmp_path: Path, assert_same_results: Callable[..., None]
) -> None:
    ticks = []
    tasks = tasks_of(make_study(tmp_path / "two", LONGER))
    train(tasks, workers=2, on_tick=lambda: ticks.append(1))
    assert ticks
    for task in tasks:
        assert_same_results(whole.run(task.run_id), StudyFolder(tmp_path / "two").run(task.run_id))


@pytest.mark.slow
def test_a_killed_worker_goes_on_and_ends_with_the_same_bits(
    whole: StudyFolder,
    make_study: MakeStudy,
    tmp_path: Path,
    wait_until: Callable[..., None],
    process_ids: ProcessIds,
    assert_same_results: Callable[[RunFolder, RunFolder], None],
) -> None:
    folder = StudyFolder(tmp_path / "killed")
    tasks = tasks_of(make_study(folder.path, LONGER))
    victim = tasks[0].run_id

    def kill() -> None:
        wait_until(lambda: len(folder.run(victim).read_history()) >= 3, "epoch 3")
        os.kill(process_ids(folder, victim)[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    train(tasks)
    killer.join()
    assert len(process_ids(folder, victim)) == 2
    assert "continuing with epoch" in folder.log_file(victim).read_text()
    for task in tasks:
        assert folder.read_failure(task.run_id) is None
        assert_same_results(whole.run(task.run_id), folder.run(task.run_id))


@pytest.mark.slow
def test_a_run_that_is_killed_every_time_fails_and_stops_nobody(
    make_study: MakeStudy, tmp_path: Path, wait_until: Callable[..., None], process_ids: ProcessIds
) -> None:
    folder = StudyFolder(tmp_path)
    tasks = tasks_of(make_study(folder.path))
    victim, other = (task.run_id for task in tasks)

    def kill() -> None:
        for attempt in range(3):
            wait_until(lambda count=attempt: len(process_ids(folder, victim)) > count, f"attempt {attempt + 1}")
            os.kill(process_ids(folder, victim)[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    train(tasks)
    killer.join()
    failure = folder.read_failure(victim)
    assert failure is not None
    assert (failure.kind, failure.attempts) == ("crashed", 3)
    reason = "was killed by SIGKILL; the system does that when memory runs out"
    assert failure.error == f"the process of the run {reason}"
    assert folder.run(other).is_finished
    assert folder.read_failure(other) is None


@pytest.mark.slow
def test_whatever_stops_the_engine_stops_its_workers_and_keeps_their_epochs(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path)
    tasks = tasks_of(make_study(folder.path, {**LONGER, "epochs": 5000}))

    def stop() -> None:
        if all(len(folder.run(task.run_id).read_history()) >= 2 for task in tasks):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tasks, workers=2, on_tick=stop)
    for task in tasks:
        assert not folder.run(task.run_id).is_locked(), "its process still trains"
        assert len(folder.run(task.run_id).read_history()) >= 2
        assert folder.read_failure(task.run_id) is None


@pytest.mark.parametrize(
    ("exitcode", "text"),
    [
        (1, "ended with exit code 1 before the run was finished"),
        (0, "ended with exit code 0 before the run was finished"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-signal.SIGKILL, "was killed by SIGKILL; the system does that when memory runs out"),
        (-250, "was killed by signal 250"),
    ],
)
def test_how_a_process_ended_is_said(exitcode: int, text: str) -> None:
    assert _describe_ending(exitcode) == text


def test_the_machine_has_the_cores_this_process_may_use() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot bind a process to cores")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert LocalEngine().machine().cores == 1
    finally:
        os.sched_setaffinity(0, before)
