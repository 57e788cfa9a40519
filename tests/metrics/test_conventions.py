"""Other libraries' IoU from our counts equals what the libraries themselves compute from masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torchmetrics.classification import BinaryJaccardIndex, MulticlassJaccardIndex, MultilabelJaccardIndex
from torchmetrics.functional.segmentation import mean_iou
from torchmetrics.segmentation import MeanIoU

from segbench.metrics import explain_conventions, score_masks
from segbench.types import ClassMap, Task

NAMES = {Task.BINARY: ["skin", "lesion"], Task.MULTICLASS: ["road", "car", "sky", "boat"], Task.MULTILABEL: list("abc")}
REDUCTIONS = ("micro", "macro", "micro-imagewise", "macro-imagewise")


def masks(task: Task, seed: int = 0, *, ignored: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Returns predictions and targets of 7 images; the last multiclass class is nowhere, and others miss in images."""
    random = np.random.default_rng(seed)
    labels = 3 if task is Task.MULTICLASS else 2
    shape = (7, 3, 8, 9) if task is Task.MULTILABEL else (7, 8, 9)
    target = random.integers(0, labels, shape)
    target[2][target[2] == labels - 1] = 0
    prediction = np.where(random.random(shape) < 0.6, target, random.integers(0, labels, shape))
    prediction[2][prediction[2] == labels - 1] = 0  # absent from both
    prediction[3][...] = np.where(target[3] == 1, 0, prediction[3])  # missed as a whole
    if ignored:
        target = np.where(random.random(shape) < 0.15, 255, target)
    return prediction, target


