"""The machine a run happens on: which device, how fast it may go, and what has to be written down about it."""

from __future__ import annotations

import ctypes
import math
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from segbench.config.run import RunConfig
from segbench.predict.device import describe_processor

_REPORTED_PACKAGES = ("segbench", "torch", "torchvision", "lightning-fabric", "numpy", "pillow")


@contextmanager
def cpu_settings(threads: int, device: torch.device) -> Iterator[None]:
    """Runs the block with this many CPU threads and freed memory kept for the next step; restores the threads after."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    if device.type == "cpu":
        _keep_freed_memory()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _keep_freed_memory() -> None:
    """Tells glibc to reuse freed blocks instead of giving them back to the kernel.

    Every training step frees and takes the same large tensors; handing their pages back and having them zeroed again
    costs a noticeable part of a step (benchmarks/train_step.py). The peak stays what it was. Other C libraries have no
    such knob, and a refused one changes nothing, so the results are not looked at.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # names in <malloc.h>
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(top_pad, 64 * 2**20)


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Refuses operations without a repeatable form inside the block, if wanted; restores the setting after."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def describe(config: RunConfig, device: torch.device, threads: int, precision: str) -> dict[str, Any]:
    """Returns versions, machine and the git state of the data, for `run.json`."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": describe_processor(),
        "device": device.type,
        "threads": threads,
        "precision": precision,
        "packages": {name: version(name) for name in _REPORTED_PACKAGES},
        "data_git": git_state(Path(config.data.path)),
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
        facts["cuda"] = torch.version.cuda
    return facts


def git_state(path: Path) -> dict[str, Any] | None:
    """Returns commit and cleanliness of the git repository that a path lies in; None where there is none."""
    folder = path if path.is_dir() else path.parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.strip(), "clean": not changed.strip()}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout


def peak_memory_mb(device: torch.device) -> float:
    """Returns the largest memory use so far: of the GPU where one is used, else of this process; NaN on Windows."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return math.nan
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
