"""Cases: the right images first, a planted label mistake found, entries without masks named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.compare._evidence import Distort, Mask, make_evidence, shifted

from segbench.compare.evidence import Evidence
from segbench.explain.cases import find_disagreements, pick_cases, pick_class_cases


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Returns two entries over 8 images; read only."""
    return make_evidence(tmp_path_factory.mktemp("cases"), count=8)


def test_cases_are_sorted_by_the_mean_over_seeds(evidence: Evidence) -> None:
    values = np.array([[0.1, 0.9, 0.5, 0.3, 0.7, 0.4, 0.6, 0.8], [0.3, 0.9, 0.5, 0.1, 0.7, 0.4, 0.6, 0.8]])
    entry = replace(evidence.entries[0], values=values)
    cases = pick_cases(evidence, entry, count=2)
    assert [case.image_id for case in cases.worst] == ["img_000", "img_003"]  # both 0.2: the first stays first
    assert [case.image_id for case in cases.median] == ["img_002", "img_006"]
    assert [case.image_id for case in cases.best] == ["img_001", "img_007"]
    assert cases.worst[0].seed_scores == (0.1, 0.3)
    assert cases.worst[0].score == pytest.approx(0.2)
    lower = replace(evidence, definition={**evidence.definition, "better": "lower"})
    assert pick_cases(lower, entry, count=1).worst[0].image_id == "img_001"
    assert len(pick_cases(evidence, entry, count=99).median) == 8


def only_on(chosen: str, distort: Distort) -> Distort:
    """Returns the distortion of one image; all others are as the truth."""

    def one(mask: Mask, image_id: str, seed: int) -> Mask:
        return distort(mask, image_id, seed) if image_id == chosen else mask

    return one


def emptied(mask: Mask, image_id: str, seed: int) -> Mask:
    return np.zeros_like(mask)


def test_every_class_has_its_worst_images(tmp_path: Path) -> None:
    distortions = {"a": only_on("img_003", without(1)), "b": only_on("img_001", without(2))}
    evidence = make_evidence(tmp_path, count=4, classes=3, distortions=distortions)
    cases = pick_class_cases(evidence, evidence.entries[0], count=1)
    names = evidence.class_map.names
    assert set(cases) == set(names)
    worst = cases[names[1]].worst[0]
    assert (worst.image_id, worst.score, worst.seed_scores) == ("img_003", 0.0, (0.0, 0.0))
    assert cases[names[1]].score == f"iou_per_image[{names[1]}]"
    assert cases[names[2]].worst[0].score == 1.0
    assert pick_class_cases(evidence, evidence.entries[1], count=1)[names[2]].worst[0].image_id == "img_001"


def without(label: int) -> Distort:
    """Returns a distortion: a class becomes background."""
    return lambda mask, image_id, seed: np.where(mask == label, 0, mask).astype(np.uint8)


def test_a_class_is_judged_where_the_truth_holds_it(tmp_path: Path) -> None:
    evidence = make_evidence(tmp_path, count=4, classes=3, distortions={"a": shifted(0), "b": shifted(2)}, seeds=(0,))
    for name, cases in pick_class_cases(evidence, evidence.entries[1], count=9).items():
        index = evidence.class_map.names.index(name)
        holds = {image_id for image_id in evidence.ids if (evidence.load(image_id)[1] == index).any()}
        assert {case.image_id for case in cases.worst} == holds


class TestDisagreements:
    def test_the_image_that_differs_is_first_with_its_pair(self, tmp_path: Path) -> None:
        distortions = {"a": shifted(0), "b": only_on("img_003", shifted(3)), "c": only_on("img_003", emptied)}
        found = find_disagreements(make_evidence(tmp_path, count=6, distortions=distortions, seeds=(0,)), count=2)
        first = found.cases[0]
        assert first.image_id == "img_003"
        assert first.pair_disagreement == 1.0
        assert "c" in first.pair
        assert first.scores["c"] == 0.0
        assert found.cases[1].disagreement == 0.0
        assert found.mean == pytest.approx(first.disagreement / 6)
        assert len(found.compared) == 3

    def test_the_number_by_hand(self, evidence: Evidence) -> None:
        found = find_disagreements(evidence, count=8)
        case = found.cases[0]
        expected = []
        for seed in range(2):
            first, second = (entry.masks[seed].read(case.image_id) for entry in evidence.entries)
            expected.append(1 - (first & second).sum() / (first | second).sum())
        assert case.disagreement == pytest.approx(np.mean(expected))
        assert "1 - IoU of two foregrounds" in found.definition

    def test_three_classes_are_compared_by_pixels(self, tmp_path: Path) -> None:
        evidence = make_evidence(tmp_path, count=3, classes=3, seeds=(0,))
        found = find_disagreements(evidence, count=1)
        first, second = (entry.masks[0].read(found.cases[0].image_id) for entry in evidence.entries)
        assert found.cases[0].disagreement == pytest.approx((first != second).mean())

    def test_multilabel_is_compared_by_pairs(self, tmp_path: Path, multilabel_pairs: Path) -> None:
        from segbench.data.manifest.read import read_dataset

        manifest = read_dataset(multilabel_pairs, task="multilabel")
        evidence = make_evidence(tmp_path, data=manifest, seeds=(0,))
        found = find_disagreements(evidence, count=1)
        first, second = (entry.masks[0].read(found.cases[0].image_id) for entry in evidence.entries)
        assert first.ndim == 3
        assert found.cases[0].disagreement == pytest.approx((first != second).mean())

    def test_entries_without_masks_are_named(self, tmp_path: Path) -> None:
        distortions = {"a": shifted(0), "b": shifted(2), "c": shifted(3)}
        some = make_evidence(tmp_path, count=2, distortions=distortions, seeds=(0,), without_masks=("b",))
        found = find_disagreements(some)
        assert (found.compared, found.without_masks) == (("a", "c"), ("b",))
        none = replace(some, entries=some.entries[:2])
        assert find_disagreements(none).cases == ()
        assert find_disagreements(none).compared == ("a",)

    def test_two_empty_masks_agree(self, tmp_path: Path) -> None:
        found = find_disagreements(make_evidence(tmp_path, count=2, distortions={"a": emptied, "b": emptied}))
        assert found.mean == 0.0
