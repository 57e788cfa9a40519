"""The same run on a CUDA device: it learns, resumes, and repeats where determinism is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import segbench
from segbench.config.run import parse_config
from segbench.train.callback import Callback

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def run(pairs: Path, output: Path, **changes: Any) -> segbench.RunResult:
    values: dict[str, Any] = {
        "data": {"path": str(pairs), "size": 32, "augment": {"rotate_deg": 10, "brightness": 0.1}},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "optimizer": {"lr": 0.02},
        "epochs": 12,
        "batch_size": 4,
        "device": "cuda",
        "output": str(output),
    }
    return segbench.fit(parse_config({**values, **changes}), watch=Callback())


@pytest.mark.parametrize("precision", ["32", "bf16-mixed", "16-mixed"])
def test_it_learns_in_every_precision(binary_pairs: Path, tmp_path: Path, precision: str) -> None:
    result = run(binary_pairs, tmp_path / "run", precision=precision)
    assert result.scores["test"]["iou_per_image"] > 0.6
    assert result.result["peak_memory_mb"] > 0


@pytest.mark.parametrize("network", ["segnet", "unet_unpool", "unet_nearest", "unet_strided"])
def test_deterministic_runs_repeat_bit_by_bit(binary_pairs: Path, tmp_path: Path, network: str) -> None:
    for name in ("a", "b"):
        changes = {"network": {"name": network, "widths": [4, 8]}, "epochs": 2, "deterministic": True}
        run(binary_pairs, tmp_path / name, **changes)
    first, second = (load_file(tmp_path / name / "best.safetensors") for name in ("a", "b"))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_cpu_and_gpu_predict_alike(binary_pairs: Path, tmp_path: Path) -> None:
    run(binary_pairs, tmp_path / "run", epochs=2, precision="32")
    image = torch.randint(0, 256, (50, 60, 3), dtype=torch.uint8).numpy()
    on_gpu = segbench.Predictor.from_run(tmp_path / "run", device="cuda")(image)
    on_cpu = segbench.Predictor.from_run(tmp_path / "run", device="cpu")(image)
    assert abs(on_gpu.probs - on_cpu.probs).max() < 1e-3
