"""Run configs: defaults, forms, round trips, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from segbench.config.loss import LossTerm, WeightSchedule, parse_loss
from segbench.config.run import RunConfig, load_config, parse_config
from segbench.config.text import apply_overrides
from segbench.errors import ConfigError

MINIMAL = {"data": {"path": "images"}}


def test_defaults_are_complete_and_round_trip(tmp_path: Path) -> None:
    config = parse_config(MINIMAL)
    assert parse_config(config.to_dict()) == config
    file = tmp_path / "resolved.yaml"
    file.write_text(config.to_yaml())
    assert load_config(file) == config
    assert config.run_folder == Path("runs/unet_nearest_dice+bce_seed0")


def test_null_weights_are_random_ones() -> None:
    assert parse_config({**MINIMAL, "weights": None}) == parse_config({**MINIMAL, "weights": "none"})


def test_shorthands() -> None:
    config = parse_config(
        {
            "data": {"path": "images", "size": 96},
            "network": {"name": "unet_nearest", "widths": [8, 8]},
            "loss": {"focal": {"gamma": 2, "weight": 0.5}, "dice": 0.5},
            "precision": 32,
        }
    )
    assert config.data.size == (96, 96)
    assert config.network.options == {"widths": [8, 8]}
    assert config.loss == (
        LossTerm(name="focal", weight=0.5, options={"gamma": 2}),
        LossTerm(name="dice", weight=0.5),
    )
    assert config.precision == "32"
    assert parse_config(config.to_dict()) == config


@pytest.mark.parametrize(
    ("spec", "terms"),
    [
        ("dice", (LossTerm(name="dice"),)),
        ({"focal": {"gamma": 2}}, (LossTerm(name="focal", options={"gamma": 2}),)),
        ({"dice": 0.3, "bce": 0.7}, (LossTerm(name="dice", weight=0.3), LossTerm(name="bce", weight=0.7))),
        ({"dice": None}, (LossTerm(name="dice"),)),
    ],
)
def test_loss_specs(spec: object, terms: tuple[LossTerm, ...]) -> None:
    assert parse_loss(spec) == terms


@pytest.mark.parametrize("spec", [3, [], {}, {"dice": 0}, {"dice": -1.0}, {"dice": True}, {"dice": "x"}, None])
def test_wrong_loss_specs(spec: object) -> None:
    with pytest.raises(ConfigError, match=r"^loss"):
        parse_loss(spec)


def test_overrides_win_and_take_yaml_values() -> None:
    values = apply_overrides(
        {"data": {"path": "a"}, "network": "segnet"},
        ["optimizer.lr=1e-3", "data.size=[64, 96]", "network.widths=[4, 8]", "ema_decay=null", "loss=dice"],
    )
    config = parse_config(values)
    assert config.optimizer.lr == 1e-3
    assert config.data.size == (64, 96)
    assert (config.network.name, config.network.options) == ("segnet", {"widths": [4, 8]})
    assert config.loss[0].name == "dice"


def test_overrides_leave_the_given_values_alone() -> None:
    values = {"data": {"path": "a"}}
    apply_overrides(values, ["data.path=b"])
    assert values == {"data": {"path": "a"}}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("data:\n  path: a\nepohcs: 3\n", 3, "epohcs: there is no such key; did you mean 'epochs'?"),
        ("data:\n  path: a\n  sise: 3\n", 3, "data.sise: there is no such key; did you mean 'size'?"),
        ("data:\n  path: a\nepochs: many\n", 3, "epochs: should be a valid integer, unable to parse"),
        ("data:\n  path: a\nepochs: -1\n", 3, "epochs: should be greater than or equal to 1, got -1"),
        ("data:\n  path: a\noptimizer:\n  name: adamm\n", 4, "optimizer.name: should be 'adamw', 'adam' or 'sgd'"),
        ("data:\n  path: a\n  split:\n    ratios: [0.5, 0.5, 0.5]\n", 3, "data.split: ratios must sum to 1"),
        ("data:\n  path: a\n  split:\n    ratios: [0.5, 0.5, 0]\n", 3, "data.split: every part needs a share above 0"),
        ("data:\n  path: a\n  split: {method: permutation}\n", 3, "needs counts, for example counts: [100, 50, 50]"),
        ("data:\n  path: a\n  size: 64\n  augment:\n    crop: [96, 96]\n", 1, "data: augment.crop (96, 96) is larger"),
        ("data:\n  path: a\n  augment: {scale: [2, 1]}\n", 3, "scale is (smallest, largest)"),
        ("data:\n  path: a\nloss: 7\n", 3, "loss: expected a name, {name: weight}"),
        ("data:\n  path: a\n  patch: big\n", 3, "patch: should be [height, width] or one number for a square"),
        ("data:\n  path: a\npictures: sometimes\n", 3, "pictures: should be `auto`, or a number of epochs from 0"),
        ("data:\n  path: a\nthreshold: 1.0\n", 3, "threshold: should be above 0 and below 1, or `validation`, got 1.0"),
        ("epochs: 3\n", 0, "data: this key is required"),
        ("data: [\n", 2, "not valid YAML"),
        ("- a\n- b\n", 0, "expected a mapping of keys, got CommentedSeq"),
    ],
)
def test_messages_name_file_line_key_and_what_was_expected(tmp_path: Path, text: str, line: int, message: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert message in str(caught.value)
    assert caught.value.file == str(file)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{file}:{line}: " if line else f"{file}: ")


def test_a_wrong_override_points_to_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data:\n  path: a\n")
    with pytest.raises(ConfigError, match=r"^--set optimizer\.lrr: there is no such key; did you mean 'lr'\?"):
        load_config(file, ["optimizer.lrr=2"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot read the config"):
        load_config(tmp_path / "none.yaml")


def test_the_fingerprint_is_of_what_changes_weights() -> None:
    config = parse_config(MINIMAL)
    other_place = parse_config({**MINIMAL, "output": "elsewhere", "name": "x"})
    other_rate = parse_config({**MINIMAL, "optimizer": {"lr": 0.5}})
    assert config.fingerprint() == other_place.fingerprint()
    assert config.fingerprint() != other_rate.fingerprint()


def test_every_key_is_documented() -> None:
    def walk(model: type[object]) -> None:
        text = model.__doc__ or ""
        for key, field in model.model_fields.items():  # type: ignore[attr-defined]
            annotation = field.annotation
            if hasattr(annotation, "model_fields"):
                walk(annotation)
            else:
                assert key in text, f"{model.__name__}.{key} has no word in the docstring"

    walk(RunConfig)


@pytest.mark.parametrize(
    ("values", "override", "terms"),
    [
        ({"loss": {"dice": 0.5, "bce": 0.5}}, "loss.bce=1", {"dice": 0.5, "bce": 1.0}),
        ({"loss": {"dice": 0.5, "bce": 0.5}}, "loss.dice.smooth=2", {"dice": 0.5, "bce": 0.5}),
        ({"loss": "dice"}, "loss={bce: 1}", {"bce": 1.0}),
    ],
)
def test_overrides_into_a_loss_lose_no_term(values: dict[str, object], override: str, terms: dict[str, float]) -> None:
    config = parse_config(apply_overrides({**MINIMAL, **values}, [override]))
    assert {term.name: term.weight for term in config.loss} == terms


@pytest.mark.parametrize(
    ("values", "override", "message"),
    [
        ({"loss": "dice"}, "loss.bce=1", "there is no mapping to set this in; give the whole loss"),
        ({}, "loss.dice.smooth=2", "there is no mapping to set this in; give the whole loss"),
        ({"epochs": 3}, "epochs.many=4", "epochs is 3, which has no keys below it"),
    ],
)
def test_overrides_below_a_value_are_refused(values: dict[str, object], override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_overrides({**MINIMAL, **values}, [override])


def test_names_alone_are_spelled_out() -> None:
    values = apply_overrides(
        {"data": "images"}, ["optimizer=sgd", "network.widths=[4]", "schedule=cosine", "data.size=32"]
    )
    config = parse_config(apply_overrides(values, ["optimizer.lr=0.5"]))
    assert (config.optimizer.name, config.optimizer.lr, config.schedule.name) == ("sgd", 0.5, "cosine")
    assert (config.network.name, config.network.options) == ("unet_nearest", {"widths": [4]})
    assert (config.data.path, config.data.size) == ("images", (32, 32))


@pytest.mark.parametrize(("key", "value"), [("epochs", True), ("seed", False), ("ema_decay", True), ("monitor", True)])
def test_true_is_not_a_number(key: str, value: bool) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: expected no true or false here"):
        parse_config({**MINIMAL, key: value})
    with pytest.raises(ConfigError, match=r"^data\.augment\.scale: expected no true or false here"):
        parse_config({"data": {"path": "a", "augment": {"scale": [True, 2]}}})
    assert parse_config({**MINIMAL, "deterministic": True}).deterministic


def test_options_that_are_no_mapping() -> None:
    with pytest.raises(ConfigError, match="network: options should be a mapping of option to value, got 3"):
        parse_config({**MINIMAL, "network": {"name": "segnet", "options": 3}})


def test_yaml_merge_keys(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data:\n  path: a\n  augment: {<<: {hflip: 0.1}, vflip: 0.2}\n")
    config = load_config(file)
    assert (config.data.augment.hflip, config.data.augment.vflip) == (0.1, 0.2)


def test_a_wrong_part_of_an_override_points_to_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data:\n  path: a\n")
    with pytest.raises(ConfigError, match=r"^--set data\.split: ratios must sum to 1"):
        load_config(file, ["data.split.ratios=[0.5, 0.5, 0.5]"])


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ({"start": 0, "end": 1}, "loss: boundary.weight.epochs: expected {start: number"),
        ({"start": 0, "end": 1, "epochs": 1}, "loss: boundary.weight.epochs: .*greater than or equal to 2"),
        ({"start": 0, "end": 0, "epochs": 4}, "a weight that is 0 in every epoch"),
        (0, "loss: boundary: expected a weight above 0"),
    ],
)
def test_wrong_weights_of_losses_name_the_field(weight: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config({"data": "x", "loss": {"dice": 1.0, "boundary": {"weight": weight}}})


def test_a_schedule_moves_in_equal_steps_and_stays() -> None:
    schedule = WeightSchedule(start=1.0, end=0.0, epochs=5)
    assert [schedule.at(epoch) for epoch in range(7)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("given", "part", "until"),
    [("none", "none", None), ("encoder", "encoder", None), ({"until_epoch": 3}, "encoder", 3), (None, "none", None)],
)
def test_freeze_may_be_written_short(given: object, part: str, until: int | None) -> None:
    config = parse_config({"data": "x", "freeze": given})
    assert (config.freeze.part, config.freeze.until_epoch) == (part, until)
    assert parse_config(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"freeze": "decoder"}, "freeze.part: should be 'none' or 'encoder', got 'decoder'"),
        ({"freeze": {"part": "none", "until_epoch": 3}}, "freezes nothing"),
        ({"threshold": "test"}, "`validation`, got 'test'"),
        ({"data": {"path": "x", "size": 31}}, "data.size.0: should be at least 32|data.size"),
        ({"data": {"path": "x", "size": "orginal"}}, "data.size: should be .* or `original`, got 'orginal'"),
        ({"data": {"path": "x", "size": "original"}}, "data: size original .* set patch, for example"),
        ({"data": {"path": "x", "size": 64, "patch": 96}}, r"data: patch \(96, 96\) is larger than size"),
        ({"data": {"path": "x", "patch": [64, 31]}}, "data.patch.1: should be at least 32|data.patch"),
        ({"data": {"path": "x", "patch": 64, "augment": {"crop": [64, 64]}}}, "both cut windows"),
        ({"data": {"path": "x", "size": 64, "augment": {"crop": [64, 31]}}}, "at least 32 x 32 pixels"),
    ],
)
def test_wrong_values_of_this_kind_are_told(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config({"data": "x", **values})


def test_patches_are_part_of_what_decides_a_run_and_older_runs_keep_theirs() -> None:
    """The fingerprint of a config without the key is that of before it existed."""
    plain = parse_config({"data": {"path": "x"}})
    assert plain.data.network_size == (256, 256)
    assert plain.fingerprint() == "b95e8f626f3bd6c5"
    patched = parse_config({"data": {"path": "x", "patch": 64}})
    whole = parse_config({"data": {"path": "x", "size": "original", "patch": [64, 96]}})
    detailed = parse_config({"data": {"path": "x", "augment": {"detail": "original"}}})
    assert len({each.fingerprint() for each in (plain, patched, whole, detailed)}) == 4
    assert (patched.data.network_size, whole.data.network_size) == ((64, 64), (64, 96))
    again = parse_config(whole.to_dict())
    assert (again.data.size, again.data.patch) == ("original", (64, 96))
