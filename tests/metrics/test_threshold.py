"""Counts at many thresholds are those of one threshold at a time, and the best one is what a search finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from segbench.metrics import ThresholdSweep, confusion_from_logits, score_counts
from segbench.metrics.confusion import logit_of
from segbench.metrics.threshold import THRESHOLDS
from segbench.types import ClassMap, Task

MAPS = {
    Task.BINARY: ClassMap(names=("skin", "lesion"), values=((0,), (1,)), task=Task.BINARY),
    Task.MULTILABEL: ClassMap(names=("a", "b", "c"), values=((1,),) * 3, task=Task.MULTILABEL, background=None),
}
with_thresholds = pytest.mark.parametrize("task", [Task.BINARY, Task.MULTILABEL])


def example(task: Task, shift: float = 0.0) -> tuple[list[str], Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    channels = 1 if task is Task.BINARY else 3
    target = torch.randint(0, 2, (6, channels, 12, 9), generator=generator)
    logits = 2.0 * target - 1.0 + 1.5 * torch.randn(target.shape, generator=generator) + shift
    logits[0, 0, 0, :3] = torch.tensor([0.0, -60.0, 60.0])
    target[2, :, :4] = 255
    return [f"image {i}" for i in range(6)], logits, target[:, 0] if task is Task.BINARY else target


def sweep(task: Task, ids: list[str], logits: Tensor, target: Tensor, size: int = 4) -> ThresholdSweep:
    found = ThresholdSweep(task)
    for start in range(0, len(ids), size):
        part = slice(start, start + size)
        found.add(ids[part], logits[part], target[part])
    return found


@with_thresholds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_counts_equal_those_of_one_threshold(task: Task, dtype: torch.dtype) -> None:
    ids, logits, target = example(task)
    logits = logits.to(dtype)
    found = sweep(task, ids, logits, target)
    assert found.thresholds == THRESHOLDS
    for threshold in THRESHOLDS:
        table, ignored = confusion_from_logits(logits, target, task, threshold=threshold)
        counts = found.counts(threshold)
        assert np.array_equal(counts.confusion, table.numpy())
        assert np.array_equal(counts.ignored, ignored.numpy())
        assert counts.ids == tuple(ids)
        assert counts.task is task


@with_thresholds
def test_logits_exactly_at_a_threshold_are_not_above_it(task: Task) -> None:
    ids, logits, target = example(task)
    for threshold in (0.05, 0.35, 0.95):
        exactly = torch.full_like(logits, logit_of(threshold))
        table = confusion_from_logits(exactly, target, task, threshold=threshold)[0]
        assert np.array_equal(sweep(task, ids, exactly, target).counts(threshold).confusion, table.numpy())


@with_thresholds
@pytest.mark.parametrize("score", ["iou_per_image", "dice_pooled", "iou_per_image_worst5"])
@pytest.mark.parametrize("shift", [0.0, -1.5, 1.0])
def test_best_is_the_best_of_a_search(task: Task, score: str, shift: float) -> None:
    ids, logits, target = example(task, shift)
    found = sweep(task, ids, logits, target)
    choice = found.best(score, MAPS[task])
    values = {t: score_counts(found.counts(t), MAPS[task]).summary()[score] for t in THRESHOLDS}
    assert choice.value == max(values.values()) == values[choice.threshold]
    assert choice.default_value == values[0.5]
    assert choice.gain == choice.value - values[0.5] >= 0
    assert choice.n_images == 6
    if abs(shift) > 0.9 and score == "dice_pooled":
        assert (choice.threshold < 0.5) == (shift < 0)
        assert choice.gain > 0.001


def test_scores_where_lower_or_nearer_0_is_better() -> None:
    ids, logits, target = example(Task.BINARY, -1.0)
    found = sweep(Task.BINARY, ids, logits, target)
    for score, cost in (("area_error_per_image", float), ("area_bias_per_image", abs)):
        curve = dict(found.curve(score, MAPS[Task.BINARY]))
        choice = found.best(score, MAPS[Task.BINARY])
        assert cost(choice.value) == min(cost(value) for value in curve.values())
        assert cost(choice.value) < cost(choice.default_value)
    assert min(curve.values()) < 0 < max(curve.values())


def test_ties_go_to_the_one_nearest_one_half_then_the_lower() -> None:
    ids, _, target = example(Task.BINARY)
    perfect = torch.where(target == 1, 9.0, -9.0)[:, None]  # every threshold is perfect
    assert sweep(Task.BINARY, ids, perfect, target).best("iou_pooled", MAPS[Task.BINARY]).threshold == 0.5
    logits = torch.where(target == 1, 9.0, -9.0)[:, None]
    logits[:, 0, 5, :][target[:, 5] == 0] = 0.1  # wrong at 0.5, right from 0.55
    assert sweep(Task.BINARY, ids, logits, target).best("iou_pooled", MAPS[Task.BINARY]).threshold == 0.55
    symmetric = ThresholdSweep(Task.BINARY, thresholds=(0.3, 0.5, 0.7))  # 0.5 - 0.3 > 0.7 - 0.5 in floats
    symmetric.add(["x"], torch.tensor([[[[9.0, -0.2, 0.2, 0.2]]]]), torch.tensor([[[1, 1, 0, 0]]]))
    values = dict(symmetric.curve("iou_pooled", MAPS[Task.BINARY]))
    assert values[0.3] == values[0.7] == 0.5 > values[0.5]
    assert symmetric.best("iou_pooled", MAPS[Task.BINARY]).threshold == 0.3


def test_the_choice_states_its_gain_and_n() -> None:
    choice = sweep(Task.BINARY, *example(Task.BINARY, -1.5)).best("iou_pooled", MAPS[Task.BINARY])
    assert f"threshold {choice.threshold:g} chosen for IoU pooled on 6 images" in choice.sentence
    assert f"{choice.gain:+.4f}" in choice.sentence
    assert choice.to_dict()["gain"] == choice.gain
    assert set(choice.to_dict()) == {"threshold", "value", "default_value", "score", "n_images", "gain"}


def test_more_images_after_a_look() -> None:
    ids, logits, target = example(Task.BINARY)
    found = sweep(Task.BINARY, ids[:2], logits[:2], target[:2])
    assert len(found.counts(0.5)) == 2
    found.add(ids[2:], logits[2:], target[2:])
    whole = sweep(Task.BINARY, ids, logits, target, size=6)
    assert np.array_equal(found.counts(0.3).confusion, whole.counts(0.3).confusion)


def test_wrong_calls_are_explained() -> None:
    with pytest.raises(ValueError, match="thresholds: a multiclass task"):
        ThresholdSweep(Task.MULTICLASS)
    with pytest.raises(ValueError, match="thresholds: expected rising numbers"):
        ThresholdSweep(Task.BINARY, thresholds=(0.5, 0.4))
    with pytest.raises(ValueError, match=r"thresholds: 0\.5 must be among them"):
        ThresholdSweep(Task.BINARY, thresholds=(0.4, 0.6))
    with pytest.raises(ValueError, match="above 0 and below 1"):
        ThresholdSweep(Task.BINARY, thresholds=(0.5, 1.0))
    found = ThresholdSweep(Task.BINARY)
    with pytest.raises(ValueError, match="no batch was added"):
        found.counts(0.5)
    ids, logits, target = example(Task.BINARY)
    with pytest.raises(ValueError, match="ids: expected one for each of 6 images, got 5"):
        found.add(ids[:5], logits, target)
    with pytest.raises(ValueError, match="labels other than 0, 1"):
        found.add(ids, logits, torch.full_like(target, 2))
    found.add(ids, logits, target)
    with pytest.raises(ValueError, match="threshold: expected one of"):
        found.counts(0.42)
    with pytest.raises(ValueError, match="score: expected one of iou_pooled"):
        found.best("iou", MAPS[Task.BINARY])
    nothing = ThresholdSweep(Task.BINARY)
    nothing.add(ids, logits, torch.full_like(target, 255))
    with pytest.raises(ValueError, match="has no value at any threshold"):
        nothing.best("iou_pooled", MAPS[Task.BINARY])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@with_thresholds
def test_cuda_counts_the_same(task: Task) -> None:
    ids, logits, target = example(task)
    found = sweep(task, ids, logits.cuda(), target.cuda())
    assert np.array_equal(found.counts(0.3).confusion, sweep(task, ids, logits, target).counts(0.3).confusion)
