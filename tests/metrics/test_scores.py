"""Scores against hand-worked examples, scikit-learn and torchmetrics."""

from __future__ import annotations

import csv
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score, precision_score, recall_score
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.segmentation import MeanIoU

from segbench.metrics import (
    COUNT_SCORES,
    Calibration,
    Counts,
    confusion_rows,
    normalize_confusion,
    score_counts,
    score_masks,
)
from segbench.metrics.definitions import footnote, read_stated
from segbench.metrics.families import with_labels
from segbench.types import ClassMap, Task

SKLEARN = {"iou": jaccard_score, "dice": f1_score, "precision": precision_score, "recall": recall_score}


def masks(classes: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns predictions and targets of different sizes, all classes in each, 10 % ignored."""
    random = np.random.default_rng(seed)
    targets = [random.integers(0, classes, (20 + n, 30)) for n in range(4)]
    predictions = [np.where(random.random(t.shape) < 0.6, t, random.integers(0, classes, t.shape)) for t in targets]
    for target in targets:
        target[random.random(target.shape) < 0.1] = 255
    return predictions, targets


def keep(predictions: list[np.ndarray], targets: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    flat = [np.concatenate([mask.ravel() for mask in group]) for group in (predictions, targets)]
    return flat[0][flat[1] != 255], flat[1][flat[1] != 255]


@pytest.mark.parametrize("name", SKLEARN)
def test_pooled_and_per_image_equal_scikit_learn(name: str) -> None:
    predictions, targets = masks(3)
    scores = score_masks(predictions, targets, 3)
    predicted, true = keep(predictions, targets)
    expected = SKLEARN[name](true, predicted, average=None)
    assert scores.pooled[name] == pytest.approx(expected)
    assert scores.summary()[f"{name}_pooled"] == pytest.approx(expected.mean())
    each = [SKLEARN[name](*keep([p], [t])[::-1], average="macro") for p, t in zip(predictions, targets, strict=True)]
    assert scores.summary()[f"{name}_per_image"] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("name", SKLEARN)
def test_binary_scores_the_foreground(name: str) -> None:
    predictions, targets = masks(2)
    predicted, true = keep(predictions, targets)
    summary = score_masks(predictions, targets, ["skin", "lesion"]).summary()
    assert summary[f"{name}_pooled"] == pytest.approx(SKLEARN[name](true, predicted))
    both = score_masks(predictions, targets, 2, include_background=True).summary()
    assert both[f"{name}_pooled"] == pytest.approx(SKLEARN[name](true, predicted, average="macro"))
    assert summary["pixel_accuracy"] == pytest.approx(accuracy_score(true, predicted))


def test_multilabel_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    targets = [random.random((3, 10, 9)) < 0.5 for _ in range(3)]
    predictions = [t ^ (random.random(t.shape) < 0.2) for t in targets]
    scores = score_masks(predictions, targets, ["a", "b", "c"])
    assert scores.class_map.task is Task.MULTILABEL
    true, predicted = (np.concatenate([m.reshape(3, -1) for m in group], 1).T for group in (targets, predictions))
    assert scores.pooled["iou"] == pytest.approx(jaccard_score(true, predicted, average=None))
    assert scores.summary()["dice_pooled"] == pytest.approx(f1_score(true, predicted, average="macro"))
    assert scores.summary()["pixel_accuracy"] == pytest.approx((true == predicted).mean())


def test_torchmetrics_pooled_index_agrees_where_every_class_occurs() -> None:
    predictions, targets = masks(4)
    predicted, true = (torch.from_numpy(part) for part in keep(predictions, targets))
    expected = MulticlassJaccardIndex(num_classes=4)(predicted, true).item()
    assert score_masks(predictions, targets, 4).summary()["iou_pooled"] == pytest.approx(expected)


def test_torchmetrics_mean_iou_is_the_per_image_mean_where_every_class_is_in_every_image() -> None:
    targets = np.array([[[0, 0], [1, 1]], [[0, 1], [1, 1]]])
    predictions = np.array([[[0, 1], [1, 1]], [[1, 1], [1, 0]]])
    metric = MeanIoU(num_classes=2, input_format="index")
    expected = metric(torch.from_numpy(predictions), torch.from_numpy(targets)).item()
    summary = score_masks(list(predictions), list(targets), 2, include_background=True).summary()
    assert summary["iou_per_image"] == pytest.approx(expected)
    assert summary["iou_pooled"] != pytest.approx(expected)


def test_the_four_pixels_every_library_scores_differently() -> None:
    """Class 2 is nowhere: 0.583 with it left out, 0.722 with it as 1, 0.389 with it as 0 (scikit-learn)."""
    prediction, target = np.array([[0, 1, 0, 1]]), np.array([[0, 1, 0, 0]])
    scores = score_masks([prediction], [target], 3)
    assert scores.pooled["iou"][:2] == pytest.approx([2 / 3, 1 / 2])
    assert math.isnan(scores.pooled["iou"][2])
    assert scores.absent.tolist() == [0, 0, 1]
    assert scores.summary()["iou_pooled"] == pytest.approx(7 / 12)
    assert score_masks([prediction], [target], 3, empty="one").summary()["iou_pooled"] == pytest.approx(13 / 18)
    pair = torch.from_numpy(prediction), torch.from_numpy(target)
    assert MulticlassJaccardIndex(num_classes=3)(*pair).item() == pytest.approx(7 / 12)  # left out of the mean,
    assert MulticlassJaccardIndex(num_classes=3, average=None)(*pair)[2] == 0  # but shown as 0
    assert MeanIoU(num_classes=3, input_format="index", per_class=True)(*pair)[2] == -1
    sklearns = jaccard_score(target.ravel(), prediction.ravel(), labels=[0, 1, 2], average="macro", zero_division=0)
    assert sklearns == pytest.approx(0.389, abs=5e-4)


def test_dropping_ignored_classes_from_the_confusion_turns_iou_into_recall() -> None:
    """Masking the background in the target only (as MMSeg and HF evaluate do): false positives are gone."""
    target, prediction = np.array([[0, 0, 0, 1]]), np.array([[1, 1, 1, 1]])
    with_background = score_masks([prediction], [target], 2).summary()
    masked = score_masks([prediction], [target], 2, ignore_index=0).summary()
    assert with_background["iou_pooled"] == 0.25
    assert masked["iou_pooled"] == masked["recall_pooled"] == 1.0


def test_hand_worked_two_by_two() -> None:
    """One pixel right, one missed, one invented, one rightly empty."""
    summary = score_masks([np.array([[1, 0], [1, 0]])], [np.array([[1, 1], [0, 0]])], 2).summary()
    assert summary["iou_pooled"] == pytest.approx(1 / 3)
    for name in ("dice_pooled", "precision_pooled", "recall_pooled", "pixel_accuracy"):
        assert summary[name] == 0.5


def test_absent_and_only_predicted_classes() -> None:
    empty, some = np.zeros((2, 2), int), np.array([[0, 1], [0, 0]])
    scores = score_masks(
        {"both": empty, "invented": some, "missed": empty}, {"both": empty, "invented": empty, "missed": some}, 2
    )
    assert np.array_equal(scores.per_image["iou"][:, 1], [np.nan, 0, 0], equal_nan=True)
    assert np.array_equal(scores.per_image["dice"][:, 1], [np.nan, 0, 0], equal_nan=True)
    assert np.array_equal(scores.per_image["precision"][:, 1], [np.nan, 0, np.nan], equal_nan=True)
    assert np.array_equal(scores.per_image["recall"][:, 1], [np.nan, np.nan, 0], equal_nan=True)
    assert scores.absent.tolist() == [0, 1]
    ones = score_counts(scores.counts, scores.class_map, empty="one")
    assert ones.per_image["iou"][:, 1].tolist() == [1, 0, 0]
    assert ones.summary()["iou_per_image"] == pytest.approx(1 / 3)
    assert np.array_equal(ones.per_image["precision"][:, 1], [1, 0, np.nan], equal_nan=True)


def test_the_mean_goes_over_classes_of_an_image_first() -> None:
    """Image a has two classes (IoU 1/2 and 1/3), image b one (IoU 1): 5/12 and 1, not the mean of three."""
    targets = {"a": np.array([[0, 0, 0, 1]]), "b": np.array([[0, 0, 0, 0]])}
    predictions = {"a": np.array([[0, 0, 1, 1]]), "b": targets["b"]}
    scores = score_masks(predictions, targets, 3)
    assert scores.image_means("iou") == pytest.approx([(2 / 3 + 1 / 2) / 2, 1.0])
    assert scores.summary()["iou_per_image"] == pytest.approx((7 / 12 + 1) / 2)


@pytest.mark.parametrize("union", [1, 2, 3, 7, 20, 40, 1000, 65536])
def test_thresholded_iou_is_exact(union: int) -> None:
    """Against rational arithmetic, with every overlap (or many): floats are off by a step at multiples of 1/20."""
    overlaps = np.unique(np.linspace(0, union, 241).astype(int))
    tables = np.array([[[5, 0], [union - tp, tp]] for tp in overlaps])
    counts = Counts(
        ids=tuple(map(str, overlaps)), confusion=tables, ignored=np.zeros(len(overlaps), np.int64), task=Task.BINARY
    )
    ours = score_counts(counts, 2).per_image["thresholded_iou"][:, 1]
    exact = [math.ceil(min(max(20 * (Fraction(int(tp), union) - Fraction(1, 2)), 0), 10)) / 10 for tp in overlaps]
    assert ours.tolist() == exact


def test_thresholded_iou_over_classes() -> None:
    targets = [np.array([[0] * 10 + [1] * 10])]
    predictions = [np.array([[0] * 10 + [1] * 8 + [0] * 2])]  # IoU 10/12 -> 0.7, 8/10 -> 0.6
    assert score_masks(predictions, targets, 3).summary()["thresholded_iou"] == pytest.approx(0.65)
    assert score_masks(predictions, targets, 2).summary()["thresholded_iou"] == pytest.approx(0.6)


def test_pixel_accuracy_at_both_levels() -> None:
    targets = [np.zeros((1, 8), int), np.zeros((1, 2), int)]
    predictions = [np.zeros((1, 8), int), np.ones((1, 2), int)]
    summary = score_masks(predictions, targets, 2).summary()
    assert summary["pixel_accuracy"] == 0.8
    assert summary["pixel_accuracy_per_image"] == 0.5


def test_mappings_match_by_id() -> None:
    predictions, targets = masks(3)
    in_order = score_masks(predictions, targets, 3, ids=list("abcd"))
    shuffled = score_masks(
        {k: predictions["abcd".index(k)] for k in "cadb"}, dict(zip("abcd", targets, strict=True)), 3
    )
    assert shuffled.ids == in_order.ids == tuple("abcd")
    assert shuffled.summary() == in_order.summary()


@pytest.mark.parametrize(
    ("predictions", "targets", "words"),
    [
        ({"a": 0, "x": 0}, {"a": 0, "b": 0, "c": 0}, "no prediction for b, c; no target for x"),
        ([0], {"a": 0}, "both as sequences or both as mappings"),
        ([0, 0], [0], "2 predictions, 1 targets and 1 ids"),
        ([0, 7], [0, 0], "image '1': the prediction holds label 7"),
        ([0, 0], [0, -2], "image '1': the target holds label -2"),
    ],
)
def test_wrong_pairs_are_named(predictions: object, targets: object, words: str) -> None:
    def grow(part: object) -> object:
        if isinstance(part, dict):
            return {key: np.full((2, 2), value) for key, value in part.items()}
        return [np.full((2, 2), value) for value in part]  # type: ignore[attr-defined]

    with pytest.raises(ValueError, match=words):
        score_masks(grow(predictions), grow(targets), 3)  # type: ignore[arg-type]


def test_a_doubled_id_is_refused() -> None:
    image = np.zeros((2, 2), int)
    with pytest.raises(ValueError, match=r"no image may count twice.*: a$"):
        score_masks([image, image], [image, image], 2, ids=["a", "a"])


def test_wrong_options_are_refused() -> None:
    image = [np.zeros((2, 2), int)]
    with pytest.raises(ValueError, match='"nan" or "one", got 0'):
        score_masks(image, image, 2, empty=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no class left"):
        score_masks(image, image, 1, include_background=False)
    with pytest.raises(ValueError, match="single text"):
        score_masks(image, image, "ab")
    with pytest.raises(ValueError, match="number of classes, got 0"):
        score_masks(image, image, 0)
    counts = score_masks(image, image, 2).counts
    with pytest.raises(ValueError, match="do not fit a class map of a multiclass task with 3"):
        score_counts(counts, ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,))))


def test_include_background() -> None:
    predictions, targets = masks(3)
    scores = score_masks(predictions, targets, 3, include_background=False)
    assert scores.scored == (1, 2)
    assert scores.summary()["iou_pooled"] == pytest.approx(scores.pooled["iou"][1:].mean())


def test_nothing_to_score_is_nan_without_warnings() -> None:
    scores = score_masks([np.zeros((2, 2), int)], [np.full((2, 2), 255)], 3)
    assert all(math.isnan(value) for value in scores.summary().values())
    assert "–" in scores._repr_html_()


@pytest.mark.parametrize("nothing", [[], {}])
def test_no_images_are_refused(nothing: list | dict) -> None:
    with pytest.raises(ValueError, match="expected at least one prediction and its target, got none"):
        score_masks(nothing, nothing, 2)


def test_definitions_say_level_classes_and_n() -> None:
    scores = score_masks(*masks(2), ["skin", "lesion"])
    assert scores.definitions["iou_pooled"] == (
        "IoU = TP / (TP + FP + FN) of the pixels of all images together, class lesion; a class absent from truth and "
        "prediction is left out; threshold not stated; scored at the size of the masks; pixels labelled 255 in the "
        "target are left out; n = 4 images."
    )
    assert (
        "of each image, mean over 3 classes (a, b, c)"
        in score_masks(*masks(3), list("abc")).definitions["dice_per_image"]
    )
    ones = score_masks(*masks(3), 3, empty="one").definitions
    assert "absent from truth and prediction scores 1" in ones["recall_pooled"]


def test_html_escapes_names_and_explains() -> None:
    page = score_masks(*masks(2), ["<b>", "x & y"])._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "x &amp; y" in page
    assert page.count('title="') == len(COUNT_SCORES)


def test_csv_has_a_row_an_image(tmp_path: Path) -> None:
    predictions, targets = masks(2)
    targets[0][:] = predictions[0][:] = 0
    scores = score_masks(predictions, targets, ["skin", "lesion"])
    scores.write_csv(tmp_path / "scores.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "scores.definitions.json"}
    with (tmp_path / "scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[0]["iou"] == rows[0]["iou[lesion]"] == ""
    assert float(rows[2]["iou"]) == scores.per_image["iou"][2, 1]
    assert float(rows[2]["dice[skin]"]) == scores.per_image["dice"][2, 0]


def test_median_and_worst_images() -> None:
    """21 images with IoU 0/20 to 20/20, and one without any: the worst 5 % of 21 are 2 images."""
    tables = np.array([[[9, 0], [20 - tp, tp]] for tp in range(21)] + [[[9, 0], [0, 0]]])
    counts = Counts(ids=tuple(map(str, range(22))), confusion=tables, ignored=np.zeros(22, np.int64), task=Task.BINARY)
    summary = score_counts(counts, 2).summary()
    assert summary["iou_per_image_median"] == 0.5
    assert summary["iou_per_image_worst5"] == pytest.approx((0 + 1 / 20) / 2)
    assert summary["dice_per_image_median"] == pytest.approx(20 / 30)
    assert summary["dice_per_image_worst5"] == pytest.approx((0 + 2 / 21) / 2)
    one = score_counts(
        Counts(ids=("x",), confusion=tables[7:8], ignored=np.zeros(1, np.int64), task=Task.BINARY), 2
    ).summary()
    assert one["iou_per_image_worst5"] == one["iou_per_image_median"] == pytest.approx(7 / 20)
    with_ones = score_counts(counts, 2, empty="one").summary()
    assert with_ones["iou_per_image_median"] == pytest.approx(10.5 / 20)


def test_areas_are_relative_to_the_true_area() -> None:
    """Twice the area, half the area, invented: +1, -1/2, none; where the pixels lie does not matter."""
    targets = [np.array([[1, 1, 0, 0, 0, 0]]), np.array([[1, 1, 0, 0, 0, 0]]), np.zeros((1, 6), int)]
    predictions = [np.array([[0, 0, 1, 1, 1, 1]]), np.array([[0, 0, 0, 0, 0, 1]]), np.array([[1, 0, 0, 0, 0, 0]])]
    scores = score_masks(predictions, targets, 2)
    assert np.array_equal(scores.per_image["area_bias"][:, 1], [1.0, -0.5, np.nan], equal_nan=True)
    summary = scores.summary()
    assert summary["area_error_per_image"] == 0.75
    assert summary["area_bias_per_image"] == 0.25
    assert scores.definition_of["area_error_per_image"].n_valued == 2
    assert scores.definition_of["area_bias_per_image"].better == "zero"
    for name in ("area_error_per_image", "area_bias_per_image"):
        assert "a class absent from the truth is left out" in scores.definitions[name]
        assert (
            "a class absent from the truth is left out" in score_counts(scores.counts, 2, empty="one").definitions[name]
        )


def test_definitions_carry_threshold_and_resolution() -> None:
    predictions, targets = masks(2)
    scores = score_masks(predictions, targets, ["skin", "lesion"], threshold=0.3, resolution="20x30 pixels")
    for definition in scores.definition_of.values():
        assert definition.threshold == 0.3
        assert "foreground where the probability is above 0.3; scored at 20x30 pixels;" in definition.sentence
    unknown = score_counts(scores.counts, 2)
    assert "threshold not stated; size it was scored at not stated;" in unknown.definitions["iou_pooled"]
    assert unknown.definition_of["iou_pooled"].to_dict()["resolution"] is None
    largest = score_masks(*masks(3), 3, threshold=0.3).definition_of["iou_pooled"]
    assert largest.threshold is None
    assert "every pixel takes its most probable class" in largest.sentence
    other = score_masks(predictions, [np.where(t == 255, 0, t) for t in targets], 2, ignore_index=7)
    assert "pixels labelled 7 in the target" in other.definitions["pixel_accuracy"]


def test_the_footnote_says_what_most_have_and_who_differs() -> None:
    scores = score_masks(*masks(2), ["skin", "lesion"], threshold=0.5, resolution="20x30 pixels")
    common = "foreground where the probability is above 0.5; scored at 20x30 pixels"
    tail = "pixels labelled 255 in the target are left out; n = 4 images"
    levels = "pooled or per image as the name says (pixel_accuracy: pooled; thresholded_iou: per image)"
    classes = "class lesion (pixel_accuracy, pixel_accuracy_per_image: every counted pixel)"
    assert scores.footnote == f"{levels}; {classes}; {common}; {tail}"
    overlaps = [scores.definition_of[name] for name in ("iou_per_image", "dice_per_image")]
    assert footnote(overlaps) == f"per image; class lesion; {common}; {tail}"
    assert footnote([]) == ""
    (error,) = calibration(Task.BINARY).definition_of().values()
    assert f"{overlaps[0].decision} (expected_calibration_error: {error.decision}); scored at 20x30 pixels (" in (
        footnote([*overlaps, error])
    )
    assert footnote([*overlaps, error]).endswith("; n = 4 images (expected_calibration_error: n = 2 images)")
    assert overlaps[0].short == (
        "IoU = TP / (TP + FP + FN), each image, then mean over the images with a value; a class absent from truth and "
        "prediction is left out"
    )
    people = with_labels(scores.footnote)
    assert (
        "(pixel accuracy: pooled; thresholded IoU: per image); class lesion (pixel accuracy, pixel accuracy per"
        in people
    )
    assert people in scores._repr_html_()


def calibration(task: Task) -> Calibration:
    bins = {"pixels": np.array([0, 10]), "confidence_sum": np.array([0.0, 9.0]), "correct": np.array([0, 7])}
    return Calibration(**bins, n_images=2, task=task)


@pytest.mark.parametrize("empty", ["nan", "one"])
def test_a_pooled_mean_says_over_how_many_classes_with_a_value(empty: Literal["nan", "one"]) -> None:
    """Of 5 classes the truth holds 3 and the prediction 2; the last one is nowhere."""
    target, prediction = np.array([[0, 1, 2, 2, 3, 0]]), np.array([[0, 1, 0, 1, 0, 0]])
    names = ["a", "b", "c", "d", "e"]
    scores = score_masks([prediction], [target], names, empty=empty)
    valued = {name: scores.definition_of[f"{name}_pooled"].classes_valued for name in ("iou", "precision", "recall")}
    assert valued == (
        {"iou": 4, "precision": 2, "recall": 4} if empty == "nan" else {"iou": 5, "precision": 3, "recall": 5}
    )
    precision = scores.definition_of["precision_pooled"]
    mean = f"mean over the {valued['precision']} of 5 classes with a value"
    assert f" together, {mean} (of a, b, c, d, e); a class" in precision.sentence
    assert f", {mean};" in precision.short
    assert precision.to_dict()["classes_valued"] == valued["precision"]
    assert np.nanmean(scores.pooled["precision"]) == pytest.approx(scores.summary()["precision_pooled"])
    assert f"precision_pooled: {mean};" in scores.footnote
    assert scores.definition_of["precision_per_image"].classes_valued is None
    full = score_masks([target], [target], names[:4]).definition_of["iou_pooled"]
    assert full.classes_valued == 4
    assert "mean over 4 classes (a, b, c, d);" in full.sentence
    assert "mean" not in full.short


def test_a_class_map_without_a_background_has_none_in_its_definitions() -> None:
    names = ("sky", "road", "car")
    target = np.array([[0, 1, 2]])
    for background in (0, None):
        classes = ClassMap(names=names, values=((0,), (1,), (2,)), background=background)
        scores = score_masks([target], [target], classes)
        assert ("background" in scores.definitions["pixel_accuracy"]) == (background == 0)


def test_every_table_has_its_definitions_beside_it(tmp_path: Path) -> None:
    predictions, targets = masks(2)
    targets[0][:] = predictions[0][:] = 0
    scores = score_masks(predictions, targets, ["skin", "lesion"], threshold=0.5, resolution="20x30 pixels")
    scores.write_csv(tmp_path / "scores_test.csv")
    assert read_stated(tmp_path / "scores_test.csv") == (0.5, "20x30 pixels")
    assert read_stated(tmp_path / "scores_val.csv") is None
    (tmp_path / "scores_val.definitions.json").write_text("[]")
    assert read_stated(tmp_path / "scores_val.csv") is None
    plain = json.loads((tmp_path / "scores_test.definitions.json").read_text())
    assert plain["table"] == "scores_test.csv"
    assert list(plain["scores"]) == list(scores.summary())
    iou = plain["scores"]["iou_per_image"]
    assert iou["value"] == scores.summary()["iou_per_image"]
    assert iou["sentence"] == scores.definitions["iou_per_image"]
    stated = ("level", "classes", "threshold", "resolution", "ignore_index", "range", "better", "n", "n_valued")
    assert [iou[key] for key in stated] == [
        *("per image", ["lesion"], 0.5, "20x30 pixels", 255, [0.0, 1.0], "higher", 4, 3)
    ]


@pytest.mark.parametrize("classes", [3, 2])
def test_the_confusion_matrix(classes: int, tmp_path: Path) -> None:
    predictions, targets = masks(classes)
    names = ["sky", "a, b", "c"][:classes]
    scores = score_masks(predictions, targets, names)
    predicted, true = keep(predictions, targets)
    assert np.array_equal(scores.confusion, confusion_matrix(true, predicted))
    for over, sklearns in (("true", "true"), ("predicted", "pred"), ("all", "all")):
        expected = confusion_matrix(true, predicted, normalize=sklearns)
        assert normalize_confusion(scores.confusion, over) == pytest.approx(expected)  # type: ignore[arg-type]
    assert np.diagonal(normalize_confusion(scores.confusion)) == pytest.approx(scores.pooled["recall"])
    scores.write_confusion_csv(tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["true class", *(f"predicted {name}" for name in names)]
    assert [[int(cell) for cell in row[1:]] for row in rows] == scores.confusion.tolist()


def test_the_confusion_matrix_of_labels() -> None:
    random = np.random.default_rng(0)
    targets = [random.random((3, 10, 9)) < 0.5 for _ in range(3)]
    predictions = [t ^ (random.random(t.shape) < 0.2) for t in targets]
    scores = score_masks(predictions, targets, ["a", "b", "c"])
    assert scores.confusion.shape == (3, 2, 2)
    header, *rows = confusion_rows(scores.confusion, ["a", "b", "c"])
    assert header == ["class", "true negative", "false positive", "false negative", "true positive"]
    tp, fp = scores.counts.tp.sum(0), scores.counts.fp.sum(0)
    assert [[row[4], row[2]] for row in rows] == np.stack([tp, fp], 1).tolist()
    assert normalize_confusion(scores.confusion)[:, 1, 1] == pytest.approx(scores.pooled["recall"])
    assert np.isnan(normalize_confusion(np.zeros((2, 2), np.int64))).all()
    with pytest.raises(ValueError, match="over must be true, predicted or all, got 'rows'"):
        normalize_confusion(scores.confusion, "rows")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"has the shape \(C, C\) or \(C, 2, 2\), got \(2, 3\)"):
        normalize_confusion(np.zeros((2, 3), np.int64))
    with pytest.raises(ValueError, match="names: expected 3 class names, got 1"):
        confusion_rows(scores.confusion, ["a"])


def test_per_class_table() -> None:
    table = score_masks([np.array([[0, 1, 0, 1]])], [np.array([[0, 1, 0, 0]])], ["a", "b", "c"]).per_class_table()
    assert [(row["class"], row["pixels"], row["absent"]) for row in table] == [("a", 3, 0), ("b", 1, 0), ("c", 0, 1)]
    assert table[1]["precision_pooled"] == 0.5
    assert math.isnan(table[2]["iou_per_image"])
