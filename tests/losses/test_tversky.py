"""Jaccard, Tversky and focal Tversky against one slow version in NumPy; they share their counts with Dice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses.dice import dice
from segbench.losses.focal_tversky import focal_tversky
from segbench.losses.jaccard import jaccard
from segbench.losses.tversky import tversky


def slow_tversky(
    probs: np.ndarray,
    truth: np.ndarray,
    counted: np.ndarray,
    *,
    over: str = "image",
    alpha: float = 1.0,
    beta: float = 1.0,
    smooth: float = 0.0,
    gamma: float = 1.0,
) -> float:
    """Region by region, pixel by pixel; all arguments (B, C, H, W). Alpha = beta = 1 is Jaccard."""
    batch, channels = probs.shape[:2]
    regions = [[(b, c) for b in range(batch)] for c in range(channels)]
    if over == "image":
        regions = [[place] for region in regions for place in region]
    costs = []
    for region in regions:
        y = np.concatenate([truth[place][counted[place]] for place in region])
        p = np.concatenate([probs[place][counted[place]] for place in region])
        if not y.size:
            continue
        true_positives = sum(b for a, b in zip(y, p, strict=True) if a)
        false_positives = sum(b for a, b in zip(y, p, strict=True) if not a)
        false_negatives = sum(1 - b for a, b in zip(y, p, strict=True) if a)
        below = true_positives + alpha * false_positives + beta * false_negatives + smooth
        cost = 1 - (true_positives + smooth) / below if y.any() else p.mean()
        costs.append(cost ** (1 / gamma))
    return float(np.mean(costs))


def multiclass_example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    logits = 2 * torch.randn(4, 3, 4, 5, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 3, (4, 4, 5), generator=generator)
    target[0][target[0] == 2] = 0  # a class absent from image 0
    target[1, :2] = 255
    target[2] = 255  # an image that does not count
    return logits, target


def binary_example() -> tuple[Tensor, Tensor]:
    logits, target = multiclass_example()
    target[3] = 0  # an empty mask
    return logits[:, :1], target.where(target != 2, 1)


def planes(logits: Tensor, target: Tensor, first: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, truth and counted of the classes from `first` on."""
    if logits.shape[1] == 1:
        return logits.sigmoid().numpy(), (target == 1).numpy()[:, None], (target != 255).numpy()[:, None]
    probs = logits.softmax(1).numpy()[:, first:]
    truth = np.stack([(target == label).numpy() for label in range(first, logits.shape[1])], axis=1)
    return probs, truth, np.broadcast_to((target != 255).numpy()[:, None], probs.shape)


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("example", [binary_example, multiclass_example])
def test_equal_the_slow_one(example: object, smooth: float, over: str) -> None:
    logits, target = example()
    probs = planes(logits, target)
    options = {"over": over, "smooth": smooth}
    expected = slow_tversky(*probs, **options)
    assert jaccard(logits, target, **options).item() == pytest.approx(expected, abs=1e-12)
    expected = slow_tversky(*probs, alpha=0.3, beta=0.7, **options)
    assert tversky(logits, target, **options).item() == pytest.approx(expected, abs=1e-12)
    expected = slow_tversky(*probs, alpha=0.8, beta=0.1, gamma=2.5, **options)
    ours = focal_tversky(logits, target, alpha=0.8, beta=0.1, gamma=2.5, **options)
    assert ours.item() == pytest.approx(expected, abs=1e-12)


def test_the_background_is_left_out_on_request() -> None:
    logits, target = multiclass_example()
    expected = slow_tversky(*planes(logits, target, first=1))
    assert jaccard(logits, target, include_background=False).item() == pytest.approx(expected, abs=1e-12)


def test_the_background_of_a_binary_task_is_the_other_label() -> None:
    logits, target = binary_example()
    flipped = torch.where(target == 255, 255, 1 - target)
    both = (jaccard(logits, target) + jaccard(-logits, flipped)) / 2
    torch.testing.assert_close(jaccard(logits, target, include_background=True), both)


def test_special_cases_are_their_relatives() -> None:
    logits, target = multiclass_example()
    torch.testing.assert_close(tversky(logits, target, alpha=0.5, beta=0.5), dice(logits, target))
    assert torch.equal(tversky(logits, target, alpha=1, beta=1), jaccard(logits, target))
    torch.testing.assert_close(focal_tversky(logits, target, gamma=1), tversky(logits, target))


def test_hard_predictions_give_one_minus_iou() -> None:
    predicted = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]])
    target = torch.tensor([[[1, 0, 0, 0], [1, 1, 0, 0]]])
    value = jaccard((200.0 * predicted - 100).view(1, 1, 2, 4), target)
    assert value.item() == pytest.approx(1 - 2 / 4)


def test_beta_makes_missed_pixels_dearer_than_invented_ones() -> None:
    target = torch.tensor([[[1, 1, 1, 0, 0, 0]]])
    missed = torch.tensor([[[[9.0, 9, -9, -9, -9, -9]]]])
    invented = torch.tensor([[[[9.0, 9, 9, 9, -9, -9]]]])
    assert tversky(missed, target) > tversky(invented, target)
    assert tversky(missed, target, alpha=0.7, beta=0.3) < tversky(invented, target, alpha=0.7, beta=0.3)


@pytest.mark.parametrize("loss", [jaccard, tversky])
def test_an_absent_class_costs_its_mean_probability(loss: object) -> None:
    logits = torch.full((1, 1, 64, 64), 3.0, requires_grad=True)
    value = loss(logits, torch.zeros(1, 64, 64, dtype=torch.int64))
    assert value.item() == pytest.approx(torch.tensor(3.0).sigmoid().item())
    value.backward()
    slope = (logits.sigmoid() * (1 - logits.sigmoid())).detach() / 64**2
    torch.testing.assert_close(logits.grad, slope)


def test_nearly_perfect_keeps_its_digits_in_float32() -> None:
    """1 - fraction would round to a multiple of 6e-8, which the power of 3/4 makes 4e-6."""
    target = (torch.arange(64).view(1, 8, 8) % 3 == 0).long()
    logits = torch.where(target == 1, 18.0, -18.0).unsqueeze(1)
    for loss in (jaccard, tversky, focal_tversky):
        assert loss(logits, target).item() == pytest.approx(loss(logits.double(), target).item(), rel=1e-4, abs=0)


@pytest.mark.parametrize("gamma", [0.5, 4 / 3, 3.0])
def test_the_power_has_no_infinite_slope_at_a_perfect_prediction(gamma: float) -> None:
    target = torch.tensor([[[0, 1], [1, 1]]])
    logits = torch.where(target == 1, 1e4, -1e4).unsqueeze(1).requires_grad_()
    value = focal_tversky(logits, target, gamma=gamma)
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ({"jaccard": {"over": "pixel"}}, "loss.jaccard.over"),
        ({"jaccard": {"smooth": -1}}, "loss.jaccard.smooth"),
        ({"jaccard": {"include_background": 1}}, "loss.jaccard.include_background"),
        ({"tversky": {"alpha": 0}}, "loss.tversky.alpha"),
        ({"tversky": {"beta": float("inf")}}, "loss.tversky.beta"),
        ({"tversky": {"smooth": "1"}}, "loss.tversky.smooth"),
        ({"focal_tversky": {"gamma": 0}}, "loss.focal_tversky.gamma"),
        ({"focal_tversky": {"alpha": True}}, "loss.focal_tversky.alpha"),
    ],
)
def test_wrong_options_name_their_key(spec: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss(spec)
    assert caught.value.key == key
