"""Boundary and Hausdorff losses against distances found by looking at every pair of pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses._distance import boundary_distances
from segbench.losses.boundary import boundary
from segbench.losses.hausdorff_dt import hausdorff_dt


def slow_distances(inside: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(H, W) each; pairs of pixels, or of a pixel and the ring around the image."""
    height, width = inside.shape
    distances = np.zeros((height, width))
    ring = [(r, c) for r in range(-1, height + 1) for c in range(-1, width + 1)]
    ring = [(r, c) for r, c in ring if not (0 <= r < height and 0 <= c < width)]
    for place in np.ndindex(height, width):
        if not counted[place]:
            continue
        others = [q for q in np.ndindex(height, width) if counted[q] and inside[q] != inside[place]]
        distances[place] = min(math.dist(place, q) for q in others or ring) - 0.5
    return distances


def example(channels: int, multilabel: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(channels)
    logits = 2 * torch.randn(4, channels, 6, 5, generator=generator, dtype=torch.float64)
    shape = (4, channels, 6, 5) if multilabel else (4, 6, 5)
    target = torch.randint(0, 2 if multilabel else max(2, channels), shape, generator=generator)
    target[0][target[0] == target.max()] = 0  # empty, or without the last class
    target[1, ..., 2:4, 1:] = 255
    target[2] = 255
    return logits, target


def planes(logits: Tensor, target: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, truth, counted: (B, C, H, W) each."""
    if logits.shape[1] == 1:
        target = target.unsqueeze(1)
    if target.ndim == 4:
        return logits.sigmoid().numpy(), (target == 1).numpy(), (target != 255).numpy()
    probs = logits.softmax(1).numpy()
    truth = np.stack([(target == label).numpy() for label in range(logits.shape[1])], axis=1)
    return probs, truth, np.broadcast_to((target != 255).numpy()[:, None], probs.shape)


CASES = pytest.mark.parametrize(("channels", "multilabel"), [(1, False), (3, False), (2, True)])


@CASES
def test_distances_equal_the_slow_ones(channels: int, multilabel: bool) -> None:
    _, truth, counted = planes(*example(channels, multilabel))
    expected = np.array(
        [[slow_distances(*pair) for pair in zip(*image, strict=True)] for image in zip(truth, counted, strict=True)]
    )
    tensors = (torch.from_numpy(truth), torch.from_numpy(counted.copy()))
    ours = boundary_distances(*tensors, unit="pixel", dtype=torch.float64)
    torch.testing.assert_close(ours, torch.from_numpy(expected))
    ours = boundary_distances(*tensors, unit="diagonal", dtype=torch.float32)
    torch.testing.assert_close(ours, torch.from_numpy(expected / math.sqrt(36 + 25)).float())


@CASES
def test_boundary_equals_the_slow_one(channels: int, multilabel: bool) -> None:
    logits, target = example(channels, multilabel)
    probs, truth, counted = planes(logits, target)
    total = sum(
        (np.abs(truth[plane] - probs[plane]) * slow_distances(truth[plane], counted[plane])).sum()
        for plane in np.ndindex(*probs.shape[:2])
    )
    assert boundary(logits, target).item() == pytest.approx(total / counted.sum(), abs=1e-12)


def test_boundary_is_the_published_sum_less_its_smallest_value() -> None:
    """Kervadec's map is edt outside and 1 - edt inside; ours is half a pixel lower everywhere."""
    target = torch.zeros(1, 12, 12, dtype=torch.int64)
    target[0, 3:8, 2:9] = 1
    logits = torch.randn(1, 1, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits.requires_grad_()
    mask = target[0].numpy().astype(bool)
    published = distance_transform_edt(~mask) * ~mask - (distance_transform_edt(mask) - 1) * mask
    signed = torch.from_numpy(published - 0.5)
    expected = (logits.sigmoid()[0, 0] * signed).mean() - signed.clamp(max=0).mean()
    ours = boundary(logits, target)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (ours, expected)))


@pytest.mark.parametrize("alpha", [1.0, 2.0])
@CASES
def test_hausdorff_equals_the_slow_one(channels: int, multilabel: bool, alpha: float) -> None:
    logits, target = example(channels, multilabel)
    probs, truth, counted = planes(logits, target)
    total = 0.0
    for plane in np.ndindex(*probs.shape[:2]):
        p, y, kept = probs[plane], truth[plane], counted[plane]
        weights = slow_distances(y, kept) ** alpha + slow_distances(p > 0.5, kept) ** alpha
        total += ((p - y) ** 2 * weights).sum()
    assert hausdorff_dt(logits, target, alpha=alpha).item() == pytest.approx(total / counted.sum(), abs=1e-12)


@pytest.mark.parametrize("loss", [boundary, hausdorff_dt])
def test_far_errors_cost_more_than_near_ones(loss: object) -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[0, :, :2] = 1
    costs = []
    for column in range(2, 8):
        logits = torch.where(target == 1, 9.0, -9.0)
        logits[0, 4, column] = 9.0
        costs.append(loss(logits.unsqueeze(1), target).item())
    assert costs == sorted(costs)
    assert costs[-1] > 3 * costs[0]


@pytest.mark.parametrize("loss", [boundary, hausdorff_dt])
def test_an_empty_mask_teaches_at_every_pixel(loss: object) -> None:
    logits = torch.zeros(1, 1, 7, 7, requires_grad=True)
    loss(logits, torch.zeros(1, 7, 7, dtype=torch.int64)).backward()
    assert (logits.grad > 0).all()


@pytest.mark.parametrize("loss", [boundary, hausdorff_dt])
def test_the_inner_rim_of_an_object_learns(loss: object) -> None:
    """A single pixel has only a rim; with distances of 0 there it would never be found."""
    target = torch.zeros(1, 5, 5, dtype=torch.int64)
    target[0, 2, 2] = 1
    logits = torch.zeros(1, 1, 5, 5, requires_grad=True)
    loss(logits, target).backward()
    assert logits.grad[0, 0, 2, 2] < 0


@pytest.mark.parametrize(("loss", "power"), [(boundary, 1), (hausdorff_dt, 2)])
def test_shares_of_the_diagonal_rescale(loss: object, power: int) -> None:
    logits, target = example(1)
    ratio = loss(logits, target) / loss(logits, target, unit="diagonal")
    assert ratio.item() == pytest.approx(math.sqrt(36 + 25) ** power)


@pytest.mark.parametrize("loss", [boundary, hausdorff_dt])
def test_the_background_is_left_out_on_request(loss: object) -> None:
    logits, target = example(3)
    every = torch.stack([loss(logits, target), loss(logits, target, include_background=False)])
    reference = []
    for first in (0, 1):  # class by class, as the mean over classes: all planes have the same number of counted pixels
        planes_of = [loss(*_one_class(logits, target, label)) for label in range(first, 3)]
        reference.append(torch.stack(planes_of).mean())
    torch.testing.assert_close(every, torch.stack(reference))


def _one_class(logits: Tensor, target: Tensor, label: int) -> tuple[Tensor, Tensor]:
    probability = logits.softmax(1)[:, label : label + 1]
    return torch.logit(probability), torch.where(target == 255, 255, (target == label).long())


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ({"boundary": {"unit": "mm"}}, "loss.boundary.unit"),
        ({"boundary": {"include_background": "no"}}, "loss.boundary.include_background"),
        ({"hausdorff_dt": {"alpha": 0}}, "loss.hausdorff_dt.alpha"),
        ({"hausdorff_dt": {"unit": 1}}, "loss.hausdorff_dt.unit"),
    ],
)
def test_wrong_options_name_their_key(spec: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss(spec)
    assert caught.value.key == key
