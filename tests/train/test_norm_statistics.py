"""BatchNorm's statistics before validation: estimated anew where steps are few, and never of what is frozen."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.train._runs import StopAt, config_for
from torch import Tensor, nn

import segbench
from segbench.config.length import plan_run
from segbench.config.run import RunConfig, parse_config
from segbench.folders.run import RunFolder
from segbench.train.callback import Callback
from segbench.train.norm_statistics import FEW_STEPS, is_recomputed, learning_norms, recompute


def history_of(config: RunConfig) -> list[dict[str, float]]:
    segbench.fit(config, watch=Callback())
    return RunFolder(config.run_folder).read_history()


@pytest.mark.slow
def test_a_network_that_has_learned_is_not_scored_zero(binary_pairs: Path, tmp_path: Path) -> None:
    """The case users meet: two steps an epoch, scores of 0 on validation while training goes well."""
    network = {"name": "unet_nearest", "widths": [8, 16, 16]}
    short: dict[str, Any] = {"network": network, "epochs": 4, "batch_size": 8, "schedule": "constant", "seed": 1}
    scores = {}
    for name in ("running", "auto"):
        history = history_of(config_for(binary_pairs, tmp_path / name, norm_statistics=name, **short))
        assert history[-1]["train_iou_per_image"] > 0.7
        assert ("norm_s" in history[0]) == (name == "auto")
        scores[name] = history[-1]["val_iou_per_image"]
    assert scores["auto"] > 0.7
    assert scores["running"] < 0.3  # 0.00 where it was written; other processors add up otherwise


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9}, {"swa_start": 0.5}], ids=["plain", "ema", "swa"])
def test_the_saved_statistics_are_of_one_pass(binary_pairs: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """17 training images in batches of 4: three of these and one of five, whichever network is saved."""
    for name, expected in (("recomputed", 4), ("running", None)):
        history_of(config_for(binary_pairs, tmp_path / name, norm_statistics=name, **changes))
        saved = load_file(tmp_path / name / "best.safetensors")
        counted = {int(value) for key, value in saved.items() if key.endswith("num_batches_tracked")}
        assert counted == {expected} if expected else min(counted) >= 4
        assert all(value.isfinite().all() for value in saved.values())


@pytest.mark.slow
def test_a_run_begun_before_there_was_a_choice_goes_on_as_it_was(binary_pairs: Path, tmp_path: Path) -> None:
    config = config_for(binary_pairs, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        segbench.fit(config, watch=StopAt(2, step=1))
    facts_file = tmp_path / "run" / "run.json"
    facts = json.loads(facts_file.read_text())
    assert facts.pop("norm_statistics") == "recomputed"
    facts_file.write_text(json.dumps(facts))
    history = history_of(config)
    assert "norm_s" in history[0]
    assert all(math.isnan(row["norm_s"]) for row in history[1:])


def test_only_what_learns_and_sees_something_moves() -> None:
    torch.manual_seed(0)
    network = nn.ModuleDict({"encoder": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))})
    network["decoder"] = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    network["auxiliary"] = nn.BatchNorm2d(4)  # not reached in evaluation mode

    class Forward(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            result: Tensor = network["decoder"](network["encoder"](images))
            return result

    network.train()
    network["encoder"].eval()
    names = learning_norms(network)
    assert names == ("decoder.1", "auxiliary")
    network["auxiliary"].running_mean.fill_(7.0)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = [torch.rand(4, 3, 8, 8) * 5 for _ in range(3)]
    state = torch.get_rng_state()
    recompute(network, Forward(), names, images)
    after = network.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in network.modules())
    moved = {key for key in after if not torch.equal(before[key], after[key])}
    assert moved == {"decoder.1.running_mean", "decoder.1.running_var", "decoder.1.num_batches_tracked"}
    with torch.no_grad():
        seen = [network["decoder"][0](network["encoder"](batch)) for batch in images]
    means = torch.stack([batch.mean(dim=(0, 2, 3)) for batch in seen]).mean(dim=0)
    torch.testing.assert_close(after["decoder.1.running_mean"], means)
    assert network["decoder"][1].momentum == 0.1


@pytest.mark.slow
def test_a_frozen_encoder_keeps_its_statistics_bit_by_bit(binary_pairs: Path, tmp_path: Path) -> None:
    config = config_for(binary_pairs, tmp_path / "run", norm_statistics="recomputed", freeze="encoder", epochs=2)
    torch.manual_seed(config.seed)
    network = segbench.build_network("unet_nearest", widths=[4, 8])
    first = {name: value.clone() for name, value in network.state_dict().items()}
    encoder = [name for name, module in network.named_modules() if module in network.encoder_modules()]
    frozen = [name for name in first if name.startswith(tuple(f"{module}." for module in encoder))]
    history_of(config)
    last = torch.load(config.run_folder / "last.pt", weights_only=True)["network"]
    statistics = {name for name in first if "running" in name}
    assert statistics.intersection(frozen)
    assert all(torch.equal(first[name], last[name]) for name in frozen)
    assert any(not torch.equal(first[name], last[name]) for name in statistics)


@pytest.mark.slow
def test_a_network_without_batchnorm_spends_nothing(binary_pairs: Path, tmp_path: Path) -> None:
    network = {"name": "unet", "widths": [4, 8], "norm": "group"}
    row = history_of(config_for(binary_pairs, tmp_path / "run", network=network, epochs=1))[0]
    assert "norm_s" not in row


@pytest.mark.parametrize(
    ("changes", "batches", "expected"),
    [
        ({}, FEW_STEPS, True),
        ({}, FEW_STEPS + 1, False),
        ({"accumulate": 2}, 2 * FEW_STEPS, True),
        ({"swa_start": 0.5}, 1000, True),
        ({"norm_statistics": "running"}, 1, False),
        ({"norm_statistics": "recomputed"}, 1000, True),
        ({"steps": 8000}, 10, False),  # an epoch is many passes then
    ],
)
def test_when_statistics_are_recomputed(changes: dict[str, Any], batches: int, expected: bool) -> None:
    config = parse_config({"data": {"path": "x"}, **changes})
    assert is_recomputed(config, plan_run(config, batches)) == expected


@pytest.mark.slow
def test_the_run_says_what_was_done(binary_pairs: Path, tmp_path: Path) -> None:
    config = config_for(binary_pairs, tmp_path / "run", epochs=1)
    history_of(config)
    assert json.loads((config.run_folder / "run.json").read_text())["norm_statistics"] == "recomputed"
