"""Classes: means by hand, intervals inside [0, 1], what is never predicted, and confusion with its images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.compare._evidence import Mask, make_evidence, shifted

from segbench.compare.evidence import Evidence, Masks
from segbench.explain.classes import class_table
from segbench.metrics.scores import score_masks
from segbench.statistics import compare_scores
from segbench.types import ClassMap


def without_last(mask: Mask, image_id: str, seed: int) -> Mask:
    """Never says class 2; the second seed says it on one image."""
    return np.where((mask == 2) & ((seed == 0) | (image_id != "img_004")), 1, mask).astype(np.uint8)


def never_last(mask: Mask, image_id: str, seed: int) -> Mask:
    return np.where(mask == 2, 1, mask).astype(np.uint8)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Returns three entries over 8 images of three classes; read only."""
    distortions = {"good": shifted(1), "blind": never_last, "nearly blind": without_last}
    return make_evidence(tmp_path_factory.mktemp("classes"), count=8, classes=3, distortions=distortions)


def test_means_go_over_the_images_that_hold_the_class(evidence: Evidence) -> None:
    table = class_table(evidence)
    entry = evidence.entries[0]
    truths = {image_id: evidence.load(image_id)[1] for image_id in evidence.ids}
    scored = [
        score_masks({image_id: masks.read(image_id) for image_id in evidence.ids}, truths, evidence.class_map)
        for masks in entry.masks
    ]
    assert [row.name for row in table.rows] == list(evidence.class_map.names)
    for row in table.rows:
        has = np.array([(truth == row.index).any() for truth in truths.values()])
        assert row.n_images == has.sum()
        assert row.pixel_share == pytest.approx(np.mean([truth == row.index for truth in truths.values()]))
        for key in ("iou", "dice"):
            mean = np.mean([scores.per_image[key][has, row.index] for scores in scored])
            assert getattr(row.scores[0], key) == pytest.approx(mean)
            assert getattr(row.scores[0], f"{key}_pooled") == pytest.approx(
                np.mean([scores.pooled[key][row.index] for scores in scored])
            )
            low, high = (getattr(row.scores[0], f"{key}_{end}") for end in ("low", "high"))
            assert 0.0 <= low < mean < high <= 1.0
    assert (table.n_images, table.without, table.level) == (8, (), 0.95)
    assert table.heat((0, 1)).tolist() == [[row.scores[0].iou, row.scores[1].iou] for row in table.rows]


def test_classes_that_no_run_predicts_are_named(evidence: Evidence) -> None:
    table = class_table(evidence)
    names = evidence.class_map.names
    assert table.never_predicted == {1: (names[2],)}
    assert [table.rows[2].scores[place].runs_without for place in range(3)] == [0, 2, 1]
    assert table.rows[2].scores[1].iou == 0.0
    assert table.rows[2].scores[2].iou > 0.0


def test_confusion_is_a_share_of_the_true_class(evidence: Evidence) -> None:
    table = class_table(evidence)
    for place in range(3):
        assert table.confusion[place].sum(axis=1) == pytest.approx(np.ones(3))
    assert table.confusion[1].tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    pixels = {image_id: int((evidence.load(image_id)[1] == 2).sum()) for image_id in evidence.ids}
    assert set(table.confused[1]) == {(2, 1)}
    images = table.confused[1][2, 1]
    assert len(images) == 6
    assert [pixels[image_id] for image_id in images] == sorted(pixels.values(), reverse=True)[:6]


def test_a_class_on_one_image_has_no_interval_and_one_on_none_no_score(tmp_path: Path) -> None:
    def one_only(mask: Mask, image_id: str, seed: int) -> Mask:
        return mask

    evidence = make_evidence(tmp_path, count=4, classes=3, distortions={"a": one_only, "b": shifted(2)}, seeds=(0,))
    holds = [image_id for image_id in evidence.ids if (evidence.load(image_id)[1] == 2).any()]
    alone = class_table(replace(evidence, ids=(holds[0],))).rows[2]
    assert (alone.n_images, alone.scores[0].iou) == (1, 1.0)
    assert np.isnan(alone.scores[0].iou_low)
    assert np.isnan(alone.scores[0].iou_high)


def test_groups_are_the_units_of_the_interval(evidence: Evidence) -> None:
    groups = ("a", "a", "a", "b", "b", "c", "c", "d")
    score = class_table(replace(evidence, groups=groups)).rows[1].scores[1]
    truths = {image_id: evidence.load(image_id)[1] for image_id in evidence.ids}
    values = [
        np.stack([_iou(masks, truths, evidence.class_map) for masks in entry.masks]) for entry in evidence.entries
    ]
    verdict = compare_scores(values, groups=groups, bounds=(0, 1))
    expected = next(entry.mean for entry in verdict.entries if entry.index == 1)
    assert (score.iou, score.iou_low, score.iou_high) == pytest.approx((expected.value, expected.low, expected.high))
    one = class_table(replace(evidence, groups=("a",) * 8)).rows[1].scores[0]
    assert np.isnan(one.iou_low)


def _iou(masks: Masks, truths: dict[str, Mask], class_map: ClassMap) -> np.ndarray:
    found = score_masks({image_id: masks.read(image_id) for image_id in truths}, truths, class_map)
    return found.per_image["iou"][:, 1]


def test_multilabel_has_no_confusion_and_entries_without_anything_are_named(
    tmp_path: Path, multilabel_pairs: Path
) -> None:
    from segbench.data.manifest.read import read_dataset

    manifest = read_dataset(multilabel_pairs, task="multilabel")
    evidence = make_evidence(tmp_path, data=manifest, seeds=(0,), without_masks=("bad",))
    table = class_table(evidence)
    assert (table.confusion, table.confused, table.without) == ({}, {}, ("bad",))
    assert len(table.rows) == manifest.class_map.num_classes
    assert all(set(row.scores) == {0} for row in table.rows)
