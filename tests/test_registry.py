"""Name tables: look-up, options read from the source, users' own entries."""

from __future__ import annotations

import sys

import pytest

from segbench.errors import ConfigError
from segbench.registry import Registry

TABLE = {"decode": "json:loads", "fraction": "fractions:Fraction", "dumps": "json:dumps"}


def test_get_imports_and_returns_the_builder() -> None:
    import json

    assert Registry("thing", TABLE).get("decode") is json.loads
    assert Registry("thing", TABLE).names() == ["decode", "dumps", "fraction"]


def test_options_are_keyword_only_parameters_read_without_importing() -> None:
    sys.modules.pop("colorsys", None)
    registry = Registry("thing", {**TABLE, "color": "colorsys:rgb_to_yiq"})
    assert registry.options("color") == []
    assert "colorsys" not in sys.modules
    assert {"cls", "indent", "sort_keys"} <= set(registry.options("dumps"))
    assert registry.summary("fraction").startswith("This class implements rational numbers")


def test_unknown_names_list_close_ones_first() -> None:
    with pytest.raises(
        ConfigError, match=r"thing: there is no thing 'decod'; did you mean 'decode'\? known: decode, dum"
    ):
        Registry("thing", TABLE).get("decod")


def test_unknown_options_are_refused() -> None:
    registry = Registry("thing", TABLE)
    registry.check("dumps", ["indent"])
    with pytest.raises(ConfigError, match=r"thing\.indnt: 'dumps' has no option 'indnt'; did you mean 'indent'"):
        registry.check("dumps", ["indnt"])
    with pytest.raises(ConfigError, match="has no option 'indent'"):
        registry.check("dumps", ["indent"], reserved=["indent"])


def test_users_register_their_own_once() -> None:
    registry = Registry("thing", TABLE)

    @registry.register("mine")
    def mine(*, size: int = 1) -> int:
        """Returns size."""
        return size

    assert registry.get("mine") is mine
    assert registry.options("mine") == ["size"]
    assert registry.summary("mine") == "Returns size."
    with pytest.raises(ConfigError, match="'mine' is registered already"):
        registry.register("mine")(mine)
    assert "mine" not in Registry("thing", TABLE).names()
