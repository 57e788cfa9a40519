"""A small study that trains in a second a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segbench.config.study import StudyConfig, parse_study
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder


@pytest.fixture(scope="session")
def make_study(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., StudyConfig]:
    """Returns a function: study folder, keys of the base, other keys of the study -> a study of two losses."""
    cache = tmp_path_factory.mktemp("study-cache")

    def make(output: Path, base: dict[str, Any] | None = None, **changes: Any) -> StudyConfig:
        shared = {
            "data": {"path": str(binary_pairs), "size": 32, "cache_dir": str(cache)},
            "network": {"name": "unet_nearest", "widths": [8, 16]},
            "epochs": 2,
            "batch_size": 4,
            "device": "cpu",
            "threads": 1,
            **(base or {}),
        }
        plain = {"study": "small", "output": str(output), "base": shared, "vary": {"loss": ["dice", "bce"]}, **changes}
        return parse_study(plain)

    return make


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Returns a function: condition, what it is -> returns as soon as it holds, fails after a minute."""

    def wait(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
            time.sleep(0.005)

    return wait


@pytest.fixture(scope="session")
def process_ids() -> Callable[[StudyFolder, str], list[int]]:
    """Returns a function: study folder, run id -> the process of every attempt at a run, as its log says."""

    def read(folder: StudyFolder, run_id: str) -> list[int]:
        log = folder.log_file(run_id)
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.is_file() else []
        return [int(line.split()[-1]) for line in lines if line.startswith("attempt ") and line.endswith("\n")]

    return read


@pytest.fixture(scope="session")
def assert_same_results() -> Callable[[RunFolder, RunFolder], None]:
    """Returns a function that compares weights and scores of two finished runs, bit by bit."""

    def compare(left: RunFolder, right: RunFolder) -> None:
        for name in ("best.safetensors", "counts_val.csv", "counts_test.csv"):
            assert (left.path / name).read_bytes() == (right.path / name).read_bytes(), name

    return compare
