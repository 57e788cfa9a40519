"""Intervals hold the truth as often as they say, and equal entries rarely get a winner: studies with a known truth.

benchmarks/coverage.py prints the same figures, and more of them, from more studies.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from segbench.statistics.differences import VarianceParts, compare_pairs
from segbench.statistics.planning import minimum_detectable_difference


def _load() -> ModuleType:
    """Returns the simulation, which the benchmark runs too, whatever else is called `tests` on this machine."""
    name = "segbench_simulation"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("_simulation.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


simulation = _load()
Setting, simulate = simulation.Setting, simulation.simulate

STUDIES = 4000  # a share of 0.95 is known to +- 0.007


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["mild", "strong"])
@pytest.mark.parametrize("seed_sd", [0, 1, 2])
@pytest.mark.parametrize("images", [50, 200])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("entries", [2, 6])
def test_intervals_hold_the_truth(entries: int, seeds: int, images: int, seed_sd: float, shape: str) -> None:
    setting = Setting(entries=entries, seeds=seeds, images=images, seed_sd=seed_sd, shape=shape)
    found = simulate(setting, STUDIES)
    assert 0.93 <= found.pair <= 0.98
    assert 0.93 <= found.mean <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["mild", "strong"])
@pytest.mark.parametrize("seed_sd", [0, 2])
@pytest.mark.parametrize("images", [50, 200])
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("entries", [4, 20])
def test_equal_entries_rarely_get_a_winner(entries: int, seeds: int, images: int, seed_sd: float, shape: str) -> None:
    setting = Setting(entries=entries, seeds=seeds, images=images, seed_sd=seed_sd, shape=shape)
    found = simulate(setting, 8000 if entries == 4 else 1000, seed=1)
    assert found.excluded <= found.family <= 0.06


@pytest.mark.slow
def test_differences_are_found() -> None:
    """Three standard errors: a pair of two is found as a t test with these degrees of freedom would."""
    alone = simulate(Setting(entries=2, seeds=5, images=200, seed_sd=1, ahead=3), STUDIES)
    assert 0.7 < alone.found < 0.9
    among = simulate(Setting(entries=6, seeds=5, images=200, seed_sd=1, ahead=3), STUDIES)
    assert 0.35 < among.found < alone.found
    few = simulate(Setting(entries=2, seeds=2, images=200, seed_sd=2, ahead=3), STUDIES)
    assert 0.15 < few.found < 0.6


@pytest.mark.slow
def test_one_seed_speaks_of_these_weights_alone() -> None:
    without = simulate(Setting(entries=2, seeds=1, images=200, seed_sd=0), STUDIES)
    assert 0.93 <= without.pair <= 0.97
    with_seeds = simulate(Setting(entries=2, seeds=1, images=200, seed_sd=1), STUDIES)
    assert with_seeds.pair < 0.8
    three = Setting(entries=2, seeds=3, images=200, seed_sd=2)
    ignored = simulate(three, STUDIES, change=simulation.ignore_seeds)
    assert ignored.pair < 0.8


@pytest.mark.slow
def test_groups_of_images() -> None:
    setting = Setting(entries=2, seeds=3, images=50, seed_sd=1, groups=10)
    found = simulate(setting, STUDIES)
    assert 0.93 <= found.pair <= 0.98
    assert 0.92 <= found.mean <= 0.98


@pytest.mark.slow
def test_an_unstable_entry_does_not_hurt_the_others() -> None:
    """Its own intervals hold the truth less often: docs/explanation/statistics.md."""
    found = simulate(Setting(entries=6, seeds=5, images=50, seed_sd=1, unstable=4), STUDIES)
    assert found.pair >= 0.94
    assert found.first_pairs >= 0.92
    assert found.family <= 0.06


@pytest.mark.slow
def test_the_two_way_bootstrap_would_not_do() -> None:
    setting = Setting(entries=2, seeds=3, images=50, seed_sd=2)
    assert simulation.bootstrap_coverage(setting, 1000, draws=300) < 0.925
    assert simulate(setting, STUDIES).pair > 0.935


@pytest.mark.slow
def test_the_detectable_difference_is_found_with_its_power() -> None:
    setting = Setting(entries=2, seeds=5, images=100, seed_sd=1)
    effect = 2 * simulation.EFFECT_SCALE["mild"][0] ** 2 * (1 / 5 - 1 / 9)
    parts = VarianceParts(
        seed_sd=setting.image_error * np.sqrt(2),
        image_sd=np.sqrt(effect),
        residual_sd=simulation.RESIDUAL_SCALE / np.sqrt(6),
    )
    difference = minimum_detectable_difference(parts, images=100, seeds=5)
    ahead = Setting(entries=2, seeds=5, images=100, seed_sd=1, ahead=difference / setting.error)
    assert simulate(ahead, STUDIES).found == pytest.approx(0.8, abs=0.04)


def test_the_simulation_judges_as_the_product_does() -> None:
    setting = Setting(entries=6, seeds=3, images=50, seed_sd=2, shape="strong", unstable=4)
    values, means = simulation.draw(setting, 8, np.random.default_rng(3))
    assert means.tolist() == [0.62] * 6
    units = simulation.units_of(None, 50)
    split = simulation.decompose([values[:, k] for k in range(6)], units)
    split = simulation.with_larger_seed_variances(split)
    value, variance, df = simulation.contrast_variance(split, simulation.pair_weights(6))
    for study in range(8):
        pairs = compare_pairs(list(values[study]))
        assert [pair.difference.value for pair in pairs] == pytest.approx(value[study])
        assert [pair.difference.standard_error for pair in pairs] == pytest.approx(np.sqrt(variance[study]))
        assert [pair.difference.df for pair in pairs] == pytest.approx(df[study])


def test_the_simulated_truth_is_the_truth() -> None:
    setting = Setting(entries=2, seeds=3, images=50, seed_sd=1, shape="strong", ahead=2, groups=10)
    values, means = simulation.draw(setting, 20_000, np.random.default_rng(0))
    each = values.mean(axis=(2, 3))
    assert each.mean(axis=0) == pytest.approx(means, abs=5 * each[:, 0].std() / np.sqrt(20_000))
    assert np.std(each[:, 0] - each[:, 1]) == pytest.approx(setting.error, rel=0.02)
    assert means[0] - means[1] == pytest.approx(2 * setting.error)
