from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses.pixel_dice import pixel_dice


@pytest.mark.parametrize("smooth", [0.01, 1.0])
def test_equals_the_homeworks_formula(smooth: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 1, 5, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 2, (2, 5, 4), generator=generator)
    p, y = logits[:, 0].sigmoid().numpy(), target.numpy()
    expected = 1 - np.mean((2 * y * p + smooth) / (y + p + smooth))
    assert pixel_dice(logits, target, smooth=smooth).item() == pytest.approx(expected, abs=1e-12)


def test_multiclass_averages_over_the_planes_of_all_classes() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 3, (2, 4, 4), generator=generator)
    target[0, 0] = 255
    p, kept = logits.softmax(1).numpy(), (target != 255).numpy()
    y = np.stack([(target == label).numpy() for label in range(3)], axis=1)
    ratio = (2 * y * p + 0.01) / (y + p + 0.01)
    expected = 1 - np.mean([ratio[:, label][kept].mean() for label in range(3)])
    assert pixel_dice(logits, target).item() == pytest.approx(expected, abs=1e-12)


def test_nearly_right_background_keeps_its_digits_in_float32() -> None:
    logits, target = torch.full((1, 1, 2, 2), -25.0, dtype=torch.float64), torch.zeros(1, 2, 2, dtype=torch.int64)
    exact = pixel_dice(logits, target).item()
    assert pixel_dice(logits.float(), target).item() == pytest.approx(exact, rel=1e-5, abs=0)


@pytest.mark.parametrize("smooth", [0, -1, True, "0.01"])
def test_wrong_options_name_their_key(smooth: object) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss({"pixel_dice": {"smooth": smooth}})
    assert caught.value.key == "loss.pixel_dice.smooth"
