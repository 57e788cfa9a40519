"""Runs that train in a second, ways to stop them, and what their checkpoints hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from segbench.config.run import RunConfig, parse_config
from segbench.train.callback import Callback


def config_for(pairs: Path, run: Path, **changes: Any) -> RunConfig:
    """Returns a config that trains in a second; changes are top-level keys."""
    values: dict[str, Any] = {
        "data": {"path": str(pairs), "size": 32},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "loss": {"dice": 0.5, "bce": 0.5},
        "optimizer": {"lr": 0.02},
        "epochs": 3,
        "batch_size": 4,
        "device": "cpu",
        "output": str(run),
    }
    return parse_config({**values, **changes})


def weights_of(run: Path) -> dict[str, Tensor]:
    """Returns everything the last checkpoint holds as one flat mapping of tensors."""
    state = torch.load(run / "last.pt", weights_only=True)
    flat: dict[str, Tensor] = {}

    def walk(value: Any, name: str) -> None:
        if isinstance(value, Tensor):
            flat[name] = value
        elif isinstance(value, Mapping):
            for key, item in value.items():
                walk(item, f"{name}.{key}")

    for part in ("network", "average", "optimizer"):
        walk(state[part], part)
    return flat


def assert_same_weights(first: Path, second: Path) -> None:
    left, right = weights_of(first), weights_of(second)
    assert left.keys() == right.keys()
    assert len(left) > 10
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), f"{name} differs"
    best_left, best_right = load_file(first / "best.safetensors"), load_file(second / "best.safetensors")
    assert all(torch.equal(tensor, best_right[name]) for name, tensor in best_left.items())


class StopAt(Callback):
    """Interrupts a run the way Ctrl-C does, in the middle of an epoch or just after one."""

    def __init__(self, epoch: int, step: int = 0) -> None:
        self.stop_epoch, self.stop_step = epoch, step

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        if (epoch, step) == (self.stop_epoch, self.stop_step):
            raise KeyboardInterrupt

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        if self.stop_step == 0 and row["epoch"] == self.stop_epoch:
            raise KeyboardInterrupt
