"""Several data sets: the known formulas, what each interval speaks of, and what chance does among equals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from segbench.statistics import compare_datasets, compare_scores
from segbench.statistics.datasets import DatasetsView, critical_difference, friedman_p


def drawn_sets(effects: np.ndarray, *, seeds: int = 2, images: int = 15, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Returns scores on D sets of K entries whose true means on each set are `effects` (D, K)."""
    drawn = np.random.default_rng(seed)
    found = {}
    for d, means in enumerate(effects):
        hard = drawn.normal(0, 0.1, images)
        of_seeds = drawn.normal(0, 0.01, (len(means), seeds, 1))
        noise = drawn.normal(0, 0.03, (len(means), seeds, images))
        found[f"set {d}"] = list(means[:, None, None] + hard + of_seeds + noise)
    return found


def test_critical_differences_are_those_of_demsar() -> None:
    # Table 5 of the paper gives the quantiles, cut to three decimals, and its example, 4 classifiers on 14 sets, 1.25.
    quantiles = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 10: 3.164}
    for entries, quantile in quantiles.items():
        assert critical_difference(entries, 1) / math.sqrt(entries * (entries + 1) / 6) == pytest.approx(
            quantile, abs=1e-3
        )
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_friedmans_test_with_and_without_ties() -> None:
    drawn = np.random.default_rng(1)
    for digits in (6, 1):  # one decimal makes ties
        scores = np.round(drawn.normal(0, 1, (9, 4)) + np.array([0, 0.3, 0.6, 0.9]), digits)
        chi2 = stats.friedmanchisquare(*scores.T).statistic
        expected = stats.f.sf(8 * chi2 / (9 * 3 - chi2), 3, 24)
        assert friedman_p(stats.rankdata(-scores, axis=1)) == pytest.approx(expected)
    assert friedman_p(np.ones((5, 3)) * 2) == 1.0
    assert friedman_p(np.tile([1.0, 2.0, 3.0], (5, 1))) == pytest.approx(6.0**-4)


def test_every_set_has_the_verdict_it_has_alone_and_counts_alike() -> None:
    scores = drawn_sets(np.array([[0.8, 0.7, 0.6]] * 4))
    scores["set 1"] = [array[:, :10] for array in scores["set 1"]]  # a set may be smaller
    groups = {"set 2": np.arange(15) // 3}
    view = compare_datasets(scores, names=["a", "b", "c"], groups=groups)
    alone = compare_scores(scores["set 2"], names=["a", "b", "c"], groups=groups["set 2"])
    assert view.verdicts[2].to_dict() == alone.to_dict()
    [pair] = [pair for pair in view.pairs if (pair.first, pair.second) == (0, 1)]
    assert pair.by_set == tuple(verdict.pair(0, 1).difference.value for verdict in view.verdicts)
    told = stats.ttest_1samp(pair.by_set, 0.0)
    interval = told.confidence_interval(0.95)
    assert pair.elsewhere.value == pytest.approx(np.mean(pair.by_set))
    assert (pair.elsewhere.low, pair.elsewhere.high) == pytest.approx((interval.low, interval.high))
    assert pair.elsewhere.p == pytest.approx(told.pvalue)
    errors = [verdict.pair(0, 1).difference.standard_error for verdict in view.verdicts]
    assert pair.here.standard_error == pytest.approx(math.sqrt(sum(error**2 for error in errors)) / 4)
    assert pair.here.df > max(verdict.pair(0, 1).difference.df for verdict in view.verdicts)


def test_sets_that_disagree_name_nobody_though_each_has_a_winner() -> None:
    effects = np.array([[0.8, 0.7], [0.7, 0.8], [0.8, 0.7], [0.7, 0.79], [0.8, 0.7]])
    view = compare_datasets(drawn_sets(effects), names=["a", "b"])
    assert view.winner is None
    assert [verdict.best for verdict in view.verdicts] == [0, 1, 0, 1, 0]
    lead = view.lead(1 - view.best)
    here = view.lead_here(1 - view.best)
    assert lead.low < 0 < lead.value
    assert here.high - here.low < lead.high - lead.low
    assert "Over 5 data sets no approach is shown to be the best" in view.sentences()
    assert math.isnan(view.friedman_p)  # two entries: Wilcoxon's test over the sets
    assert view.pairs[0].rank_p == pytest.approx(stats.wilcoxon(view.pairs[0].by_set).pvalue)


def test_lower_is_better_turns_ranks_and_leads() -> None:
    scores = drawn_sets(np.array([[0.5, 0.6, 0.7]] * 6))
    view = compare_datasets(scores, names=["a", "b", "c"], higher_is_better=False)
    assert view.mean_ranks.tolist() == [1.0, 2.0, 3.0]
    assert (view.order, view.winner) == ((0, 1, 2), 0)
    assert view.lead(2).value == pytest.approx(0.2, abs=0.03)
    turned = compare_datasets({name: [-each for each in arrays] for name, arrays in scores.items()}, names=view.names)
    assert turned.lead(2).low == pytest.approx(view.lead(2).low)
    assert turned.friedman_p == view.friedman_p


def test_few_sets_say_so_and_have_no_ranks() -> None:
    view = compare_datasets(drawn_sets(np.array([[0.8, 0.7, 0.6]] * 2)))
    assert math.isnan(view.critical_difference)
    told = view.sentences()
    assert "2 data sets say little about others: the interval for them rests on 1 degrees of freedom." in told
    assert not any("Friedman" in sentence for sentence in told)
    json.dumps(view.to_dict(), allow_nan=False)


def test_one_seed_speaks_of_these_weights_here_and_of_networks_elsewhere() -> None:
    view = compare_datasets(drawn_sets(np.array([[0.8, 0.7]] * 6), seeds=1), names=["a", "b"])
    assert any("these trained weights alone" in sentence for sentence in view.sentences())
    assert view.winner == 0  # six trainings, one a set


def test_what_is_no_comparison_is_refused() -> None:
    scores = drawn_sets(np.array([[0.8, 0.7]] * 2))
    with pytest.raises(ValueError, match="expected two data sets or more, got 1"):
        compare_datasets({"one": scores["set 0"]})
    with pytest.raises(ValueError, match="expected the same entries on every data set"):
        compare_datasets({**scores, "other": scores["set 0"][:1]})
    with pytest.raises(ValueError, match="data set set 1: expected finite scores"):
        compare_datasets({**scores, "set 1": [scores["set 1"][0] * np.inf, scores["set 1"][1]]})


@pytest.mark.slow
@pytest.mark.parametrize("sets", [3, 6])
def test_chance_among_equal_entries_names_a_winner_in_one_of_twenty(sets: int) -> None:
    """Entries that are equal over all sets of the kind, but not on each: the sets are what varies."""
    drawn = np.random.default_rng(sets)
    views = [view_of(0.7 + drawn.normal(0, 0.03, (sets, 2)), seed) for seed in range(300)]
    false = sum(view.winner is not None for view in views)
    covered = sum(view.pairs[0].elsewhere.low <= 0 <= view.pairs[0].elsewhere.high for view in views)
    # 5 % of 300 are 15; outside of 5 to 27 once in 200 at most.
    assert 5 <= false <= 27
    assert covered == 300 - false
    # The interval of these sets must not cover what holds elsewhere: it would be of no other use.
    here = sum(view.pairs[0].here.low <= 0 <= view.pairs[0].here.high for view in views)
    assert here < 0.8 * covered


def view_of(effects: np.ndarray, seed: int) -> DatasetsView:
    return compare_datasets(drawn_sets(effects, seeds=2, images=8, seed=seed), names=["a", "b"])
