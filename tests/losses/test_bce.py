from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses.bce import bce
from segbench.losses.class_weights import balanced_class_weights, balanced_pos_weights


def example(channels: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, channels, 5, 4, generator=generator)
    return logits, torch.randint(0, 2, (2, channels, 5, 4), generator=generator)


@pytest.mark.parametrize("pos_weight", [None, 3.0, [0.5, 2.0, 7.0]])
def test_equals_torch(pos_weight: float | list[float] | None) -> None:
    logits, target = example(3)
    weight = None if pos_weight is None else torch.tensor(pos_weight).view(-1, 1, 1).expand(3, 1, 1)
    expected = F.binary_cross_entropy_with_logits(logits, target.float(), pos_weight=weight)
    torch.testing.assert_close(bce(logits, target, pos_weight=pos_weight), expected)


def test_binary_targets_with_and_without_channel_agree() -> None:
    logits, target = example()
    assert torch.equal(bce(logits, target), bce(logits, target[:, 0]))


def test_ignored_pixels_equal_torch_on_the_others() -> None:
    logits, target = example()
    target[0, 0, :2] = 255
    kept = target != 255
    expected = F.binary_cross_entropy_with_logits(logits[kept], target[kept].float())
    torch.testing.assert_close(bce(logits, target), expected)


def test_inverse_frequency_weighs_both_labels_alike() -> None:
    logits = torch.zeros(1, 1, 2, 5)
    target = torch.tensor([[[1, 1, 0, 0, 0], [0, 0, 0, 255, 255]]])  # 2 of 8: positives weigh 3
    assert torch.equal(bce(logits, target, pos_weight="inverse_frequency"), bce(logits, target, pos_weight=3.0))
    nothing = torch.zeros_like(target)
    assert torch.equal(bce(logits, nothing, pos_weight="inverse_frequency"), bce(logits, nothing))


def test_weights_from_counts() -> None:
    assert balanced_pos_weights([10, 0, 5], [30, 5, 0]) == [3.0, 1.0, 1.0]
    weights = balanced_class_weights([60, 30, 10, 0])
    assert sum(weight * count for weight, count in zip(weights, [60, 30, 10, 0], strict=True)) == pytest.approx(100)
    assert weights[2] == pytest.approx(2 * weights[1] * 1.5)
    assert weights[3] == 1.0
    assert balanced_class_weights([0, 0]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, r"above 0, a list of such numbers \(one a class\) or 'inverse_frequency', got 0"),
        (-1.0, "above 0"),
        (float("inf"), "finite"),
        ("balanced", "inverse_frequency"),
        ([], "one a class"),
        (True, "finite"),
    ],
)
def test_wrong_weights_name_their_key(value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        build_loss({"bce": {"pos_weight": value}})
    assert caught.value.key == "loss.bce.pos_weight"


def test_wrong_number_of_weights() -> None:
    logits, target = example(3)
    with pytest.raises(ValueError, match="pos_weight has 2 values, but the logits have 3 channels"):
        bce(logits, target, pos_weight=[1.0, 2.0])
