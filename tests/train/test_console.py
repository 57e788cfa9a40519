"""What a training shows to a person: a line an epoch that stays, on a terminal as off it, and the result."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import pytest

from segbench.config.run import RunConfig, parse_config
from segbench.folders.run import RunFolder
from segbench.terminal import Terminal
from segbench.train.console import ConsoleCallback
from segbench.types import RunResult


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    plain = {"data": {"path": "x", "size": 32}, "loss": "bce", "epochs": 12, "name": "mine", "output": str(tmp_path)}
    return parse_config(plain)


def row(epoch: int, score: float) -> dict[str, float]:
    return {
        "epoch": float(epoch),
        "train_loss": 0.25,
        "val_loss": 0.5,
        "val_iou_per_image": score,
        "seconds": 2.0,
        "train_images_per_s": 31.0,
    }


def shown(config: RunConfig, scores: list[float], *, terminal: bool, width: int = 80, first: int = 1) -> list[str]:
    stream = io.StringIO()
    watch = ConsoleCallback(Terminal(file=stream, force_terminal=terminal, width=width))
    watch.started(config, RunFolder(config.run_folder), first)
    best = -math.inf
    for epoch, score in enumerate(scores, start=first):
        watch.step(epoch, 1, 2, 0.3, 30.0)
        watch.epoch(row(epoch, score), score > best)
        best = max(best, score)
    watch.close()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    return [line.strip() for line in re.split(r"[\r\n]+", plain) if "val" in line]


def test_an_epoch_leaves_a_line_on_a_terminal(config: RunConfig) -> None:
    assert shown(config, [0.4, 0.3, math.nan], terminal=True) == [
        "epoch  1/12  loss 0.2500  val 0.5000  IoU per image 0.4000  best 0.4000  2.0 s",
        "epoch  2/12  loss 0.2500  val 0.5000  IoU per image 0.3000  best 0.4000  2.0 s",
        "epoch  3/12  loss 0.2500  val 0.5000  IoU per image –  best 0.4000  2.0 s",
    ]


@pytest.mark.parametrize("width", [80, 60, 48])
def test_a_line_fits_the_terminal_and_keeps_its_score(config: RunConfig, width: int) -> None:
    stream = io.StringIO()
    watch = ConsoleCallback(Terminal(file=stream, force_terminal=True, width=width, color_system=None))
    watch.started(config, RunFolder(config.run_folder), 1)
    watch.close()
    stream.seek(0)
    stream.truncate()
    watch.epoch(row(1, 0.4), True)
    (line,) = stream.getvalue().splitlines()
    assert len(line) <= width
    assert "IoU per image 0.4000  best 0.4000" in line


def test_off_a_terminal_a_line_says_everything(config: RunConfig) -> None:
    first, second = shown(config, [0.4, 0.3], terminal=False, width=40)
    assert first.endswith("val_iou_per_image 0.4000  31.0 images/s  2.0 s  22 s left  best")
    assert second.endswith("2.0 s  20 s left  best so far 0.4000 in epoch 1")


def test_a_run_that_goes_on_knows_the_best_epoch_before(config: RunConfig) -> None:
    RunFolder(config.run_folder).write_history([row(1, 0.2), row(2, 0.7), row(3, 0.1)])
    stream = io.StringIO()
    watch = ConsoleCallback(Terminal(file=stream))
    watch.started(config, RunFolder(config.run_folder), 4)
    watch.epoch(row(4, 0.5), False)
    assert "continuing with epoch 4 of 12" in stream.getvalue()
    assert "best so far 0.7000 in epoch 2" in stream.getvalue()


def result_of(run: Path) -> RunResult:
    plain = {"n": {"test": 4}, "best_epoch": 2, "epochs": 12}
    scores = {"test": {"iou_per_image": 0.5}}
    return RunResult(run=str(run), scores=scores, result={**plain, "scores": scores})


def test_the_end_says_the_score_unless_a_command_does(tmp_path: Path) -> None:
    stream = io.StringIO()
    ConsoleCallback(Terminal(file=stream)).finished(result_of(tmp_path))
    told = f"done: test IoU per image 0.5000, over 4 images (epoch 2 of 12); everything is in {tmp_path}\n"
    assert stream.getvalue() == told
    ConsoleCallback(Terminal(file=stream), tells_result=False).finished(result_of(tmp_path))
    ConsoleCallback(Terminal(file=stream), quiet=True).finished(result_of(tmp_path))
    assert stream.getvalue() == told
