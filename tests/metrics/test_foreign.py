"""Masks of other programs are scored for what their values mean, or refused with the answer."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.metrics import score_masks

TRUTH = np.zeros((10, 20), dtype=np.uint8)
TRUTH[:, :10] = 1  # 100 pixels
GUESS = np.zeros((10, 20), dtype=np.uint8)
GUESS[:, 3:12] = 1  # 90 pixels, 70 of them right: IoU 70 / 120
IOU = 70 / 120


def iou(prediction: np.ndarray, target: np.ndarray, **options: object) -> float:
    return score_masks([prediction], [target], ["background", "object"], **options).summary()["iou_pooled"]  # type: ignore[arg-type]


def test_indices_are_the_measure() -> None:
    assert iou(GUESS, TRUTH) == pytest.approx(IOU)


@pytest.mark.parametrize(
    ("prediction", "target", "values", "text"),
    [
        (255 * GUESS, 255 * TRUTH, (0, 255), r"the targets hold .* 0 and 255, .*: .* give values=\(0, 255\)"),
        (GUESS, 255 * TRUTH, (0, (1, 255)), r"the targets hold .* give values=\(0, \(1, 255\)\)"),
        (255 * GUESS, TRUTH, (0, (1, 255)), r"the predictions hold .* give values=\(0, \(1, 255\)\)"),
    ],
)
def test_black_and_white_is_refused_and_read_with_the_answer(
    prediction: np.ndarray, target: np.ndarray, values: tuple[int, object], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        iou(prediction, target)
    assert iou(prediction, target, values=values) == pytest.approx(IOU)


def test_ignored_targets_are_ignored_where_that_is_said() -> None:
    target = np.where(TRUTH == 1, 255, 0)
    assert np.isnan(iou(np.zeros_like(GUESS), target, ignore_index=255))


def test_an_ignored_border_beside_objects_is_no_object() -> None:
    target = TRUTH.copy()
    target[0] = 255
    assert iou(GUESS, target) == pytest.approx(63 / 108)
    with pytest.raises(ValueError, match="give 0 and 1, as by mask == 255"):
        iou(255 * GUESS, target)
    assert iou((255 * GUESS) == 255, target) == pytest.approx(63 / 108)
    assert iou(GUESS + 6, np.where(target == 255, 255, target + 6), values=(6, 7)) == pytest.approx(63 / 108)


def test_planes_of_black_and_white_are_refused() -> None:
    with pytest.raises(ValueError, match="give 0 and 1"):
        score_masks([np.stack([GUESS, GUESS])], [255 * np.stack([TRUTH, TRUTH])], ["a", "b"])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0, 1, 2), "expected values of 2 classes, got 3"),
        ((0, (1, 0)), "the value 0 belongs to two classes"),
        ((0, 200), "the mask holds 1; values are"),
    ],
)
def test_wrong_values_are_refused(values: tuple[object, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        iou(GUESS, TRUTH, values=values)
