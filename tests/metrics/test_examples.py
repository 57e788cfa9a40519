"""The examples in docstrings and in docs/reference/metrics.md give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

MODULES = [
    "segbench.losses.bce",
    "segbench.losses.cross_entropy",
    "segbench.losses.dice",
    "segbench.losses.focal",
    "segbench.losses.class_weights",
    "segbench.metrics.calibration",
    "segbench.metrics.confusion",
    "segbench.metrics.confusion_matrix",
    "segbench.metrics.counts",
    "segbench.metrics.definitions",
    "segbench.metrics.scores",
    "segbench.metrics.surface",
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_page_on_metrics() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.attempted >= 6
    assert result.failed == 0
