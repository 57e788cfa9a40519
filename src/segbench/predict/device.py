"""Where a network runs."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from segbench.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """Returns the device for `auto`, `cpu`, `cuda` or `mps`; `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: the named device is not in this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available.get(name, False):
        there = ", ".join(kind for kind, present in available.items() if present)
        raise ConfigError(f"this machine has no {name} device that torch can use; here: auto, {there}", key="device")
    return torch.device(name)


def describe_processor() -> str:
    """Returns the name of the processor, as well as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
