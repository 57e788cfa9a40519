"""Calibration: the bins of all seeds together; entries whose runs lack them are not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.compare._evidence import make_evidence, write_run

from segbench.explain.calibration import calibration_curves
from segbench.folders.run import RunFolder
from segbench.metrics.calibration import Calibration
from segbench.types import Task


def run_with_bins(folder: Path, correct: list[int]) -> RunFolder:
    run = write_run(folder, [{"epoch": 1.0}], best_epoch=1, scores={"test": {}})
    bins = Calibration(
        pixels=np.array([10, 20]),
        confidence_sum=np.array([4.0, 18.0]),
        correct=np.array(correct),
        n_images=3,
        task=Task.BINARY,
    )
    bins.write_csv(run.table_file("calibration", "test"))
    return run


def test_bins_of_all_seeds_are_added(tmp_path: Path) -> None:
    evidence = replace(make_evidence(tmp_path / "data", count=3), size=(48, 64))
    runs = (run_with_bins(tmp_path / "a", [3, 17]), run_with_bins(tmp_path / "b", [5, 13]))
    good, bad = evidence.entries
    curves = calibration_curves(replace(evidence, entries=(good, replace(bad, runs=runs))))
    assert set(curves) == {1}
    assert curves[1].pixels.tolist() == [20, 40]
    assert curves[1].accuracy.tolist() == [0.4, 0.75]
    assert curves[1].confidence.tolist() == [0.4, 0.9]
    runs[1].table_file("calibration", "test").unlink()
    assert calibration_curves(replace(evidence, entries=(good, replace(bad, runs=runs)))) == {}
