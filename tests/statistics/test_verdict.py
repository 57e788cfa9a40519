"""Winners, no winners, what they cost, what it would take, and the words for it."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from segbench.locale import grouped
from segbench.statistics import compare_scores, plan_look
from segbench.statistics.decide import decide
from segbench.statistics.differences import compare_pairs
from segbench.statistics.sentences import first_and_second

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
    found = decide(["low", "high", "middle"], scores([0.3, 0.5, 0.4]))
    assert (found.best, found.winner, found.may_be_best, found.needed) == (1, 1, (1,), None)
    assert (found.ahead, found.ranks) == (None, ((3, 3), (1, 1), (2, 2)))
    assert [entry.name for entry in found.entries] == ["high", "middle", "low"]
    assert found.speaks_of == "the networks"
    words = found.sentences()
    assert words[0] == "Best: high"
    assert words[1].startswith("high reaches score 0.6")
    assert words[1].endswith(", and is better than every other approach.")
    assert words[2].startswith("The difference from the next, middle, is +0.1")
    assert "intervals speak of the approaches: trained again" in words[3]
    assert first_and_second(found).endswith(", shown.")
    small = decide(["low", "high", "middle"], scores([0.3, 0.5, 0.4]), margin=0.15)
    assert first_and_second(small).endswith(", shown; less than 0.150 hardly matters.")


def test_no_winner_names_who_may_be_best_and_the_cheapest_that_is_not_worse() -> None:
    costs = {
        "training_s": [10.0, 900.0, 700.0, math.nan],
        "images_per_s": [99.0, 5.0, 3.0, 4.0],
        "parameters": [math.nan] * 4,
    }
    found = decide(list("abcd"), scores([0.1, 0.5, 0.5, 0.5]), costs=costs, margin=0.05)
    assert found.winner is None
    assert set(found.may_be_best) == set(found.not_worse) == {1, 2, 3}
    assert found.may_be_best[0] == found.not_worse[0] == found.best
    assert found.cheapest == {"training_s": 2, "images_per_s": 1}  # a is cheaper still, and worse
    words = found.sentences()
    best, others = found.entries[0].name, ", ".join(found.names[k] for k in found.may_be_best[1:])
    assert words[0].endswith(" are equivalent, within 0.050")
    assert words[1].startswith(f"The best mean is that of {best}: score 0.6")
    assert words[2] == f"{others}: not different from it by more than 0.050."
    cheap = "c is the quickest to train (11.7\u00a0min a run); b is the fastest to predict (5.00 images/s)"
    assert f"Among those shown to be not worse than {best} by more than 0.050, {cheap}." in words
    assert "training time: not known of d, which therefore cannot be the cheapest." in found.warnings
    undecided = decide(list("abcd"), scores([0.1, 0.5, 0.5, 0.5]), costs=costs, margin=0.001)
    assert (undecided.not_worse, undecided.cheapest) == ((undecided.best,), {})
    assert undecided.headline() == "No winner: 3 of 4 approaches may be the best"
    assert undecided.sentences()[2] == f"As good, or better, may be {others}."


def test_errors_are_better_when_low() -> None:
    found = decide(["a", "b"], scores([0.5, 0.3]), higher_is_better=False, baseline="a")
    assert found.winner == 1
    assert found.entries[0].name == "b"
    assert found.pair(1, 0).better == 1
    assert found.ranks == ((2, 2), (1, 1))
    told = "Significantly better: b; significantly worse: none; cannot be told apart: none."
    assert any(sentence.endswith(told) for sentence in found.sentences())


def test_who_may_be_best_and_the_ranks_agree_with_the_pairs() -> None:
    values = scores([0.50, 0.503, 0.506, 0.51, 0.519, 0.52], seeds=3)
    found = decide(list("abcdef"), values)
    for other in set(range(6)) - {found.best}:
        p = found.pair(found.best, other).difference.p
        assert (other in found.may_be_best) == (p > 2 * 0.05 / 5)
    assert found.pairs == compare_pairs(values)
    assert 1 < len(found.may_be_best) < 6
    for entry, (lowest, highest) in enumerate(found.ranks):
        better = sum(pair.better not in (entry, None) for pair in found.pairs if entry in (pair.first, pair.second))
        assert lowest == 1 + better
        assert highest == 6 - sum(pair.better == entry for pair in found.pairs)


def test_the_winner_needs_no_correction_for_the_number_of_entries() -> None:
    values = scores([0.5, 0.5, 0.5, 0.5, 0.514, 0.5], seed=8)
    found = decide(list("abcdef"), values, margin=0.01)
    against = [found.pair(4, other) for other in (0, 1, 2, 3, 5)]
    assert found.winner == 4
    assert not all(pair.significant for pair in against)  # Holm over all pairs would not have named it
    assert all(pair.difference.low > 0 for pair in against)
    assert {pair.answer for pair in against} == {"better"}
    assert found.ranks[4] == (1, 1)
    assert all(lowest == 2 for entry, (lowest, _) in enumerate(found.ranks) if entry != 4)


def test_answers_with_a_margin() -> None:
    images = np.linspace(-1, 1, 41) * 0.1
    base = 0.5 + images
    wave = 0.02 * np.sin(np.arange(41))
    wave -= wave.mean()
    error = float(stats.sem(wave))
    half = float(stats.t.ppf(0.95, 40)) * error
    first, level = (base + wave)[None], base[None]
    for shift, margin, answer in [
        (0.0, half + 1e-6, "equivalent"),
        (0.0, half - 1e-6, "undecided"),
        (error, half, "not worse"),
        (-error, half, "not better"),
        (5 * error, 1.0, "better"),
        (-5 * error, 1.0, "worse"),
    ]:
        found = decide(["a", "b"], [first + shift, level], margin=margin)
        assert found.pairs[0].answer == answer
        assert found.pair(1, 0).answer == {
            "better": "worse", "worse": "better", "not worse": "not better", "not better": "not worse"
        }.get(answer, answer)  # fmt: skip
    assert decide(["a", "b"], [first, level]).pairs[0].answer is None
    assert decide(["a", "b"], [first, level], bounds=(0, 1)).margin == 0.01
    with pytest.raises(ValueError, match=r"expected a margin above 0, such as 0\.01, got 0"):
        decide(["a", "b"], [first, level], margin=0)


def test_intervals_stay_inside_the_range_of_the_score() -> None:
    random = np.random.default_rng(0)
    values = [np.where(random.random((2, 6)) < 0.9, 1.0, 0.0), np.where(random.random((2, 6)) < 0.5, 1.0, 0.0)]
    free, found = decide(["a", "b"], values), decide(["a", "b"], values, bounds=(0, 1))
    assert max(entry.mean.high for entry in free.entries) > 1
    for entry in found.entries:
        assert 0 <= entry.mean.low <= entry.mean.value <= entry.mean.high <= 1
    assert -1 <= found.pairs[0].difference.low <= found.pairs[0].difference.high <= 1
    with pytest.raises(ValueError, match="expected scores from 0 to 1, got 0 to 1\\.5"):
        decide(["a", "b"], [values[0], values[1] + 0.5], bounds=(0, 1))


def test_a_collapsed_training_widens_nobody_elses_interval() -> None:
    values = scores([0.5, 0.5, 0.5, 0.5], seeds=3)
    values[1] = values[1] + np.array([[-0.4], [-0.4], [0.0]])
    found = decide(list("abcd"), values, collapsed=[0, 2, 0, 0])
    alone = decide(list("acd"), [values[0], values[2], values[3]])
    assert found.standing(0).used_seed_sd == pytest.approx(alone.standing(0).used_seed_sd)
    assert found.standing(1).keeps_own_seed_sd
    assert found.standing(1).failures == (2, 3)
    assert found.standing(0).failures == (0, 3)
    assert found.standing(0).failure_high == pytest.approx(1 - 0.05 ** (1 / 3))
    words = " ".join(found.sentences())
    assert (
        "Trainings of b that predict one class only: 2 of 3, and up to 98\u00a0% may; they count in its mean" in words
    )
    best = found.entries[0].name
    assert (
        f"None of 3 trainings of {best} failed; that up to 63\u00a0% of its trainings do cannot be excluded." in words
    )
    assert "failed" not in " ".join(alone.sentences())
    assert alone.standing(0).failures == (0, 0)
    assert alone.standing(0).failure_high == 1
    with pytest.raises(ValueError, match="expected for each of 4 entries how many of its trainings collapsed"):
        decide(list("abcd"), values, collapsed=[0, 4, 0, 0])


def test_an_entry_that_sometimes_fails_does_not_hide_the_winner() -> None:
    values = scores([0.6, 0.5, 0.5, 0.5], seeds=3)
    values[1] = values[1] - np.array([[0.4], [0.0], [0.0]])
    unknown, known = decide(list("abcd"), values), decide(list("abcd"), values, collapsed=[0, 1, 0, 0])
    assert unknown.winner is None  # so unsure a mean could be anything
    assert (known.winner, known.may_be_best) == (0, (0,))
    assert known.pair(0, 1).difference.low < 0  # which holds the failures
    held = decide(["a", "b"], [values[0], values[1]], collapsed=[0, 1])
    assert first_and_second(held).endswith("; shown without the trainings of b that failed.")
    best_fails = decide(list("abcd"), values, collapsed=[1, 0, 0, 0])
    assert best_fails.winner is None  # its own failures count


def test_nobody_wins_while_an_entry_has_one_seed() -> None:
    values = scores([0.6, 0.5, 0.5])
    found = decide(list("abc"), [values[0], values[1][:1], values[2]])
    assert (found.winner, found.ahead, found.may_be_best) == (None, 0, (0,))
    masks = decide(list("abc"), [values[0], values[1][:1], values[2]], fixed=[False, True, False])
    assert (masks.winner, masks.ahead) == (0, None)


def test_looking_again_uses_a_stricter_level() -> None:
    values = scores([0.5, 0.5092], seed=5)
    once = decide(["a", "b"], values)
    p = once.pairs[0].difference.p
    assert 0.0294 < p <= 0.05
    assert once.winner == 1
    again = decide(["a", "b"], values, look=plan_look(2))
    assert (again.winner, again.pairs[0].significant, again.may_be_best) == (None, False, (1, 0))
    assert again.level == once.level == again.pairs[0].difference.level
    assert again.warnings[0].startswith("This is look 2 at the study, and 1 was planned")
    planned = decide(["a", "b"], values, look=plan_look(1, 2))
    assert planned.winner is None
    assert "Look 1 of 2 at the study: every look uses the level 0.029" in " ".join(planned.method)
    assert (plan_look(1).alpha, plan_look(3, 2).alpha, plan_look(1, 20).alpha) == (0.05, 0.0221, 0.0025)
    with pytest.raises(ValueError, match="expected looks to be counted from 1, got look 0 of 1"):
        plan_look(0)


def test_first_and_second_have_an_interval_that_says_what_the_test_does() -> None:
    told = set()
    for seed in range(80):
        values = scores([0.5, 0.5], seed=seed)
        first = decide(["a", "b"], values)
        again = decide(["a", "b"], values, look=plan_look(5))
        lead = again.pair(again.best, again.entries[1].index).difference
        if first.winner is None or again.winner is not None:
            continue
        words = first_and_second(again)
        assert lead.p < 0.05
        assert lead.low * lead.high > 0
        assert words.endswith(", not shown; the interval is at 98.42\u00a0%, the level of this look.")
        assert "[\u2212" in words
        told.add(seed)
    assert told, "no lead that a first look alone would have shown"


def test_a_lead_over_the_second_alone_names_who_stands_in_the_way() -> None:
    values = scores([0.50, 0.46, 0.44], seed_sd=0.001)
    values[2] = values[2] + np.array([0.2, 0.0, -0.2])[:, None]  # varies so much that nobody is shown to be ahead of it
    found = decide(["a", "b", "c"], values)
    assert found.winner is None
    assert found.entries[1].name == "b"
    assert first_and_second(found).endswith(", shown of these two alone: that a is better than c is not.")


def test_one_seed_speaks_of_these_weights() -> None:
    found = decide(["a", "b"], scores([0.5, 0.501], seeds=1))
    assert found.speaks_of == "these trained weights"
    assert math.isnan(found.entries[0].used_seed_sd)
    assert found.needed is not None
    assert found.needed.seeds is None
    words = found.sentences()
    assert words[0].startswith("No winner: ")
    assert (found.winner, found.ahead) == (None, None)
    assert any("speak of these trained weights on other images of this kind, not of the approaches" in w for w in words)
    assert "Every network was trained with one seed" in found.warnings[0]
    far = decide(["a", "b"], scores([0.5, 0.7], seeds=1))
    assert (far.winner, far.ahead, far.needed) == (None, 1, None)
    assert (
        far.headline() == "No winner: b scored higher on these trained weights, which shows nothing about the networks"
    )
    assert first_and_second(far).endswith(", shown for these trained weights alone.")


def test_what_it_would_take() -> None:
    found = decide(["a", "b"], scores([0.5, 0.504], seeds=5, images=50, seed_sd=0.0))
    needed = found.needed
    assert needed is not None
    assert needed.images is not None
    assert needed.images > needed.images_now == 50
    assert needed.seeds_now == 5
    assert needed.detectable > needed.difference
    one, other = found.names[needed.first], found.names[needed.second]
    told = next(sentence for sentence in found.sentences() if sentence.startswith("To tell"))
    assert told.startswith(f"To tell {one} from {other} at the estimated difference of 0.00")
    assert f"about {grouped(needed.images)} images instead of 50 (with 5 seeds)" in told
    few = decide(["a", "b"], scores([0.5, 0.54], seeds=2, images=4, seed=2, seed_sd=0.03))
    assert few.needed is not None
    assert (few.needed.images, few.needed.seeds, few.needed.too_close) == (None, None, False)
    assert any("more images and more seeds together would be needed; neither" in each for each in few.sentences())
    noisy = decide(["a", "b"], scores([0.5, 0.501], seeds=2, seed=3, seed_sd=0.05))
    assert noisy.needed is not None
    assert noisy.needed.images is None
    assert noisy.needed.too_close
    assert any(": too close to tell apart with any number of images or seeds" in each for each in noisy.sentences())


def test_warnings_of_few_seeds_few_units_and_unequal_groups() -> None:
    values = scores([0.5, 0.5], seeds=2)
    groups = np.repeat(np.arange(6), [1, 2, 3, 4, 10, 40])
    found = decide(["a", "b"], values, groups=groups)
    assert (found.unit, found.n_units, found.n_images) == ("groups", 6, 60)
    text = " ".join(found.warnings)
    assert "How much seeds matter is estimated with 2 degrees of freedom" in text
    assert "6 independent groups are few" in text
    assert "6 of them are worth 2." in text or "6 of them are worth 3." in text
    assert "over 6 groups of images" in found.method[0]
    assert decide(["a", "b"], scores([0.5, 0.5])).warnings == ()


@pytest.mark.parametrize(("groups", "unit"), [([0] * 3 + [1] * 3, "groups"), (None, "test images")])
def test_two_units_have_words_instead_of_an_interval(groups: list[int] | None, unit: str) -> None:
    values = [each[:, : 2 if groups is None else 6] for each in scores([0.5, 0.4])]
    found = decide(["a", "b"], values, groups=groups, bounds=(0.0, 1.0))
    words = found.sentences()
    assert any(each.startswith(f"Two {unit} are too few for intervals") for each in words)
    assert not any("[" in each for each in (*words, first_and_second(found)))
    more = decide(["a", "b"], scores([0.5, 0.4]), bounds=(0.0, 1.0))
    assert "[" in first_and_second(more)


def test_warnings_of_borrowed_unstable_and_equal_entries() -> None:
    values = scores([0.5, 0.5, 0.5, 0.5, 0.5], seed_sd=0.001)
    values[1] = values[1][:1]
    values[2] = values[2] + np.array([[-0.1], [0.0], [0.1]])
    values[4] = values[3].copy()
    found = decide(list("abcde"), values)
    text = " ".join(found.warnings)
    assert "b has one seed: how much another training would change it is not known" in text
    assert "c varied more between seeds than the others" in text
    assert "The same score on every image: d and e" in text
    assert found.standing(2).keeps_own_seed_sd
    assert found.standing(2).used_seed_sd > 10 * found.standing(0).used_seed_sd
    assert "has the larger of its own and the one pooled over the entries" in found.method[1]


def test_against_the_baseline() -> None:
    found = decide(["a", "b", "c", "d"], scores([0.4, 0.5, 0.4, 0.3]), baseline="a")
    assert [found.names[pair.first] for pair in found.against_baseline] == [
        entry.name for entry in found.entries if entry.name != "a"
    ]
    assert {pair.second for pair in found.against_baseline} == {0}
    b = next(pair for pair in found.against_baseline if pair.first == 1)
    assert b.difference.value > 0.08
    assert b.p_holm < found.pair(0, 1).p_holm, "three planned comparisons, not six"
    told = "Significantly better: b; significantly worse: d; cannot be told apart: c."
    assert any(sentence.endswith(told) for sentence in found.sentences())
    alone = decide(["a", "b"], scores([0.5, 0.5]), baseline="b")
    told = "Significantly better: none; significantly worse: none; cannot be told apart: a."
    assert any(sentence.endswith(told) for sentence in alone.sentences())


def test_plain_values_survive_json() -> None:
    found = decide(["a", "b"], scores([0.5, 0.5], seeds=1), costs={"training_s": [1, math.nan]})
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["entries"][0]["parts"]["seed_sd"] is None
    assert plain["costs"] == {"training_s": [1.0, None]}
    assert plain["ranks"] == [[1, 2], [1, 2]]
    assert plain["pairs"][0]["difference"]["low"] == found.pairs[0].difference.low


def test_the_same_every_time_and_in_any_order() -> None:
    values = scores([0.5, 0.503, 0.506])
    first, again = decide(list("abc"), values), decide(list("abc"), values)
    assert first.to_dict() == again.to_dict()
    turned = decide(list("cba"), values[::-1])
    assert [entry.name for entry in turned.entries] == [entry.name for entry in first.entries]
    assert turned.pair(2, 0).difference.p == pytest.approx(first.pair(0, 2).difference.p)


def test_twenty_entries_are_judged_in_a_second() -> None:
    values = scores([0.5 + 0.002 * k for k in range(20)], images=200)
    start = time.process_time()
    decide([str(k) for k in range(20)], values)
    assert time.process_time() - start < 2


def test_what_cannot_be_judged_is_refused() -> None:
    values = scores([0.5, 0.5])
    with pytest.raises(ValueError, match="expected two entries or more to compare, got 1"):
        decide(["a"], values[:1])
    with pytest.raises(ValueError, match="expected different names, got a more than once"):
        decide(["a", "a"], values)
    with pytest.raises(ValueError, match="expected the scores of 3 entries, got those of 2"):
        decide(["a", "b", "c"], values)
    with pytest.raises(ValueError, match="expected costs named training_s, images_per_s, parameters, got 'price'"):
        decide(["a", "b"], values, costs={"price": [1, 2]})
    with pytest.raises(ValueError, match="expected one parameters for each of the 2 entries, got 1"):
        decide(["a", "b"], values, costs={"parameters": [1]})
    with pytest.raises(ValueError, match="expected the baseline to be one of a, b, got 'z'"):
        decide(["a", "b"], values, baseline="z")
    with pytest.raises(ValueError, match="expected two different entries of 2, got 1 and 1"):
        decide(["a", "b"], values).pair(1, 1)


def test_the_ranks_of_equal_entries_are_open() -> None:
    values = [scores([0.5], seeds=1)[0]] * 3
    found = decide(list("abc"), values)
    assert found.ranks == ((1, 3), (1, 3), (1, 3))
    assert found.may_be_best == (0, 1, 2)


def test_ranks_take_seeds_into_account() -> None:
    values = scores([0.5, 0.51], seeds=2, seed_sd=0.0, seed=5)
    stable = decide(["a", "b"], values)
    shaky = decide(["a", "b"], [array + np.array([[-0.05], [0.05]]) for array in values])
    assert stable.ranks == ((2, 2), (1, 1))
    assert shaky.ranks == ((1, 2), (1, 2))


def test_masks_that_nobody_trains_again_have_no_seed_part() -> None:
    networks = scores([0.5, 0.5, 0.5], seeds=3, seed_sd=0.2)
    masks = scores([0.9])[0][:1]
    given = [*networks, masks]
    names = ["a", "b", "c", "masks"]
    borrowed, own = decide(names, given), decide(names, given, fixed=[False, False, False, True])
    narrow, wide = own.standing(3).mean, borrowed.standing(3).mean
    assert own.standing(3).used_seed_sd == 0.0
    assert narrow.high - narrow.low < wide.high - wide.low
    alone = stats.sem(masks[0]) * stats.t.ppf(0.975, masks.shape[1] - 1)
    assert narrow.high - narrow.value == pytest.approx(alone)
    assert "What is said of masks holds for these masks alone, whatever made them." in own.warnings
    assert not any("has one seed" in warning for warning in own.warnings)
    with pytest.raises(ValueError, match="True only where one row of scores is given"):
        decide(names, given, fixed=[True, False, False, True])


def test_a_time_that_several_share_names_nobody_and_of_the_smallest_the_best() -> None:
    given = scores([0.5, 0.6, 0.5], seed_sd=0.3)
    costs = {"training_s": [2.0, 2.0, 3.0], "images_per_s": [5.0, math.nan, math.nan], "parameters": [10.0, 10.0, 20.0]}
    found = decide(["a", "b", "c"], given, costs=costs, margin=2.0)
    assert set(found.not_worse) == {0, 1, 2}
    best_of_small = next(index for index in found.not_worse if index in (0, 1))
    assert found.cheapest == {"parameters": best_of_small}
    assert any("among the smallest (10 parameters, as 1 more)" in sentence for sentence in found.sentences())
    assert decide(["a", "b", "c"], given, costs={"parameters": [10.0] * 3}, margin=2.0).cheapest == {}


def test_differences_without_variation_are_judged_by_sign_flips() -> None:
    same = np.full((1, 3), 0.8)
    found = decide(["a", "b"], [same, same - 0.1])
    assert found.pairs[0].difference.p == found.pairs[0].permutation_p == 0.25
    assert (found.winner, found.ahead) == (None, None)
    assert decide(["a", "b"], [np.full((1, 60), 0.81), np.full((1, 60), 0.80)]).ahead == 0


def test_the_plan_with_fixed_masks_counts_the_networks_seeds() -> None:
    networks = scores([0.5], seeds=4, seed_sd=0.02)
    found = decide(["net", "masks"], [*networks, networks[0][:1] + 0.001], fixed=[False, True])
    assert found.needed is not None
    assert found.needed.seeds_now == 4


def test_plain_arrays_give_the_verdict() -> None:
    values = scores([0.3, 0.5])
    found = compare_scores(np.stack(values))
    assert found.names == ("entry 1", "entry 2")
    assert found.to_dict() == decide(["entry 1", "entry 2"], values).to_dict()
    assert found.winner == 1


def test_absent_seeds_and_images_are_left_out_and_told() -> None:
    values = np.stack(scores([0.3, 0.5]))
    values[0, 2] = np.nan
    values[1, 0, 7] = np.nan
    groups = np.repeat(np.arange(30), 2)
    found = compare_scores(values, names=["a", "b"], groups=groups)
    kept = np.delete(values, 7, axis=2)
    expected = decide(["a", "b"], [kept[0, :2].copy(), kept[1].copy()], groups=np.delete(groups, 7))
    assert found.warnings[0] == "1 of 60 images have no score in at least one training and count nowhere here."
    assert found.warnings[1:] == expected.warnings
    assert [entry.seeds for entry in found.entries] == [3, 2]
    assert found.pairs == expected.pairs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.zeros((2, 5)),
            r"expected scores of shape \(entries, seeds, images\), got \(5,\), not \(seeds, images\), for entry 1",
        ),
        ([np.zeros((1, 5)), np.zeros((1, 6))], "expected the same images for every entry: entry 1 has 5, entry 2 6"),
        (np.full((2, 1, 5), np.nan), "expected a score of every entry, got none for entry 1, entry 2"),
        (np.full((2, 1, 5), np.inf), "NaN where there is none; entry 1 has infinite ones on 5 of 5 images"),
        (np.zeros((2, 1, 0)), "expected at least 2 images to judge by, got 0"),
        ({"unet": [[0.5]]}, r"expected scores of shape \(entries, seeds, images\), got dict"),
        (None, r"expected scores of shape \(entries, seeds, images\), got NoneType"),
        ([[[0.5, "a"]], [[0.5, 0.5]]], r"expected numbers of shape \(entries, seeds, images\)"),
        (np.zeros((1, 2, 5)), "expected two entries or more to compare, got 1"),
        ([], "expected two entries or more to compare, got 0"),
    ],
)
def test_arrays_of_other_shapes_are_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_scores(values)


def test_masked_scores_are_absent_ones() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.05, size=(2, 2, 40))
    mask = np.zeros(values.shape, bool)
    mask[0, 0, 3] = True
    absent = np.where(mask, np.nan, values)
    assert compare_scores(np.ma.array(values, mask=mask)).to_dict() == compare_scores(absent).to_dict()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("aaaaa", "expected one name or number of a group for each of the 5 images"),
        (np.zeros((5, 2)), "expected one name or number of a group for each of the 5 images"),
        ([None, "a", "b", None, "a"], "expected a group of every image, got none for 2 of 5"),
        ([math.nan, 1.0, 1.0, 2.0, 2.0], "expected a group of every image, got none for 1 of 5"),
        (["a"] * 4, "expected one group for each of the 5 images, got 4"),
    ],
)
def test_groups_that_are_none_are_refused(groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_scores(np.zeros((2, 1, 5)), groups=groups)
