"""Verdicts are right as often as docs/explanation/statistics.md says, in drawn studies of benchmarks/decision.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


def _load() -> ModuleType:
    name = "segbench_decision"
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "decision.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


decision = _load()
Cell = decision.Cell

STUDIES = 3000  # a share of 0.05 is known to +- 0.008


@pytest.mark.slow
@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize(("entries", "seeds", "most"), [(2, 2, 0.085), (2, 3, 0.063), (4, 2, 0.06), (4, 3, 0.06)])
def test_false_winners_are_rare(entries: int, seeds: int, most: float, rough: bool) -> None:
    cell = Cell(entries=entries, seeds=seeds, images=100, rough=rough)
    ((equal, tied, *_),) = decision.shares(cell, STUDIES, (decision.after,), powers=False)
    assert max(equal, tied) <= most


@pytest.mark.slow
def test_many_entries_do_not_hide_a_leader() -> None:
    cell = Cell(entries=12, seeds=3, images=100)
    old, new = decision.shares(cell, 300, (decision.before, decision.after), powers=True)
    assert new[-1] > 0.7 > 0.3 > old[-1]  # a lead of .05
    assert new[1] < 0.07


@pytest.mark.slow
def test_entries_that_fail_the_others_do_not_become_candidates() -> None:
    leads = np.array([0.0, 0.0, 0.0, -0.05])
    cell = Cell(entries=4, seeds=3, images=50)
    columns = [
        decision.statements_of(decision.moved(decision.split(values, cell), leads), leads)
        for values in decision.chunks(cell, STUDIES)
    ]
    held, size, ranked, before, now = (np.concatenate(column).mean() for column in zip(*columns, strict=True))
    assert held >= 0.94
    assert ranked >= 0.93
    assert 2.5 < size <= 4
    assert now <= 0.01 < 0.1 < before


@pytest.mark.slow
def test_planned_looks_together_are_wrong_as_seldom_as_one() -> None:
    from segbench.statistics.looks import plan_look

    cell = Cell(entries=2, seeds=5, images=200)
    smallest = []
    for values in decision.chunks(cell, STUDIES):
        looks = []
        for seeds in (3, 4, 5):
            parts = decision.split(values[:, :, :seeds], cell)
            p = decision.p_of_best(decision.with_larger_seed_variances(parts), True)[1]
            looks.append(p.min(axis=-1))
        smallest.append(np.min(looks, axis=0))
    p = np.concatenate(smallest)
    assert (p <= plan_look(1, 3).alpha).mean() < 0.06
    assert (p <= 0.05).mean() > 0.07


@pytest.mark.slow
@pytest.mark.parametrize("images", [10, 20, 50])
def test_means_near_the_end_of_their_range_are_covered(images: int) -> None:
    random = np.random.default_rng(images)
    for scores in (decision.typical_scores, decision.high_scores_with_failures, decision.scores_of_failures):
        truth = float(scores(random, (1_000_000,)).mean())
        t, *_, ours = decision.mean_intervals(scores(random, (STUDIES, images)))
        assert np.mean((ours[0] <= truth) & (truth <= ours[1])) > 0.935
        assert ours[0].min() >= 0
        assert ours[1].max() <= 1
        if scores is decision.high_scores_with_failures:
            assert np.mean((t[0] <= truth) & (truth <= t[1])) < 0.9


def test_the_drawn_studies_are_as_described() -> None:
    random = np.random.default_rng(0)
    base = decision.typical_scores(random, (500_000,))
    assert base.mean() == pytest.approx(0.80, abs=0.01)
    assert base.std() == pytest.approx(0.17, abs=0.02)
    assert ((base - base.mean()) ** 3).mean() / base.std() ** 3 == pytest.approx(-2.5, abs=0.2)
    assert (base == 0).mean() == pytest.approx(0.01, abs=0.003)
    assert (base == 1).mean() == pytest.approx(0.02, abs=0.005)
    for rough, sd in ((False, 0.043), (True, 0.10)):
        values = decision.draw_values(Cell(entries=2, seeds=3, images=200, rough=rough, seed_sd=0), 500, random)
        differences = values.mean(axis=2)[:, 0] - values.mean(axis=2)[:, 1]
        assert differences.mean() == pytest.approx(0, abs=0.002)
        assert differences.std(axis=-1, ddof=1).mean() == pytest.approx(sd, rel=0.15)
    seeds = decision.draw_values(Cell(entries=2, seeds=60, images=400), 100, random).mean(axis=-1).std(axis=-1)
    ratio = np.log(seeds[:, 0] / seeds[:, 1])
    assert np.sqrt((ratio**2).mean()) == pytest.approx(np.log(2), rel=0.2)
