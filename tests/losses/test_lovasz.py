"""The Lovász loss against its definition: set by set, in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses.lovasz import lovasz


def jaccard_loss(wrong: set[int], truth: set[int]) -> Fraction:
    """1 - IoU when exactly these pixels are wrong: the set function that the loss extends."""
    union = truth | wrong
    return 1 - Fraction(len(truth - wrong), len(union)) if union else Fraction(0)


def slow_lovasz(errors: np.ndarray, truth: np.ndarray) -> float:
    """The extension by its definition: errors from the largest down, times what each adds to the set function."""
    labelled, wrong, total = set(np.flatnonzero(truth).tolist()), set[int](), 0.0
    for pixel in np.argsort(-errors, kind="stable").tolist():
        before = jaccard_loss(wrong, labelled)
        wrong = wrong | {pixel}
        total += errors[pixel] * float(jaccard_loss(wrong, labelled) - before)
    return total


def example(channels: int, multilabel: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(channels)
    logits = 2 * torch.randn(4, channels, 4, 3, generator=generator, dtype=torch.float64)
    shape = (4, channels, 4, 3) if multilabel else (4, 4, 3)
    target = torch.randint(0, 2 if multilabel else max(2, channels), shape, generator=generator)
    target[0][target[0] == target.max()] = 0  # empty, or without the last class
    target[1, ..., :2, :] = 255
    target[2] = 255
    return logits, target


def rows(values: np.ndarray, over: str) -> list[np.ndarray]:
    """(B, H, W) -> one flat array a group."""
    return [image.ravel() for image in values] if over == "image" else [values.ravel()]


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("channels", [1, 2])
def test_hinge_equals_the_definition(channels: int, over: str) -> None:
    logits, target = example(channels, multilabel=channels > 1)
    planes = target.unsqueeze(1) if channels == 1 else target
    terms = []
    for channel in range(channels):
        z, y = logits[:, channel].numpy(), planes[:, channel].numpy()
        for errors, labels in zip(rows(1 - np.where(y == 1, z, -z), over), rows(y, over), strict=True):
            kept = labels != 255
            if kept.any():
                terms.append(slow_lovasz(errors[kept].clip(min=0), labels[kept] == 1))
    assert lovasz(logits, target, over=over).item() == pytest.approx(np.mean(terms), abs=1e-12)


@pytest.mark.parametrize("over", ["image", "batch"])
def test_softmax_equals_the_definition_over_present_classes(over: str) -> None:
    logits, target = example(3)
    probs = logits.softmax(1).numpy()
    groups: list[list[float]] = []
    for group, labels in enumerate(rows(target.numpy(), over)):
        terms = []
        for label in range(3):
            p = rows(probs[:, label], over)[group]
            kept = labels != 255
            if (labels == label).any():
                terms.append(slow_lovasz(np.abs((labels == label) - p)[kept], labels[kept] == label))
        groups.append(terms)
    expected = np.mean([np.mean(terms) for terms in groups if terms])
    assert lovasz(logits, target, over=over).item() == pytest.approx(expected, abs=1e-12)


def test_hard_softmax_predictions_give_one_minus_iou() -> None:
    """The extension is exact where errors are 0 or 1."""
    target = torch.tensor([[[0, 0, 0, 1, 1, 2]]])
    predicted = torch.tensor([[[0, 0, 1, 1, 2, 2]]])
    logits = torch.where(predicted.unsqueeze(1) == torch.arange(3).view(1, 3, 1, 1), 100.0, -100.0)
    assert lovasz(logits, target).item() == pytest.approx(1 - np.mean([2 / 3, 1 / 3, 1 / 2]))


def test_an_empty_mask_costs_its_worst_pixel() -> None:
    logits = torch.tensor([[[[-3.0, 0.5], [-0.2, 0.1]]]], requires_grad=True)
    value = lovasz(logits, torch.zeros(1, 2, 2, dtype=torch.int64))
    value.backward()
    assert value.item() == pytest.approx(1.5)
    assert torch.equal(logits.grad, torch.tensor([[[[0.0, 1.0], [0.0, 0.0]]]]))


def test_weights_keep_their_digits_on_a_large_image() -> None:
    """Differences of the rounded Jaccard loss are off by percents from about 1000 x 1000 pixels on."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 1, 1000, 1000, generator=generator)
    target = (torch.rand(1, 1000, 1000, generator=generator) < 0.3).long()
    gradients = []
    for precise in (logits, logits.double()):
        precise.requires_grad_()
        lovasz(precise, target).backward()
        gradients.append(precise.grad.double())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=0)


def test_wrong_options_name_their_key() -> None:
    with pytest.raises(ConfigError, match="over must be one of image, batch, got 'all'") as caught:
        build_loss({"lovasz": {"over": "all"}})
    assert caught.value.key == "loss.lovasz.over"
