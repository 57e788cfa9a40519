"""A small trained run that the tests of exports share."""

from __future__ import annotations

from pathlib import Path

import pytest

import segbench
from segbench.train.callback import Callback


@pytest.fixture(scope="session")
def trained(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a finished run; read only."""
    config = {
        "data": {"path": str(binary_pairs), "size": [40, 48]},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "optimizer": {"lr": 0.02},
        "epochs": 3,
        "device": "cpu",
        "output": str(tmp_path_factory.mktemp("runs") / "run"),
    }
    return Path(segbench.fit(config, watch=Callback()).run)
