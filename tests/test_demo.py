"""The demo: a study of eight runs that ends in a verdict and a report, and goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from segbench.demo import run_demo
from segbench.study.live import StudyCallback


@pytest.mark.slow
def test_the_demo_ends_in_a_report(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "out", epochs=1, watch=StudyCallback())
    names = done.comparison.verdict.names
    assert names == (
        "segnet | bce",
        "segnet | dice+bce",
        "unet_nearest | bce",
        "unet_nearest | dice+bce",
    )
    assert [entry.seeds for entry in done.comparison.evidence.entries] == [(0, 1)] * 4
    assert len(done.comparison.evidence.ids) >= 50
    text = done.page.read_text()
    assert "which network and which loss find the lesion?" in text
    assert done.page.stat().st_size < 10 * 2**20
    assert len(list((done.predicted / "overlays").glob("*.png"))) == 12
    results = {path: path.stat().st_mtime_ns for path in done.study.path.glob("runs/*/result.json")}
    assert len(results) == 8
    again = run_demo(tmp_path / "out", epochs=1, watch=StudyCallback())
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert again.comparison.verdict.to_dict() == done.comparison.verdict.to_dict()
