"""Winners, no winners, what they cost, what it would take, and the words for it."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from segbench.statistics.differences import compare_pairs
from segbench.statistics.ranks import rank_distribution
from segbench.statistics.verdict import judge

Scores = list[np.ndarray]


def scores(means: list[float], seeds: int = 3, images: int = 60, seed: int = 0, seed_sd: float = 0.002) -> Scores:
    """Returns scores whose entries differ by the given means, up to noise."""
    random = np.random.default_rng(seed)
    base = 0.3 * random.random(images)
    return [
        base + mean + 0.02 * random.standard_normal(images) + seed_sd * random.standard_normal((seeds, 1))
        + 0.01 * random.standard_normal((seeds, images))
        for mean in means
    ]  # fmt: skip


def test_a_clear_winner() -> None:
    found = judge(["low", "high", "middle"], scores([0.3, 0.5, 0.4]))
    assert (found.best, found.winner, found.together, found.needed) == (1, 1, (1,), None)
    assert [entry.name for entry in found.entries] == ["high", "middle", "low"]
    assert found.speaks_of == "the networks"
    words = found.sentences()
    assert words[0].startswith("high wins: 0.6")
    assert "told apart from each of the other 2; 0.1" in words[0]
    assert "from middle." in words[0]
    assert "speaks of the networks, trained again" in words[1]
    assert np.argmax(found.ranks.probabilities[1]) == 0


def test_no_winner_names_who_stands_together_and_the_cheapest() -> None:
    costs = {
        "training_s": [10.0, 900.0, 700.0, math.nan],
        "images_per_s": [99.0, 5.0, 3.0, 4.0],
        "parameters": [math.nan] * 4,
    }
    found = judge(list("abcd"), scores([0.1, 0.5, 0.5, 0.5]), costs=costs)
    assert found.winner is None
    assert set(found.together) == {1, 2, 3}
    assert found.together[0] == found.best
    assert found.cheapest == {"training_s": 2, "images_per_s": 1}  # a is cheaper still, and worse
    words = found.sentences()
    best, others = found.entries[0].name, ", ".join(found.names[k] for k in found.together[1:])
    assert words[0].startswith("No winner: 2 of the other 3 cannot be told apart from the best")
    assert words[0].endswith(f": {others}.")
    assert f"({best}, 0.6" in words[0]
    assert "The cheapest of them to train is c (700 s)." in words
    assert "The fastest of them is b (5.0 images/s)." in words
    assert "training_s: not known of d, which therefore cannot be the cheapest." in found.warnings


def test_errors_are_better_when_low() -> None:
    found = judge(["a", "b"], scores([0.5, 0.3]), higher_is_better=False, baseline="a")
    assert found.winner == 1
    assert found.entries[0].name == "b"
    assert found.pair(1, 0).better == 1
    assert found.ranks.probabilities[1, 0] > 0.99
    assert "Against the baseline a: better: b." in found.sentences()


def test_together_is_what_the_pairs_say() -> None:
    values = scores([0.50, 0.503, 0.506, 0.51, 0.512, 0.52], seeds=3)
    found = judge(list("abcdef"), values)
    for other in range(6):
        apart = other != found.best and found.pair(found.best, other).significant
        assert (other in found.together) != apart
    assert found.pairs == compare_pairs(values)
    assert 1 < len(found.together) < 6


def test_one_seed_speaks_of_these_weights() -> None:
    found = judge(["a", "b"], scores([0.5, 0.501], seeds=1))
    assert found.speaks_of == "these trained weights"
    assert math.isnan(found.entries[0].used_seed_sd)
    assert found.needed is not None
    assert found.needed.seeds is None
    words = found.sentences()
    assert words[0].startswith("No winner: ")
    assert "This speaks of these trained weights on other images of this kind, not of the networks" in words[2]
    assert "Every network was trained with one seed" in found.warnings[0]
    assert "seeds" not in words[1]


def test_what_it_would_take() -> None:
    found = judge(["a", "b"], scores([0.5, 0.504], seeds=5, images=50, seed_sd=0.0))
    needed = found.needed
    assert needed is not None
    assert needed.images is not None
    assert needed.images > needed.images_now == 50
    assert needed.seeds_now == 5
    assert needed.detectable > needed.difference
    one, other = found.names[needed.first], found.names[needed.second]
    assert found.sentences()[1].startswith(f"To tell {one} from {other}, if they truly differ by the estimated 0.00")
    assert f"about {needed.images:,} images instead of 50 would be needed with 5 seeds" in found.sentences()[1]
    noisy = judge(["a", "b"], scores([0.5, 0.51], seeds=2, seed=3, seed_sd=0.05))
    assert noisy.needed is not None
    assert noisy.needed.images is None
    assert "no number of images suffices with 2 seeds" in noisy.sentences()[1]


def test_warnings_of_few_seeds_few_units_and_unequal_groups() -> None:
    values = scores([0.5, 0.5], seeds=2)
    groups = np.repeat(np.arange(6), [1, 2, 3, 4, 10, 40])
    found = judge(["a", "b"], values, groups=groups)
    assert (found.unit, found.n_units, found.n_images) == ("groups", 6, 60)
    text = " ".join(found.warnings)
    assert "How much seeds matter is estimated with 2 degrees of freedom" in text
    assert "6 independent groups are few" in text
    assert "6 of them are worth 2." in text or "6 of them are worth 3." in text
    assert "over 6 groups of images" in found.method[0]
    assert judge(["a", "b"], scores([0.5, 0.5])).warnings == ()


def test_warnings_of_borrowed_unstable_and_equal_entries() -> None:
    values = scores([0.5, 0.5, 0.5, 0.5, 0.5], seed_sd=0.001)
    values[1] = values[1][:1]
    values[2] = values[2] + np.array([[-0.1], [0.0], [0.1]])
    values[4] = values[3].copy()
    found = judge(list("abcde"), values)
    text = " ".join(found.warnings)
    assert "b has one seed: how much another training would change it is not known" in text
    assert "c varied more between seeds than the others" in text
    assert "The same score on every image: d and e" in text
    assert found.standing(2).keeps_own_seed_sd
    assert found.standing(2).used_seed_sd > 10 * found.standing(0).used_seed_sd
    assert "keeps its own (1 here)" in found.method[1]


def test_against_the_baseline() -> None:
    found = judge(["a", "b", "c", "d"], scores([0.4, 0.5, 0.4, 0.3]), baseline="a")
    assert [found.names[pair.first] for pair in found.against_baseline] == [
        entry.name for entry in found.entries if entry.name != "a"
    ]
    assert {pair.second for pair in found.against_baseline} == {0}
    b = next(pair for pair in found.against_baseline if pair.first == 1)
    assert b.difference.value > 0.08
    assert b.p_holm == found.pair(0, 1).p_holm
    assert "Against the baseline a: better: b; worse: d; for 1 no difference could be shown." in found.sentences()
    assert (
        judge(["a", "b"], scores([0.5, 0.5]), baseline="b")
        .sentences()[2]
        .startswith("The other cannot be told apart from the baseline b")
    )


def test_plain_values_survive_json() -> None:
    found = judge(["a", "b"], scores([0.5, 0.5], seeds=1), costs={"training_s": [1, math.nan]})
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["entries"][0]["parts"]["seed_sd"] is None
    assert plain["costs"] == {"training_s": [1.0, None]}
    assert plain["ranks"]["probabilities"][0][0] + plain["ranks"]["probabilities"][0][1] == pytest.approx(1)
    assert plain["pairs"][0]["difference"]["low"] == found.pairs[0].difference.low


def test_the_same_every_time_and_in_any_order() -> None:
    values = scores([0.5, 0.503, 0.506])
    first, again = judge(list("abc"), values), judge(list("abc"), values)
    assert first.to_dict() == again.to_dict()
    turned = judge(list("cba"), values[::-1])
    assert [entry.name for entry in turned.entries] == [entry.name for entry in first.entries]
    assert turned.pair(2, 0).difference.p == pytest.approx(first.pair(0, 2).difference.p)


def test_twenty_entries_are_judged_in_a_second() -> None:
    values = scores([0.5 + 0.002 * k for k in range(20)], images=200)
    start = time.process_time()
    judge([str(k) for k in range(20)], values)
    assert time.process_time() - start < 2


def test_what_cannot_be_judged_is_refused() -> None:
    values = scores([0.5, 0.5])
    with pytest.raises(ValueError, match="expected two entries or more to compare, got 1"):
        judge(["a"], values[:1])
    with pytest.raises(ValueError, match="expected different names, got a more than once"):
        judge(["a", "a"], values)
    with pytest.raises(ValueError, match="expected the scores of 3 entries, got those of 2"):
        judge(["a", "b", "c"], values)
    with pytest.raises(ValueError, match="expected costs named training_s, images_per_s, parameters, got 'price'"):
        judge(["a", "b"], values, costs={"price": [1, 2]})
    with pytest.raises(ValueError, match="expected one parameters for each of the 2 entries, got 1"):
        judge(["a", "b"], values, costs={"parameters": [1]})
    with pytest.raises(ValueError, match="expected the baseline to be one of a, b, got 'z'"):
        judge(["a", "b"], values, baseline="z")
    with pytest.raises(ValueError, match="expected two different entries of 2, got 1 and 1"):
        judge(["a", "b"], values).pair(1, 1)


def test_ranks_of_two_agree_with_the_p_value() -> None:
    values = scores([0.5, 0.503], seeds=4, seed=2)
    pair = compare_pairs(values)[0]
    ranks = rank_distribution(values, draws=100_000)
    better = 1 if pair.difference.value < 0 else 0
    assert ranks.probabilities[better, 0] == pytest.approx(1 - pair.difference.p / 2, abs=0.006)
    assert ranks.probabilities.sum(axis=0) == pytest.approx([1, 1])
    assert ranks.expected.sum() == pytest.approx(3)
    assert "multivariate t distribution" in ranks.method


def test_ranks_of_equal_entries_are_shared_evenly() -> None:
    values = [scores([0.5], seeds=1)[0]] * 3
    found = rank_distribution(values)
    assert found.probabilities == pytest.approx(np.full((3, 3), 1 / 3), abs=0.02)
    assert rank_distribution(values).probabilities.tolist() == found.probabilities.tolist()


def test_ranks_take_seeds_into_account() -> None:
    stable = rank_distribution(scores([0.5, 0.51], seeds=2, seed_sd=0.0, seed=5))
    values = scores([0.5, 0.51], seeds=2, seed_sd=0.0, seed=5)
    shaky = rank_distribution([array + np.array([[-0.05], [0.05]]) for array in values])
    assert stable.probabilities[1, 0] > 0.95 > shaky.probabilities[1, 0]


def test_masks_that_nobody_trains_again_have_no_seed_part() -> None:
    networks = scores([0.5, 0.5, 0.5], seeds=3, seed_sd=0.2)
    masks = scores([0.9])[0][:1]
    given = [*networks, masks]
    names = ["a", "b", "c", "masks"]
    borrowed, own = judge(names, given), judge(names, given, fixed=[False, False, False, True])
    narrow, wide = own.standing(3).mean, borrowed.standing(3).mean
    assert own.standing(3).used_seed_sd == 0.0
    assert narrow.high - narrow.low < wide.high - wide.low
    alone = stats.sem(masks[0]) * stats.t.ppf(0.975, masks.shape[1] - 1)
    assert narrow.high - narrow.value == pytest.approx(alone)
    assert "What is said of masks holds for these masks alone, whatever made them." in own.warnings
    assert not any("has one seed" in warning for warning in own.warnings)
    with pytest.raises(ValueError, match="True only where one row of scores is given"):
        judge(names, given, fixed=[True, False, False, True])


def test_a_time_that_several_share_names_nobody_and_of_the_smallest_the_best() -> None:
    given = scores([0.5, 0.6, 0.5], seed_sd=0.3)
    costs = {"training_s": [2.0, 2.0, 3.0], "images_per_s": [5.0, math.nan, math.nan], "parameters": [10.0, 10.0, 20.0]}
    found = judge(["a", "b", "c"], given, costs=costs)
    assert found.together[0] in (0, 1)
    assert found.cheapest == {"parameters": found.together[0]}
    assert any("(10 parameters), as 1 more are." in sentence for sentence in found.sentences())
    assert judge(["a", "b", "c"], given, costs={"parameters": [10.0] * 3}).cheapest == {}


def test_differences_without_variation_are_judged_by_sign_flips() -> None:
    same = np.full((1, 3), 0.8)
    found = judge(["a", "b"], [same, same - 0.1])
    assert found.pairs[0].difference.p == found.pairs[0].permutation_p == 0.25
    assert found.winner is None
    assert judge(["a", "b"], [np.full((1, 60), 0.81), np.full((1, 60), 0.80)]).winner == 0


def test_the_plan_with_fixed_masks_counts_the_networks_seeds() -> None:
    networks = scores([0.5], seeds=4, seed_sd=0.02)
    found = judge(["net", "masks"], [*networks, networks[0][:1] + 0.001], fixed=[False, True])
    assert found.needed is not None
    assert found.needed.seeds_now == 4
