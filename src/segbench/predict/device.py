"""Where a network runs."""

from __future__ import annotations

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
