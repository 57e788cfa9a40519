"""Optimisers and learning-rate schedules, as torch has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau
from torch.optim.swa_utils import get_ema_multi_avg_fn

from segbench.config.run import OptimizerConfig, ScheduleConfig

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


def build_optimizer(network: nn.Module, config: OptimizerConfig, encoder: Iterable[nn.Module] = ()) -> Optimizer:
    """Returns an optimiser over the parameters that may learn; with `encoder_lr` the encoder's are a second group."""
    in_encoder = {id(parameter) for module in encoder for parameter in module.parameters()}
    groups: dict[bool, list[Parameter]] = {False: [], True: []}
    for parameter in network.parameters():
        if parameter.requires_grad:
            groups[config.encoder_lr is not None and id(parameter) in in_encoder].append(parameter)
    rates = {False: config.lr, True: config.encoder_lr or config.lr}
    parameters = [{"params": group, "lr": rates[own]} for own, group in groups.items() if group]
    if config.name == "sgd":
        return SGD(parameters, lr=config.lr, weight_decay=config.weight_decay, momentum=config.momentum)
    adam: type[Adam] = AdamW if config.name == "adamw" else Adam
    return adam(parameters, lr=config.lr, weight_decay=config.weight_decay)


class Schedule:
    """A learning-rate schedule that hides whether it moves by step or by epoch.

    Args:
        optimizer: whose learning rate is moved.
        config: see `ScheduleConfig`.
        steps_per_epoch, epochs: length of the run.
    """

    def __init__(self, optimizer: Optimizer, config: ScheduleConfig, steps_per_epoch: int, epochs: int) -> None:
        total = steps_per_epoch * epochs
        self._by_step: LRScheduler | None = None
        self._plateau: ReduceLROnPlateau | None = None
        if config.name == "plateau":
            self._plateau = ReduceLROnPlateau(
                optimizer, factor=config.factor, patience=config.patience, cooldown=config.cooldown
            )
        elif config.name == "one_cycle":
            max_lr = [group["lr"] for group in optimizer.param_groups]
            # OneCycleLR needs a first phase of at least one step, and two steps in all.
            total = max(total, 2)
            rise = min(max(config.warmup_frac, 1.01 / total), 0.99)
            # Momentum and betas stay what the config says: only the rate moves.
            self._by_step = OneCycleLR(
                optimizer, max_lr=max_lr, total_steps=total, pct_start=rise, cycle_momentum=False
            )
        elif config.name == "cosine":
            warmup = int(config.warmup_frac * total)
            self._by_step = LambdaLR(optimizer, lambda step: _cosine(step, warmup, total))

    def after_step(self) -> None:
        """To be called after every optimiser step."""
        if self._by_step is not None:
            self._by_step.step()

    def after_epoch(self, validation_loss: float) -> None:
        """To be called after every epoch."""
        if self._plateau is not None:
            self._plateau.step(validation_loss)

    def state_dict(self) -> dict[str, Any]:
        """Returns plain values that `load_state_dict` takes back."""
        inner = self._by_step or self._plateau
        return {} if inner is None else {k: v for k, v in inner.state_dict().items() if _is_plain(v)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state_dict`'s place."""
        inner = self._by_step or self._plateau
        if inner is not None:
            inner.load_state_dict(state)


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Returns the update of `AveragedModel`: an exponential moving average of floats, the latest value of counters.

    torch's own rounds a counter down at every step (torch 2.15), which moves even what is frozen.
    """
    average_floats = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch has no types here

    @torch.no_grad()
    def update(averages: Tensors, current: Tensors, steps: Tensor | int) -> None:
        if averages[0].is_floating_point():
            average_floats(averages, current, steps)
        else:
            for average, value in zip(averages, current, strict=True):
                average.copy_(value)

    return update


def _cosine(step: int, warmup: int, total: int) -> float:
    """Returns the factor of the learning rate: a linear rise, then half a cosine to 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def _is_plain(value: Any) -> bool:
    """Tells whether `torch.load(weights_only=True)` reads a value back; LambdaLR keeps its function in the state."""
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)
