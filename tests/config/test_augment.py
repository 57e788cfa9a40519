"""Presets, plain keys and lists are one config; old run folders keep their fingerprint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from segbench.config.augment import CHANGES, PRESETS, AugmentConfig, parse_augment
from segbench.config.run import parse_config
from segbench.errors import ConfigError

FIRST_KEYS = [
    *("hflip", "vflip", "rotate_deg", "scale", "translate_frac"),
    *("crop", "brightness", "contrast", "saturation", "hue"),
]


@pytest.mark.parametrize(
    ("data", "fingerprint"),
    [
        ({"path": "x"}, "b95e8f626f3bd6c5"),
        ({"path": "x", "augment": {"vflip": 0.5, "rotate_deg": 15, "scale": [0.9, 1.2]}}, "fcbb4c246d37c1ae"),
    ],
)
def test_configs_from_before_the_later_keys_keep_their_fingerprint(data: dict[str, Any], fingerprint: str) -> None:
    config = parse_config({"data": data})
    assert list(config.to_dict()["data"]["augment"]) == FIRST_KEYS
    assert config.fingerprint() == fingerprint


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_plain_keys(name: str) -> None:
    config = parse_config({"data": {"path": "x", "augment": name}})
    assert config.data.augment == AugmentConfig(**PRESETS[name]) == parse_augment({"preset": name})
    assert parse_config(config.to_dict()) == config
    assert "preset" not in config.to_yaml()
    assert config.data.augment.cutmix_p == config.data.augment.copy_paste_p == 0.0
    others = [parse_config({"data": {"path": "x", "augment": other}}) for other in PRESETS if other != name]
    assert config.fingerprint() not in {other.fingerprint() for other in others}


def test_none_changes_nothing_and_plain_keys_keep_their_defaults() -> None:
    quiet = parse_augment("none")
    assert quiet.model_dump() == {**AugmentConfig().model_dump(), "hflip": 0.0}
    assert parse_augment(None) == quiet
    assert parse_augment({}) == AugmentConfig()
    assert parse_augment({}).hflip == 0.5


def test_a_preset_takes_other_values_for_some_keys() -> None:
    config = parse_augment({"preset": "light", "rotate_deg": 20, "crop": [64, 64]})
    assert config == parse_augment("light").model_copy(update={"rotate_deg": 20.0, "crop": (64, 64)})


def test_a_list_means_what_it_names_and_nothing_else() -> None:
    listed = parse_augment(
        [
            "hflip",
            {"name": "rotate", "limit_deg": 15, "p": 0.3},
            {"name": "scale", "limit": [0.5, 2], "place": "random"},
            {"name": "outside", "labels": "ignore"},
            {"name": "copy_paste", "p": 0.2, "classes": ["car"]},
        ]
    )
    assert listed == AugmentConfig(
        hflip=0.5, rotate_deg=15, rotate_p=0.3, scale=(0.5, 2.0), place="random", outside="ignore", copy_paste_p=0.2,
        copy_paste_classes=("car",),
    )  # fmt: skip
    assert parse_augment([]) == parse_augment("none")
    assert parse_augment([{"name": "vflip", "p": 0.5}]).hflip == 0.0


def test_every_key_can_be_reached_from_the_list() -> None:
    reached = [key for options in CHANGES.values() for key in options.values()]
    assert sorted(reached) == sorted(AugmentConfig.model_fields)


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("stong", "data.augment: there is no preset 'stong'; did you mean 'strong'?"),
        ({"preset": 3}, "there is no preset 3"),
        ({"preset": "light", "rotate_dge": 3}, "data.augment.rotate_dge: there is no such key; did you mean"),
        ([{"name": "rotat", "limit_deg": 3}], "entry 0: there is no change 'rotat'; did you mean 'rotate'"),
        (["hflip", {"name": "blur", "limit": 3}], "entry 1: blur has no option 'limit'; did you mean 'limit_px'?"),
        ([{"name": "blur", "p": 1}], "entry 0: blur needs limit_px; without it nothing changes"),
        (["hflip", "hflip"], "entry 1: hflip is there twice"),
        ([3], "entry 0 should be a change like {name: hflip, p: 0.5}, got 3"),
        ([{"name": "hflip", "p": 3}], "data.augment.hflip: should be less than or equal to 1, got 3"),
        ({"gamma": [2, 1]}, r"gamma is (smallest, largest), got (2.0, 1.0)"),
        ({"elastic_frac": 0.1}, "would fold the image over; lower elastic_frac to 0.0625"),
        ({"outside": "black"}, "data.augment.outside: "),
        (3, "data.augment: "),
    ],
)
def test_mistakes_are_told_with_what_to_do(augment: Any, message: str) -> None:
    for parse in (parse_augment, lambda spec: parse_config({"data": {"path": "x", "augment": spec}})):
        with pytest.raises(ConfigError) as caught:
            parse(augment)
        assert message in str(caught.value)


def test_what_the_document_shows_is_right() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "augmentation.md").read_text()
    shown = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    parsed = [parse_config(YAML(typ="safe").load(block)).data.augment for block in shown]
    assert parsed[0] == parse_augment("light")
    assert len(set(parsed)) == 5
    for name in (*PRESETS, *CHANGES, *AugmentConfig.model_fields):
        assert name in text or name.removesuffix("_p") in text, f"{name} has no word in docs/reference/augmentation.md"


def test_classes_to_paste_need_a_probability() -> None:
    with pytest.raises(ConfigError, match="copy_paste_classes without copy_paste_p changes nothing"):
        parse_augment({"copy_paste_classes": ["pet"]})
    off = parse_config({"data": {"path": "x", "augment": {"copy_paste_classes": ["pet"], "copy_paste_p": 0.0}}})
    assert parse_config(off.to_dict()) == off


def test_no_preset_is_no_change() -> None:
    assert parse_augment({"preset": None}) == parse_augment(None) == parse_augment("none")
