from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from segbench.config import LossTerm
from segbench.errors import ConfigError
from segbench.losses import LOSSES, build_loss
from segbench.losses.bce import bce
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


def test_the_table_is_read_without_torch() -> None:
    code = (
        "import sys, segbench.losses as m; assert 'gamma' in m.LOSSES.options('focal'); "
        "assert all(m.LOSSES.summary(n) for n in m.LOSSES.names()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "dice" in LOSSES.names()
