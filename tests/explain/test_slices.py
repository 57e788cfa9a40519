"""Attributes against scores: what depends is found, what does not is called nothing, groups are respected."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from tests.compare._evidence import make_evidence

from segbench.compare.evidence import Entry, Evidence
from segbench.errors import ConfigError
from segbench.explain.attributes import ATTRIBUTES, AttributeTable, measure_attributes
from segbench.explain.slices import FINDINGS, MIN_IMAGES, SliceReport, check_finding, check_findings, explain_scores
from segbench.statistics.correlation import difference_of_means, mean_with_interval, rank_correlation
from segbench.statistics.variance import units_of


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Returns evidence over 60 images, one entry; tests give it scores of their own."""
    evidence = make_evidence(tmp_path_factory.mktemp("sixty"), count=60, seeds=(0,))
    return replace(evidence, entries=evidence.entries[:1])


def with_scores(evidence: Evidence, values: np.ndarray, **changes: object) -> tuple[Evidence, Entry]:
    entry = replace(evidence.entries[0], name="unet", values=np.atleast_2d(values))
    return replace(evidence, entries=(entry,), **changes), entry  # type: ignore[arg-type]


def table_of(evidence: Evidence, **columns: np.ndarray) -> AttributeTable:
    return AttributeTable(
        ids=evidence.ids,
        names=tuple(columns),
        values=np.stack(list(columns.values()), axis=1),
        object_name="the class foreground",
        without_object=(),
    )


def explain(evidence: Evidence, values: np.ndarray, **columns: np.ndarray) -> SliceReport:
    changed, entry = with_scores(evidence, values)
    return explain_scores(changed, entry, table_of(changed, **columns))


def test_scores_that_depend_on_an_attribute_are_found(sixty: Evidence) -> None:
    rng = np.random.default_rng(0)
    hair, other = rng.uniform(size=60), rng.uniform(size=60)
    scores = 0.9 - 0.2 * hair + 0.05 * rng.normal(size=(3, 60))
    report = explain(sixty, scores, brightness=other, hair=hair)
    assert [effect.attribute for effect in report.findings] == ["hair"]
    effect = report.effects[0]
    assert effect.attribute == "hair"
    assert effect.low < effect.rho < effect.high < -0.5
    assert effect.worst == "high"
    assert [part.n for part in effect.slices] == [20, 20, 20]
    high = hair > np.quantile(hair, 2 / 3)
    means = scores.mean(axis=0)
    assert effect.slices[2].mean == pytest.approx(means[high].mean())
    assert effect.worst_difference == pytest.approx(means[high].mean() - means[~high].mean())
    assert (len(report.effects), report.n) == (2, 60)


def test_shuffled_scores_are_explained_by_nothing_in_19_of_20(sixty: Evidence) -> None:
    rng = np.random.default_rng(1)
    columns = {name: rng.exponential(size=60) for name in ("hair", "blur", "contrast")}
    skewed = 1.0 - rng.beta(1.5, 8.0, 60)
    found = sum(bool(explain(sixty, rng.permutation(skewed), **columns).findings) for _ in range(200))
    assert 2 <= found <= 18  # 5 % of 200 are 10, with a standard deviation of 3


def test_no_finding_says_so_and_claims_no_more(sixty: Evidence) -> None:
    rng = np.random.default_rng(2)
    report = explain(sixty, rng.uniform(size=60), hair=rng.uniform(size=60), blur=rng.uniform(size=60))
    assert report.findings == ()
    assert (len(report.effects), report.n, report.too_few) == (2, 60, False)


def test_errors_are_worse_when_higher(sixty: Evidence) -> None:
    size = np.linspace(0.0, 1.0, 60)
    definition = {**sixty.definition, "better": "lower"}
    changed, entry = with_scores(sixty, 10.0 * size + np.random.default_rng(0).normal(size=60), definition=definition)
    report = explain_scores(changed, entry, table_of(changed, object_share=size))
    assert report.effects[0].worst == "high"
    assert report.effects[0].worst_difference > 0
    assert report.findings[0].attribute == "object_share"
    assert check_finding(changed, entry, "fails on small objects", table_of(changed, object_share=size)).answer == (
        "not shown"
    )
    flipped = table_of(changed, object_share=1.0 - size)
    assert check_finding(changed, entry, "fails on small objects", flipped).answer == "supported"


def test_constant_and_missing_attributes_are_not_tested(sixty: Evidence) -> None:
    rng = np.random.default_rng(3)
    rare = np.where(np.arange(60) < 19, rng.uniform(size=60), np.nan)
    report = explain(
        sixty, rng.uniform(size=60), object_count=np.ones(60), color_spread=rare, hair=rng.uniform(size=60)
    )
    assert report.untested == {
        "object_count": "it is 1 on all images",
        "color_spread": "only 19 images have a value, 20 are needed",
    }
    assert [effect.attribute for effect in report.effects] == ["hair"]
    level = explain(sixty, np.full(60, 0.5), hair=rng.uniform(size=60))
    assert level.untested == {"hair": "all images have the same score"}
    assert level.effects == ()


