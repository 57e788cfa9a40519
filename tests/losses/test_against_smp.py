"""Agreement with segmentation-models-pytorch wherever it computes the same thing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from segbench.losses.bce import bce
from segbench.losses.cross_entropy import cross_entropy
from segbench.losses.dice import dice
from segbench.losses.focal import focal
from segbench.losses.focal_tversky import focal_tversky
from segbench.losses.jaccard import jaccard
from segbench.losses.lovasz import lovasz
from segbench.losses.tversky import tversky
from segbench.types import Task

pytestmark = pytest.mark.slow

every_task = pytest.mark.parametrize("task", list(Task))


@pytest.fixture(scope="module")
def smp_losses() -> Any:
    """The library's losses; importing them takes seconds."""
    return pytest.importorskip("segmentation_models_pytorch").losses


def example(task: Task, *, ignored: bool = True, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Returns logits and target in which every class occurs in every image."""
    generator = torch.Generator().manual_seed(11)
    channels = 1 if task is Task.BINARY else 3
    logits = 2 * torch.randn(3, channels, 9, 8, generator=generator, dtype=dtype)
    shape = (3, 3, 9, 8) if task is Task.MULTILABEL else (3, 9, 8)
    target = torch.randint(0, 3 if task is Task.MULTICLASS else 2, shape, generator=generator)
    if ignored:
        target[..., :2, :] = 255
    return logits, target


def same(ours: Tensor, logits: Tensor, theirs: Tensor) -> None:
    """Compares values and gradients; the library adds 1e-7 below fractions."""
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-8 if logits.dtype is torch.float64 else 1e-6)


@every_task
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_jaccard_dice_and_tversky_over_the_batch(smp_losses: Any, task: Task, smooth: float) -> None:
    logits, target = example(task)
    logits.requires_grad_()
    options = {"smooth": smooth, "ignore_index": 255}
    theirs = smp_losses.JaccardLoss(str(task), **options)(logits, target)
    same(jaccard(logits, target, over="batch", smooth=smooth), logits, theirs)
    # The library's Dice is its Tversky with halves: smooth is added to half of each side.
    theirs = smp_losses.DiceLoss(str(task), smooth=smooth / 2, ignore_index=255)(logits, target)
    same(dice(logits, target, over="batch", smooth=smooth), logits, theirs)
    theirs = smp_losses.TverskyLoss(str(task), alpha=0.3, beta=0.7, **options)(logits, target)
    same(tversky(logits, target, over="batch", smooth=smooth), logits, theirs)


def test_focal_tversky_of_one_region(smp_losses: Any) -> None:
    """With several classes the library takes the power of their mean, the paper that of each."""
    logits, target = example(Task.BINARY)
    logits.requires_grad_()
    theirs = smp_losses.TverskyLoss("binary", alpha=0.3, beta=0.7, gamma=0.75, ignore_index=255)(logits, target)
    same(focal_tversky(logits, target, over="batch"), logits, theirs)


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_lovasz(smp_losses: Any, task: Task, over: str) -> None:
    logits, target = example(task, dtype=torch.float32)  # the library's own weights are always float32
    target[0][target[0] == 1] = 0  # empty, or without a class
    logits.requires_grad_()
    loss = smp_losses.LovaszLoss(str(task), per_image=over == "image", ignore_index=255)
    same(lovasz(logits, target, over=over), logits, loss(logits, target))


def test_lovasz_of_channels_one_by_one(smp_losses: Any) -> None:
    """The library puts all channels of a multilabel task into one region."""
    logits, target = example(Task.MULTILABEL, dtype=torch.float32)
    logits.requires_grad_()
    loss = smp_losses.LovaszLoss("binary", per_image=True, ignore_index=255)
    theirs = torch.stack([loss(logits[:, c], target[:, c]) for c in range(3)]).mean()
    same(lovasz(logits, target), logits, theirs)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTILABEL])
def test_bce_and_focal(smp_losses: Any, task: Task) -> None:
    logits, target = example(task, ignored=False)
    logits.requires_grad_()
    shaped = target.view_as(logits).double()
    theirs = smp_losses.SoftBCEWithLogitsLoss(pos_weight=torch.tensor(3.0))(logits, shaped)
    same(bce(logits, target, pos_weight=3.0), logits, theirs)
    theirs = smp_losses.FocalLoss(str(task), alpha=0.25, gamma=2.0)(logits, shaped)
    same(focal(logits, target, alpha=0.25), logits, theirs)


def test_cross_entropy_with_smoothing(smp_losses: Any) -> None:
    logits, target = example(Task.MULTICLASS, ignored=False)
    logits.requires_grad_()
    theirs = smp_losses.SoftCrossEntropyLoss(smooth_factor=0.0)(logits, target)
    same(cross_entropy(logits, target), logits, theirs)
