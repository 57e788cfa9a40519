"""The proof of resume: a real process, really killed, ends with the same bits as one left alone."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests._processes import Process, start_segbench

CONFIG = """\
data:
  path: {data}
  size: 32
  augment: {{hflip: 0.5, vflip: 0.5, rotate_deg: 15, brightness: 0.2}}
  cache_dir: {cache}
network: {{name: unet_nearest, widths: [8, 16, 16]}}
loss: {{dice: 0.5, bce: 0.5}}
optimizer: {{lr: 0.01}}
epochs: 14
batch_size: 2
threads: 1
device: cpu
seed: 3
"""


@pytest.fixture(scope="module")
def whole(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of an uninterrupted run, with its config beside it."""
    folder = tmp_path_factory.mktemp("kill")
    (folder / "run.yaml").write_text(CONFIG.format(data=binary_pairs, cache=folder / "cache"))
    process = start(folder, "whole")
    output = process.communicate()[0]
    assert process.returncode == 0, output

    return folder / "whole"


def start(folder: Path, name: str) -> Process:
    return start_segbench("train", str(folder / "run.yaml"), "--set", f"output={folder}/{name}", merged=True)


def wait_for_epochs(run: Path, epochs: int, process: Process) -> None:
    """Returns once so many epochs are committed; fails if the process ends before."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        metrics = run / "metrics.csv"
        if metrics.is_file() and len(metrics.read_text().splitlines()) - 1 >= epochs:
            return
        assert process.poll() is None, f"the run ended before epoch {epochs}: {process.communicate()[0]}"
        time.sleep(0.002)
    pytest.fail(f"epoch {epochs} was not reached in time")


def assert_same_bits(whole: Path, broken: Path) -> None:
    left = torch.load(whole / "last.pt", weights_only=True)
    right = torch.load(broken / "last.pt", weights_only=True)
    assert len(left["network"]) > 20
    for name, tensor in left["network"].items():
        assert torch.equal(tensor, right["network"][name]), name
    for index, state in left["optimizer"]["state"].items():
        for key, value in state.items():
            assert torch.equal(value, right["optimizer"]["state"][index][key]), (index, key)
    best_left, best_right = load_file(whole / "best.safetensors"), load_file(broken / "best.safetensors")
    assert all(torch.equal(tensor, best_right[name]) for name, tensor in best_left.items())
    for name in ("counts_train.csv", "counts_val.csv", "counts_test.csv"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_kill_9_at_three_moments_ends_bit_identical(whole: Path) -> None:
    folder = whole.parent
    for epochs, delay_s in ((1, 0.0), (3, 0.02), (6, 0.05)):
        process = start(folder, "killed")
        wait_for_epochs(folder / "killed", epochs, process)
        time.sleep(delay_s)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (folder / "killed" / "result.json").exists()
    process = start(folder, "killed")
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "continuing with epoch" in output
    assert_same_bits(whole, folder / "killed")
    assert not list((folder / "killed").rglob("*.tmp*")), "a temporary file was left"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_polite_signals_stop_with_a_sentence_and_go_on(whole: Path, number: signal.Signals) -> None:
    folder = whole.parent
    name = f"stopped-{number.name}"
    process = start(folder, name)
    wait_for_epochs(folder / name, 2, process)
    os.kill(process.pid, number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert "interrupted; what is finished is kept" in output
    assert "Traceback" not in output
    process = start(folder, name)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert_same_bits(whole, folder / name)
