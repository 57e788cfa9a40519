"""Timing a few steps: of the right thing, and leaving nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from segbench.config.run import RunConfig, parse_config
from segbench.config.study import StudyConfig, expand
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.split.divide import split_manifest
from segbench.errors import ConfigError
from segbench.study.probe import Speed, batches_a_pass, cost_key, measure, run_seconds
from segbench.train.fit import fit


@pytest.fixture
def config(make_study: Callable[..., StudyConfig], tmp_path: Path) -> RunConfig:
    return expand(make_study(tmp_path)).runs[0].config


def changed(config: RunConfig, **keys: Any) -> RunConfig:
    rest = {} if keys.keys().isdisjoint(("steps", "seconds")) else {"epochs": None}
    return parse_config({**config.to_dict(), **rest, **keys})


def manifest_of(config: RunConfig) -> Manifest:
    return split_manifest(read_dataset(config.data.path, config.data.format, **config.data.options), config.data.split)


@pytest.mark.slow
def test_a_step_and_an_image_take_time_and_a_checkpoint_room(config: RunConfig) -> None:
    state = torch.get_rng_state()
    threads = torch.get_num_threads()
    speed = measure(config, manifest_of(config), threads=1)
    assert 0.0 < speed.image_s < speed.step_s < 10.0
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    folder = config.run_folder
    assert not folder.exists()
    fit(config)
    assert speed.checkpoint_mb == pytest.approx((folder / "last.pt").stat().st_size / 1e6, rel=0.25)
    assert speed.weights_mb == pytest.approx((folder / "best.safetensors").stat().st_size / 1e6, rel=0.1)


@pytest.mark.slow
def test_a_wider_network_is_slower(config: RunConfig) -> None:
    wide = changed(config, network={"name": "unet_nearest", "options": {"widths": [64, 128]}})
    manifest = manifest_of(config)
    narrow_speed, wide_speed = measure(config, manifest, threads=1), measure(wide, manifest, threads=1)
    assert wide_speed.step_s > 1.5 * narrow_speed.step_s
    assert wide_speed.checkpoint_mb > 10 * narrow_speed.checkpoint_mb


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        {"schedule": "one_cycle", "epochs": 1},
        {"schedule": "cosine", "epochs": 1, "batch_size": 100},
        {"loss": {"bce": {"pos_weight": "inverse_frequency"}, "hausdorff_dt": 0.1}},
        {"ema_decay": 0.9, "freeze": "encoder", "grad_clip": 1.0, "batch_size": 1},
    ],
    ids=str,
)
def test_every_kind_of_run_can_be_timed(config: RunConfig, keys: dict[str, Any]) -> None:
    assert measure(changed(config, **keys), manifest_of(config), threads=1).step_s > 0.0


@pytest.mark.slow
@pytest.mark.parametrize("data", ["three_class_pairs", "multilabel_pairs"])
def test_every_task_can_be_timed(config: RunConfig, data: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(data)
    options = {"task": "multilabel"} if data == "multilabel_pairs" else {}
    other = changed(config, data={**config.to_dict()["data"], "path": str(path), "options": options})
    assert measure(other, manifest_of(other), threads=1).step_s > 0.0


def test_a_wrong_value_is_told_in_its_own_words(config: RunConfig) -> None:
    wrong = changed(config, network={"name": "unet_nearest", "options": {"widths": [8, -1]}})
    with pytest.raises(ConfigError, match=r"widths must be a list of 1 to 7 channel counts above 0, got \[8, -1\]"):
        measure(wrong, manifest_of(config), threads=1)


def test_runs_that_cost_the_same_have_one_key(config: RunConfig) -> None:
    for keys in ({"seed": 7}, {"epochs": 99}, {"optimizer": {"lr": 0.5}}, {"name": "other"}, {"monitor": "loss"}):
        assert cost_key(changed(config, **keys)) == cost_key(config), keys
    data = config.to_dict()["data"]
    for keys in (
        {"data": {**data, "size": [64, 64]}},
        {"batch_size": 2},
        {"loss": "bce"},
        {"precision": "bf16-mixed"},
        {"network": "segnet"},
        {"optimizer": "sgd"},
    ):
        assert cost_key(changed(config, **keys)) != cost_key(config), keys


@pytest.mark.parametrize(("images", "batch", "steps"), [(17, 4, 4), (18, 4, 5), (16, 4, 4), (1, 4, 1), (3, 1, 3)])
def test_steps_are_those_of_the_loader(config: RunConfig, images: int, batch: int, steps: int) -> None:
    assert batches_a_pass(changed(config, batch_size=batch), images) == steps


def test_seconds_of_a_run_add_up(config: RunConfig) -> None:
    speed = Speed(step_s=10.0, image_s=1.0, checkpoint_mb=1.0, weights_mb=1.0)
    manifest = manifest_of(config)
    train, val, test = (len(manifest.split(part)) for part in ("train", "val", "test"))
    assert (train, val, test) == (17, 4, 3)
    config = changed(config, norm_statistics="running")
    assert run_seconds(config, manifest, speed) == 2 * (4 * 10.0 + 4) + 24
    assert run_seconds(changed(config, train_score_every=1), manifest, speed) == 2 * (4 * 10.0 + 4 + 17) + 24
    assert run_seconds(changed(config, norm_statistics="auto"), manifest, speed) == 2 * (4 * 10.0 + 17 + 4) + 24
    assert run_seconds(changed(config, steps=10), manifest, speed) == 10 * 10.0 + 2 * 4 + 24
    assert run_seconds(changed(config, seconds=60), manifest, speed) == 6 * 10.0 + 2 * 4 + 24
