"""The regression is the one that the formula says, and the network computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import optimize  # type: ignore[import-untyped]

from segbench.assist.logistic import Pixels, columns_at, fit_path, pixel_loss, sample_pixels, set_head
from segbench.models.hypercolumn import Hypercolumn
from segbench.types import IGNORE_INDEX, Task


def pixels_of(task: Task, seed: int = 0, n: int = 60, wide: int = 4) -> Pixels:
    rng = np.random.default_rng(seed)
    x = rng.normal(3.0, [0.1, 1.0, 20.0, 1.0], (n, wide))  # of very different scales
    plane = (x[:, 0] - 3.0) * 8 + x[:, 1] - 3.0 + rng.normal(0, 0.7, n)
    labels = {
        Task.BINARY: (plane > 0).astype(np.int64),
        Task.MULTICLASS: np.digitize(plane, [-0.5, 0.5]).astype(np.int64),
        Task.MULTILABEL: np.stack([plane > 0, x[:, 2] > 3.0], axis=1).astype(np.int64),
    }[task]
    if task is Task.MULTILABEL:
        labels[:5, 1] = IGNORE_INDEX
    weights = rng.uniform(0.5, 1.5, n)
    return Pixels(
        torch.from_numpy(x).float(), torch.from_numpy(labels), torch.from_numpy(weights / weights.sum()).float()
    )


OUTPUTS = {Task.BINARY: 1, Task.MULTICLASS: 3, Task.MULTILABEL: 2}


@pytest.mark.slow
@pytest.mark.parametrize("task", list(Task))
def test_the_fit_is_the_minimum_of_the_penalised_loss(task: Task) -> None:
    """Against another optimiser, in double precision, on features that are standardised by hand."""
    outputs, parts = OUTPUTS[task], [pixels_of(task), pixels_of(task, seed=1)]
    x = torch.cat([part.features for part in parts]).double()
    labels = torch.cat([part.labels for part in parts])
    weights = torch.cat([part.weights for part in parts]).double() / 2
    mean = weights @ x
    sd = (weights @ (x - mean).square()).sqrt()
    z = (x - mean) / sd

    def cost(flat: Any) -> tuple[float, Any]:
        values = torch.from_numpy(flat).requires_grad_()
        weight, bias = values[: outputs * 4].view(outputs, 4), values[outputs * 4 :]
        loss = (weights * pixel_loss(z @ weight.T + bias, labels, task)).sum() + 0.05 * weight.square().sum()
        loss.backward()
        assert values.grad is not None
        return loss.item(), values.grad.numpy()

    expected = optimize.minimize(cost, np.zeros(outputs * 5), jac=True, method="BFGS", options={"gtol": 1e-8}).x
    weight = expected[: outputs * 4].reshape(outputs, 4)
    linear = fit_path(parts, task, outputs, [0.1])[0]
    ours = x @ linear.weight.double().T + linear.bias.double()
    theirs = z @ torch.from_numpy(weight).T + torch.from_numpy(expected[outputs * 4 :])
    if task is Task.MULTICLASS:  # only differences of logits mean something
        ours, theirs = ours - ours.mean(dim=1, keepdim=True), theirs - theirs.mean(dim=1, keepdim=True)
    assert (ours - theirs).abs().max() < 0.01


@pytest.mark.slow
def test_every_image_counts_the_same() -> None:
    """Ten copies of an image's pixels are still one image."""
    one, other = pixels_of(Task.BINARY), pixels_of(Task.BINARY, seed=1)
    many = Pixels(one.features.repeat(10, 1), one.labels.repeat(10), one.weights.repeat(10) / 10)
    first, second = (fit_path([each, other], Task.BINARY, 1, [0.1])[0] for each in (one, many))
    torch.testing.assert_close(first.weight, second.weight, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
@torch.no_grad()
def test_the_folded_head_gives_the_regressions_logits() -> None:
    torch.manual_seed(0)
    network = Hypercolumn(out_channels=3).eval()
    image = torch.randn(1, 3, 64, 96)
    maps = [level[0] for level in network.features(image)]
    rows, columns = np.divmod(np.arange(64 * 96), 96)
    column = columns_at(maps, rows, columns)
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 3, len(column)))
    pixels = Pixels(column, labels, torch.full((len(column),), 1 / len(column)))
    with torch.enable_grad():
        linear = fit_path([pixels], Task.MULTICLASS, 3, [0.1])[0]
    set_head(network, linear)
    expected = (column @ linear.weight.T + linear.bias).T.reshape(1, 3, 64, 96)
    torch.testing.assert_close(network(image), expected, atol=1e-3, rtol=1e-3)


def test_a_pixels_column_is_that_of_the_enlarged_maps() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(c, h, w, generator=generator) for c, h, w in ((3, 32, 64), (5, 8, 16), (4, 1, 2))]
    rows, columns = np.array([0, 31, 7, 16]), np.array([0, 63, 20, 33])
    enlarged = torch.cat(
        [F.interpolate(level[None], (32, 64), mode="bilinear", align_corners=False)[0] for level in maps]
    )
    torch.testing.assert_close(columns_at(maps, rows, columns), enlarged[:, rows, columns].T, atol=1e-5, rtol=1e-5)


def test_rare_classes_are_drawn_and_ignored_pixels_are_not() -> None:
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[:2, :2] = 1  # 4 of 1600
    labels[20:] = IGNORE_INDEX
    found = sample_pixels([torch.zeros(1, 40, 40)], labels, 100, np.random.default_rng(0))
    assert found is not None
    assert sorted(set(found.labels.tolist())) == [0, 1]
    assert (found.labels == 1).sum() == 4
    assert 90 <= len(found.labels) <= 105
    assert found.weights.sum().item() == pytest.approx(1.0)
    share = found.weights[found.labels == 1].sum().item()
    assert 4 / 800 < share < 0.1  # more than their share of the pixels, far less than half
    labels[:] = IGNORE_INDEX
    assert sample_pixels([torch.zeros(1, 40, 40)], labels, 100, np.random.default_rng(0)) is None
