"""Losses as modules: their options are the function's."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import torch
from torch import Tensor

from segbench.errors import ConfigError, OptionError
from segbench.losses import LOSSES, build_loss
from segbench.losses.base import LossModule
from segbench.losses.dice import Dice, dice
from segbench.options import NonNegative, checked
from segbench.types import Task

LOGITS = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
TARGET = (LOGITS[:, 0] > 0).long()


@pytest.mark.parametrize("name", LOSSES.names())
def test_options_are_those_of_the_function(name: str) -> None:
    module = LOSSES.get(name)
    function = getattr(inspect.getmodule(module), name)
    declared = [item for item in inspect.signature(function).parameters.values() if item.kind is item.KEYWORD_ONLY]
    assert list(inspect.signature(module).parameters) == [item.name for item in declared] == LOSSES.options(name)
    built = module()
    assert {item.name: getattr(built, item.name) for item in declared} == {item.name: item.default for item in declared}
    assert f"See `{name}`" in (inspect.getdoc(module) or "")


@pytest.mark.parametrize("name", LOSSES.names())
def test_modules_can_be_pickled_and_copied_and_have_no_state(name: str) -> None:
    module = LOSSES.get(name)(ignore_index=7)
    for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):  # noqa: S301
        assert type(other) is type(module)
        assert repr(other) == repr(module)
        assert other.ignore_index == 7
        assert other.state_dict() == {}


def test_a_module_gives_what_its_function_gives() -> None:
    loss = Dice(over="batch", smooth=2)
    assert repr(loss) == "Dice(over='batch', smooth=2, include_background=None, ignore_index=255)"
    assert torch.equal(loss(LOGITS, TARGET), dice(LOGITS, TARGET, over="batch", smooth=2))
    loss.smooth = 0.0
    assert torch.equal(loss(LOGITS, TARGET), dice(LOGITS, TARGET, over="batch"))


def test_wrong_values_are_refused_by_the_function_and_by_the_module() -> None:
    for wrong in ({"smooth": -1}, {"smooth": float("nan")}, {"smooth": "1"}, {"smooth": True}):
        with pytest.raises(OptionError, match="smooth must be a number of 0 or more, in pixels, got") as caught:
            Dice(**wrong)
        assert caught.value.option == "smooth"
        with pytest.raises(ValueError, match="smooth must be a number of 0 or more, in pixels, got"):
            dice(LOGITS, TARGET, **wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'smoth'"):
        Dice(smoth=1)


def test_a_users_own_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOSSES, "_table", dict(LOSSES._table))

    @checked
    def mine(logits: Tensor, target: Tensor, *, scale: NonNegative = 1.0, ignore_index: int = 255) -> Tensor:
        return scale * (logits[:, 0].sigmoid() - target).abs().mean()

    @LOSSES.register("mine")
    class Mine(LossModule, function=mine, tasks=[Task.BINARY]):
        """Mean distance of the probability, to show how a loss is added. See `mine`."""

    assert LOSSES.options("mine") == ["scale", "ignore_index"]
    assert LOSSES.summary("mine").startswith("Mean distance")
    assert build_loss({"mine": {"scale": 2}})(LOGITS, TARGET) == mine(LOGITS, TARGET, scale=2)
    with pytest.raises(ConfigError, match="scale must be a finite number of 0 or more, got -1") as caught:
        build_loss({"mine": {"scale": -1}})
    assert caught.value.key == "loss.mine.scale"


def test_what_only_the_loss_itself_knows_has_its_key_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOSSES, "_table", dict(LOSSES._table))

    @LOSSES.register("narrow")
    class Narrow(torch.nn.Module):
        """Refuses a low above its high."""

        def __init__(self, *, low: float = 0.0, high: float = 1.0, ignore_index: int = 255) -> None:
            super().__init__()
            if low > high:
                raise OptionError(f"low must be at most high, {high:g}, got {low:g}", option="low")

    with pytest.raises(ConfigError, match=r"^loss\.narrow\.low: low must be at most high, 1, got 2"):
        build_loss({"narrow": {"low": 2.0}})
