"""Runs of a study side by side on this machine, one process each, so that peak memory and a crash are a run's own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from segbench.errors import ConfigError
from segbench.speech import argument
from segbench.study.engine import Machine, usable_cores
from segbench.study.worker import Task, after_attempt, train_run

_SECONDS_BETWEEN_TICKS = 1.0
_SECONDS_TO_STOP = 5.0
# What a worker imports before the first run asks for it; without, every run would wait seconds for torch.
PRELOADED = ["segbench.study.worker", "segbench.train.fit"]


class LocalEngine:
    """The engine for this machine, see `segbench.study.engine.Engine`.

    In a script, call it below `if __name__ == "__main__":`, as with every use of `multiprocessing`.
    """

    name = "local"

    def __init__(self, address: str | None = None) -> None:
        if address is not None:
            message = f"the local engine is this machine and has no address, got {address!r}; leave it out or take ray"
            raise ConfigError(message, key=argument("address"))

    def machine(self) -> Machine:
        """Returns the cores this process may use, and the GPUs torch sees."""
        return Machine(cores=usable_cores(), gpus=_gpus())

    def run(self, tasks: Sequence[Task], *, workers: int, on_tick: Callable[[], None]) -> None:
        """Trains all tasks, at most `workers` at once; see `Engine.run`.

        On several GPUs worker k takes the GPU k modulo their number.
        """
        context, gpus = _context(), _visible_gpus()
        reader, writer = context.Pipe(duplex=False)
        waiting = deque(tasks)
        running: dict[int, _Worker] = {}
        next_tick = time.monotonic()
        try:
            while waiting or running:
                for slot in range(workers):
                    if waiting and slot not in running:
                        running[slot] = _start(
                            context, waiting.popleft(), gpus[slot % len(gpus)] if gpus else None, reader
                        )
                if time.monotonic() >= next_tick:
                    on_tick()
                    next_tick = time.monotonic() + _SECONDS_BETWEEN_TICKS
                wait([worker.process.sentinel for worker in running.values()], max(0.0, next_tick - time.monotonic()))
                for slot in [slot for slot, worker in running.items() if not worker.process.is_alive()]:
                    again = running.pop(slot).settle()
                    if again is not None:
                        waiting.appendleft(again)
            on_tick()
        finally:
            for worker in running.values():
                worker.process.terminate()
            for worker in running.values():
                worker.process.join(_SECONDS_TO_STOP)
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join()
            reader.close()
            writer.close()


@dataclass(frozen=True)
class _Worker:
    """A process and what it works on."""

    process: BaseProcess
    task: Task

    def settle(self) -> Task | None:
        """Returns the task to start again after the process ended, see `after_attempt`."""
        ending = _describe_ending(self.process.exitcode)
        self.process.close()
        return after_attempt(self.task, ending)


def _context() -> BaseContext:
    """Returns how processes are made: forked from a clean one that has torch loaded, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _start(context: BaseContext, task: Task, gpu: str | None, reader: Connection) -> _Worker:
    environment = {**os.environ, "OMP_NUM_THREADS": str(task.threads)}
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    process: BaseProcess = context.Process(  # type: ignore[attr-defined]  # every context has it
        target=_work, args=(task, environment, str(Path.cwd()), reader), name=task.run_id, daemon=True
    )
    process.start()
    return _Worker(process, task)


def _work(task: Task, environment: Mapping[str, str], folder: str, reader: Connection) -> None:
    """Is the worker process. It was forked from a process that may be older than the study: what it left is renewed."""
    threading.Thread(target=_die_with_parent, args=(reader,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal; the parent decides
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    train_run(task)


def _die_with_parent(reader: Connection) -> None:
    """Ends this process when the only one that could write into the pipe is gone, however it went."""
    try:
        reader.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _describe_ending(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"ended with exit code {exitcode} before the run was finished"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    reason = "; the system does that when memory runs out" if name == "SIGKILL" else ""
    return f"was killed by {name}{reason}"


def _gpus() -> int:
    import torch  # here: takes seconds

    return len(_visible_gpus()) or int(torch.backends.mps.is_available())


def _visible_gpus() -> list[str]:
    """Returns the CUDA devices of this process, as `CUDA_VISIBLE_DEVICES` writes them."""
    import torch

    if not torch.cuda.is_available():
        return []
    given = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return given or [str(index) for index in range(torch.cuda.device_count())]