def test_yes_or_no_and_tied_attributes_are_sliced_by_value(sixty: Evidence) -> None:
    rng = np.random.default_rng(4)
    touches = (np.arange(60) % 4 == 0).astype(float)
    mostly_zero = np.where(np.arange(60) < 50, 0.0, np.arange(60))
    mostly_one = np.where(np.arange(60) < 5, 0.0, 1.0)
    report = explain(sixty, rng.uniform(size=60), touches_frame=touches, hair=mostly_zero, object_count=mostly_one)
    slices = {effect.attribute: {part.name: part.n for part in effect.slices} for effect in report.effects}
    assert slices["touches_frame"] == {"no": 45, "yes": 15}
    cut = explain(sixty, 0.9 - 0.3 * touches + 0.01 * rng.normal(size=60), touches_frame=touches)
    assert (cut.findings[0].attribute, cut.findings[0].worst) == ("touches_frame", "yes")
    assert slices["hair"] == {"low": 50, "high": 10}
    assert slices["object_count"] == {"low": 5, "high": 55}


def test_too_few_images(sixty: Evidence) -> None:
    few = replace(sixty, ids=sixty.ids[:19])
    changed, entry = with_scores(few, np.linspace(0, 1, 19))
    table = table_of(changed, hair=np.linspace(0, 1, 19))
    report = explain_scores(changed, entry, table)
    assert report.too_few
    assert (report.n, report.effects) == (19, ())
    finding = check_finding(changed, entry, "fails on hair", table)
    assert finding.answer == "too few images"
    assert (finding.n, finding.clues, MIN_IMAGES) == (19, (), 20)


def test_wrong_arguments(sixty: Evidence) -> None:
    changed, entry = with_scores(sixty, np.linspace(0, 1, 60))
    table = table_of(changed, hair=np.linspace(0, 1, 60))
    with pytest.raises(ValueError, match="the attributes belong to other images than the scores"):
        explain_scores(changed, entry, replace(table, ids=table.ids[::-1]))
    with pytest.raises(ValueError, match="level: expected a number between 0 and 1, got 95"):
        explain_scores(changed, entry, table, level=95)
    with pytest.raises(ConfigError, match="there is no finding 'fails on hairs'; did you mean 'fails on hair'"):
        check_finding(changed, entry, "fails on hairs", table)
    with pytest.raises(ConfigError, match="there is no attribute 'blur'"):
        check_finding(changed, entry, "fails on blurred images", table)


