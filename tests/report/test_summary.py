"""Sentences from numbers: the winner and the lack of one, what would be needed, and which costs nothing beats."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segbench.compare.evidence import Costs
from segbench.locale import translate
from segbench.report.figures import CostPoint, unbeaten
from segbench.report.markdown import plain
from segbench.report.sections.answer import MOST_WORDS, answer_blocks
from segbench.report.sections.results import with_unit
from segbench.report.summary import pair_sentences, verdict_paragraphs
from segbench.statistics.decide import decide
from segbench.statistics.factors import factor_view
from segbench.statistics.sentences import baseline_sentences


def analysis_of(
    means: dict[str, float],
    *,
    seeds: int = 3,
    images: int = 100,
    noise: float = 0.02,
    seed_sd: float = 0.0,
    **judged: Any,
) -> Any:
    """Returns what the sentences need of an `Analysis`, of entries with the given true means."""
    rng = np.random.default_rng(0)
    base = rng.normal(0.0, 0.1, images)
    values = [
        mean + base + rng.normal(0.0, noise, (seeds, images)) + rng.normal(0.0, seed_sd, (seeds, 1))
        for mean in means.values()
    ]
    costs = {"training_s": [10.0 * (1 + place) for place in range(len(means))]}
    verdict = decide(list(means), values, costs=costs, score="iou_per_image", **judged)
    entries = [
        SimpleNamespace(
            name=name,
            costs=Costs(training_s=10.0 * (1 + place)),
            values=values[place],
            runs=(None,) * seeds,
            collapsed=0,
        )
        for place, name in enumerate(means)
    ]
    levels = [{"network": name} for name in means]
    evidence = SimpleNamespace(entries=entries, score="iou_per_image", labels={}, factors=levels)
    factors = factor_view(values, levels)
    return SimpleNamespace(verdict=verdict, numbers=verdict.numbers, evidence=evidence, factors=factors)


def test_a_winner_is_named() -> None:
    analysis = analysis_of({"unet": 0.9, "segnet": 0.7, "fcn": 0.6})
    assert analysis.verdict.headline() == "Best: unet"
    assert translate(analysis.verdict.headline(), "ru") == "Лучший подход: unet"
    first, told, cheap, needed, speaks = verdict_paragraphs(analysis)
    assert first.startswith("unet reaches iou_per_image 0.9")
    assert "is better than every other approach. The difference from the next, segnet, is +0." in first
    assert (told, cheap, needed) == ("", "", "")  # one factor says what the verdict says
    assert speaks.startswith("The intervals speak of the approaches: trained again with other seeds (3 each here)")
    backwards = analysis_of({"fcn": 0.6, "segnet": 0.7, "unet": 0.9})
    for each in (analysis, backwards):
        count, largest = pair_sentences(each)
        assert count.startswith("3 of 3 pairs differ significantly")
        assert largest.startswith("The largest difference is unet minus fcn: +0.")
    assert analysis.factors.sentences()[0].startswith("network matters: unet minus fcn is +0.3")


def test_nobody_wins_and_the_cheapest_is_named() -> None:
    analysis = analysis_of({"unet": 0.8, "segnet": 0.8001, "fcn": 0.5}, noise=0.1)
    assert analysis.verdict.headline() == "No winner: 2 of 3 approaches may be the best"
    _, _, cheap, needed, _ = verdict_paragraphs(analysis)
    assert cheap == ""  # nobody was shown to be not worse
    analysis = analysis_of({"unet": 0.8, "segnet": 0.8001, "fcn": 0.5}, noise=0.01, margin=0.01)
    best = analysis.verdict.names[analysis.verdict.best]
    told = f"Among those shown to be not worse than {best} by more than 0.010, unet is the quickest to train ("
    assert verdict_paragraphs(analysis)[2].startswith(told)
    analysis = analysis_of({"unet": 0.8, "segnet": 0.8001, "fcn": 0.5}, noise=0.1)
    now = analysis.verdict.needed
    assert now is not None
    assert f"a true difference of {now.detectable:.3f} would" in needed
    assert "with a probability of 80\u00a0%" in needed


def test_the_verdict_tells_what_each_of_two_factors_does() -> None:
    means = {"unet bce": 0.8, "unet dice": 0.8, "segnet bce": 0.6, "segnet dice": 0.6}
    analysis = analysis_of(means)
    values = [entry.values for entry in analysis.evidence.entries]
    grid = [dict(zip(("network", "loss"), name.split(), strict=True)) for name in means]
    analysis.factors = factor_view(values, grid)
    told = verdict_paragraphs(analysis)[1]
    assert told.startswith("network matters: unet minus segnet is +0.")
    assert "loss: no difference could be shown" in told


def test_the_answer_to_many_factors_has_at_most_ninety_words() -> None:
    factors = [f"a factor of many words {number}" for number in range(5)]
    grid = [
        dict(zip(factors, levels, strict=True)) for levels in itertools.product(("one value", "the other"), repeat=5)
    ]
    means = {f"entry {place}": 0.9 if levels[factors[3]] == "one value" else 0.6 for place, levels in enumerate(grid)}
    analysis = analysis_of(means, seeds=2, images=30)
    analysis.factors = factor_view([entry.values for entry in analysis.evidence.entries], grid)
    analysis.evidence.factors = grid
    analysis.order = tuple(standing.index for standing in analysis.verdict.entries)
    analysis.study = None
    lead, findings, holds = answer_blocks(analysis)
    assert lead.paragraphs == ("a factor of many words 3: one value is better than the other",)
    words = " ".join([*lead.paragraphs, *(" ".join(row[1:]) for row in findings.rows), *holds.paragraphs]).split()
    assert 40 < len(words) <= MOST_WORDS
    marks = [mark for _, mark, _ in findings.rows]
    assert marks.count("Shown") == 1
    assert marks[-1] == "And"


def test_a_factor_is_told_by_values_that_were_trained_and_a_collapse_stands_in_the_answer() -> None:
    analysis = analysis_of({"unet": 0.9, "segnet": 0.7, "fcn": 0.2})
    analysis.order = tuple(standing.index for standing in analysis.verdict.entries)
    analysis.study = None
    assert "unet minus fcn" in answer_blocks(analysis)[1].rows[0][2], "the largest difference"
    analysis.evidence.entries[2].collapsed = 3
    rows = answer_blocks(analysis)[1].rows
    assert [kind for kind, _, _ in rows] == ["shown", "bad"], "the two best are told once"
    assert "unet minus segnet" in rows[0][2]
    assert rows[1][1:] == ("Collapsed", "Trainings that predict one class only: fcn (3 of 3).")
    for entry in analysis.evidence.entries:
        entry.collapsed = 3
    assert "unet minus fcn" in answer_blocks(analysis)[1].rows[0][2], "nothing else is there"


@pytest.mark.parametrize(("unit", "title"), [("px", "mean, px"), ("share", "mean")])
def test_a_column_of_a_score_has_its_unit(unit: str, title: str) -> None:
    analysis: Any = SimpleNamespace(evidence=SimpleNamespace(definition={"unit": unit}))
    assert with_unit(analysis, "mean") == title


def test_what_several_share_is_not_one_entrys_merit() -> None:
    analysis = analysis_of({"unet": 0.8, "segnet": 0.8}, noise=0.1)
    values = [entry.values for entry in analysis.evidence.entries]
    analysis.verdict = decide(["unet", "segnet"], values, costs={"training_s": [10.0, 10.0]})
    assert verdict_paragraphs(analysis)[2] == ""


def test_none_of_all_can_be_told_apart() -> None:
    analysis = analysis_of({"unet": 0.8, "segnet": 0.8, "fcn": 0.8}, noise=0.1)
    assert analysis.verdict.headline() == "No winner: each of 3 approaches may be the best"
    (told,) = pair_sentences(analysis)
    assert told.startswith("0 of 3 pairs differ significantly after Holm's correction over all pairs: no difference")
    assert analysis.factors.sentences()[0].startswith("network: no difference could be shown; the largest, ")


def test_two_approaches_have_sentences_of_their_own() -> None:
    same, other = analysis_of({"unet": 0.8, "segnet": 0.8}, noise=0.1), analysis_of({"unet": 0.9, "segnet": 0.6})
    assert same.verdict.headline() == "No winner: the two approaches cannot be told apart"
    assert translate(same.verdict.headline(), "ru") == "Победителя нет: оба подхода неразличимы"
    assert pair_sentences(same)[0].startswith("No difference could be shown, which does not mean that")
    (told,) = pair_sentences(other)
    assert told.startswith("The two differ significantly: unet minus segnet is +0.")
    assert told.endswith("], p < 0.001.")


def test_seeds_that_differ_more_than_entries_need_more_seeds() -> None:
    analysis = analysis_of({"unet": 0.8, "segnet": 0.79}, seeds=2, seed_sd=0.05)
    needed = verdict_paragraphs(analysis)[3]
    assert analysis.verdict.needed.images is None
    assert "With 2 seeds no number of images that somebody may have suffices" in needed
    assert "2 сида" in translate(verdict_paragraphs(analysis)[3], "ru")


def test_one_seed_speaks_of_weights() -> None:
    analysis = analysis_of({"unet": 0.9, "segnet": 0.7}, seeds=1)
    assert "these trained weights" in verdict_paragraphs(analysis)[4]
    assert "об этих обученных весах" in translate(verdict_paragraphs(analysis)[4], "ru")


def test_the_baseline_is_compared_with_all() -> None:
    means = {"unet": 0.9, "segnet": 0.7, "fcn": 0.5, "like segnet": 0.7}
    summary, best = baseline_sentences(analysis_of(means, baseline="segnet").verdict)
    assert summary.endswith("Significantly better: unet; significantly worse: fcn; cannot be told apart: like segnet.")
    assert best.startswith("Best minus baseline, unet minus segnet: +0.19")
    assert baseline_sentences(analysis_of(means).verdict) == []


@pytest.mark.parametrize(("more_cost", "kept"), [(False, ["a", "c"]), (True, ["c", "d"])])
def test_what_no_other_beats(more_cost: bool, kept: list[str]) -> None:
    table = {"a": (1.0, 0.5), "b": (2.0, 0.4), "c": (3.0, 0.9), "d": (4.0, 0.8)}
    points = [
        CostPoint(name=name, cost=cost, value=value, low=value, high=value, strong=True)
        for name, (cost, value) in table.items()
    ]
    assert [point.name for point in unbeaten(points, more_cost=more_cost, more_score=True)] == kept


def test_markup_in_names_is_shown_as_it_is() -> None:
    assert plain("a|b *c* <d>\n[e](f)") == "a\\|b \\*c\\* \\<d\\> \\[e\\](f)"
