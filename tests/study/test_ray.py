"""Runs on a Ray cluster of two nodes, with real losses of processes and nodes; the bits are those of this machine."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from segbench import __version__
from segbench.config.study import StudyConfig, expand
from segbench.errors import ConfigError, RunError
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.study import ray as ray_engine
from segbench.study.engine import Machine, make_engine
from segbench.study.local import LocalEngine
from segbench.study.ray import RayEngine
from segbench.study.ray_worker import check_node
from segbench.study.worker import Task

MakeStudy = Callable[..., StudyConfig]
ProcessIds = Callable[[StudyFolder, str], list[int]]
Same = Callable[[RunFolder, RunFolder], None]
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]

LONGER = {"epochs": 12, "batch_size": 2}
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def tasks_of(study: StudyConfig) -> list[Task]:
    folder = str(study.study_folder)
    return [
        Task(study=folder, run_id=run.id, config=run.config.to_dict(), manifest=None, threads=1)
        for run in expand(study).runs
    ]


def nodes_of(folder: StudyFolder, run_id: str) -> list[str]:
    """Returns the id of the node of every attempt at a run, as its log says."""
    lines = folder.log_file(run_id).read_text(encoding="utf-8").splitlines()
    return [line.split()[1] for line in lines if line.startswith("node ")]


@pytest.fixture(scope="module")
def whole(make_study: MakeStudy, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Returns a study of two runs that the local engine trained."""
    study = make_study(tmp_path_factory.mktemp("whole"), LONGER)
    LocalEngine().run(tasks_of(study), workers=2, on_tick=lambda: None)
    return StudyFolder(study.study_folder)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Returns a cluster of two nodes with one core each, to which a node may be added."""
    pytest.importorskip("ray")
    RayEngine()  # Ray reads its settings when it is imported, so the engine comes first
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        made.add_node(**NODE)
        yield made
    finally:
        made.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
def known_cluster(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns the cluster to a test that is about runs: whether it answers and is ready is asked by the others."""
    monkeypatch.setattr(ray_engine, "_require_answer", lambda _: None)
    monkeypatch.setattr(RayEngine, "_check_nodes", lambda *_: None)
    return cluster


def train(cluster: Any, tasks: Sequence[Task], on_tick: Callable[[], None] = lambda: None, workers: int = 2) -> None:
    RayEngine(cluster.address).run(tasks, workers=workers, on_tick=on_tick)


@pytest.mark.slow
def test_both_nodes_work_and_the_bits_are_those_of_this_machine(
    cluster: Any, whole: StudyFolder, make_study: MakeStudy, tmp_path: Path, assert_same_results: Same
) -> None:
    folder = StudyFolder(tmp_path / "two")
    tasks = tasks_of(make_study(folder.path, LONGER))
    ticks: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    engine = RayEngine(cluster.address)
    assert engine.machine() == Machine(cores=2, gpus=0)
    engine.run(tasks, workers=2, on_tick=lambda: ticks.append(1))
    assert ticks
    assert signal.getsignal(signal.SIGTERM) is before
    assert len({node for task in tasks for node in nodes_of(folder, task.run_id)}) == 2
    for task in tasks:
        assert folder.read_failure(task.run_id) is None
        assert_same_results(whole.run(task.run_id), folder.run(task.run_id))
    assert not list(folder.path.glob(".ray-*"))


