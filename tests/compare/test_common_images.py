"""Which images count, and what an image without the classes counts as: by its true mask alone, whoever is compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from segbench.compare.common_images import Common, common_images
from segbench.compare.constant import constant_counts
from segbench.compare.image_scores import ImageScores, pick
from segbench.config.study import AbsentRule
from segbench.errors import RunError
from segbench.metrics.scores import as_class_map, score_counts, score_masks
from segbench.types import Sample, Task

CLASSES = as_class_map(["skin", "lesion"])
FULL, HALF, NONE = [[1, 1]], [[0, 1]], [[0, 0]]
TRUTHS = [FULL, NONE, HALF]  # the second image holds no lesion
IDS = ["full", "none", "half"]


def scored(masks: Sequence[list[list[int]]], score: str = "iou_per_image") -> ImageScores:
    return pick(score, score_masks([*map(np.array, masks)], [*map(np.array, TRUTHS)], CLASSES, ids=IDS), None)


def samples() -> list[Sample]:
    return [
        Sample(id=name, image=name, mask=name, height=1, width=2, image_hash="", mask_hash="", split="test")
        for name in IDS
    ]


def common(*items: ImageScores, absent: AbsentRule = "perfect") -> Common:
    names = [f"net {place}" for place in range(len(items))]
    return common_images(list(zip(names, items, strict=True)), samples(), items[0].definition, names, absent)


QUIET, LOUD, SECOND = (
    scored([FULL, NONE, HALF]),
    scored([FULL, FULL, HALF]),  # a false alarm where nothing is
    scored([HALF, NONE, HALF]),
)


def test_an_empty_image_is_perfect_where_nothing_is_predicted_and_nothing_where_something_is() -> None:
    found = common(QUIET, LOUD)
    assert found.ids == tuple(IDS)
    assert [each.tolist() for each in found.values] == [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    assert found.left_out == ()
    assert found.notes == (
        "images whose true mask holds none of the classes of IoU per image count as 1 where nothing is predicted and "
        "as the worst where something is: none (1 of 3 test images)",
    )
    assert "count as 1 where nothing is predicted" in found.definition.absent
    assert "left out" not in found.definition.absent


def test_a_rule_for_absent_classes_is_not_told_where_no_image_lacks_one() -> None:
    truths = [np.array(each) for each in (HALF, [[1, 0]])]
    third = as_class_map(["skin", "lesion", "hair"])
    for names, told in ((CLASSES, ""), (third, "a class absent from truth and prediction is left out")):
        item = pick("iou_per_image", score_masks(truths, truths, names, ids=IDS[:2]), None)
        found = common_images([("net", item)], samples()[:2], item.definition, ["net"])
        assert found.definition.absent == told


def test_no_entry_changes_the_numbers_of_another() -> None:
    alone = common(QUIET, SECOND)  # nobody predicts anything on the empty image
    for third in (LOUD, QUIET):
        together = common(QUIET, SECOND, third)
        assert together.ids == alone.ids
        for before, after in zip(alone.values, together.values[:2], strict=True):
            np.testing.assert_array_equal(before, after)


def test_the_rule_may_leave_empty_images_out_for_all() -> None:
    found = common(QUIET, LOUD, absent="left_out")
    assert (found.ids, found.left_out) == (("full", "half"), ("none",))
    assert [each.tolist() for each in found.values] == [[1.0, 1.0], [1.0, 1.0]]
    assert "count nowhere: none" in found.notes[0]
    assert found.definition.n_valued == 2


def test_precision_knows_no_right_answer_on_an_empty_image_and_is_0_where_all_is_missed() -> None:
    blind = scored([NONE, NONE, HALF], "precision_per_image")
    found = common(blind, scored([FULL, FULL, HALF], "precision_per_image"))
    assert found.left_out == ("none",)
    assert [each.tolist() for each in found.values] == [[0.0, 1.0], [1.0, 1.0]]
    assert found.notes[1] == (
        "net 0 predicts none of the classes where the true mask holds one, 1 times over its runs: precision per image "
        "is 0 there"
    )


def test_recall_leaves_an_empty_image_out_and_accuracy_needs_no_rule() -> None:
    assert common(scored([HALF, FULL, HALF], "recall_per_image")).values[0].tolist() == [0.5, 1.0]
    found = common(scored([HALF, FULL, HALF], "pixel_accuracy_per_image"))
    assert found.values[0].tolist() == [0.5, 0.0, 1.0]
    assert found.notes == ()


def test_runs_whose_counts_know_other_truths_are_refused() -> None:
    other = score_masks([np.array(HALF)] * 3, [np.array(HALF)] * 3, CLASSES, ids=IDS)
    with pytest.raises(RunError, match="net 1: its counts say another thing about the true mask of none than those"):
        common(QUIET, pick("iou_per_image", other, None))


def test_where_no_truth_holds_the_class_nothing_can_be_left() -> None:
    empty = score_masks([np.array(NONE)] * 3, [np.array(NONE)] * 3, CLASSES, ids=IDS)
    with pytest.raises(
        RunError, match="no test image has a value of IoU per image: no class of it is in any true mask"
    ):
        common(pick("iou_per_image", empty, None), absent="left_out")


@pytest.mark.parametrize(("label", "expected"), [(0, [0.0, 1.0, 0.0]), (1, [1.0, 0.0, 0.5])])
def test_the_constant_answer_is_scored_as_its_masks_would_be(label: int, expected: list[float]) -> None:
    counts = constant_counts(QUIET, np.asarray(label))
    masks = score_masks([np.full((1, 2), label)] * 3, [*map(np.array, TRUTHS)], CLASSES, ids=IDS)
    np.testing.assert_array_equal(counts.confusion, masks.counts.confusion)
    assert common(pick("iou_per_image", score_counts(counts, CLASSES), None)).values[0].tolist() == expected


def test_the_constant_answer_of_several_labels_says_each_of_them_everywhere() -> None:
    truths = [np.array([[[1, 0]], [[0, 0]]]), np.array([[[1, 1]], [[1, 0]]])]
    classes = as_class_map(["a", "b"], Task.MULTILABEL)
    answer = np.broadcast_to(np.array([1, 0])[:, None, None], (2, 1, 2))
    scores = score_masks(truths, truths, classes)
    counts = constant_counts(pick("iou_per_image", scores, None), np.array([1, 0]))
    np.testing.assert_array_equal(counts.confusion, score_masks([answer] * 2, truths, classes).counts.confusion)
