from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses.bce import bce
from segbench.losses.cross_entropy import cross_entropy
from segbench.losses.focal import focal


def example(channels: int = 1, labels: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, channels, 5, 4, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, labels, (2, 5, 4), generator=generator)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_equals_torchvision(gamma: float, alpha: float | None) -> None:
    logits, target = example()
    expected = sigmoid_focal_loss(
        logits[:, 0], target.double(), alpha=-1 if alpha is None else alpha, gamma=gamma, reduction="mean"
    )
    torch.testing.assert_close(focal(logits, target, gamma=gamma, alpha=alpha), expected)


def test_gamma_0_is_cross_entropy() -> None:
    logits, target = example()
    torch.testing.assert_close(focal(logits, target, gamma=0), bce(logits, target))
    logits, target = example(3, 3)
    torch.testing.assert_close(focal(logits, target, gamma=0), cross_entropy(logits, target))


def test_positive_only_is_the_homeworks_formula() -> None:
    logits, target = example()
    p, y = logits[:, 0].sigmoid().numpy(), target.numpy()
    expected = -np.mean((1 - p) ** 2 * y * np.log(p) + (1 - y) * np.log(1 - p))
    assert focal(logits, target, modulate="positive").item() == pytest.approx(expected)
    assert focal(logits, target).item() < expected


@pytest.mark.parametrize("alpha", [None, [1.0, 0.5, 3.0]])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_multiclass_equals_the_formula(gamma: float, alpha: list[float] | None) -> None:
    logits, target = example(3, 3)
    p = np.take_along_axis(logits.softmax(1).numpy(), target.numpy()[:, None], 1)[:, 0]
    weight = np.ones(3) if alpha is None else np.array(alpha)
    expected = np.mean(-weight[target.numpy()] * (1 - p) ** gamma * np.log(p))
    assert focal(logits, target, gamma=gamma, alpha=alpha).item() == pytest.approx(expected)


def test_multilabel_alpha_per_channel() -> None:
    logits = example(2)[0]
    target = (logits > 1).long()
    single = [focal(logits[:, c : c + 1], target[:, c], alpha=alpha) for c, alpha in enumerate((0.2, 0.9))]
    torch.testing.assert_close(focal(logits, target, alpha=[0.2, 0.9]), torch.stack(single).mean())


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_stay_finite_for_any_gamma(gamma: float, channels: int) -> None:
    logits, target = example(channels, max(channels, 2))
    logits = (1e4 * logits.sign()).float().requires_grad_()
    focal(logits, target, gamma=gamma).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("logit", [10.0, 16.0, 25.0])
def test_easy_pixels_keep_their_digits_in_float32(logit: float) -> None:
    """1 - p loses its digits from a logit of about 10 on and rounds to 0 at 17; its logarithm does not."""
    logits, target = torch.full((1, 1, 1, 1), logit, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.int64)
    assert focal(logits.float(), target).item() == pytest.approx(focal(logits, target).item(), rel=1e-4, abs=0)


def test_options_for_another_task_are_refused() -> None:
    logits, target = example(3, 3)
    with pytest.raises(ValueError, match='"positive" is for binary and multilabel'):
        focal(logits, target, modulate="positive")
    with pytest.raises(ValueError, match="alpha has 1 values, but the logits have 3 channels"):
        focal(logits, target, alpha=0.25)
    with pytest.raises(ValueError, match="from 0 to 1, in a binary task; got 2"):
        focal(*example(), alpha=[2.0])


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"gamma": -1}, "gamma"),
        ({"alpha": 1.5}, "alpha"),
        ({"alpha": "auto"}, "alpha"),
        ({"modulate": "no"}, "modulate"),
    ],
)
def test_wrong_options_name_their_key(options: dict[str, object], option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss({"focal": options})
    assert caught.value.key == f"loss.focal.{option}"
