"""Trained runs to compare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import segbench
from segbench.config.run import parse_config
from segbench.train.callback import Callback


def train_quickly(pairs: Path, run: Path, **changes: Any) -> Path:
    """Trains for a second; changes are top-level keys."""
    values: dict[str, Any] = {
        "data": {"path": str(pairs), "size": 32},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "optimizer": {"lr": 0.02},
        "epochs": 1,
        "batch_size": 4,
        "device": "cpu",
        "output": str(run),
    }
    segbench.fit(parse_config({**values, **changes}), watch=Callback())
    return run


@pytest.fixture(scope="session")
def runs(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of runs: nets a and b with seeds 0 and 1; read only."""
    root = tmp_path_factory.mktemp("runs")
    for name, widths in (("a", [4, 8]), ("b", [6, 8])):
        for seed in (0, 1):
            network = {"name": "unet_nearest", "widths": widths}
            train_quickly(
                binary_pairs,
                root / f"{name}_seed{seed}",
                network=network,
                seed=seed,
                epochs=4,
                name=f"{name}_seed{seed}",
            )
    return root


@pytest.fixture(scope="session")
def train() -> Callable[..., Path]:
    """Returns `train_quickly`."""
    return train_quickly
