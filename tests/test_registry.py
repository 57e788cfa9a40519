"""Name tables: look-up, options read from the source, users' own entries."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from segbench.errors import ConfigError
from segbench.options import Count
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
    registry.check("dumps", {"indent": 2})
    with pytest.raises(ConfigError, match=r"thing\.indnt: 'dumps' has no option 'indnt'; did you mean 'indent'"):
        registry.check("dumps", {"indnt": 2})
    with pytest.raises(ConfigError, match="has no option 'indent'"):
        registry.check("dumps", {"indent": 2}, reserved=["indent"])


SOURCE = """\
from __future__ import annotations
from collections.abc import Sequence as Many
from typing import Annotated, Literal, TypeAlias
from pydantic import Field
from nowhere import Tensor
from segbench.options import Count

MOST = 7
Mode: TypeAlias = Literal["fast", "exact"]
Share = Annotated[float, Field(gt=0, le=1, description="a share")]

def build(image: Tensor, *, mode: Mode = "fast", widths: Many[Count] = (), share: Share | None = None,
          depth: Annotated[int, Field(ge=0, le=MOST)] = 1, free=None): ...

class Made(Base, function=build):
    "Made of a function."

class Own:
    def __init__(self, *, mode: Mode): ...

def broken(*, size: Size = 1): ...
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    (tmp_path / "written_for_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return Registry("thing", {name: f"written_for_a_test:{name}" for name in ("build", "Made", "Own", "broken")})


def test_types_of_options_are_read_without_importing(written: Registry) -> None:
    types = written.option_types("build")
    assert types == {
        "mode": Literal["fast", "exact"],
        "widths": Sequence[Count],
        "share": types["share"],
        "depth": types["depth"],
    }
    assert written.options("build") == [*types, "free"]
    assert repr(written.option_types("Made")) == repr(types)
    assert written.options("Made") == written.options("build")
    assert written.option_types("Own") == {"mode": Literal["fast", "exact"]}
    assert "written_for_a_test" not in sys.modules
    with pytest.raises(NameError, match="uses 'Size', which is neither imported nor assigned"):
        written.option_types("broken")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("mode", "slow", "mode must be one of fast, exact, got 'slow'"),
        ("widths", [8, 0], r"widths must be a list, each an integer above 0, got \[8, 0\]"),
        ("share", 0, "share must be a share, got 0"),
        ("depth", 8, "depth must be a whole number, at least 0, at most 7, got 8"),
    ],
)
def test_values_are_checked_by_their_types(written: Registry, option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        written.check("Made", {option: value})
    assert caught.value.key == f"thing.{option}"
    written.check("build", {"mode": "fast", "widths": (1, 2), "share": None, "depth": 7, "free": object()})


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
