"""Estimates, p values, medians and planning against scipy, autorank, brute force and simulation."""

from __future__ import annotations

import itertools
import json
import math
import warnings

import numpy as np
import pytest
from scipy import stats as scipy_stats

from segbench.statistics.differences import (
    PairDifference,
    VarianceParts,
    compare_pairs,
    contrast,
    holm,
    median_interval,
    plain,
    reverse,
    variance_parts,
)
from segbench.statistics.p_values import signed_rank_p
from segbench.statistics.planning import (
    images_needed,
    minimum_detectable_difference,
    resolvable_margin,
    seeds_needed,
)
from segbench.statistics.variance import decompose, units_of

Scores = list[np.ndarray]


def scores(entries: int = 3, seeds: int = 3, images: int = 40, seed: int = 0, seed_sd: float = 0.01) -> Scores:
    """Returns skewed scores of entries that differ by 0.01 from one to the next."""
    random = np.random.default_rng(seed)
    base = 0.5 + 0.3 * (1 - random.random(images) ** 2)
    return [
        base + 0.01 * k + 0.05 * random.random(images) + seed_sd * random.standard_normal((seeds, 1))
        + 0.02 * random.random((seeds, images))
        for k in range(entries)
    ]  # fmt: skip


def one_pair(values: Scores, groups: np.ndarray | None = None, **options: bool) -> PairDifference:
    return compare_pairs(values[:2], groups=groups, **options)[0]


def test_one_seed_is_the_paired_t_test() -> None:
    first, second = (array[0] for array in scores(2))
    expected = scipy_stats.ttest_rel(first, second)
    interval = expected.confidence_interval(0.95)
    found = contrast([first[None], second[None]], [1, -1])
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.df == len(first) - 1
    assert found.value == pytest.approx((first - second).mean())


def scores_of_two(images: int = 40) -> Scores:
    return [array[:1] for array in scores(2, images=images)]


def test_equal_groups_are_the_t_test_of_their_means() -> None:
    values, groups = scores_of_two(), np.arange(40) % 8
    means = [np.array([(values[0] - values[1])[0, groups == g].mean() for g in range(8)])]
    expected = scipy_stats.ttest_1samp(means[0], 0)
    found = contrast(values, [1, -1], groups=[f"patient {g}" for g in groups])
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.df == pytest.approx(7)
    assert found.low == pytest.approx(expected.confidence_interval().low)


def test_unequal_groups_have_the_right_variance_and_fewer_degrees_of_freedom() -> None:
    sizes = [2, 3, 5, 6, 9, 15]
    groups = np.repeat(np.arange(6), sizes)
    units = units_of(groups, 40)
    random = np.random.default_rng(0)
    drawn = random.standard_normal((20_000, 6))  # means of groups; images of a group are alike
    values = drawn[:, groups]
    parts = decompose([values[:, None, :]], units)
    assert parts.image_cov[:, 0, 0].mean() == pytest.approx((units.weights**2).sum(), rel=0.03)
    # A chi-square variable's squared mean over its variance is half its degrees of freedom.
    found = parts.image_cov[:, 0, 0]
    assert units.df == pytest.approx(2 * found.mean() ** 2 / found.var(), rel=0.06)
    assert units.df < 4
    t = parts.means[:, 0] / np.sqrt(found)
    assert 0.93 < np.mean(np.abs(t) < scipy_stats.t.ppf(0.975, units.df)) < 0.99


def test_mean_squares_equal_the_brute_force_analysis_of_variance() -> None:
    values = scores(1, 4, 15)[0]
    count, images = values.shape
    grand = values.mean()
    seed_ms = images * sum((values[s].mean() - grand) ** 2 for s in range(count)) / (count - 1)
    image_ms = count * sum((values[:, i].mean() - grand) ** 2 for i in range(images)) / (images - 1)
    rest = sum(
        (values[s, i] - values[s].mean() - values[:, i].mean() + grand) ** 2
        for s in range(count)
        for i in range(images)
    ) / ((count - 1) * (images - 1))
    parts = decompose([values], units_of(None, images))
    assert parts.seed_ms[0] * images == pytest.approx(seed_ms)
    assert parts.residual[0] * images == pytest.approx(rest)
    assert parts.image_cov[0, 0] * images * count == pytest.approx(image_ms)
    found = variance_parts(values)
    assert found.seed_sd**2 == pytest.approx((seed_ms - rest) / images)
    assert found.image_sd**2 == pytest.approx((image_ms - rest) / count)
    assert found.residual_sd**2 == pytest.approx(rest)
    # One entry's own interval: MS_image / (S N) + (MS_seed - MS_residual) / (S N), Satterthwaite by hand.
    estimate = contrast([values], [1])
    terms = [(image_ms, images - 1), (seed_ms, count - 1), (-rest, (images - 1) * (count - 1))]
    variance = sum(term for term, _ in terms) / (count * images)
    assert estimate.standard_error**2 == pytest.approx(variance)
    df = variance**2 / sum((term / (count * images)) ** 2 / df for term, df in terms)
    assert estimate.df == pytest.approx(df)
    assert estimate.low == pytest.approx(grand - scipy_stats.t.ppf(0.975, df) * math.sqrt(variance))


