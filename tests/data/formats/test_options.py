"""Reader options and format names: a wrong one is found by key, before any file is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from segbench.config.run import parse_config
from segbench.data.formats import FORMATS, Listing, check_format
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError
from segbench.train.check import check_config

WRONG = [
    ("classes", 3, "must be a list of names or a mapping name: value, got 3"),
    ("classes", "cat", "must be a list of names or a mapping name: value, got 'cat'"),
    ("classes", ["a", 1], "got ['a', 1]"),
    ("images", 3, "must be text, got 3; put it in quotes: images: '3'"),
    ("images", ["a"], "must be text, got ['a']"),
    ("mask_suffix", 5, "must be text, got 5; put it in quotes: mask_suffix: '5'"),
    ("missing_is_absent", "maybe", "must be true or false, got 'maybe'"),
    ("missing_is_absent", 1, "must be true or false, got 1"),
    ("tolerance", "abc", "must be a whole number or 'nearest', got 'abc'"),
    ("tolerance", True, "must be a whole number or 'nearest', got True"),
    ("tolerance", 1.5, "must be a whole number or 'nearest', got 1.5"),
    ("tolerance", None, "must be a whole number or 'nearest', got None"),
    ("ignore", 255, "must be a list, got 255"),
    ("depth_range", ["a", 1], "must be a list of numbers, got ['a', 1]"),
    ("group", 5, "must be text, got 5"),
    ("background", 3, "must be text or true or false, got 3"),
]


@pytest.mark.parametrize(("option", "value", "message"), WRONG)
def test_wrong_types_are_config_errors(tmp_path: Path, option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_dataset(tmp_path, **{option: value})
    assert caught.value.key == f"data.options.{option}"
    assert message in caught.value.reason


@pytest.mark.parametrize(
    "options",
    [
        {"classes": ["a", "b"]},
        {"classes": ("a", "b")},
        {"classes": {"a": 0, "b": [1, 2]}},
        {"background": False},
        {"depth_range": [0, 4095]},
        {"depth_range": (0.0, 4095.0)},
        {"ignore": [255, "#00ff00", [1, 2, 3]]},
        {"tolerance": 3, "images": None},
    ],
)
def test_right_types_pass(options: dict[str, Any]) -> None:
    check_format("folder", options)


def test_an_unknown_option_names_its_key() -> None:
    with pytest.raises(ConfigError, match="'ph2' has no option 'tolerance'") as caught:
        check_format("ph2", {"tolerance": 3})
    assert caught.value.key == "data.options.tolerance"


@pytest.mark.parametrize(
    ("given", "meant"),
    [("PH2", "ph2"), ("CamVid", "camvid"), ("Oxford-Pets", "oxford_pets"), ("Oxford Pets", "oxford_pets")],
)
def test_a_format_in_another_case_is_suggested(tmp_path: Path, given: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no data.format '{given}'; did you mean '{meant}'") as caught:
        read_dataset(tmp_path, given)
    assert caught.value.key == "data.format"


def test_readers_of_others_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(root: Path, *, part: int = 0, names: Sequence[str] | Mapping[str, int] = (), free=None) -> Listing:
        raise AssertionError

    monkeypatch.setitem(FORMATS._table, "mine", mine)
    check_format("mine", {"part": 3, "free": object(), "names": {"a": 1}})
    with pytest.raises(ConfigError, match=r"data\.options\.part: part must be a whole number, got '3'"):
        check_format("mine", {"part": "3"})


def test_hints_that_cannot_be_resolved_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(root: Path, *, part: Missing = 0) -> Listing:  # noqa: F821
        raise AssertionError

    monkeypatch.setitem(FORMATS._table, "mine", mine)
    check_format("mine", {"part": "3"})


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"options": {"tolerance": "abc"}}, "data.options.tolerance"),
        ({"options": {"tolerence": 3}}, "data.options.tolerence"),
        ({"format": "PH2"}, "data.format"),
    ],
)
def test_check_config_finds_them_before_reading(data: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_config(parse_config({"data": {"path": "nowhere", **data}}), data_must_exist=False)
    assert caught.value.key == key


def test_check_config_knows_a_manifest_by_any_case() -> None:
    config = parse_config({"data": {"path": "set.JSON", "options": {"tolerance": 3}}})
    with pytest.raises(ConfigError, match="a manifest already knows its format and options"):
        check_config(config, data_must_exist=False)


def test_check_config_takes_a_folder_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "odd.json").mkdir()
    check_config(parse_config({"data": {"path": str(tmp_path / "odd.json"), "options": {"tolerance": 3}}}))
