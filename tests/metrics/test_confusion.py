from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from segbench.metrics import confusion_from_logits, count_masks
from segbench.metrics.confusion import logit_of
from segbench.types import Task


def example(task: Task) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    channels = 1 if task is Task.BINARY else 4
    logits = 2 * torch.randn(3, channels, 9, 7, generator=generator)
    shape = (3, 4, 9, 7) if task is Task.MULTILABEL else (3, 9, 7)
    target = torch.randint(0, 4 if task is Task.MULTICLASS else 2, shape, generator=generator)
    target[1, ..., :2, :] = 255
    return logits, target


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.9])
def test_equals_the_numpy_count(task: Task, threshold: float) -> None:
    logits, target = example(task)
    table, ignored = confusion_from_logits(logits, target, task, threshold=threshold)
    predicted = logits.argmax(1) if task is Task.MULTICLASS else logits.double().sigmoid() > threshold
    predicted = predicted[:, 0] if task is Task.BINARY else predicted
    for n in range(3):
        expected, skipped = count_masks(
            predicted[n].numpy(), target[n].numpy(), 2 if task is Task.BINARY else 4, task=task
        )
        assert np.array_equal(table[n].numpy(), expected)
        assert ignored[n] == skipped
    assert table.dtype == ignored.dtype == torch.int64
    assert ignored[1] > 0


def test_the_threshold_is_one_of_the_probability() -> None:
    """A logit of 0.3 is a probability of 0.574: foreground, though the logit is below 0.5."""
    logits, target = torch.tensor([[[[0.3, -0.3]]]]), torch.tensor([[[1, 0]]])
    assert confusion_from_logits(logits, target, Task.BINARY)[0].tolist() == [[[1, 0], [0, 1]]]
    assert confusion_from_logits(logits, target, Task.BINARY, threshold=0.6)[0].tolist() == [[[1, 0], [1, 0]]]
    exactly = torch.zeros(1, 1, 1, 2)  # probability 0.5 is not above 0.5
    assert confusion_from_logits(exactly, target, Task.BINARY)[0].tolist() == [[[1, 0], [1, 0]]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_compares_in_float32(dtype: torch.dtype) -> None:
    logits, target = example(Task.BINARY)
    logits = logits.to(dtype)
    for threshold in (0.5, 0.37):
        ours = confusion_from_logits(logits, target, Task.BINARY, threshold=threshold)[0]
        assert torch.equal(ours, confusion_from_logits(logits.double(), target, Task.BINARY, threshold=threshold)[0])


def test_half_precision_logits_just_above_the_threshold_are_foreground() -> None:
    """2.203125 is the bfloat16 next to log(0.9 / 0.1) = 2.1972: rounding the threshold, too, would lose it."""
    logits = torch.full((1, 1, 1, 1), 2.203125, dtype=torch.bfloat16)
    assert (
        confusion_from_logits(logits, torch.ones(1, 1, 1, dtype=torch.int64), Task.BINARY, threshold=0.9)[0][0, 1, 1]
        == 1
    )


def test_binary_target_may_have_a_channel_and_any_integer_type() -> None:
    logits, target = example(Task.BINARY)
    expected = confusion_from_logits(logits, target, Task.BINARY)[0]
    assert torch.equal(confusion_from_logits(logits, target[:, None].to(torch.uint8), Task.BINARY)[0], expected)


def test_everything_ignored() -> None:
    logits, target = example(Task.MULTICLASS)
    table, ignored = confusion_from_logits(logits, torch.full_like(target, 255), Task.MULTICLASS)
    assert table.sum() == 0
    assert ignored.tolist() == [63, 63, 63]


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_threshold_range(threshold: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        logit_of(threshold)


def test_wrong_batches_are_explained() -> None:
    logits, target = example(Task.MULTICLASS)
    with pytest.raises(ValueError, match=r"binary task has logits \(B, 1, H, W\), got \(3, 4, 9, 7\)"):
        confusion_from_logits(logits, target, Task.BINARY)
    with pytest.raises(ValueError, match=r"multiclass task has logits \(B, C > 1, H, W\)"):
        confusion_from_logits(logits[:, :1], target, Task.MULTICLASS)
    with pytest.raises(ValueError, match=r"has a target \(3, 4, 9, 7\), got \(3, 9, 7\)"):
        confusion_from_logits(logits, target, Task.MULTILABEL)
    with pytest.raises(ValueError, match="integer labels"):
        confusion_from_logits(logits, target.float(), Task.MULTICLASS)
    target[0, 0, 0] = 4
    with pytest.raises(ValueError, match=r"label 4, which is outside 0 to 3 .*: 1 of 189"):
        confusion_from_logits(logits, target, Task.MULTICLASS)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("task", list(Task))
def test_cuda_counts_the_same_and_deterministically(task: Task) -> None:
    logits, target = example(task)
    expected = confusion_from_logits(logits, target, task)
    torch.use_deterministic_algorithms(True)
    try:
        ours = confusion_from_logits(logits.cuda(), target.cuda(), task)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a.cpu(), b) for a, b in zip(ours, expected, strict=True))
