"""The examples in the networks' docstrings give what they say; every file that has one is found by itself."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import segbench.models

FOLDER = Path(segbench.models.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__init__")
    for path in FOLDER.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_docstring(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"segbench.models.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_files_are_found() -> None:
    assert {"base", "describe", "pretrained", "unet"} <= set(MODULES)
