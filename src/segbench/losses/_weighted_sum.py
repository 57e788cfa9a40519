"""The weighted sum every built loss is, also when it has a single term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segbench.config import LossTerm
from segbench.types import Task


class WeightedSum(nn.Module):
    """Sum of losses times their weights.

    Attributes:
        terms: name, weight and options of every loss, in order.
        tasks: what every one of them can be used for.
    """

    def __init__(self, terms: Sequence[LossTerm], losses: Sequence[Any]) -> None:
        super().__init__()
        self.terms = tuple(terms)
        self.losses = nn.ModuleList(losses)
        self.tasks: frozenset[Task] = frozenset(Task).intersection(*(loss.tasks for loss in losses))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns () float: the sum of weight times loss."""
        return self.total(self.components(logits, target))

    def components(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Returns every term's own value, not weighted: name -> () float."""
        return {term.name: loss(logits, target) for term, loss in zip(self.terms, self.losses, strict=True)}

    def total(self, components: dict[str, Tensor]) -> Tensor:
        """Returns the weighted sum of what `components` gave, for callers that want both and one computation."""
        return torch.stack([term.weight * components[term.name] for term in self.terms]).sum()
