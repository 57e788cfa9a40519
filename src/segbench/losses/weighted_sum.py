"""The weighted sum every built loss is, also when it has a single term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segbench.config.loss import LossTerm, WeightSchedule
from segbench.types import Task


class WeightedSum(nn.Module):
    """Sum of losses times their weights, which may move over the epochs.

    Until `set_epoch` is called the weights are the final ones, for callers that have no epochs. The epoch is no part of
    the state dict; a training that goes on sets it again.

    Attributes:
        terms: name, weight and options of every loss, in order.
        tasks: what every one of them can be used for.
        epoch: counted from 0; None means after all schedules have ended.
    """

    def __init__(self, terms: Sequence[LossTerm], losses: Sequence[Any]) -> None:
        super().__init__()
        self.terms = tuple(terms)
        self.losses = nn.ModuleList(losses)
        self.tasks: frozenset[Task] = frozenset(Task).intersection(*(loss.tasks for loss in losses))
        self.epoch: int | None = None

    def set_epoch(self, epoch: int | None) -> None:
        """Sets the weights to those of an epoch, counted from 0; None: to the final ones."""
        if epoch is not None and epoch < 0:
            raise ValueError(f"epoch must be 0 or more, or None for the final weights, got {epoch}")
        self.epoch = epoch

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term, by name, in the current epoch."""
        return {term.name: _weight_at(term.weight, self.epoch) for term in self.terms}

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns () float: the sum of weight times loss; a term of weight 0 is computed only if all are."""
        weights = self.weights
        counted = {name for name, weight in weights.items() if weight != 0.0} or set(weights)
        pairs = zip(self.terms, self.losses, strict=True)
        values = [weights[term.name] * loss(logits, target) for term, loss in pairs if term.name in counted]
        return torch.stack(values).sum()

    def components(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Returns every term's own value, not weighted, those of weight 0 too: name -> () float."""
        return {term.name: loss(logits, target) for term, loss in zip(self.terms, self.losses, strict=True)}

    def total(self, components: dict[str, Tensor]) -> Tensor:
        """Returns the weighted sum of what `components` gave, for callers that want both and one computation."""
        return torch.stack([weight * components[name] for name, weight in self.weights.items()]).sum()


def _weight_at(weight: float | WeightSchedule, epoch: int | None) -> float:
    if not isinstance(weight, WeightSchedule):
        return weight
    return weight.end if epoch is None else weight.at(epoch)
