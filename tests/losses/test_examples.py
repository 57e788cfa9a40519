"""The examples in the losses' docstrings and in docs/reference/losses.md give what they say; no loss is forgotten."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from segbench.config.loss import parse_loss
from segbench.losses import LOSSES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "losses.md"


@pytest.mark.parametrize(
    "name", [*(f"losses.{name}" for name in LOSSES.names()), "losses.base", "losses.class_weights", "options"]
)
def test_docstring_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"segbench.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_page_on_losses() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted >= 8
    assert result.failed == 0


def test_the_page_names_every_loss_and_every_option() -> None:
    found = re.findall(r"^\| `(\w+)` \| (.*)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(name for name, _ in found) == sorted(2 * LOSSES.names())  # two tables
    for name, row in found[: len(found) // 2]:
        for option in set(LOSSES.options(name)) - {"ignore_index"}:
            assert f"`{option}" in row, f"{name} has {option}"
        tasks = {str(task) for task in LOSSES.get(name).tasks}
        claimed = "binary multiclass multilabel" if "| every " in row else row
        assert tasks == {task for task in ("binary", "multiclass", "multilabel") if task in claimed}, name


def test_the_configs_on_the_page_are_right() -> None:
    from ruamel.yaml import YAML

    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line]
    assert len(lines) >= 5
    for line in lines:
        for term in parse_loss(YAML(typ="safe").load(line)["loss"]):
            LOSSES.check(term.name, term.options)
