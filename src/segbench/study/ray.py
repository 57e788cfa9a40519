"""Runs of a study on the machines of a Ray cluster; a lost process or machine costs an epoch, not a run.

Every run is one Ray task in a process of its own. Runs and data are files on a disk that all machines see under the
same path; nothing but the task travels through Ray. That is checked on every machine before anything trains.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from segbench import __version__
from segbench.errors import ConfigError, RunError
from segbench.files import write_text
from segbench.folders.study import Failure, StudyFolder
from segbench.speech import argument
from segbench.study.engine import Machine, usable_cores
from segbench.study.ray_worker import attempt, check_node
from segbench.study.worker import Task, after_attempt

_SECONDS_BETWEEN_TICKS = 1.0
_SECONDS_TO_CONNECT = 5.0
_SECONDS_TO_ANSWER = 30.0  # of a cluster, counted from a process of its own that has yet to import Ray
_SECONDS_TO_CHECK = 120.0
_SECONDS_TO_STOP = 5.0
_OBJECT_STORE_BYTES = 100 * 2**20  # nothing large travels
# Asks a cluster in a process of its own: where something else listens, Ray can wait for minutes, and cannot be stopped.
_ASK = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR'); ray.shutdown()"
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # it would copy the current folder, data and all, to every machine
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default; the old one warns
}


class RayEngine:
    """The engine for a Ray cluster, see `segbench.study.engine.Engine`.

    Args:
        address: None starts Ray on this machine, for as long as the study runs; `auto` finds the cluster this machine
            belongs to; `host:port` is a cluster's head; `ray://host:port` its client server.
    Raises:
        ConfigError: Ray is not installed.
    """

    name = "ray"

    def __init__(self, address: str | None = None) -> None:
        self.address = address
        self._ray = _import_ray()
        self._connection_is_own = False

    def machine(self) -> Machine:
        """Returns the cores and GPUs of the whole cluster; the connection is kept for `run`, see `close`.

        Raises:
            RunError: it cannot be reached.
        """
        self._connect()
        there = self._ray.cluster_resources()
        return Machine(cores=max(1, int(there.get("CPU", 1))), gpus=int(there.get("GPU", 0)))

    def run(self, tasks: Sequence[Task], *, workers: int, on_tick: Callable[[], None]) -> None:
        """Trains all tasks, at most `workers` at once and no more than the cluster has room for; see `Engine.run`.

        A run takes its `threads` in cores and, unless its device is the CPU, a GPU or a share of one.

        Raises:
            RunError: the cluster cannot be reached, or a machine has another segbench or does not see the study folder
                or the data.
        """
        if not tasks:
            return
        self._connect()
        try:
            with _token(StudyFolder(Path(tasks[0].study))) as token:
                places = {"token": token, "data": _data_root(tasks[0])}
                self._check_nodes(places)
                self._train(tasks, workers, on_tick, places)
        finally:
            self.close()

    def close(self) -> None:
        """Gives the connection back, and ends a Ray that was started for it; one that was there before is kept."""
        if self._connection_is_own:
            self._ray.shutdown()
            self._connection_is_own = False

    def _train(
        self, tasks: Sequence[Task], workers: int, on_tick: Callable[[], None], places: Mapping[str, Any]
    ) -> None:
        waiting = deque(tasks)
        running: dict[Any, Task] = {}
        next_tick = time.monotonic()
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    task = waiting.popleft()
                    running[self._submit(task, workers, places)] = task
                if time.monotonic() >= next_tick:
                    on_tick()
                    next_tick = time.monotonic() + _SECONDS_BETWEEN_TICKS
                left = max(0.01, next_tick - time.monotonic())
                for ended in self._ray.wait(list(running), timeout=left)[0]:
                    again = self._settle(running.pop(ended), ended)
                    if again is not None:
                        waiting.appendleft(again)
            on_tick()
        finally:
            self._cancel(list(running))

    def _submit(self, task: Task, workers: int, places: Mapping[str, Any]) -> Any:
        """Returns Ray's reference of one attempt."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cores = max((node.get("CPU", 0.0) for node in nodes), default=1.0)
        gpus = sum(node.get("GPU", 0.0) for node in nodes)
        share = 0.0
        if gpus and task.config.get("device") != "cpu":
            share = 1.0 / math.ceil(workers / gpus)
        # More threads than the largest machine has cores still compute, side by side; as a demand they'd wait forever.
        remote = self._ray.remote(max_calls=1)(attempt).options(
            name=task.run_id, num_cpus=min(float(task.threads), cores), num_gpus=share, max_retries=0
        )
        return remote.remote(task.to_dict(), {**places, "segbench": __version__, "folder": str(Path.cwd())})

    def _settle(self, task: Task, ended: Any) -> Task | None:
        """Returns the task to start again after its process is over, see `after_attempt`."""
        try:
            problem = self._ray.get(ended)
        except self._ray.exceptions.RayError as error:
            return after_attempt(task, _describe_ending(error))
        if problem:
            failure = Failure(error=problem, kind="refused", attempts=task.attempt)
            StudyFolder(Path(task.study)).write_failure(task.run_id, failure)
            return None
        return after_attempt(task, "ended before the run was finished")

    def _cancel(self, running: Sequence[Any]) -> None:
        """Stops what still trains, and waits a little until it is gone."""
        for ref in running:
            self._ray.cancel(ref, force=True)
        if running:
            self._ray.wait(list(running), num_returns=len(running), timeout=_SECONDS_TO_STOP)

    def _check_nodes(self, places: Mapping[str, Any]) -> None:
        """Raises unless every machine has this segbench and sees the study folder and the data."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        refs = {}
        for node, address in self._nodes_alive().items():
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            remote = self._ray.remote(max_calls=1)(check_node).options(
                num_cpus=0, max_retries=0, scheduling_strategy=there
            )
            refs[remote.remote({**places, "segbench": __version__})] = (node, address)
        ready, missing = self._ray.wait(list(refs), num_returns=len(refs), timeout=_SECONDS_TO_CHECK)
        problems = {refs[ref]: f"did not answer in {_SECONDS_TO_CHECK:.0f} s" for ref in missing}
        found = set()
        for ref in ready:
            try:
                found.add(self._ray.get(ref))
            except self._ray.exceptions.RayError as error:
                problems[refs[ref]] = f"could not be checked: {_first_line(error)}"
        alive = self._nodes_alive()  # it takes Ray some seconds to see that a machine is gone, and then none is missing
        found |= {f"{address} {problem}" for (node, address), problem in problems.items() if node in alive}
        found.discard("")
        if found:
            raise RunError(f"nothing was trained, since not every machine is ready: {'; '.join(sorted(found))}")

    def _nodes_alive(self) -> dict[str, str]:
        """Returns node id -> address."""
        return {node["NodeID"]: node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]}

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is not None:
            _require_answer(self.address)
        # Ray prints the loss of a machine to standard output, amid results, and has no switch for it (2.60).
        self._ray._private.worker.print_to_stdstream = _print_nothing
        with _kept_signal_handler():
            self._connection_is_own = True
            if self.address is None:
                own = {
                    "num_cpus": usable_cores(),
                    "object_store_memory": _OBJECT_STORE_BYTES,
                    "include_dashboard": False,
                }
                self._ray.init("local", **own, **quiet)
                return
            try:
                self._ray.init(self.address, **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise RunError(_unreachable(self.address, _first_line(error))) from error


def _print_nothing(*_: object, **__: object) -> None:
    pass


def _import_ray() -> ModuleType:
    for key, value in _SETTINGS.items():
        os.environ.setdefault(key, value)  # Ray reads them while it is imported
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        message = "the engine ray needs the package ray, which is not installed; pip install 'segbench[ray]'"
        raise ConfigError(message, key=argument("engine")) from error
    module: ModuleType = ray
    return module


def _require_answer(address: str) -> None:
    """Raises within seconds where no cluster answers.

    Raises:
        RunError: nothing listens there, or what listens is no Ray of this version.
    """
    if address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdigit():
            expected = "expected auto, host:port or ray://host:port"
            raise ConfigError(f"{expected}, got {address!r}; for example 10.0.0.1:6379", key=argument("address"))
        try:
            socket.create_connection((host, int(port)), timeout=_SECONDS_TO_CONNECT).close()
        except (OSError, OverflowError) as error:
            raise RunError(_unreachable(address, str(error))) from error
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _ASK, address],
            timeout=_SECONDS_TO_ANSWER,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        reason = f"something listens there but gave no answer in {_SECONDS_TO_ANSWER:.0f} s"
        raise RunError(_unreachable(address, reason)) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line[:1].isalpha() and "Error" in line.partition(":")[0]]
        raise RunError(_unreachable(address, (errors or lines or ["no reason given"])[-1]))


def _unreachable(address: str, reason: str) -> str:
    alone = f"leave {argument('address')} out to use this machine alone"
    started = f"start one with `ray start --head --port 6379`, or {alone}"
    return f"no Ray cluster answers at {address} ({reason}); {started}"


def _describe_ending(error: Exception) -> str:
    """Returns how an attempt ended, from what Ray raised about it."""
    name = type(error).__name__
    known = {
        "WorkerCrashedError": "was killed, or its machine was lost",
        "NodeDiedError": "was lost with its machine",
        "OutOfMemoryError": "was ended by Ray, since its machine ran out of memory",
        "TaskCancelledError": "was cancelled",
    }
    return known.get(name, f"ended with {name}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _data_root(task: Task) -> str:
    """Returns the folder that a run reads its images from."""
    if task.manifest is None:
        return str(Path(task.config["data"]["path"]).absolute())
    try:
        root: str = json.loads(Path(task.manifest).read_text(encoding="utf-8"))["root"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"the manifest cannot be read ({type(error).__name__}: {error}); run the study again"
        raise RunError(message, run=task.study) from error
    return root


@contextlib.contextmanager
def _token(folder: StudyFolder) -> Iterator[tuple[str, str]]:
    """Yields a file in the study folder and the word that is in it, by which machines show that they see the folder."""
    word = secrets.token_hex(8)
    file = folder.path.absolute() / f".ray-{word}"
    write_text(file, word)
    try:
        yield str(file), word
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _kept_signal_handler() -> Iterator[None]:
    """Gives back the handler of SIGTERM, which Ray replaces as soon as it is connected."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