def test_variance_parts_are_estimated_without_bias() -> None:
    random = np.random.default_rng(1)
    seed_sd, image_sd, residual_sd, groups = 0.02, 0.05, 0.03, np.arange(40) // 4
    squares = []
    for _ in range(400):
        image, residual = random.standard_normal(10), random.standard_normal((3, 10))
        values = image_sd * image[groups] + residual_sd * residual[:, groups] + seed_sd * random.standard_normal((3, 1))
        found = variance_parts(values, groups)
        squares.append([found.seed_sd**2, found.image_sd**2, found.residual_sd**2])
    expected = [seed_sd**2, image_sd**2, residual_sd**2]
    assert np.mean(squares, axis=0) == pytest.approx(expected, rel=0.12)


def test_two_entries_use_their_own_seeds_and_three_share_theirs() -> None:
    values = scores(4, seed=3)
    two, three = decompose(values[:2], units_of(None, 40)), decompose(values[:3], units_of(None, 40))
    assert two.used_ms == pytest.approx(two.seed_ms)
    assert not two.shared
    assert three.used_ms == pytest.approx(np.full(3, three.seed_ms.mean()))
    assert three.used_df.tolist() == [6, 6, 6]
    assert three.pooled


def test_a_shared_variance_gives_no_more_degrees_of_freedom_than_it_has() -> None:
    shake = np.array([[-1.0], [0.0], [1.0]])
    values = [array + (0.2 + 0.01 * k) * shake for k, array in enumerate(scores(3, seed_sd=0.0))]
    assert contrast(values, [1, -1, 0]).df == pytest.approx(6, rel=0.01)
    assert contrast(values[:2], [1, -1]).df == pytest.approx(4, rel=0.01)  # two separate estimates of 2 each


def test_an_unstable_entry_keeps_its_own_variance() -> None:
    values = scores(6, seed_sd=0.002)
    values[4] = values[4] + np.array([[-0.2], [0.0], [0.2]])
    parts = decompose(values, units_of(None, 40))
    assert parts.keeps_own.tolist() == [False] * 4 + [True, False]
    assert parts.used_ms[4] == parts.seed_ms[4]
    assert parts.used_df.tolist() == [10, 10, 10, 10, 2, 10]  # and leaves the pool
    assert parts.used_ms[0] == pytest.approx(parts.seed_ms[[0, 1, 2, 3, 5]].mean())
    steady = contrast(values, [1, -1, 0, 0, 0, 0])
    assert steady.standard_error < contrast(values, [1, 0, 0, 0, -1, 0]).standard_error


def test_two_collapsed_entries_do_not_hide_each_other() -> None:
    values = scores(8, seed_sd=0.002)
    for k in (2, 5):
        values[k] = values[k] - np.array([[0.3], [0.0], [0.0]])
    parts = decompose(values, units_of(None, 40))
    assert np.flatnonzero(parts.keeps_own).tolist() == [2, 5]
    assert parts.used_df[0] == 12


def test_a_slightly_less_stable_entry_stays_in_the_pool() -> None:
    values = scores(6, seed_sd=0.0)
    shake = np.array([[-1.0], [0.0], [1.0]])
    values = [array + 0.01 * shake * (2.5 if k == 1 else 1) for k, array in enumerate(values)]
    parts = decompose(values, units_of(None, 40))
    assert np.flatnonzero(parts.keeps_own).tolist() == [1]
    assert parts.used_df.tolist() == [12, 2, 12, 12, 12, 12]


