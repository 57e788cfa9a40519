"""A real set is found below SEGBENCH_DATA; without it a lesson knows that it has to draw its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from segbench import course
from segbench.errors import DatasetError


def test_a_set_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ph2").mkdir()
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path))
    assert course.real("ph2") == tmp_path / "ph2"
    assert course.real("oxford_pets") is None


@pytest.mark.parametrize("given", [None, ""])
def test_nobody_says_where(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGBENCH_DATA", raising=False)
    if given is not None:
        monkeypatch.setenv("SEGBENCH_DATA", given)
    assert course.real("ph2") is None


def test_a_slip_in_the_place_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGBENCH_DATA", str(tmp_path / "dta"))
    with pytest.raises(DatasetError, match="SEGBENCH_DATA"):
        course.real("ph2")
