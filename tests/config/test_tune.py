"""What a search may ask for, and what is refused before anything trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from segbench.config.tune import Choice, Number, Range, corners, load_tune, parse_tune, search_space
from segbench.errors import ConfigError
from segbench.train.check import check_config

SEARCH = """\
tune: small
base:
  data: {path: somewhere, size: 64}
  epochs: 12
search:
  network.dropout: [0.0, 0.2]
  optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
  batch_size: {low: 4, high: 16, step: 4}
  loss: {only bce: {bce: 1}, both: {dice: 0.5, bce: 0.5}}
  network: [unet_nearest, segnet]
  encoder:
    slow: {optimizer.encoder_lr: 1.0e-5}
    fast: {optimizer.encoder_lr: 1.0e-3, freeze: {part: encoder, until_epoch: 2}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "search.yaml"
    path.write_text(SEARCH)
    return path


def one(search: dict[str, Any], **base: Any) -> Any:
    return parse_tune({"tune": "t", "base": {"data": "somewhere", **base}, "search": search})


def test_file_becomes_ranges_and_choices(file: Path) -> None:
    config = load_tune(file)
    space = search_space(config)
    assert list(space) == ["network.dropout", "optimizer.lr", "batch_size", "loss", "network", "encoder"]
    assert space["optimizer.lr"] == Range(low=1e-4, high=1e-2, log=True)
    size = space["batch_size"]
    assert isinstance(size, Range)
    assert size.whole
    assert size.samples == (4, 16, 8)
    loss = space["loss"]
    assert isinstance(loss, Choice)
    assert loss.samples == ("only bce", "both")
    assert config.trials == 30
    assert config.pruning.name == "median"
    assert config.folder == Path("runs/tune/small")


def test_params_become_settings_and_a_run(file: Path) -> None:
    config = load_tune(file)
    params: dict[str, Number | str] = {
        "network.dropout": "0.2",
        "optimizer.lr": 0.003,
        "batch_size": 8,
        "loss": "both",
        "network": "segnet",
        "encoder": "fast",
    }
    settings = config.settings(params)
    assert settings == {
        "batch_size": 8,
        "loss": {"dice": 0.5, "bce": 0.5},
        "network": "segnet",
        "optimizer.encoder_lr": 1e-3,
        "freeze": {"part": "encoder", "until_epoch": 2},
        "network.dropout": 0.2,
        "optimizer.lr": 0.003,
    }
    run = config.run_config(params, name="x", output="out/x")
    assert (run.network.name, run.network.options) == ("segnet", {"dropout": 0.2})  # `network` did not wipe it out
    assert (run.optimizer.lr, run.optimizer.encoder_lr, run.freeze.until_epoch) == (0.003, 1e-3, 2)
    assert (run.batch_size, run.epochs, run.name, run.output) == (8, 12, "x", "out/x")
    assert "dropout" not in str(config.base)


def test_base_can_be_a_file_beside_it(file: Path) -> None:
    (file.parent / "run.yaml").write_text("data: {path: elsewhere}\nepochs: 3\n")
    file.write_text("tune: t\nbase: run.yaml\nsearch: {batch_size: [2, 4]}\n")
    assert load_tune(file).base == {"data": {"path": "elsewhere"}, "epochs": 3}


def test_overrides_of_the_search_and_of_the_run(file: Path) -> None:
    changes = ["trials=3", "pruning.warmup_epochs=2", "seed=5", "epochs=2", "data.size=32", "base.seed=7"]
    config = load_tune(file, overrides=changes, data="other/folder")
    assert (config.trials, config.pruning.warmup_epochs, config.seed) == (3, 2, 5)
    run = config.run_config(next(corners(config)))
    assert (run.epochs, run.data.size, run.seed, run.data.path) == (2, (32, 32), 7, "other/folder")


def test_to_dict_reads_back(file: Path) -> None:
    config = load_tune(file)
    assert parse_tune(config.to_dict()) == config
    assert config.to_dict()["pruning"] == {"name": "median", "startup_trials": 5, "warmup_epochs": None}
    assert one({"batch_size": [1, 2]}).pruning.name == "median"
    none = parse_tune({**config.to_dict(), "pruning": "none"})
    assert none.pruning.name == "none"


def test_corners_are_all_combinations_or_one_key_at_a_time() -> None:
    few = list(corners(one({"batch_size": [1, 2], "epochs": {"low": 1, "high": 9}})))
    assert len(few) == 6
    assert {params["epochs"] for params in few} == {1, 9, 3}
    keys = ("momentum", "weight_decay", "lr", "encoder_lr")
    many = list(corners(one({f"optimizer.{key}": [0.1, 0.2, 0.3, 0.4, 0.5] for key in keys})))
    assert len(many) == 1 + 4 * 4
    assert all({params[f"optimizer.{key}"] for params in many} == {"0.1", "0.2", "0.3", "0.4", "0.5"} for key in keys)


LR = "optimizer.lr"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "search: is empty, so there is nothing to search"),
    ({LR: {"low": 0.1, "high": 0.01}}, f"search.{LR}: low must be below high, got 0.1 and 0.01"),
    ({LR: {"low": 0.1, "high": 0.1}}, "low must be below high, got 0.1 and 0.1"),
    ({LR: {"low": 0.0, "high": 0.1, "log": True}}, "log needs a low above 0, got 0.0"),
    ({LR: {"low": 0.1, "high": 1.0, "log": True, "step": 0.1}}, "log and step do not go together; leave step 0.1 out"),
    ({LR: {"low": 0.1}}, f"search.{LR}.high: this key is required and was not given"),
    (
        {LR: {"low": 0.1, "high": 1.0, "lgo": True}},
        f"search.{LR}.lgo: there is no such key; did you mean 'low' or 'log'?",
    ),
    ({LR: {"low": "a", "high": 1.0}}, f"search.{LR}.low: "),
    ({LR: {"low": 0.1, "high": 200.0}}, f"search.{LR}: should be less than or equal to 100, got 200.0 (tried"),
    (
        {"batch_size": {"low": 1, "high": 8, "step": 0.5}},
        "low and high are whole numbers, so step must be one, got 0.5",
    ),
    ({"batch_size": {"low": 1, "high": 8, "step": 0}}, "step must be above 0, got 0"),
    ({"batch_size": {"low": 1, "high": 8, "step": 3}}, "steps of 3 from 1 never reach 8; try high: 7"),
    ({"batch_size": {"low": 1.0, "high": 8.0}}, "search.batch_size: should be a valid integer"),
    ({"batch_size": []}, "search.batch_size: has no values"),
    ({"batch_size": [4]}, "has one value, so there is nothing to search; move it to base"),
    ({"batch_size": [4, 4]}, "two values are called '4'"),
    ({"batch_size": 4}, "expected a list of values or a mapping of name to value, got 4"),
    ({"optimiser.lr": {"low": 0.1, "high": 1.0}}, "search.optimiser.lr: is no key of a run; did you mean 'optimizer'?"),
    ({"optimiser": ["adam", "sgd"]}, "search.optimiser: is no key of a run (did you mean 'optimizer'?"),
    (
        {"optimizer.name": ["adam", "adamm"]},
        "search.optimizer.name: should be 'adamw', 'adam' or 'sgd', got 'adamm' (tried",
    ),
    ({"loss": {"a": "dice", "b": [1]}}, "search.loss"),
    ({"seed": [0, 1]}, "seed cannot be searched: the best of many seeds is luck"),
    ({"monitor": ["loss", "iou_pooled"]}, "monitor cannot be searched: it is what trials are compared by"),
    ({"data.split.seed": [0, 1]}, "data.split.seed cannot be searched: trials on different images cannot be compared"),
    ({"data": ["a", "b"]}, "search.data: is a whole section; search one key of it, such as data.size"),
    ({"own": {"a": {"seed": 1}, "b": {"seed": 2}}}, "search.own.a: seed cannot be searched"),
]


