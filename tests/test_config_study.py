"""Studies: expanded into complete runs with stable ids, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segbench.config_study import expand, load_study, parse_study
from segbench.errors import ConfigError

BASE: dict[str, Any] = {"data": {"path": "images", "size": 64}, "epochs": 5}


def study(vary: dict[str, Any], **more: Any) -> Any:
    return parse_study({"study": "s", "base": BASE, "vary": vary, **more})


def test_every_combination_becomes_a_complete_run() -> None:
    plan = expand(
        study({"network": ["segnet", "unet_nearest"], "loss": [{"bce": 1}, {"dice": 0.5, "bce": 0.5}], "seed": [3, 4]})
    )
    assert [run.id for run in plan.runs] == [
        "segnet__bce__seed3",
        "segnet__bce__seed4",
        "segnet__dice+bce__seed3",
        "segnet__dice+bce__seed4",
        "unet_nearest__bce__seed3",
        "unet_nearest__bce__seed4",
        "unet_nearest__dice+bce__seed3",
        "unet_nearest__dice+bce__seed4",
    ]
    assert list(plan.entries) == ["segnet | bce", "segnet | dice+bce", "unet_nearest | bce", "unet_nearest | dice+bce"]
    run = plan.runs[3]
    assert (run.config.network.name, run.config.seed, run.config.epochs) == ("segnet", 4, 5)
    assert [(term.name, term.weight) for term in run.config.loss] == [("dice", 0.5), ("bce", 0.5)]
    assert run.config.run_folder == Path("runs/s/runs/segnet__dice+bce__seed4")
    assert plan.factors == {"network": ("segnet", "unet_nearest"), "loss": ("bce", "dice+bce")}


def test_ids_and_configs_stay_when_a_value_is_added() -> None:
    few = expand(study({"network": ["segnet"], "seed": [0]}))
    more = expand(study({"network": ["unet_nearest", "segnet"], "seed": [0, 1]}))
    known = {run.id: run.config.fingerprint() for run in more.runs}
    assert all(known[run.id] == run.config.fingerprint() for run in few.runs)


def test_a_word_of_ones_own_sets_several_keys() -> None:
    plan = expand(
        study(
            {
                "network.upsampling": ["nearest", "bilinear"],
                "encoder": {"frozen": {"freeze": "encoder"}, "tuned": {"freeze": "none", "optimizer.encoder_lr": 1e-4}},
            }
        )
    )
    frozen, tuned = plan.runs[0].config, plan.runs[1].config
    assert frozen.freeze.part == "encoder"
    assert frozen.optimizer.encoder_lr is None
    assert tuned.optimizer.encoder_lr == 1e-4
    assert tuned.network.options == {"upsampling": "nearest"}
    assert plan.runs[0].entry == "nearest | frozen"


def test_the_keys_of_a_value_may_lie_in_a_file(tmp_path: Path) -> None:
    winner = tmp_path / "winner.yaml"
    winner.write_text("optimizer.lr: 0.003\nnetwork.widths: [4, 8]\n")
    plan = expand(study({"settings": {"default": {}, "tuned": str(winner)}}))
    assert plan.runs[1].config.optimizer.lr == 0.003
    assert plan.runs[1].config.network.options == {"widths": [4, 8]}


def test_exclude_takes_out_what_fits_all_it_names() -> None:
    plan = expand(
        study(
            {"network": ["segnet", "unet_nearest"], "loss": [{"bce": 1}, {"dice": 1}]},
            exclude=[{"network": "segnet", "loss": ["dice"]}],
        )
    )
    assert list(plan.entries) == ["segnet | bce", "unet_nearest | bce", "unet_nearest | dice"]
    assert plan.excluded == 1


@pytest.mark.parametrize(
    ("vary", "more", "text"),
    [
        ({}, {}, "vary is empty"),
        ({"network": []}, {}, "vary.network: has no values"),
        ({"seed": [0, 0]}, {}, "vary.seed: every seed once"),
        ({"seed": 3}, {}, "vary.seed: expected a list of whole numbers"),
        ({"loss": [{"bce": 1}, {"bce": 0.5}]}, {}, "two values are called 'bce'; write a mapping"),
        ({"freeze": [{"until_epoch": 3}]}, {}, "has no name; write a mapping"),
        ({"netwrok": ["segnet"]}, {}, "is no key of a run (did you mean 'network'?"),
        ({"network": "segnet"}, {}, "expected a list of values or a mapping"),
        ({"mine": {"a": 3}}, {}, "vary.mine.a: expected a mapping of dotted keys"),
        ({"mine": {"a b": {}, "a-b": {"epochs": 2}}}, {}, "two runs have one id: 'a b' and 'a-b'"),
        ({"mine": {"a": {}, "b": {}}}, {}, "two runs have one config: 'a' and 'b'"),
        ({"epochs": [3, 0]}, {}, "epochs of 0__seed0: "),
        ({"network": ["segnet"]}, {"exclude": [{"network": "segnet"}]}, "exclude: leaves no run at all"),
        ({"network": ["segnet"]}, {"exclude": [{"network": "unet"}]}, "network has no value 'unet'"),
        ({"network": ["segnet"]}, {"exclude": [{"loss": "bce"}]}, "there is no factor 'loss'"),
        ({"network": ["segnet"]}, {"baseline": {"network": "unet"}}, "baseline.network: network has no value 'unet'"),
        ({"data.path": ["a", "b"]}, {}, "they would be scored on different images"),
        ({"data.split.seed": [1, 2]}, {}, "they would be scored on different images"),
    ],
)
def test_what_cannot_be_compared_is_refused(vary: dict[str, Any], more: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expand(study(vary, **more))
    assert text in str(caught.value)


def test_a_budget_that_differs_is_told() -> None:
    plan = expand(study({"epochs": [5, 10]}))
    assert plan.notes == ("epochs differs between runs: 10, 5; the comparison is not at equal terms",)
    assert expand(study({"network": ["segnet", "unet_nearest"]})).notes == ()


def test_a_scale_replaces_keys_and_values(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("data: {path: images, size: 128}\nepochs: 40\n")
    file = tmp_path / "study.yaml"
    file.write_text(
        "study: s\nbase: base.yaml\nvary: {network: [segnet, unet_nearest], seed: [0, 1, 2]}\n"
        "scales: {small: {set: {epochs: 3, data.size: 64}, vary: {seed: [0]}}}\n"
    )
    full, small = load_study(file), load_study(file, scale="small", overrides=["base.batch_size=2"])
    assert len(expand(full).runs) == 6
    run = expand(small).runs[0]
    assert len(expand(small).runs) == 2
    assert (run.config.epochs, run.config.data.size, run.config.batch_size) == (3, (64, 64), 2)
    assert (full.study_folder, small.study_folder) == (Path("runs/s"), Path("runs/s-small"))
    with pytest.raises(ConfigError, match=r"there is no scale 'big'; known: small"):
        load_study(file, scale="big")


def test_a_typo_is_found_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("study: s\nbase: {data: images}\nvarry: {network: [segnet]}\n")
    with pytest.raises(ConfigError, match=r"study.yaml:3: varry: there is no such key; did you mean 'vary'"):
        load_study(file)