@pytest.mark.slow
def test_a_killed_worker_goes_on_from_its_checkpoint(
    known_cluster: Any,
    whole: StudyFolder,
    make_study: MakeStudy,
    tmp_path: Path,
    wait_until: Callable[..., None],
    process_ids: ProcessIds,
    assert_same_results: Same,
) -> None:
    folder = StudyFolder(tmp_path / "killed")
    tasks = tasks_of(make_study(folder.path, LONGER))
    victim = tasks[0].run_id

    def kill() -> None:
        wait_until(lambda: len(folder.run(victim).read_history()) >= 3, "epoch 3")
        os.kill(process_ids(folder, victim)[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    train(known_cluster, tasks)
    killer.join()
    assert len(process_ids(folder, victim)) == 2
    assert "continuing with epoch" in folder.log_file(victim).read_text(encoding="utf-8")
    for task in tasks:
        assert_same_results(whole.run(task.run_id), folder.run(task.run_id))


@pytest.mark.slow
def test_a_run_of_a_lost_node_goes_on_elsewhere(
    known_cluster: Any,
    whole: StudyFolder,
    make_study: MakeStudy,
    tmp_path: Path,
    wait_until: Callable[..., None],
    assert_same_results: Same,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = StudyFolder(tmp_path / "lost")
    lost = known_cluster.add_node(**NODE)
    capfd.readouterr()
    tasks = [dataclasses.replace(task, study=str(folder.path)) for task in tasks_of(make_study(folder.path, LONGER))]
    third = tasks_of(make_study(folder.path, LONGER, vary={"loss": ["focal"]}))
    chosen: list[str] = []

    def remove() -> None:
        def there() -> list[str]:
            begun = [task.run_id for task in (*tasks, *third) if len(folder.run(task.run_id).read_history()) >= 2]
            return [run_id for run_id in begun if nodes_of(folder, run_id) == [lost.node_id]]

        wait_until(lambda: bool(there()), "epoch 2 on the node")
        chosen.extend(there())
        known_cluster.remove_node(lost, allow_graceful=False)

    remover = threading.Thread(target=remove)
    remover.start()
    train(known_cluster, [*tasks, *third], workers=3)
    remover.join()
    nodes = nodes_of(folder, chosen[0])
    assert len(nodes) == 2
    assert nodes[1] != lost.node_id
    assert "continuing with epoch" in folder.log_file(chosen[0]).read_text(encoding="utf-8")
    assert folder.run(third[0].run_id).is_finished
    assert capfd.readouterr().out == ""
    for task in tasks:
        assert_same_results(whole.run(task.run_id), folder.run(task.run_id))


@pytest.mark.slow
def test_one_that_is_refused_and_one_that_dies_every_time_stop_no_other(
    known_cluster: Any, make_study: MakeStudy, tmp_path: Path, wait_until: Callable[..., None], process_ids: ProcessIds
) -> None:
    folder = StudyFolder(tmp_path / "failing")
    good, dying = tasks_of(make_study(folder.path))
    dying = dataclasses.replace(dying, config={**dying.config, "epochs": 500})
    refused = dataclasses.replace(good, run_id="refused", config={**good.config, "weights": "nowhere.safetensors"})

    def kill() -> None:
        for attempt in (1, 2, 3):
            wait_until(lambda count=attempt: len(process_ids(folder, dying.run_id)) >= count, f"attempt {attempt}")
            os.kill(process_ids(folder, dying.run_id)[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    train(known_cluster, [refused, dying, good])
    killer.join()
    assert folder.run(good.run_id).is_finished
    failure = folder.read_failure(dying.run_id)
    assert failure is not None
    assert (failure.kind, failure.attempts) == ("crashed", 3)
    assert failure.error == "the process of the run was killed, or its machine was lost"
    failure = folder.read_failure("refused")
    assert failure is not None
    assert (failure.kind, failure.attempts) == ("refused", 1)
    assert "nowhere.safetensors" in failure.error


@pytest.mark.slow
def test_stopping_stops_the_workers_and_keeps_their_epochs(
    known_cluster: Any, make_study: MakeStudy, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    folder = StudyFolder(tmp_path / "stopped")
    task = tasks_of(make_study(folder.path, {"epochs": 500}))[0]
    run = folder.run(task.run_id)

    def stop() -> None:
        if run.read_history():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(known_cluster, [task], on_tick=stop)
    wait_until(lambda: not run.is_locked(), "the worker is gone", seconds=10.0)
    assert run.read_history()
    assert not run.is_finished


@pytest.mark.slow
def test_a_node_that_is_not_ready_is_named_before_anything_trains(
    cluster: Any, make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder(tmp_path / "unready")
    task = tasks_of(make_study(folder.path))[0]
    monkeypatch.setattr(ray_engine, "__version__", "9.9.9")
    told = rf"nothing was trained, .* has segbench {re.escape(__version__)}, and the study is run with 9\.9"
    with pytest.raises(RunError, match=told):
        train(cluster, [task])
    assert not folder.log_file(task.run_id).is_file()
    # A machine that joined later is told about in the note of the run it was given.
    monkeypatch.setattr(RayEngine, "_check_nodes", lambda *_: None)
    train(cluster, [task])
    failure = folder.read_failure(task.run_id)
    assert failure is not None
    assert (failure.kind, failure.attempts) == ("refused", 1)
    assert failure.error.startswith(socket.gethostname())
    assert failure.error.endswith("the study is run with 9.9.9; install the same version")


@pytest.mark.slow
def test_a_node_that_is_lost_while_it_is_asked_is_no_problem(
    cluster: Any, make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder(tmp_path / "leaving")
    task = tasks_of(make_study(folder.path))[0]
    engine = RayEngine(cluster.address)
    gone = {"NodeID": "ab" * 28, "NodeManagerAddress": "192.0.2.1", "Alive": True}
    listed = [[gone], [gone]]
    real = engine._ray.nodes
    monkeypatch.setattr(engine._ray, "nodes", lambda: real() + (listed.pop() if listed else []))
    with pytest.raises(RunError, match=r"not every machine is ready: 192\.0\.2\.1 could not be checked: "):
        engine.run([task], workers=1, on_tick=lambda: None)
    listed.append([gone])  # the first time it is asked, and no more
    engine.run([task], workers=1, on_tick=lambda: None)
    assert folder.run(task.run_id).is_finished


@pytest.mark.slow
def test_without_an_address_it_starts_and_ends_its_own(
    make_study: MakeStudy, tmp_path: Path, whole: StudyFolder
) -> None:
    import ray

    folder = StudyFolder(tmp_path / "own")
    task = tasks_of(make_study(folder.path))[0]
    RayEngine().run([task], workers=1, on_tick=lambda: None)
    assert folder.run(task.run_id).is_finished
    assert not ray.is_initialized()


@pytest.mark.slow
def test_no_cluster_at_an_address_is_told_within_seconds(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    started = time.monotonic()
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(RunError, match=rf"no Ray cluster answers at {address} \(.*refused\); start one with `ray"):
            RayEngine(address).machine()
    assert time.monotonic() - started < 5.0
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_something_else_that_listens_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "_SECONDS_TO_ANSWER", 6.0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(RunError, match=rf"no Ray cluster answers at {address} \("):
            RayEngine(address).run(
                [Task(study="x", run_id="x", config={}, manifest=None, threads=1)], workers=1, on_tick=print
            )
        assert time.monotonic() - started < 20.0


@pytest.mark.parametrize("address", ["here", "ray://here", "host:port", ":6379"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(ConfigError, match=r"--address: expected auto, host:port or ray://host:port, got"):
        RayEngine(address).machine()


def test_without_ray_the_command_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"which is not installed; pip install 'segbench\[ray\]'"):
        make_engine("ray")


def test_what_a_node_checks(tmp_path: Path) -> None:
    token = tmp_path / "study" / ".ray-word"
    token.parent.mkdir()
    token.write_text("word")
    places = {"token": (str(token), "word"), "data": str(tmp_path), "segbench": __version__}
    node = socket.gethostname()
    assert check_node(places) == ""
    found = check_node({**places, "segbench": "9.9"})
    assert found == f"{node} has segbench {__version__}, and the study is run with 9.9; install the same version"
    found = check_node({**places, "token": (str(token), "another word")})
    assert found.startswith(f"{node} does not see the study folder {token.parent}; put it on a disk that all machines")
    assert check_node({**places, "token": (str(tmp_path / "other" / "x"), "word")}).startswith(
        f"{node} does not see the"
    )
    found = check_node({**places, "data": str(tmp_path / "gone")})
    assert found == f"{node} does not see the data {tmp_path}/gone; put it on a disk that all machines mount there"


def test_gpus_are_shared_by_the_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asks a stand-in for Ray, since the machines that test this have no GPU."""
    asked: list[dict[str, Any]] = []

    class Remote:
        def __call__(self, function: Any) -> Remote:
            return self

        def options(self, **options: Any) -> Remote:
            asked.append(options)
            return self

        def remote(self, *arguments: Any) -> str:
            return "reference"

    class Ray:
        def nodes(self) -> list[dict[str, Any]]:
            return [
                {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 2.0}},
                {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
            ]

        def remote(self, **options: Any) -> Remote:
            assert options == {"max_calls": 1}
            return Remote()

    engine = RayEngine()
    monkeypatch.setattr(engine, "_ray", Ray())
    task = Task(study="s", run_id="r", config={"device": "auto"}, manifest=None, threads=8)
    for workers in (1, 2, 4, 5):
        engine._submit(task, workers, {})
    engine._submit(dataclasses.replace(task, config={"device": "cpu"}, threads=2), 4, {})
    assert [options["num_gpus"] for options in asked] == [1.0, 1.0, 0.5, 1 / 3, 0.0]
    assert [options["num_cpus"] for options in asked] == [4.0, 4.0, 4.0, 4.0, 2.0]
