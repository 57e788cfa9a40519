from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses.cross_entropy import cross_entropy


def example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 4, (2, 5, 6), generator=generator)
    target[0, :2, :3] = 255
    return 3 * torch.randn(2, 4, 5, 6, generator=generator), target


@pytest.mark.parametrize("class_weights", [None, [1.0, 0.0, 2.5, 4.0]])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_torch(
    class_weights: list[float] | None, label_smoothing: float, memory_format: torch.memory_format
) -> None:
    logits, target = example()
    weight = None if class_weights is None else torch.tensor(class_weights)
    expected = F.cross_entropy(
        logits, target, weight=weight, ignore_index=255, label_smoothing=label_smoothing, reduction="mean"
    )
    ours = cross_entropy(
        logits.contiguous(memory_format=memory_format),
        target,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
    )
    torch.testing.assert_close(ours, expected)


def test_inverse_frequency_counts_the_batch() -> None:
    logits, target = example()
    target[target == 3] = 0  # class 3 is absent
    pixels = [int((target == label).sum()) for label in range(4)]
    weights = [sum(pixels) / (3 * count) if count else 1.0 for count in pixels]
    expected = F.cross_entropy(logits, target, weight=torch.tensor(weights), ignore_index=255)
    torch.testing.assert_close(cross_entropy(logits, target, class_weights="inverse_frequency"), expected)


def test_only_weightless_pixels_give_zero() -> None:
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    value = cross_entropy(logits, torch.zeros(1, 3, 3, dtype=torch.int64), class_weights=[0.0, 1.0])
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros(1, 2, 3, 3))


def test_one_channel_is_explained() -> None:
    with pytest.raises(ValueError, match=r"softmax over a single channel is always 1.*always be 0; use bce"):
        cross_entropy(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"class_weights": [1.0, -2.0]}, "loss.cross_entropy.class_weights"),
        ({"class_weights": [0.0, 0.0]}, "loss.cross_entropy.class_weights"),
        ({"class_weights": "median"}, "loss.cross_entropy.class_weights"),
        ({"class_weights": 2.0}, "loss.cross_entropy.class_weights"),
        ({"label_smoothing": 1.0}, "loss.cross_entropy.label_smoothing"),
        ({"label_smoothing": True}, "loss.cross_entropy.label_smoothing"),
    ],
)
def test_wrong_options_name_their_key(options: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss({"cross_entropy": options})
    assert caught.value.key == key


def test_wrong_number_of_weights() -> None:
    logits, target = example()
    with pytest.raises(ValueError, match="class_weights has 3 values, but the logits have 4 channels"):
        cross_entropy(logits, target, class_weights=[1.0, 2.0, 3.0])
