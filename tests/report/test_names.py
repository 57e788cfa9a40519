"""Display names on a report and in its table for a paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.compare._study import write_study

from segbench.report.runs import report_runs


@pytest.mark.slow
def test_a_report_and_its_table_for_a_paper_say_display_names(tmp_path: Path) -> None:
    labels = {"segnet": "SegNet", "bce": "cross-entropy", "dice+bce": "Dice"}
    study = write_study(tmp_path, networks={"segnet": "segnet"}, images=24, epochs=3, labels=labels)
    files = report_runs(study.path, tmp_path / "report.html", latex=tmp_path / "latex")
    story = files.markdown.read_text(encoding="utf-8").replace("\\", "")
    assert "Worst, middle and best test images of SegNet | " in story
    assert "the middle test image of SegNet | " in story
    assert "of segnet | " not in story
    assert "SegNet" in (tmp_path / "latex" / "results.tex").read_text(encoding="utf-8")
