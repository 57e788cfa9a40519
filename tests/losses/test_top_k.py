from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses.bce import bce
from segbench.losses.cross_entropy import cross_entropy
from segbench.losses.top_k import top_k


def example(channels: int, multilabel: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(channels)
    logits = 3 * torch.randn(3, channels, 5, 4, generator=generator, dtype=torch.float64)
    shape = (3, channels, 5, 4) if multilabel else (3, 5, 4)
    target = torch.randint(0, 2 if multilabel else max(2, channels), shape, generator=generator)
    target[1, ..., :3, :] = 255
    target[2] = 255
    return logits, target


def pixel_losses(logits: Tensor, target: Tensor) -> list[list[float]]:
    """Every counted pixel's cross-entropy by its formula, a list an image."""
    z, y = logits.numpy(), target.numpy()
    values: list[list[float]] = []
    for image in range(z.shape[0]):
        losses = []
        for place in np.ndindex(*y.shape[1:]):
            label = y[(image, *place)]
            if label == 255:
                continue
            if y.ndim == 3 and z.shape[1] > 1:
                scores = z[(image, slice(None), *place)]
                losses.append(math.log(sum(math.exp(score - scores[label]) for score in scores)))
            else:
                score = z[(image, *place)] if y.ndim == 4 else z[(image, 0, *place)]
                losses.append(math.log1p(math.exp(-score if label else score)))
        values.append(losses)
    return values


def slow_top_k(logits: Tensor, target: Tensor, hard_frac: float, over: str) -> float:
    """The largest values, sorted in lists."""
    values = pixel_losses(logits, target)
    if over == "batch":
        values = [[value for losses in values for value in losses]]
    means = []
    for losses in values:
        if losses:
            k = math.ceil(round(hard_frac * len(losses), 9))
            means.append(sum(sorted(losses, reverse=True)[:k]) / k)
    return sum(means) / len(means)


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("hard_frac", [0.001, 0.1, 0.35, 1.0])
@pytest.mark.parametrize(("channels", "multilabel"), [(1, False), (3, False), (2, True)])
def test_equals_the_slow_one(channels: int, multilabel: bool, hard_frac: float, over: str) -> None:
    logits, target = example(channels, multilabel)
    ours = top_k(logits, target, hard_frac=hard_frac, over=over)
    assert ours.item() == pytest.approx(slow_top_k(logits, target, hard_frac, over), abs=1e-12)


def test_all_pixels_are_plain_cross_entropy() -> None:
    logits, target = example(1)
    torch.testing.assert_close(top_k(logits, target, hard_frac=1, over="batch"), bce(logits, target))
    logits, target = example(3)
    torch.testing.assert_close(top_k(logits, target, hard_frac=1, over="batch"), cross_entropy(logits, target))


def test_only_hard_pixels_learn() -> None:
    logits = torch.arange(-5.0, 5.0).view(1, 1, 2, 5).requires_grad_()
    top_k(logits, torch.zeros(1, 2, 5, dtype=torch.int64), hard_frac=0.3).backward()
    assert (logits.grad.flatten() != 0).tolist() == [False] * 7 + [True] * 3


def test_pixels_that_tie_share_the_places_left() -> None:
    """Otherwise the order of equal pixels, and with it the device, would decide which of them learn."""
    logits = torch.tensor([[[[3.0, 1.0, 1.0, 1.0, -4.0]]]], requires_grad=True)
    top_k(logits, torch.zeros(1, 1, 5, dtype=torch.int64), hard_frac=0.4).backward()
    slopes = logits.detach().sigmoid().flatten() / 2 * torch.tensor([1, 1 / 3, 1 / 3, 1 / 3, 0])
    torch.testing.assert_close(logits.grad.flatten(), slopes)


def test_a_tenth_of_thirty_is_three_pixels() -> None:
    """0.1 * 30 is 3.0000001 in float32 and 0.07 * 100 is 7.000000000000001 in float64."""
    for hard_frac, pixels, hard in ((0.1, 30, 3), (0.07, 100, 7)):
        logits = torch.arange(float(pixels)).view(1, 1, 1, pixels).requires_grad_()
        top_k(logits, torch.zeros(1, 1, pixels, dtype=torch.int64), hard_frac=hard_frac).backward()
        assert int((logits.grad != 0).sum()) == hard


@pytest.mark.parametrize(
    ("option", "value"), [("hard_frac", 0), ("hard_frac", 1.5), ("hard_frac", True), ("over", "k")]
)
def test_wrong_options_name_their_key(option: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss({"top_k": {option: value}})
    assert caught.value.key == f"loss.top_k.{option}"
