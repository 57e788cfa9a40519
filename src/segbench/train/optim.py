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
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from segbench.config.run import OptimizerConfig, RunConfig, ScheduleConfig

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]
AverageUpdate: TypeAlias = Callable[[Tensors, Tensors, Tensor | int], None]


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
        total: steps of the whole run.
    """

    def __init__(self, optimizer: Optimizer, config: ScheduleConfig, total: int) -> None:
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


def build_average(network: nn.Module, config: RunConfig, steps_done: Callable[[], int]) -> AveragedModel | None:
    """Returns what averages a network's weights and statistics; None where the config asks for no average.

    Args:
        network: whose average it is.
        config: with `ema_decay` an exponential moving average, to be updated after every step; with `swa_start` a
            plain one, to be updated at the ends of epochs.
        steps_done: gives the steps that are through.
    """
    if config.ema_decay is not None:
        return AveragedModel(network, multi_avg_fn=_moving_average(config.ema_decay, steps_done), use_buffers=True)
    if config.swa_start is not None:
        return AveragedModel(network, multi_avg_fn=_floats_by(get_swa_multi_avg_fn()), use_buffers=True)  # type: ignore[no-untyped-call]  # torch has no types here
    return None


def warm_decay(decay: float, step: int) -> float:
    """Returns the decay of an exponential moving average at a step, counted from 0: low at first, then `decay`.

    Without, the random first weights would stay in the average for some 1 / (1 - decay) steps. The rule is that of
    TensorFlow's ExponentialMovingAverage with `num_updates`.
    """
    return min(decay, (1 + step) / (10 + step))


def _moving_average(decay: float, steps_done: Callable[[], int]) -> AverageUpdate:
    def update(averages: Tensors, current: Tensors, count: Tensor | int) -> None:
        # Steps are counted by the run: the average's own count lies on the device, and reading it would wait for it.
        now = get_ema_multi_avg_fn(warm_decay(decay, steps_done()))  # type: ignore[no-untyped-call]
        _floats_by(now)(averages, current, count)

    return update


def _floats_by(average_floats: AverageUpdate) -> AverageUpdate:
    """Returns an update of `AveragedModel` that averages floats as given and takes the latest value of counters.

    torch's own rounds a counter down at every step (torch 2.15), which moves even what is frozen.
    """

    @torch.no_grad()
    def update(averages: Tensors, current: Tensors, count: Tensor | int) -> None:
        if averages[0].is_floating_point():
            average_floats(averages, current, count)
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
