"""Soft Dice against a slow version in NumPy, and the rules for what is absent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses.dice import dice


def slow_dice(probs: np.ndarray, truth: np.ndarray, counted: np.ndarray, smooth: float, over: str) -> float:
    """Region by region, pixel by pixel; all arguments (B, C, H, W)."""
    batch, channels = probs.shape[:2]
    regions = [[(b, c) for b in range(batch)] for c in range(channels)]
    if over == "image":
        regions = [[place] for region in regions for place in region]
    terms = []
    for region in regions:
        y = np.concatenate([truth[place][counted[place]] for place in region]).astype(np.float64)
        p = np.concatenate([probs[place][counted[place]] for place in region]).astype(np.float64)
        if not y.size:
            continue
        overlap = sum(2 * a * b for a, b in zip(y, p, strict=True))
        terms.append(1 - (overlap + smooth) / (y.sum() + p.sum() + smooth) if y.any() else p.mean())
    return float(np.mean(terms))


def example(classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = 2 * torch.randn(3, classes, 4, 5, generator=generator, dtype=torch.float64)
    target = torch.randint(0, classes, (3, 4, 5), generator=generator)
    target[0][target[0] == classes - 1] = 0  # a class absent from image 0
    target[1, :2] = 255
    target[2] = 255  # an image that does not count
    return logits, target


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("include_background", [None, False])
def test_multiclass_equals_the_slow_one(over: str, smooth: float, include_background: bool | None) -> None:
    logits, target = example(4)
    first = 0 if include_background is None else 1
    probs = logits.softmax(1).numpy()[:, first:]
    truth = np.stack([(target == label).numpy() for label in range(first, 4)], axis=1)
    counted = np.broadcast_to((target != 255).numpy()[:, None], probs.shape)
    ours = dice(logits, target, over=over, smooth=smooth, include_background=include_background)
    assert ours.item() == pytest.approx(slow_dice(probs, truth, counted, smooth, over), abs=1e-12)


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("include_background", [None, True])
def test_binary_equals_the_slow_one(over: str, include_background: bool | None) -> None:
    logits, target = example(2)
    logits = logits[:, 1:]
    probs, truth = logits.sigmoid().numpy(), (target == 1).numpy()[:, None]
    if include_background:
        probs, truth = np.concatenate([1 - probs, probs], 1), np.concatenate([~truth, truth], 1)
    counted = np.broadcast_to((target != 255).numpy()[:, None], probs.shape)
    ours = dice(logits, target, over=over, include_background=include_background)
    assert ours.item() == pytest.approx(slow_dice(probs, truth, counted, 0.0, over), abs=1e-12)


def test_multilabel_ignores_per_plane() -> None:
    logits = 2 * torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = (logits + 1 > 0).long()
    target[0, 1] = 255
    target[1, 2, :2] = 255
    expected = slow_dice(logits.sigmoid().numpy(), (target == 1).numpy(), (target != 255).numpy(), 0.0, "image")
    assert dice(logits, target).item() == pytest.approx(expected, abs=1e-12)


def test_hard_predictions_give_one_minus_the_dice_score() -> None:
    predicted = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]])
    target = torch.tensor([[[1, 0, 0, 0], [1, 1, 0, 0]]])
    value = dice((200.0 * predicted - 100).view(1, 1, 2, 4), target)
    assert value.item() == pytest.approx(1 - 2 * 2 / (3 + 3))


def test_an_image_weighs_as_much_as_another_unless_over_batch() -> None:
    big, small = torch.zeros(1, 4, 4, dtype=torch.int64), torch.zeros(1, 4, 4, dtype=torch.int64)
    big[:, :3], small[:, 0, 0] = 1, 1
    target = torch.cat([big, small])
    logits = torch.where(torch.cat([big, torch.zeros_like(small)]) == 1, 100.0, -100.0).unsqueeze(1)
    assert dice(logits, target).item() == pytest.approx(0.5)  # one perfect, one missed
    assert dice(logits, target, over="batch").item() == pytest.approx(1 - 24 / 25)


def test_mass_on_an_absent_class_costs_with_a_useful_gradient() -> None:
    """A fraction over an empty mask would have gradients of 1 / P^2 here: about 1e-9 a pixel."""
    logits = torch.full((1, 1, 128, 128), 3.0, requires_grad=True)
    value = dice(logits, torch.zeros(1, 128, 128, dtype=torch.int64))
    assert value.item() == pytest.approx(torch.tensor(3.0).sigmoid().item())
    value.backward()
    slope = (logits.sigmoid() * (1 - logits.sigmoid())).detach() / 128**2
    torch.testing.assert_close(logits.grad, slope)


@pytest.mark.parametrize(
    ("options", "option"),
    [({"over": "pixel"}, "over"), ({"smooth": -1}, "smooth"), ({"include_background": 1}, "include")],
)
def test_wrong_options_name_their_key(options: dict[str, object], option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss({"dice": options})
    assert caught.value.key.startswith(f"loss.dice.{option}")