class TestFinding:
    NAME = "fails on objects of several contrasting colours"

    def columns(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(5)
        colors = rng.integers(1, 5, 60).astype(float)
        return {
            "dominant_colors": colors,
            "dominant_color_contrast": 20.0 * (colors - 1) + rng.normal(size=60),
            "color_spread": rng.uniform(5, 15, 60),
        }

    def test_it_is_supported_where_it_holds(self, sixty: Evidence) -> None:
        columns = self.columns()
        scores = 0.9 - 0.05 * columns["dominant_colors"] + 0.05 * np.random.default_rng(6).normal(size=60)
        changed, entry = with_scores(sixty, scores)
        test = check_finding(changed, entry, self.NAME, table_of(changed, **columns))
        assert test.answer == "supported"
        assert [clue.supports for clue in test.clues] == [True, True, False]
        assert (test.n, test.clues[0].attribute) == (60, "dominant_colors")
        assert test.clues[0].rho < 0

    def test_the_other_direction_does_not_support_it(self, sixty: Evidence) -> None:
        columns = self.columns()
        changed, entry = with_scores(sixty, 0.5 + 0.05 * columns["dominant_colors"])
        test = check_finding(changed, entry, self.NAME, table_of(changed, **columns))
        assert test.answer == "not shown"
        assert test.clues[0].p > 0.99

    def test_shuffles_are_supported_in_1_of_20(self, sixty: Evidence) -> None:
        rng, columns = np.random.default_rng(7), self.columns()
        answers = []
        for _ in range(200):
            changed, entry = with_scores(sixty, rng.uniform(size=60))
            answers.append(check_finding(changed, entry, self.NAME, table_of(changed, **columns)).answer)
        assert 2 <= answers.count("supported") <= 18

    def test_attributes_are_measured_where_none_are_given(self, sixty: Evidence) -> None:
        entry = sixty.entries[0]
        names = ("dominant_colors", "dominant_color_contrast", "color_spread")
        measured = measure_attributes(sixty, names=names)
        assert check_finding(sixty, entry, self.NAME) == check_finding(sixty, entry, self.NAME, measured)

    def test_every_clue_is_an_attribute(self) -> None:
        assert {clue.attribute for finding in FINDINGS.values() for clue in finding.clues} <= set(ATTRIBUTES)


class TestCorrelation:
    def test_it_agrees_with_scipy_and_bonett_and_wright(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=50)
        y = x + rng.normal(size=50)
        found = rank_correlation(x, y, None, 0.95)
        theirs = stats.spearmanr(x, y)
        assert (found.rho, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
        half = 1.959964 * math.sqrt((1 + found.rho**2 / 2) / 47)
        assert found.low == pytest.approx(math.tanh(math.atanh(found.rho) - half))
        assert found.high == pytest.approx(math.tanh(math.atanh(found.rho) + half))

    def test_a_perfect_order_has_an_interval(self) -> None:
        found = rank_correlation(np.arange(30.0), np.arange(30.0), None, 0.95)
        assert 0.99 < found.low <= found.high <= 1.0

    def test_the_interval_covers(self) -> None:
        rng = np.random.default_rng(1)
        truth = 6 / math.pi * math.asin(0.5 / 2)  # Spearman's rho of a bivariate normal with correlation 0.5
        covered = 0
        for _ in range(400):
            x = rng.normal(size=50)
            found = rank_correlation(x, 0.5 * x + math.sqrt(0.75) * rng.normal(size=50), None, 0.95)
            covered += found.low <= truth <= found.high
        assert 0.92 <= covered / 400 <= 0.98

    def test_groups_are_respected(self) -> None:
        rng = np.random.default_rng(2)
        groups = np.repeat(np.arange(24), 5)
        naive = robust = 0
        for _ in range(200):
            x = rng.normal(size=24)[groups] + 0.3 * rng.normal(size=120)
            y = rng.normal(size=24)[groups] + 0.3 * rng.normal(size=120)
            naive += rank_correlation(x, y, None, 0.95).p < 0.05
            robust += rank_correlation(x, y, groups, 0.95).p < 0.05
        assert naive > 60  # a third and more: groups count five times
        assert robust <= 20

    def test_groups_of_one_change_little(self) -> None:
        rng = np.random.default_rng(3)
        x = rng.normal(size=200)
        y = x + 2 * rng.normal(size=200)
        plain, grouped = rank_correlation(x, y, None, 0.95), rank_correlation(x, y, np.arange(200), 0.95)
        assert grouped.rho == plain.rho
        assert grouped.high - grouped.low == pytest.approx(plain.high - plain.low, rel=0.15)

    def test_means_agree_with_scipy(self) -> None:
        values = np.random.default_rng(4).normal(size=30)
        low, high = stats.t.interval(0.95, 29, loc=values.mean(), scale=stats.sem(values))
        assert mean_with_interval(values, None, 0.95) == pytest.approx((values.mean(), low, high))
        assert all(math.isnan(end) for end in mean_with_interval(values[:1], None, 0.95)[1:])
        same_group = mean_with_interval(values, np.zeros(30), 0.95)
        assert all(math.isnan(end) for end in same_group[1:])

    def test_differences_of_means(self) -> None:
        values = np.random.default_rng(5).normal(size=30)
        chosen = np.arange(30) < 12
        plain = difference_of_means(values, chosen, None, 0.95)
        theirs = stats.ttest_ind(values[chosen], values[~chosen], equal_var=False).confidence_interval()
        assert plain == pytest.approx((values[:12].mean() - values[12:].mean(), theirs.low, theirs.high))
        doubled = difference_of_means(np.repeat(values, 2), np.repeat(chosen, 2), np.repeat(np.arange(30), 2), 0.95)
        assert doubled == pytest.approx(plain, abs=0.05)  # each image twice is no news


def test_the_report_counts_groups(sixty: Evidence) -> None:
    rng = np.random.default_rng(8)
    changed, entry = with_scores(sixty, rng.uniform(size=60), groups=tuple(f"patient {n // 2}" for n in range(60)))
    report = explain_scores(changed, entry, table_of(changed, hair=rng.uniform(size=60)))
    assert report.n_groups == 30
    assert report.n == 60
    large, entry = with_scores(sixty, rng.uniform(size=60), groups=tuple(f"patient {n // 4}" for n in range(60)))
    assert explain_scores(large, entry, table_of(large, hair=rng.uniform(size=60))).too_few
    single, entry = with_scores(sixty, rng.uniform(size=60), groups=sixty.ids)
    assert explain_scores(single, entry, table_of(single, hair=rng.uniform(size=60))).n_groups is None


def all_attributes(values: np.ndarray) -> dict[str, np.ndarray]:
    """Returns name -> row of (16, n) numbers; 0 and 1 where the attribute is yes or no."""
    return {
        name: (row > 0).astype(float) if ATTRIBUTES[name].unit == "yes or no" else row
        for name, row in zip(ATTRIBUTES, values, strict=True)
    }


def test_claims_and_table_are_one_family_and_cannot_contradict_each_other(sixty: Evidence) -> None:
    rng = np.random.default_rng(0)
    columns = all_attributes(rng.normal(size=(len(ATTRIBUTES), 60)))
    scores = columns["brightness"] - 1.4 * columns["blur"] + 0.5 * rng.normal(size=60)  # it does worse on dark images
    report = explain(sixty, scores, **columns)
    assert {effect.attribute for effect in report.findings} == {"brightness", "blur"}
    together = {test.finding: test for test in check_findings(report)}
    assert set(together) == set(FINDINGS)
    assert {name for name, test in together.items() if test.answer == "supported"} == {
        "fails on dark images",
        "fails on blurred images",
    }
    effect_of = {effect.attribute: effect for effect in report.effects}
    for clue in (clue for test in together.values() for clue in test.clues):
        effect = effect_of[clue.attribute]
        assert (clue.rho, clue.p, clue.p_holm) == (effect.rho, effect.p, effect.p_holm)
    opposite = check_findings(explain(sixty, -scores, **columns))
    assert {test.answer for test in opposite} == {"not shown"}  # shown, but the other way round


def test_claims_name_what_is_missing(sixty: Evidence) -> None:
    rng = np.random.default_rng(1)
    columns = all_attributes(rng.normal(size=(len(ATTRIBUTES), 60))) | {"hair": np.zeros(60)}
    found = {test.finding: test for test in check_findings(explain(sixty, rng.uniform(size=60), **columns))}
    assert found["fails on hair"].untested == {"hair": "it is 0 on all images"}
    assert (found["fails on hair"].answer, found["fails on hair"].clues) == ("not shown", ())
    with pytest.raises(ConfigError, match="'fails on small objects' rests on object_share, which was not measured"):
        check_findings(
            explain(
                sixty,
                rng.uniform(size=60),
                dominant_colors=rng.normal(size=60),
                **{name: rng.normal(size=60) for name in ("dominant_color_contrast", "color_spread")},
            )
        )
    few = replace(sixty, ids=sixty.ids[:19])
    changed, entry = with_scores(few, np.linspace(0, 1, 19))
    report = explain_scores(changed, entry, table_of(changed, hair=np.linspace(0, 1, 19)))
    assert {test.answer for test in check_findings(report)} == {"too few images"}


@pytest.mark.parametrize("grouped", [False, True])
def test_the_whole_block_says_something_false_in_one_of_twenty(sixty: Evidence, grouped: bool) -> None:
    """All attributes and all claims, of scores that nothing explains; groups are unequal and alike inside."""
    rng = np.random.default_rng(2)
    sizes = np.array([1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 5, 4])
    groups = np.repeat(np.arange(len(sizes)), sizes) if grouped else np.arange(60)
    false = 0
    for _ in range(120):
        drawn = 0.9 * rng.normal(size=(len(ATTRIBUTES), 60))[:, groups] + 0.4 * rng.normal(size=(len(ATTRIBUTES), 60))
        scores = -np.exp(0.9 * rng.normal(size=60)[groups] + 0.4 * rng.normal(size=60))
        changed, entry = with_scores(sixty, scores, groups=tuple(map(str, groups)) if grouped else None)
        columns = all_attributes(drawn)
        report = explain_scores(changed, entry, table_of(changed, **columns))
        supported = any(test.answer == "supported" for test in check_findings(report))
        false += bool(report.findings) or supported
        assert not supported or report.findings
    assert false <= 13  # 5 % of 120 are 6, with a standard deviation of 2.4


def test_unequal_groups_have_the_degrees_of_freedom_of_the_verdict() -> None:
    rng = np.random.default_rng(3)
    sizes = np.r_[np.full(18, 2), 30, 20]
    groups = np.repeat(np.arange(20), sizes)
    false = 0
    for _ in range(400):
        x, y = (rng.normal(size=20)[groups] + 0.3 * rng.normal(size=len(groups)) for _ in range(2))
        false += rank_correlation(x, y, groups, 0.95).p < 0.05
    assert false <= 20 + 12
    values = rng.normal(size=20)[groups]
    units = units_of(groups, len(groups))
    mean, low, high = mean_with_interval(values, groups, 0.95)
    error = math.sqrt(units.factor * (units.totals(values - mean) ** 2).sum())
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, units.df) * error)


def test_a_correlation_that_one_group_decides_is_not_known() -> None:
    groups = np.repeat(np.arange(20), 3)
    found = rank_correlation((groups == 4).astype(float), np.random.default_rng(0).normal(size=60), groups, 0.95)
    assert (found.low, found.high, found.p) == (-1.0, 1.0, 1.0)
