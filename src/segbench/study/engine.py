"""Where a study's runs are trained: what every engine can do, and which there are."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from segbench.errors import ConfigError, suggest
from segbench.speech import argument
from segbench.study.worker import Task

# Name -> "module:class", built with the address of a cluster or None.
ENGINES = {
    "local": "segbench.study.local:LocalEngine",
    "ray": "segbench.study.ray:RayEngine",
}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What an engine can compute on, all its machines together.

    Attributes:
        cores: CPU cores it may use.
        gpus: accelerators that `device: auto` would take; 0 where there is none.
    """

    cores: int
    gpus: int


class Engine(Protocol):
    """Trains runs somewhere. `segbench.study.local` is the one for this machine."""

    @property
    def name(self) -> str:
        """What `--engine` calls it."""
        ...

    def machine(self) -> Machine:
        """Returns what there is to compute on.

        Raises:
            RunError: it cannot be reached.
        """
        ...

    def run(self, tasks: Sequence[Task], *, workers: int, on_tick: Callable[[], None]) -> None:
        """Trains all tasks, at most `workers` at once, and returns when every one is settled.

        Each task goes through `segbench.study.worker.train_run` in a process of its own, and then through
        `after_attempt`, which says whether it is started again. A run that fails never stops the others. On Ctrl-C, or
        any other exception out of `on_tick`, all workers are stopped before it is passed on.

        Args:
            on_tick: called about every second, in the calling thread.
        Raises:
            RunError: what concerns all runs: the engine cannot be reached, say.
        """
        ...


def make_engine(name: str, address: str | None = None) -> Engine:
    """Returns the engine of a name.

    Args:
        name: a key of `ENGINES`.
        address: of a running cluster, for an engine that has clusters.
    Raises:
        ConfigError: an unknown name, an engine whose package is not installed, or an address for this machine alone.
    """
    if name not in ENGINES:
        raise ConfigError(f"there is no engine {name!r}; {suggest(name, ENGINES)}", key=argument("engine"))
    module, _, kind = ENGINES[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), kind)(address)
    return engine


def usable_cores() -> int:
    """Returns the cores this process may use, which on a shared machine are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