def test_an_entry_with_one_seed_borrows_from_the_others() -> None:
    values = scores(4)
    values[1] = values[1][:1]
    parts = decompose(values, units_of(None, 40))
    assert np.isnan(parts.seed_ms[1])
    assert parts.used_ms[1] == pytest.approx(np.nanmean(parts.seed_ms))
    assert parts.used_df[1] == 6
    alone = contrast([values[0][:1], values[1]], [1, -1])
    assert contrast(values, [1, -1, 0, 0]).standard_error > alone.standard_error
    pair = [values[0], values[1]]  # the only variance there is serves both
    mixed = decompose(pair, units_of(None, 40))
    assert mixed.used_ms[1] == mixed.used_ms[0]
    assert mixed.shared
    assert not mixed.pooled


def test_seeds_that_change_nothing_are_no_reason_to_stumble() -> None:
    values = [np.repeat(array[:1], 3, axis=0) for array in scores(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = compare_pairs(values)
    expected = scipy_stats.ttest_rel(values[0][0], values[1][0])
    assert pairs[0].difference.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert pairs[0].parts.seed_sd == pytest.approx(0, abs=1e-9)


def test_the_same_entry_twice_differs_by_nothing() -> None:
    values = scores(1)
    found = one_pair([values[0], values[0][::-1]])
    assert found.difference.value == pytest.approx(0, abs=1e-15)
    assert found.wilcoxon_p == found.permutation_p == 1
    assert found.first_better_frac == 0.5
    assert math.isnan(found.effect_size)
    one = compare_pairs([values[0][:1], values[0][:1]])[0].difference
    assert (one.value, one.low, one.high, one.p) == (0, 0, 0, 1)
    for seed in range(10):
        random = np.random.default_rng(seed)
        first, shift, third = random.random((1, 37)), random.random(), random.random((1, 37))
        pair = compare_pairs([first, first + shift, third])[0]
        assert pair.difference.standard_error == 0  # rounding is no variance, above 0 or below
        assert 0 < pair.difference.p == pair.permutation_p
    shifted = compare_pairs([np.full((1, 9), 0.5), np.full((1, 9), 0.25)])[0]
    assert shifted.difference.p == shifted.permutation_p == 2 / 2**9  # nine signs
    assert shifted.better == 0


def test_holm_by_hand_and_by_brute_force() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    random = np.random.default_rng(0)
    for _ in range(20):
        p = random.random(7) ** 3
        # The largest of (how many p values are at least as large) x p, over those that are no larger.
        adjusted = [min(1, max((p >= other).sum() * other for other in p if other <= own)) for own in p]
        assert holm(p) == pytest.approx(adjusted)
    table = random.random((3, 4))
    assert holm(table) == pytest.approx(np.stack([holm(row) for row in table]))


def test_two_populations_agree_with_autorank() -> None:
    import pandas as pd
    from autorank import autorank  # brings pyplot, so not at the top

    first, second = (array[0] for array in scores_of_two(60))
    found = one_pair([first[None], second[None]])
    assert found.wilcoxon_p == pytest.approx(scipy_stats.wilcoxon(first, second).pvalue)
    data = pd.DataFrame({"a": first, "b": second})
    theirs = autorank(data, force_mode="nonparametric")
    assert theirs.omnibus == "wilcoxon"
    assert found.wilcoxon_p == pytest.approx(2 * min(theirs.pvalue, 1 - theirs.pvalue))  # theirs is one-sided
    assert found.difference.p == pytest.approx(autorank(data, force_mode="parametric").pvalue)


@pytest.mark.parametrize("images", [8, 30, 80])
def test_signed_ranks_of_many_rows_are_those_of_each(images: int) -> None:
    random = np.random.default_rng(5)
    rows = random.standard_normal((12, images))
    rows[3, :2] = 0.0
    rows[4, 1] = -rows[4, 0]  # a tie
    rows[5] = 0.0
    rows[6] = np.round(rows[6], 1)
    expected = [1.0 if not row.any() else scipy_stats.wilcoxon(row).pvalue for row in rows]
    np.testing.assert_array_equal(signed_rank_p(rows), expected)


def test_exact_sign_flips_equal_scipy() -> None:
    first, second = (array[0] for array in scores_of_two(10))
    found = one_pair([first[None], second[None]])
    expected = scipy_stats.permutation_test((first - second,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found.permutation_p == pytest.approx(expected.pvalue)
    assert found.permutation_draws == 0


def test_drawn_sign_flips_agree_with_the_t_test_and_repeat() -> None:
    values = scores_of_two(60)
    values[1] = values[0] + np.random.default_rng(4).normal(0.002, 0.01, 60)
    found = one_pair(values)
    assert found.permutation_draws == 10_000
    assert found.permutation_p == pytest.approx(found.difference.p, abs=0.02)
    assert one_pair(values) == found
    assert compare_pairs(values, seed=1)[0].permutation_p != found.permutation_p


def test_effect_size_share_and_direction() -> None:
    first, second = np.array([[0.5, 0.6, 0.7, 0.9]]), np.array([[0.4, 0.6, 0.8, 0.7]])
    difference = (first - second)[0]
    found = one_pair([first, second])
    assert found.effect_size == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert found.first_better_frac == pytest.approx(2.5 / 4)
    assert one_pair([first, second], higher_is_better=False).first_better_frac == pytest.approx(1.5 / 4)
    far = compare_pairs([first, second - 0.3])[0]
    assert (far.significant, far.better) == (True, 0)
    assert compare_pairs([first, second - 0.3], higher_is_better=False)[0].better == 1


def test_a_turned_pair_is_the_other_difference() -> None:
    values = scores(2)
    turned, there = reverse(one_pair(values)), one_pair(values[::-1])
    assert turned.difference.low == pytest.approx(there.difference.low)
    assert turned.effect_size == pytest.approx(there.effect_size)
    assert turned.first_better_frac == pytest.approx(there.first_better_frac)
    assert (turned.first, turned.second) == (1, 0)


def test_pairs_come_in_order_and_as_plain_values() -> None:
    pairs = compare_pairs(scores(4))
    assert [(pair.first, pair.second) for pair in pairs] == list(itertools.combinations(range(4), 2))
    assert [pair.p_holm for pair in pairs] == pytest.approx(holm([pair.difference.p for pair in pairs]))
    one_seed = compare_pairs(scores_of_two())
    assert json.loads(json.dumps(plain(one_seed), allow_nan=False))[0]["parts"]["seed_sd"] is None


def test_the_median_of_fifty_lies_between_the_18th_and_the_33rd() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1, 51))
    found = median_interval(values)
    assert (found.low, found.high, found.median) == (18, 33, 25.5)
    assert found.coverage == pytest.approx(0.9672, abs=1e-4)  # tables of the binomial distribution
    assert found.note == ""
    assert median_interval(np.stack([values - 1, values + 1])).low == 18


def test_the_median_says_when_images_are_few_or_grouped() -> None:
    assert "12 values are few" in median_interval(range(12)).note
    few = median_interval([3, 1, 2, 5, 4])
    assert (few.low, few.high, few.coverage) == (1, 5, 0.9375)
    assert few.note == "5 values are too few for 95%: smallest to largest covers with 93.8%"
    grouped = median_interval(range(60), groups=[n // 2 for n in range(60)])
    assert grouped.low is None
    assert grouped.note.startswith("no interval: images of one group are not independent")
    assert median_interval(range(60), groups=range(60)).low is not None
    with pytest.raises(ValueError, match="expected one finite value or more, got 2, 1 not finite"):
        median_interval([1.0, math.nan])


@pytest.mark.parametrize("n", [20, 50, 200])
def test_the_median_interval_covers_a_skewed_distribution(n: int) -> None:
    random = np.random.default_rng(n)
    found = [median_interval(row) for row in 1 - random.random((1000, n)) ** 5]
    truth = 1 - 0.5**5
    assert 0.94 < np.mean([each.low <= truth <= each.high for each in found]) < 0.985


PARTS = VarianceParts(seed_sd=0.01, image_sd=0.05, residual_sd=0.02)


def test_planning_follows_the_formula() -> None:
    found = minimum_detectable_difference(PARTS, images=100, seeds=3, entries=4, comparisons=6)
    variance = 0.05**2 / 100 + 0.01**2 / 3 + 0.02**2 / 300
    images, seeds = 0.05**2 / 100 + 0.02**2 / 300, 0.01**2 / 3 + 0.02**2 / 300
    df = variance**2 / (images**2 / 99 + seeds**2 / 8)
    factor = scipy_stats.t.ppf(1 - 0.025 / 6, df) + scipy_stats.t.ppf(0.8, df)
    assert found == pytest.approx(factor * math.sqrt(variance))
    one = minimum_detectable_difference(PARTS, images=100, seeds=3, entries=4)
    factor = scipy_stats.t.ppf(0.975, df) + scipy_stats.t.ppf(0.8, df)
    assert one == pytest.approx(factor * math.sqrt(variance))


def test_planning_answers_with_none_where_nothing_suffices() -> None:
    assert images_needed(0.005, PARTS, seeds=2) is None
    assert seeds_needed(0.005, PARTS, images=100) is None
    assert images_needed(0.0, PARTS, seeds=3) is None
    images = images_needed(0.03, PARTS, seeds=5)
    assert images is not None
    assert minimum_detectable_difference(PARTS, images=images, seeds=5) <= 0.03
    assert minimum_detectable_difference(PARTS, images=images - 1, seeds=5) > 0.03
    seeds = seeds_needed(0.02, PARTS, images=200)
    assert seeds is not None
    assert minimum_detectable_difference(PARTS, images=200, seeds=seeds) <= 0.02
    assert minimum_detectable_difference(PARTS, images=200, seeds=seeds - 1) > 0.02


def test_a_margin_is_planned_as_two_one_sided_tests_find_it() -> None:
    parts = VarianceParts(seed_sd=math.nan, image_sd=0.05, residual_sd=math.nan)
    margin, not_worse = (
        resolvable_margin(parts, images=50, seeds=1, equivalent=equivalent) for equivalent in (True, False)
    )
    random = np.random.default_rng(0)
    shown = []
    for _ in range(2000):
        differences = 0.05 * random.standard_normal(50)
        half = scipy_stats.t.ppf(0.95, 49) * scipy_stats.sem(differences)
        mean = differences.mean()
        shown.append([abs(mean) + half < margin, mean - half > -not_worse])
    assert np.mean(shown, axis=0) == pytest.approx([0.8, 0.8], abs=0.03)
    images = images_needed(0.01, PARTS, seeds=40, margin=True)
    assert images is not None
    assert resolvable_margin(PARTS, images=images, seeds=40) <= 0.01
    assert resolvable_margin(PARTS, images=images - 1, seeds=40) > 0.01
    seeds = seeds_needed(0.02, PARTS, images=200, margin=True)
    assert seeds is not None
    assert (
        resolvable_margin(PARTS, images=200, seeds=seeds)
        <= 0.02
        < resolvable_margin(PARTS, images=200, seeds=seeds - 1)
    )


def test_planning_without_known_seeds_speaks_of_images_alone() -> None:
    parts = VarianceParts(seed_sd=math.nan, image_sd=0.05, residual_sd=math.nan)
    assert images_needed(0.01, parts, seeds=1) == pytest.approx((2 * 0.98 + 0.842) ** 2 * 25, rel=0.02)
    assert seeds_needed(0.01, parts, images=100) is None
    with pytest.raises(ValueError, match="expected 2 seeds or more to plan with, got 1"):
        minimum_detectable_difference(PARTS, images=100, seeds=1)
    with pytest.raises(ValueError, match="expected 2 images or more"):
        minimum_detectable_difference(PARTS, images=1, seeds=3)


@pytest.mark.parametrize(
    ("values", "groups", "message"),
    [
        ([], None, "expected the scores of one entry or more, got none"),
        ([np.zeros(4)], None, r"expected scores of shape \(seeds, images\), got \(4,\) for entry 0"),
        ([np.zeros((1, 4)), np.zeros((2, 5))], None, "the same images for every entry: entry 0 has 4, entry 1 5"),
        ([np.full((2, 4), np.nan)], None, "entry 0 has no score on 4 images; leave those images out"),
        ([np.zeros((2, 4))], [1, 2], "one group for each of the 4 images, got 2"),
        ([np.zeros((2, 4))], [7] * 4, "expected at least 2 groups of images to judge by, got 1"),
        ([np.zeros((2, 1))], None, "expected at least 2 images to judge by, got 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(values: Scores, groups: list[int] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contrast(values, [1] * len(values), groups=groups)


def test_weights_and_levels_are_checked() -> None:
    with pytest.raises(ValueError, match="expected one weight for each of the 3 entries, got 2"):
        contrast(scores(3), [1, -1])
    with pytest.raises(ValueError, match=r"expected a level between 0 and 1, such as 0\.95, got 95"):
        contrast(scores(3), [1, -1, 0], level=95)
