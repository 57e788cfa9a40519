"""The demo: a study of sixteen runs that ends in a verdict and a report, and goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from segbench.demo import run_demo
from segbench.study.live import StudyCallback


@pytest.mark.slow
def test_the_demo_ends_in_a_report(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "out", epochs=1, watch=StudyCallback())
    names = done.comparison.verdict.names
    without, with_ = "without skips | {}", "with skips | {}"
    assert names == tuple(way.format(up) for way in (without, with_) for up in ("nearest", "bilinear"))
    assert [entry.seeds for entry in done.comparison.evidence.entries] == [(0, 1, 2, 3)] * 4
    assert len(done.comparison.evidence.ids) == 260
    text = done.page.read_text()
    assert "Do skip connections matter" in text
    assert "with skips | nearest" in text
    assert "You expected: with skips." in text
    assert done.page.stat().st_size < 10 * 2**20
    assert len(list((done.predicted / "overlays").glob("*.jpg"))) == 12
    results = {path: path.stat().st_mtime_ns for path in done.study.path.glob("runs/*/result.json")}
    assert len(results) == 16
    again = run_demo(tmp_path / "out", epochs=1, watch=StudyCallback())
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert again.comparison.verdict.to_dict() == done.comparison.verdict.to_dict()
