from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from segbench.config.loss import LossTerm
from segbench.errors import ConfigError
from segbench.losses import LOSSES, build_loss
from segbench.losses.bce import bce
from segbench.losses.boundary import boundary
from segbench.losses.dice import dice
from segbench.losses.focal import focal
from segbench.types import Task

LOGITS = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
TARGET = (LOGITS[:, 0] > 0.5).long()


def test_weighted_sum_and_its_components() -> None:
    loss = build_loss({"dice": 0.3, "focal": {"gamma": 1, "weight": 0.7}})
    assert [(term.name, term.weight, term.options) for term in loss.terms] == [
        ("dice", 0.3, {}),
        ("focal", 0.7, {"gamma": 1}),
    ]
    components = loss.components(LOGITS, TARGET)
    assert torch.equal(components["dice"], dice(LOGITS, TARGET))
    assert torch.equal(components["focal"], focal(LOGITS, TARGET, gamma=1))
    expected = 0.3 * components["dice"] + 0.7 * components["focal"]
    torch.testing.assert_close(loss(LOGITS, TARGET), expected)
    assert loss(LOGITS, TARGET).shape == ()
    assert torch.equal(loss.total(components), loss(LOGITS, TARGET))
    assert loss.tasks == frozenset(Task)


def test_a_single_term_keeps_its_weight() -> None:
    torch.testing.assert_close(build_loss({"bce": 2.0})(LOGITS, TARGET), 2 * bce(LOGITS, TARGET))
    assert torch.equal(build_loss("bce")(LOGITS, TARGET), bce(LOGITS, TARGET))


def test_tasks_are_what_all_terms_can_do() -> None:
    assert build_loss({"dice": 1, "bce": 1}).tasks == {Task.BINARY, Task.MULTILABEL}
    with pytest.raises(ConfigError, match=r"no task in common \(bce: binary, multilabel; cross_entropy: multiclass\)"):
        build_loss({"bce": 1, "cross_entropy": 1})


def scheduled(start: float, end: float, epochs: int) -> dict[str, object]:
    return {"dice": 1.0, "boundary": {"weight": {"start": start, "end": end, "epochs": epochs}}}


def test_a_weight_moves_in_equal_steps_and_then_stays() -> None:
    loss = build_loss(scheduled(0.0, 0.5, 5))
    seen = []
    for epoch in range(8):
        loss.set_epoch(epoch)
        assert loss.weights["dice"] == 1.0
        seen.append(loss.weights["boundary"])
    assert seen == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5])


def test_a_weight_can_fall_and_is_used() -> None:
    loss = build_loss(scheduled(1.0, 0.01, 3))
    loss.set_epoch(1)
    assert loss.weights["boundary"] == pytest.approx(0.505)
    expected = dice(LOGITS, TARGET) + 0.505 * boundary(LOGITS, TARGET)
    torch.testing.assert_close(loss(LOGITS, TARGET), expected)
    torch.testing.assert_close(loss.total(loss.components(LOGITS, TARGET)), expected)


def test_weights_are_the_final_ones_until_an_epoch_is_set() -> None:
    loss = build_loss(scheduled(0.0, 0.5, 5))
    assert loss.weights == {"dice": 1.0, "boundary": 0.5}
    loss.set_epoch(0)
    assert loss.weights["boundary"] == 0.0
    loss.set_epoch(None)
    assert loss.weights["boundary"] == 0.5
    with pytest.raises(ValueError, match="epoch must be 0 or more, or None for the final weights, got -1"):
        loss.set_epoch(-1)


def test_a_term_of_weight_0_is_reported_and_moves_nothing() -> None:
    loss = build_loss(scheduled(0.0, 0.5, 5))
    loss.set_epoch(0)
    logits = LOGITS.clone().requires_grad_()
    components = loss.components(logits, TARGET)
    assert torch.equal(components["boundary"], boundary(logits, TARGET))
    gradients = [torch.autograd.grad(value, logits)[0] for value in (loss(logits, TARGET), dice(logits, TARGET))]
    torch.testing.assert_close(*gradients)


def test_a_single_scheduled_term_begins_at_exactly_zero() -> None:
    loss = build_loss({"bce": {"weight": {"start": 0, "end": 1, "epochs": 2}}})
    loss.set_epoch(0)
    logits = LOGITS.clone().requires_grad_()
    value = loss(logits, TARGET)
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_the_epoch_is_no_part_of_the_state() -> None:
    loss = build_loss(scheduled(0.0, 0.5, 5))
    loss.set_epoch(3)
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("spec", "key", "words"),
    [
        ("dyce", "loss", "did you mean 'dice'"),
        ({"dice": {"smoth": 1}}, "loss.dice.smoth", "did you mean 'smooth'"),
        ({"dice": {"ignore_index": 3}}, "loss.dice.ignore_index", "no option"),
        ({"dice": -1}, "loss.dice", "weight above 0"),
        ([LossTerm(name="dice"), LossTerm(name="dice")], "loss", "named twice"),
    ],
)
def test_wrong_specs(spec: object, key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        build_loss(spec)
    assert caught.value.key == key


@pytest.mark.slow
def test_the_table_is_read_without_torch() -> None:
    code = (
        "import sys, segbench.losses as m; assert 'gamma' in m.LOSSES.options('focal'); "
        "assert all(m.LOSSES.summary(n) for n in m.LOSSES.names()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "dice" in LOSSES.names()
