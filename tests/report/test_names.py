"""Display names: in the verdict, in what factors do, and nowhere where the study's file has none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from tests.compare._study import write_study

from segbench.compare.evidence import Entry
from segbench.report.names import entry_name, name_factors, name_verdict
from segbench.report.runs import report_runs
from segbench.statistics.decide import decide
from segbench.statistics.factors import factor_view

LABELS = {"network": "Network", "unet": "U-Net", "segnet": "SegNet", "unet | dice": "ours"}


def entry(network: str, loss: str, values: Any) -> Entry:
    factors = {"network": network, "loss": loss}
    return Entry(name=f"{network} | {loss}", factors=factors, runs=(), seeds=(), values=values)


def test_verdict_and_factors_say_what_people_say() -> None:
    rng = np.random.default_rng(0)
    means = {("unet", "bce"): 0.8, ("unet", "dice"): 0.8, ("segnet", "bce"): 0.6, ("segnet", "dice"): 0.6}
    entries = [entry(*pair, mean + rng.normal(0.0, 0.02, (3, 60))) for pair, mean in means.items()]
    values = [each.values for each in entries]
    names = ["U-Net | bce", "ours", "SegNet | bce", "SegNet | dice"]
    assert [entry_name(each, LABELS) for each in entries] == names
    assert [entry_name(each, {}) for each in entries] == [each.name for each in entries]

    evidence: Any = SimpleNamespace(entries=entries, labels=LABELS)
    verdict = name_verdict(decide([each.name for each in entries], values, score="IoU"), evidence)
    assert verdict.names == tuple(names)
    told = " ".join(verdict.sentences())
    assert "ours" in told
    assert "segnet" not in told

    view = name_factors(factor_view(values, [each.factors for each in entries]), LABELS)
    sentences = " ".join(view.sentences())
    assert sentences.startswith("Network matters: U-Net minus SegNet is +0.")
    assert "Network and loss" in sentences
    assert "unet" not in sentences


def test_a_report_and_its_table_for_a_paper_say_display_names(tmp_path: Path) -> None:
    labels = {"segnet": "SegNet", "bce": "cross-entropy", "dice+bce": "Dice"}
    study = write_study(tmp_path, networks={"segnet": "segnet"}, images=24, epochs=3, labels=labels)
    files = report_runs(study.path, tmp_path / "report.html", latex=tmp_path / "latex")
    story = files.markdown.read_text(encoding="utf-8").replace("\\", "")
    assert "Worst, middle and best test images of SegNet | " in story
    assert "the middle test image of SegNet | " in story
    assert "of segnet | " not in story
    assert "SegNet" in (tmp_path / "latex" / "results.tex").read_text(encoding="utf-8")