def ours(task: Task, prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    counts = score_masks(list(prediction), list(target), NAMES[task]).counts
    return {row.call: row.value for row in explain_conventions(counts, NAMES[task])}


def smp_stats(task: Task, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
    output, truth = torch.from_numpy(prediction), torch.from_numpy(target)
    if task is Task.MULTICLASS:
        ignore = 255 if (target == 255).any() else None
        return smp.metrics.get_stats(output, truth, mode="multiclass", num_classes=4, ignore_index=ignore)
    if task is Task.BINARY:
        output, truth = output[:, None], truth[:, None]
    return smp.metrics.get_stats(output, truth, mode=str(task))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("task", "ignored"), [*((task, False) for task in Task), (Task.MULTICLASS, True)])
def test_equals_segmentation_models_pytorch(task: Task, ignored: bool, seed: int, reduction: str) -> None:
    pair = masks(task, seed, ignored=ignored)
    expected = smp.metrics.iou_score(*smp_stats(task, *pair), reduction=reduction, zero_division=1.0).item()
    assert ours(task, *pair)[f'iou_score(reduction="{reduction}")'] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("task", list(Task))
def test_equals_torchmetrics_mean_iou(task: Task, seed: int) -> None:
    prediction, target = masks(task, seed)
    form, classes = ("one-hot", 3) if task is Task.MULTILABEL else ("index", len(NAMES[task]))
    pair = torch.from_numpy(prediction), torch.from_numpy(target)
    metric = MeanIoU(num_classes=classes, input_format=form)  # type: ignore[arg-type]
    for start in (0, 4):  # two batches
        metric.update(*(part[start : start + 4] for part in pair))
    values = ours(task, prediction, target)
    assert values["segmentation.MeanIoU"] == pytest.approx(metric.compute().item(), abs=1e-6)
    each = mean_iou(*pair, num_classes=classes, input_format=form)  # type: ignore[arg-type]
    assert values["functional.segmentation.mean_iou, then nanmean"] == pytest.approx(each.nanmean().item(), abs=1e-6)
    if task is Task.MULTICLASS:  # images with fewer classes: the two are not the same
        assert abs(values["segmentation.MeanIoU"] - each.mean().item()) > 1e-4


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("task", list(Task))
def test_equals_torchmetrics_jaccard_index(task: Task, seed: int, ignored: bool) -> None:
    prediction, target = masks(task, seed, ignored=ignored)
    ignore = 255 if ignored else None
    metric: Any = {
        Task.BINARY: lambda: BinaryJaccardIndex(ignore_index=ignore),
        Task.MULTICLASS: lambda: MulticlassJaccardIndex(num_classes=4, ignore_index=ignore),
        Task.MULTILABEL: lambda: MultilabelJaccardIndex(num_labels=3, ignore_index=ignore),
    }[task]()
    expected = metric(torch.from_numpy(prediction), torch.from_numpy(target)).item()
    assert ours(task, prediction, target)[f'JaccardIndex(task="{task}")'] == pytest.approx(expected, abs=1e-6)


def test_a_multilabel_class_that_is_nowhere_counts_as_0_in_torchmetrics() -> None:
    prediction, target = masks(Task.MULTILABEL)
    prediction[:, 1] = target[:, 1] = 0
    expected = MultilabelJaccardIndex(num_labels=3)(torch.from_numpy(prediction), torch.from_numpy(target)).item()
    values = ours(Task.MULTILABEL, prediction, target)
    assert values['JaccardIndex(task="multilabel")'] == pytest.approx(expected, abs=1e-6)
    assert values["iou_pooled"] == pytest.approx(1.5 * expected, abs=1e-6)
    assert np.isnan(values["foreground_mean IoU"])


def intersect_and_union(prediction: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    """Returns the mIoU the way MMSegmentation and Hugging Face evaluate do: histograms of areas, then nanmean."""
    inter, predicted, true = np.zeros(classes), np.zeros(classes), np.zeros(classes)
    for guess, truth in zip(prediction, target, strict=True):
        guess, truth = guess[truth != 255], truth[truth != 255]
        for total, values in ((inter, guess[guess == truth]), (predicted, guess), (true, truth)):
            total += np.histogram(values, bins=classes, range=(0, classes - 1))[0]
    with np.errstate(invalid="ignore"):
        return np.nanmean(inter / (predicted + true - inter))


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_equals_the_pooled_miou(task: Task) -> None:
    pair = masks(task, ignored=True)
    assert ours(task, *pair)["mIoU, mean_iou"] == pytest.approx(intersect_and_union(*pair, len(NAMES[task])))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:Mean of empty slice:RuntimeWarning")
@pytest.mark.parametrize("task", list(Task))
def test_equals_the_foreground_mean_of_nnunet(task: Task) -> None:
    """Per image and label; nanmean over images, then mean over labels but 0."""
    prediction, target = masks(task, ignored=True)
    if task is Task.MULTICLASS:
        prediction, target = np.where(prediction == 2, 3, prediction), np.where(target == 2, 3, target)
        assert np.isnan(ours(task, prediction, target)["foreground_mean Dice"])  # class 2 is nowhere
        prediction[0, 0, 0], target[0, 0, 0] = 2, 2
    labels = range(3) if task is Task.MULTILABEL else range(1, len(NAMES[task]))
    means: dict[str, list[float]] = {"Dice": [], "IoU": []}
    for label in labels:
        rows = []
        for guess, truth in zip(prediction, target, strict=True):
            if task is Task.MULTILABEL:
                guess, truth, use = guess[label] == 1, truth[label] == 1, truth[label] != 255
            else:
                guess, truth, use = guess == label, truth == label, truth != 255
            tp, fp, fn = (guess & truth & use).sum(), (guess & ~truth & use).sum(), (~guess & truth & use).sum()
            rows.append((2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn)))
        means["Dice"].append(np.nanmean([row[0] for row in rows]))
        means["IoU"].append(np.nanmean([row[1] for row in rows]))
    values = ours(task, prediction, target)
    for name, per_label in means.items():
        assert values[f"foreground_mean {name}"] == pytest.approx(np.mean(per_label), nan_ok=False)


@pytest.mark.parametrize("task", list(Task))
def test_rows_say_whose_and_why(task: Task) -> None:
    pair = masks(task)
    scores = score_masks(list(pair[0]), list(pair[1]), NAMES[task])
    rows = explain_conventions(scores.counts, NAMES[task])
    assert len({(row.library, row.call) for row in rows}) == len(rows) == 13
    assert all(row.why.endswith(".") and row.why.count(". ") == 0 for row in rows)
    summary = scores.summary()
    assert [row.value for row in rows[:3]] == [
        summary[name] for name in ("iou_per_image", "iou_pooled", "thresholded_iou")
    ]
    distinct = {round(row.value, 6) for row in rows if "Dice" not in row.call}
    assert len(distinct) >= 5  # one prediction, many "IoUs"


def test_no_background_is_named_where_there_is_none() -> None:
    pair = masks(Task.MULTICLASS)
    counts = score_masks(list(pair[0]), list(pair[1]), NAMES[Task.MULTICLASS]).counts
    named = {}
    for background in (0, None):
        values = tuple((index,) for index in range(4))
        classes = ClassMap(names=tuple(NAMES[Task.MULTICLASS]), values=values, background=background)
        named[background] = sum("background" in row.why for row in explain_conventions(counts, classes))
    assert named == {0: 7, None: 0}
    both = masks(Task.MULTILABEL)
    labels = score_masks(list(both[0]), list(both[1]), NAMES[Task.MULTILABEL]).counts
    assert not any("background" in row.why for row in explain_conventions(labels, NAMES[Task.MULTILABEL]))


def test_no_images_are_refused() -> None:
    counts = score_masks([np.zeros((2, 2), int)], [np.zeros((2, 2), int)], 2).counts
    nothing = type(counts)(ids=(), confusion=counts.confusion[:0], ignored=counts.ignored[:0], task=counts.task)
    with pytest.raises(ValueError, match="at least one image"):
        explain_conventions(nothing, 2)
