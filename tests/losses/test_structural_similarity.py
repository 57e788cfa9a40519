"""Structural similarity against the homework's steps, pixel by pixel, and against its defects."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses._targets import prepare
from segbench.losses.structural_similarity import hard_weights, structural_similarity
from segbench.types import Task


def slow_errors(truth: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(H, W) each: |difference| of both, normalised in 3 x 3 cells of which the first begins at (-1, -1)."""
    height, width = truth.shape
    errors = np.zeros((height, width))
    for top in range(-1, height, 3):
        for left in range(-1, width, 3):
            places = [(row, column) for row in range(top, top + 3) for column in range(left, left + 3)]
            inside = [(row, column) for row, column in places if 0 <= row < height and 0 <= column < width]
            normalized = []
            for plane in (truth, probs):
                values = [plane[place] for place in inside] + [0.0] * (9 - len(inside))
                mean = sum(values) / 9
                deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 9)
                normalized.append([(plane[place] - mean + 0.01) / (deviation + 0.01) for place in inside])
            for place, a, b in zip(inside, *normalized, strict=True):
                errors[place] = abs(a - b)
    return errors


def slow_loss(errors: np.ndarray, values: np.ndarray) -> float:
    """The homework's last step, with nothing hard costing 0 instead of 0 / 0."""
    hard = errors > 0.1 * errors.max()
    return float((errors * values)[hard].sum() / hard.sum()) if hard.any() else 0.0


def example(height: int, width: int, channels: int = 1, ignored: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height * width)
    logits = 2 * torch.randn(3, channels, height, width, generator=generator, dtype=torch.float64)
    target = torch.randint(0, max(2, channels), (3, height, width), generator=generator)
    if ignored:
        target[0, 0, :3] = 255
        target[1] = 255
    return logits, target


def slow_parts(logits: Tensor, target: Tensor) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Errors and cross-entropy of every image with a counted pixel; binary."""
    errors, values = [], []
    for z, y in zip(logits[:, 0].numpy(), target.numpy(), strict=True):
        kept = y != 255
        if not kept.any():
            continue
        probs = 1 / (1 + np.exp(-z))
        errors.append(slow_errors(np.where(kept, y, 0.0), np.where(kept, probs, 0.0)) * kept)
        values.append(-np.log(np.where(y == 1, probs, 1 - probs)))
    return errors, values


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 7), (6, 6), (9, 8), (16, 13)])
def test_equals_the_slow_one_at_any_size(height: int, width: int, ignored: bool) -> None:
    logits, target = example(height, width, ignored=ignored)
    errors, values = slow_parts(logits, target)
    per_image = np.mean([slow_loss(e, v) for e, v in zip(errors, values, strict=True)])
    assert structural_similarity(logits, target).item() == pytest.approx(per_image, abs=1e-12)
    whole = slow_loss(np.stack(errors), np.stack(values))
    assert structural_similarity(logits, target, over="batch").item() == pytest.approx(whole, abs=1e-12)


def test_equals_unfolding_as_the_homework_did() -> None:
    """At its size of 256 x 256, with torch's own cells of stride 3 and padding 1."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 256, 256, generator=generator)
    target = torch.randint(0, 2, (2, 256, 256), generator=generator)

    def normalize(x: Tensor) -> Tensor:
        cells = torch.nn.functional.unfold(x, 3, padding=1, stride=3)
        cells = (cells - cells.mean(1, keepdim=True) + 0.01) / (cells.std(1, keepdim=True, correction=0) + 0.01)
        return torch.nn.functional.fold(cells, 256, 3, padding=1, stride=3)

    y = target.unsqueeze(1).float()
    errors = (normalize(y) - normalize(logits.sigmoid())).abs()
    hard = errors > 0.1 * errors.max()
    values = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")
    expected = (errors * values)[hard].sum() / hard.sum()
    torch.testing.assert_close(structural_similarity(logits, target, over="batch"), expected)


def test_multiclass_takes_the_plane_of_the_true_class() -> None:
    logits, target = example(5, 4, channels=3)
    probs = logits.softmax(1).numpy()
    terms = []
    for p, y in zip(probs, target.numpy(), strict=True):
        planes = np.stack([slow_errors((y == label).astype(float), p[label]) for label in range(3)])
        true_class = lambda values, y=y: np.take_along_axis(values, y[None], 0)[0]  # noqa: E731
        terms.append(slow_loss(true_class(planes), -np.log(true_class(p))))
    assert structural_similarity(logits, target).item() == pytest.approx(np.mean(terms), abs=1e-12)


def test_multilabel_is_the_mean_over_channels() -> None:
    logits = example(5, 4, channels=2)[0]
    target = (logits > 0.5).long()
    target[0, 0] = 255  # a plane that does not count: 5 are left
    planes = [(b, c) for b in range(3) for c in range(2) if (b, c) != (0, 0)]
    single = [structural_similarity(logits[b, c][None, None], target[b, c][None]) for b, c in planes]
    torch.testing.assert_close(structural_similarity(logits, target), torch.stack(single).mean())


@pytest.mark.parametrize("over", ["image", "batch"])
def test_gradient_with_the_weights_held(over: str) -> None:
    logits, target = example(6, 5, ignored=True)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(structural_similarity(logits, target, over=over), logits)
    batch = prepare(logits.detach(), target, loss="", tasks=[Task.BINARY], ignore_index=255)
    weights = hard_weights(batch, over)
    shares = (weights > 0).sum(dim=(2, 3), keepdim=True) * 2 if over == "image" else (weights > 0).sum()
    expected = weights * (logits.detach().sigmoid() - (target == 1).unsqueeze(1).double()) / shares.clamp(min=1)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("size", [(256, 256), (255, 301), (3, 2)])
@pytest.mark.parametrize("over", ["image", "batch"])
def test_a_perfect_confident_prediction_is_finite(size: tuple[int, int], over: str) -> None:
    target = torch.zeros(2, *size, dtype=torch.int64)
    target[0, 1:, 1:] = 1
    logits = torch.where(target == 1, 200.0, -200.0).unsqueeze(1).requires_grad_()
    value = structural_similarity(logits, target, over=over)
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_a_bad_image_does_not_decide_what_is_hard_in_another() -> None:
    logits, target = example(9, 9)
    logits, target = logits[:2], target[:2]
    logits[0] = torch.where(target[:1] == 1, 1.0, -1.0)
    logits[0, 0, 4, 4] *= -0.2
    alone = structural_similarity(logits[:1], target[:1])
    other = structural_similarity(logits[1:], target[1:])
    torch.testing.assert_close(structural_similarity(logits, target), (alone + other) / 2)
    batch = prepare(logits, target, loss="", tasks=[Task.BINARY], ignore_index=255)
    assert (hard_weights(batch, "image")[0] > 0).sum() > (hard_weights(batch, "batch")[0] > 0).sum()


def test_level_is_not_seen_inside_a_cell() -> None:
    """The documented weakness that the compound with bce mends."""
    wrong = torch.full((1, 1, 6, 6), -8.0)
    batch = prepare(wrong, torch.ones(1, 6, 6, dtype=torch.int64), loss="", tasks=[Task.BINARY], ignore_index=255)
    assert (hard_weights(batch, "image")[..., 2:5, 2:5] == 0).all()


def test_wrong_options_name_their_key() -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss({"structural_similarity": {"over": "cell"}})
    assert caught.value.key == "loss.structural_similarity.over"
