"""The length of a run in steps and seconds, accumulated gradients and averages: inside real runs, and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train._runs import StopAt, assert_same_weights, config_for
from torch import nn

import segbench
from segbench.config.run import parse_config
from segbench.folders.run import RunFolder
from segbench.train.callback import Callback
from segbench.train.optim import build_average, warm_decay

GROUP_NORM = {"name": "unet", "widths": [4, 8], "norm": "group"}


class Steps(Callback):
    """Writes down every step that is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, int]] = []

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        self.told.append((epoch, step, steps))


@pytest.mark.slow
def test_a_run_of_so_many_steps(binary_pairs: Path, tmp_path: Path) -> None:
    """17 images in batches of 4 are 4 steps a pass, the last of five images."""
    watch = Steps()
    result = segbench.fit(config_for(binary_pairs, tmp_path / "run", epochs=None, steps=10), watch=watch).result
    assert watch.told == [(epoch, step, 4) for epoch in (1, 2) for step in range(1, 5)][:4] + [
        (2, step, 6) for step in range(1, 7)
    ]
    assert result["length"] == {
        "epochs": 2,
        "steps": 10,
        "passes": 2.5,
        "planned": {"steps": 10, "epochs": 2, "passes_per_epoch": 1, "steps_per_pass": 4},
    }
    rows = RunFolder(tmp_path / "run").read_history()
    assert len(rows) == 2


@pytest.mark.slow
def test_an_epoch_of_several_passes(binary_pairs: Path, tmp_path: Path) -> None:
    config = config_for(binary_pairs, tmp_path / "run", epochs=None, steps=164, batch_size=8)
    result = segbench.fit(config, watch=Callback()).result
    assert result["length"]["planned"] == {"steps": 164, "epochs": 27, "passes_per_epoch": 3, "steps_per_pass": 2}
    assert len(RunFolder(tmp_path / "run").read_history()) == 27
    last = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert {int(state["step"]) for state in last["optimizer"]["state"].values()} == {164}
    assert last["schedule"]["last_epoch"] == 164  # torch counts steps under that name


@pytest.mark.slow
def test_seconds_are_turned_into_steps_once(binary_pairs: Path, tmp_path: Path) -> None:
    config = config_for(binary_pairs, tmp_path / "run", epochs=None, seconds=0.8, schedule="constant")
    with pytest.raises(KeyboardInterrupt):
        segbench.fit(config, watch=StopAt(1))
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    other = {
        "steps": 9,
        "epochs": 2,
        "passes_per_epoch": 1,
        "steps_per_pass": 4,
    }  # as another machine may have timed it
    facts["plan"] = other
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    result = segbench.fit(config, watch=Callback()).result
    assert (result["length"]["steps"], result["epochs"], result["length"]["planned"]) == (9, 2, other)


