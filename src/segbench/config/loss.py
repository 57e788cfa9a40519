"""The loss of a config: one term, or a sum of terms whose weights may move over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from segbench.config.base import Section
from segbench.errors import ConfigError


class WeightSchedule(Section):
    """The weight of a loss that moves over the epochs: from `start` in the first in equal steps to `end`, then `end`.

    Attributes:
        start, end: 0 or more, one of them above 0.
        epochs: the epoch, counted from 1, in which `end` is reached.
    """

    start: Annotated[float, Field(ge=0.0)]
    end: Annotated[float, Field(ge=0.0)]
    epochs: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _some_weight(self) -> WeightSchedule:
        if self.start == self.end == 0.0:
            raise ValueError("a weight that is 0 in every epoch leaves the loss out; remove it")
        return self

    def at(self, epoch: int) -> float:
        """Returns the weight in an epoch, counted from 0."""
        share = min(1.0, epoch / (self.epochs - 1))
        return self.start + share * (self.end - self.start)


class LossTerm(Section):
    """One registered loss in a weighted sum."""

    name: str
    weight: Annotated[float, Field(gt=0.0)] | WeightSchedule = 1.0
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def weight_text(self) -> str:
        """The weight for people: `0.5`, or `0 to 0.5`."""
        if isinstance(self.weight, WeightSchedule):
            return f"{self.weight.start:g} to {self.weight.end:g}"
        return f"{self.weight:g}"


def parse_loss(spec: object) -> tuple[LossTerm, ...]:
    """Returns the terms of a loss spec.

    Args:
        spec: `"dice"`, `{"focal": {"gamma": 2}}`, `{"dice": 0.3, "bce": 0.7}` or a mixture, where `weight` among a
            loss's options is its weight in the sum: `{"focal": {"gamma": 2, "weight": 0.5}, "dice": 0.5}`. A weight
            that moves over the epochs is a mapping: `{"boundary": {"weight": {"start": 0, "end": 0.5, "epochs": 20}}}`.
    Raises:
        ConfigError: any other form, no term, or a weight that is not above 0.
    """
    if isinstance(spec, str):
        return (LossTerm(name=spec),)
    if isinstance(spec, Sequence) and spec and all(isinstance(term, LossTerm) for term in spec):
        return tuple(spec)
    if not isinstance(spec, Mapping) or not spec:
        raise ConfigError(f"expected a name, {{name: weight}} or {{name: {{option: value}}}}, got {spec!r}", key="loss")
    terms: list[LossTerm] = []
    for name, value in spec.items():
        options: dict[str, Any] = {}
        weight: object = value
        if isinstance(value, Mapping):
            options = {str(key): item for key, item in value.items() if key != "weight"}
            weight = value.get("weight", 1.0)
        elif value is None:
            weight = 1.0
        terms.append(LossTerm(name=str(name), weight=_parse_weight(str(name), weight), options=options))
    return tuple(terms)


def _parse_weight(name: str, weight: object) -> float | WeightSchedule:
    if isinstance(weight, WeightSchedule):
        return weight
    if isinstance(weight, Mapping):
        try:
            return WeightSchedule.model_validate(weight)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            raise ConfigError(
                f"expected {{start: number, end: number, epochs: number}}, got {dict(weight)}: {reason}",
                key=f"loss.{name}.weight" + (f".{place}" if place else ""),
            ) from error
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0.0 < weight < float("inf"):
        raise ConfigError(f"expected a weight above 0 or a mapping of options, got {weight!r}", key=f"loss.{name}")
    return float(weight)