@pytest.mark.parametrize(("search", "text"), REFUSED, ids=[text[:50] for _, text in REFUSED])
def test_what_is_refused(search: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one(search)
    assert text in str(caught.value)


def test_a_searched_loss_cannot_be_what_is_monitored() -> None:
    assert one({"loss": ["dice", "bce"]}, monitor="iou_pooled")
    with pytest.raises(ConfigError, match=r"base\.monitor: compares trials by their validation loss, but the loss is"):
        one({"loss": ["dice", "bce"]}, monitor="loss")


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("tune: small", "tun: small", 1, "tun: there is no such key; did you mean 'tune'?"),
        ("high: 1.0e-2", "high: 1.0e-5", 7, "search.optimizer.lr: low must be below high"),
        ("high: 16", "high: -4", 8, "search.batch_size: low must be below high"),
        ("epochs: 12", "epochs: 0", 4, "base.epochs: should be greater than or equal to 1, got 0"),
        ("only bce: {bce: 1}", "only bce: {bce: x}", 9, "search.loss"),
    ],
)
def test_errors_name_file_and_line(file: Path, old: str, new: str, line: int, text: str) -> None:
    assert old in SEARCH
    file.write_text(SEARCH.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_tune(file)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert text in str(caught.value)


def test_a_wrong_override_names_its_key(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--set base\.epoch: there is no such key; did you mean 'epochs'"):
        load_tune(file, overrides=["epoch=3"])
    with pytest.raises(ConfigError, match=r"trials: should be greater than or equal to 1, got 0"):
        load_tune(file, overrides=["trials=0"])


def test_the_example_of_the_page_is_a_search() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "tuning.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    config = parse_tune(YAML(typ="safe").load(example))
    assert config.trials == 30
    for params in corners(config):
        check_config(config.run_config(params), data_must_exist=False)
