"""The plan of a run: epochs, steps or seconds, and how they are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segbench.config.length import MOST_EPOCHS, RunPlan, plan_run
from segbench.config.run import RunConfig, load_config, parse_config
from segbench.errors import ConfigError


def config_of(**keys: Any) -> RunConfig:
    return parse_config({"data": {"path": "x"}, **keys})


@pytest.mark.parametrize(
    ("keys", "batches", "expected"),
    [
        ({}, 3, (120, 40, 1, 3)),
        ({"epochs": 5, "accumulate": 2}, 3, (10, 5, 1, 2)),
        ({"steps": 2000}, 3, (2000, 39, 17, 3)),  # 20 images: an epoch of 51 steps
        ({"steps": 2000}, 625, (2000, 3, 1, 625)),  # 5,000 images: the last epoch is longer
        ({"steps": 100}, 625, (100, 1, 1, 625)),  # less than one pass
        ({"seconds": 60.0}, 10, (600, 30, 2, 10)),
        ({"seconds": 0.001}, 10, (1, 1, 1, 10)),
    ],
)
def test_the_plan(keys: dict[str, Any], batches: int, expected: tuple[int, ...]) -> None:
    plan = plan_run(config_of(**keys), batches, step_s=0.1)
    assert (plan.steps, plan.epochs, plan.passes_per_epoch, plan.steps_per_pass) == expected
    assert RunPlan.from_dict(plan.to_dict()) == plan
    steps = [plan.steps_in(epoch) for epoch in range(plan.epochs)]
    assert sum(steps) == plan.steps
    assert min(steps) > 0
    assert [plan.steps_before(epoch) for epoch in range(plan.epochs)] == [sum(steps[:n]) for n in range(plan.epochs)]
    assert plan.passes(plan.epochs) == pytest.approx(plan.steps / plan.steps_per_pass)


@pytest.mark.parametrize(
    ("steps", "validation", "passes_per_epoch"),
    [
        (300, 0.1, 3),  # a validation that costs little: forty epochs
        (300, 2.2, 5),  # tiles: half of the time for validation
        (300, 60.0, 12),  # never fewer than eight epochs
        (2, 60.0, 1),
        (2000, 2.2, 17),
    ],
)
def test_a_validation_that_takes_long_is_rare(steps: int, validation: float, passes_per_epoch: int) -> None:
    plan = plan_run(config_of(steps=steps), 3, validation_passes=validation)
    assert plan.passes_per_epoch == passes_per_epoch


@pytest.mark.parametrize("batches", range(1, 60, 7))
@pytest.mark.parametrize("steps", [1, 39, 40, 41, 500, 1999])
def test_steps_are_exact_and_epochs_few(steps: int, batches: int) -> None:
    plan = plan_run(config_of(steps=steps), batches)
    assert sum(plan.steps_in(epoch) for epoch in range(plan.epochs)) == steps
    assert min(plan.steps_in(epoch) for epoch in range(plan.epochs)) > 0
    assert plan.epochs <= MOST_EPOCHS


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"epochs": 40, "steps": 100}, "epochs: 40 and steps: 100 say twice how long the run is"),
        ({"steps": 100, "seconds": 5}, "steps: 100 and seconds: 5 say twice"),
        ({"epochs": None}, "nothing says how long the run is; give one of epochs, steps, seconds"),
        ({"ema_decay": 0.9, "swa_start": 0.5}, "two averages of the same weights"),
    ],
)
def test_contradictions_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config_of(**keys)


def test_a_written_config_loads_again(tmp_path: Path) -> None:
    for keys in ({"steps": 7}, {"seconds": 5.0}, {"epochs": 3}, {}):
        config = config_of(**keys)
        (tmp_path / "config.yaml").write_text(config.to_yaml())
        assert load_config(tmp_path / "config.yaml") == config
    assert config_of(steps=7).epochs is None
    assert [config_of(**keys).length_text for keys in ({"steps": 7}, {"seconds": 5}, {})] == [
        "7 steps",
        "5 s of training",
        "40 epochs",
    ]


def test_a_length_set_on_top_takes_the_place_of_the_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data: x\nepochs: 40\n")
    assert load_config(file, ["steps=500"]).steps == 500
    assert load_config(file, ["seconds=500"]).seconds == 500.0
    file.write_text("data: x\nsteps: 40\n")
    assert load_config(file, ["epochs=5"]).steps is None
    with pytest.raises(ConfigError, match="epochs: 5 and steps: 6 say twice"):
        load_config(file, ["epochs=5", "steps=6"])


def test_later_keys_count_only_where_they_say_something() -> None:
    """Runs that were begun before these keys came go on."""
    plain = config_of()
    assert plain.fingerprint() == "b95e8f626f3bd6c5"
    for keys in ({"accumulate": 2}, {"norm_statistics": "running"}, {"swa_start": 0.5}, {"steps": 9}, {"seconds": 9}):
        assert config_of(**keys).fingerprint() != plain.fingerprint()
    assert config_of(accumulate=1, norm_statistics="auto", steps=None).fingerprint() == plain.fingerprint()