@pytest.mark.slow
def test_timing_a_step_leaves_the_run_alone(binary_pairs: Path, tmp_path: Path) -> None:
    timed = config_for(binary_pairs, tmp_path / "timed", epochs=None, seconds=0.3)
    segbench.fit(timed, watch=Callback())
    steps = json.loads((tmp_path / "timed" / "run.json").read_text())["plan"]["steps"]
    counted = config_for(binary_pairs, tmp_path / "counted", epochs=None, steps=steps)
    segbench.fit(counted, watch=Callback())
    assert_same_weights(tmp_path / "timed", tmp_path / "counted")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": None, "steps": 30, "batch_size": 8, "accumulate": 2, "schedule": "cosine"},
        {"swa_start": 0.5, "norm_statistics": "recomputed", "epochs": 4},
        {"ema_decay": 0.99, "norm_statistics": "recomputed", "epochs": 4},
        {"norm_statistics": "running", "epochs": 4},
    ],
    ids=["steps-accumulate", "swa", "ema-recomputed", "running"],
)
def test_interrupted_ends_bit_identical(binary_pairs: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    whole = config_for(binary_pairs, tmp_path / "whole", **changes)
    broken = config_for(binary_pairs, tmp_path / "broken", **changes)
    segbench.fit(whole, watch=Callback())
    for stop in (StopAt(1, 1), StopAt(2), StopAt(3, 1), StopAt(3)):
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(broken, watch=stop)
        torch.manual_seed(99)
    segbench.fit(broken, watch=Callback())
    assert_same_weights(whole.run_folder, broken.run_folder)
    left, right = (RunFolder(config.run_folder).read_history() for config in (whole, broken))
    for a, b in zip(left, right, strict=True):
        same = {key for key in a if not key.endswith(("_s", "seconds", "_mb"))}
        assert {key: a[key] for key in same} == {key: b[key] for key in same}


@pytest.mark.slow
def test_accumulated_batches_make_the_step_of_a_large_one(binary_pairs: Path, tmp_path: Path) -> None:
    """With a mean over pixels as the loss and no BatchNorm: 17 images as 8 + 9, and as 2 x 4 and 4 + 5."""
    shared = {"network": GROUP_NORM, "loss": "bce", "optimizer": {"name": "sgd", "lr": 0.1}, "epochs": 2}
    large = config_for(binary_pairs, tmp_path / "large", batch_size=8, **shared)
    small = config_for(binary_pairs, tmp_path / "small", batch_size=4, accumulate=2, **shared)
    results = [segbench.fit(config, watch=Callback()).result for config in (large, small)]
    assert [result["length"]["steps"] for result in results] == [4, 4]
    rows = [RunFolder(config.run_folder).read_history() for config in (large, small)]
    for left, right in zip(*rows, strict=True):
        assert right["train_loss"] == pytest.approx(left["train_loss"], rel=1e-4)
        assert right["train_iou_pooled"] == pytest.approx(left["train_iou_pooled"], rel=1e-3)
    states = [torch.load(config.run_folder / "last.pt", weights_only=True)["network"] for config in (large, small)]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=1e-5)


def test_a_moving_average_warms_up() -> None:
    assert [warm_decay(0.99, step) for step in (0, 8, 890, 10**6)] == [0.1, 0.5, 0.99, 0.99]
    config = parse_config({"data": {"path": "x"}, "ema_decay": 0.99})
    network, done = nn.Linear(1, 1), 0
    average = build_average(network, config, lambda: done)
    assert average is not None
    expected = 0.0
    for done in range(20):
        with torch.no_grad():
            network.weight.fill_(float(done))
        average.update_parameters(network)
        decay = 0.0 if done == 0 else warm_decay(0.99, done)
        expected = decay * expected + (1 - decay) * done
    assert float(average.module.weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert expected > 12  # a decay of 0.99 from the start would give 1.7


@pytest.mark.slow
def test_an_average_from_half_of_the_run_on(binary_pairs: Path, tmp_path: Path) -> None:
    states = []

    class Keep(Callback):
        def epoch(self, row: Any, is_best: bool) -> None:
            states.append(torch.load(tmp_path / "run" / "last.pt", weights_only=True))

    config = config_for(binary_pairs, tmp_path / "run", epochs=4, swa_start=0.5, schedule="constant")
    segbench.fit(config, watch=Keep())
    assert [int(state["average"]["n_averaged"]) for state in states] == [0, 0, 1, 2]
    weights = [state["network"] for state in states]
    key = next(name for name in weights[0] if name.endswith("weight"))
    mean = (weights[2][key] + weights[3][key]) / 2
    torch.testing.assert_close(states[3]["average"][f"module.{key}"], mean)


@pytest.mark.slow
def test_ties_go_to_the_lower_loss(binary_pairs: Path, tmp_path: Path) -> None:
    """A rate of nearly nothing: every epoch predicts the same, and the losses differ in late digits."""
    config = config_for(binary_pairs, tmp_path / "run", epochs=4, optimizer={"lr": 1e-9}, norm_statistics="running")
    config = config.model_copy(update={"threshold": 0.999, "early_stopping": 4})
    result = segbench.fit(config, watch=Callback()).result
    rows = RunFolder(tmp_path / "run").read_history()
    assert {row["val_iou_per_image"] for row in rows} == {0.0}
    losses = [row["val_loss"] for row in rows]
    assert len(set(losses)) > 1
    assert result["best_epoch"] == losses.index(min(losses)) + 1
