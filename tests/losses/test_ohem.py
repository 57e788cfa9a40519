"""Online hard example mining: what is kept, against lists and sorting by hand."""

from __future__ import annotations

import math

import pytest
import torch
from tests.losses.test_top_k import example, pixel_losses
from torch import Tensor

from segbench.errors import ConfigError
from segbench.losses import build_loss
from segbench.losses.bce import bce
from segbench.losses.cross_entropy import cross_entropy
from segbench.losses.ohem import ohem


def slow_ohem(logits: Tensor, target: Tensor, thresh: float, min_kept_frac: float, over: str) -> float:
    """Every pixel's probability of its label, in lists."""
    every = pixel_losses(logits, target)
    if over == "batch":
        every = [[value for losses in every for value in losses]]
    means = []
    for losses in filter(None, every):
        unsure = [value for value in losses if math.exp(-value) < thresh]
        least = math.ceil(round(min_kept_frac * len(losses), 9))
        kept = unsure if len(unsure) >= least else sorted(losses)[-least:]
        means.append(sum(kept) / len(losses))
    return sum(means) / len(means)


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize(("thresh", "min_kept_frac"), [(0.7, 0.0625), (0.05, 0.5), (0.999, 0.01), (1e-9, 1.0)])
@pytest.mark.parametrize(("channels", "multilabel"), [(1, False), (3, False), (2, True)])
def test_equals_the_slow_one(channels: int, multilabel: bool, thresh: float, min_kept_frac: float, over: str) -> None:
    logits, target = example(channels, multilabel)
    ours = ohem(logits, target, thresh=thresh, min_kept_frac=min_kept_frac, over=over)
    assert ours.item() == pytest.approx(slow_ohem(logits, target, thresh, min_kept_frac, over), abs=1e-12)


def test_all_pixels_are_the_plain_loss() -> None:
    logits, target = example(1)
    torch.testing.assert_close(ohem(logits, target, min_kept_frac=1), bce(logits, target))
    logits, target = example(3)
    torch.testing.assert_close(ohem(logits, target, min_kept_frac=1), cross_entropy(logits, target))
    logits, target = example(2, multilabel=True)
    torch.testing.assert_close(ohem(logits, target, thresh=1), bce(logits, target))


def test_only_what_is_kept_learns() -> None:
    logits = torch.tensor([[[[4.0, 3.0, 0.5, -2.0, -9.0]]]], requires_grad=True)
    target = torch.tensor([[[1, 1, 1, 1, 255]]])
    ohem(logits, target, thresh=0.7, min_kept_frac=0.25).backward()
    assert (logits.grad != 0).flatten().tolist() == [False, False, True, True, False]  # sigmoid(0.5) is 0.62
    logits.grad = None
    ohem(logits, target, thresh=0.1, min_kept_frac=0.7).backward()  # none is below; ceil(2.8) of four
    assert (logits.grad != 0).flatten().tolist() == [False, True, True, True, False]


def test_ties_share_the_places_that_are_left() -> None:
    logits = torch.full((1, 1, 1, 4), 3.0, requires_grad=True)
    ohem(logits, torch.ones(1, 1, 4, dtype=torch.int64), min_kept_frac=0.5).backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, logits.grad[..., :1].expand_as(logits))
    assert (logits.grad != 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_of_ignored_pixels_costs_nothing(channels: int) -> None:
    logits = torch.randn(2, channels, 4, 4, requires_grad=True)
    value = ohem(logits, torch.full((2, 4, 4), 255))
    value.backward()
    assert value.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize(("option", "value"), [("thresh", 0.0), ("thresh", 1.5), ("min_kept_frac", 0), ("over", "all")])
def test_options_out_of_range(option: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss({"ohem": {option: value}})
    assert caught.value.key == f"loss.ohem.{option}"
