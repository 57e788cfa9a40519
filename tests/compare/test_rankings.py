"""Whether the first stays the first when somebody ranks by another rule."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tests.compare._study import write_study

from segbench.compare.rankings import RULES, rank_entries, stability_sentence
from segbench.compare.runs import compare_runs

STEADY = np.array([[0.80, 0.81, 0.79, 0.80]])
RISKY = np.array([[0.95, 0.95, 0.94, 0.10]])  # better on three images of four, and far worse on one


def test_each_rule_by_hand() -> None:
    found = {each.rule: each for each in rank_entries([STEADY, RISKY], higher_is_better=True)}
    assert found["mean"].order == (0, 1)
    assert found["mean"].values == pytest.approx((0.80, 0.735))
    assert (found["median"].order, found["median"].tau) == ((1, 0), -1.0)
    assert found["worst5"].values == pytest.approx((0.79, 0.10))
    assert found["ranks"].values == pytest.approx((1.75, 1.25))
    assert found["ranks"].order == (1, 0)


def test_lower_may_be_better() -> None:
    found = {each.rule: each for each in rank_entries([STEADY, RISKY], higher_is_better=False)}
    assert found["mean"].order == (1, 0)
    assert found["worst5"].values == pytest.approx((0.81, 0.95))
    assert found["ranks"].order == (0, 1)


def test_seeds_are_averaged_image_by_image_and_ties_share_a_rank() -> None:
    both = np.array([[0.2, 0.6], [0.4, 0.8]])
    found = {each.rule: each for each in rank_entries([both, both.copy()], higher_is_better=True)}
    assert found["mean"].values == pytest.approx((0.5, 0.5))
    assert found["ranks"].values == (1.5, 1.5)
    assert found["mean"].order == (0, 1)
    assert math.isnan(found["mean"].tau)


def test_the_sentence_names_who_is_first_by_what() -> None:
    names = ["steady", "risky"]
    assert stability_sentence(rank_entries([STEADY, STEADY - 0.1], higher_is_better=True), names) == (
        "steady ranks first by all 4 ways to rank."
    )
    assert stability_sentence(rank_entries([STEADY, RISKY], higher_is_better=True), names) == (
        "The ranking depends on the rule: steady ranks first by 2 of 4 ways to rank, risky by: median over images, "
        "risky by: mean over images of the rank in each."
    )


def test_a_comparison_has_them_with_a_constant_answer_below(tmp_path: Path) -> None:
    study = write_study(tmp_path, losses={"bce": {"bce": 1}}, images=36, epochs=3)
    comparison = compare_runs(study.path)
    evidence, plain = comparison.evidence, comparison.to_dict()
    assert [each.rule for each in evidence.rankings] == ["mean", "median", "worst5", "ranks"]
    assert all(each.rule in RULES for each in evidence.rankings)
    means = [entry.values.mean() for entry in evidence.entries]
    assert evidence.rankings[0].values == pytest.approx(means)
    assert evidence.constant.shape == (len(evidence.ids),)
    assert plain["constant"] == evidence.constant.mean() < min(means)
    assert plain["rankings"]["mean"]["order"] == ["unet_nearest | bce", "segnet | bce"]


def test_times_of_runs_that_trained_side_by_side_decide_nothing(tmp_path: Path) -> None:
    study = write_study(tmp_path, losses={"bce": {"bce": 1}}, images=36, epochs=3)
    assert compare_runs(study.path).evidence.times_comparable
    facts = study.plan_file.read_text(encoding="utf-8")
    study.plan_file.write_text(facts.replace('"workers": null', '"workers": 2'), encoding="utf-8")
    evidence = compare_runs(study.path).evidence
    assert not evidence.times_comparable
    assert any(
        note.startswith("up to 2 runs trained side by side and slowed each other down") for note in evidence.notes
    )


def test_margin_labels_and_rule_come_from_the_study(tmp_path: Path) -> None:
    labels = {"segnet": "SegNet"}
    study = write_study(tmp_path, images=36, epochs=3, practical=0.03, labels=labels, absent="left_out")
    comparison = compare_runs(study.path)
    assert (comparison.evidence.margin, comparison.evidence.absent) == (0.03, "left_out")
    assert (comparison.evidence.labels, comparison.verdict.margin) == (labels, 0.03)
    other = compare_runs(study.path, margin=0.05, absent="perfect")
    assert other.verdict.margin == 0.05
    assert other.evidence.look is None
    assert other.evidence.problems[0].startswith("this verdict is exploratory")
    assert "practical" not in other.evidence.problems[0]
