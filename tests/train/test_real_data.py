"""Real sets go through the same `fit` without a special case, and PH2 is learned for real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segbench
from segbench.config.run import parse_config
from segbench.train.callback import Callback

pytestmark = [pytest.mark.slow, pytest.mark.data]

RealData = Callable[[str], Path]


def run(data: dict[str, Any], output: Path, **changes: Any) -> segbench.RunResult:
    values: dict[str, Any] = {
        "data": data,
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "epochs": 1,
        "batch_size": 16,
        "device": "cpu",
        "output": str(output),
    }
    return segbench.fit(parse_config({**values, **changes}), watch=Callback())


def test_ph2_is_learned_and_original_files_are_segmented(real_data: RealData, tmp_path: Path) -> None:
    data = {
        "path": str(real_data("ph2")),
        "format": "ph2",
        "size": 64,
        "split": {"method": "permutation", "counts": [100, 50, 50]},
        "augment": {"hflip": 0.5, "vflip": 0.5, "rotate_deg": 20},
    }
    result = run(data, tmp_path / "run", network="unet_nearest", epochs=12, batch_size=10, optimizer={"lr": 4e-3})
    assert result.result["n"] == {"train": 100, "val": 50, "test": 50}
    assert result.scores["test"]["iou_per_image"] > 0.72
    predictor = segbench.Predictor.from_run(tmp_path / "run")
    image = real_data("ph2_original").rglob("IMD002.bmp")
    with Image.open(next(image)) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    mask = predictor(pixels).mask
    assert mask.shape == pixels.shape[:2]
    assert 0.02 < mask.mean() < 0.98


@pytest.mark.parametrize(
    ("border", "classes", "loss"),
    [
        ("class", ["pet", "background", "border"], {"dice": 0.5, "cross_entropy": 0.5}),
        ("ignore", ["background", "pet"], {"dice": 0.5, "bce": 0.5}),
        ("foreground", ["background", "pet"], {"dice": 0.5, "bce": 0.5}),
    ],
)
def test_pets_under_three_policies(
    real_data: RealData, tmp_path: Path, border: str, classes: list[str], loss: dict[str, float]
) -> None:
    data = {"path": str(real_data("oxford_pets")), "format": "oxford_pets", "options": {"border": border}, "size": 32}
    result = run(data, tmp_path / "run", loss=loss)
    assert [row["class"] for row in result.result["per_class"]["test"]] == classes
    assert result.result["n"]["test"] == 99
    assert result.result["n"]["train"] + result.result["n"]["val"] == 300


def test_camvid_with_its_official_parts_and_void(real_data: RealData, tmp_path: Path) -> None:
    data = {"path": str(real_data("camvid")), "format": "camvid", "size": [32, 48]}
    result = run(data, tmp_path / "run", loss={"dice": 0.5, "cross_entropy": 0.5})
    assert result.result["n"] == {"train": 367, "val": 101, "test": 233}
    assert len(result.result["per_class"]["test"]) == 11
    rows = (tmp_path / "run" / "counts_test.csv").read_text().splitlines()
    assert sum(int(row.split(",")[1]) for row in rows[1:]) > 0  # void pixels are ignored, and counted as such
