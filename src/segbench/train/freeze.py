"""Freezing the encoder: no gradients, and normalisations and dropout in evaluation mode."""

from __future__ import annotations

from segbench.config.run import RunConfig
from segbench.errors import ConfigError
from segbench.models.base import SegmentationNetwork


def check_network(network: SegmentationNetwork, config: RunConfig) -> None:
    """Raises ConfigError where the config asks for what the network cannot do: an encoder, a training batch of one."""
    name = config.network.name
    if not network.encoder_modules():
        if config.freeze.part == "encoder":
            raise ConfigError(f"{name!r} has no encoder that could be frozen; use none", key="freeze")
        if config.optimizer.encoder_lr is not None:
            raise ConfigError(
                f"{name!r} has no encoder with a rate of its own; leave it out", key="optimizer.encoder_lr"
            )
    if config.batch_size < network.smallest_training_batch:
        raise ConfigError(
            f"{name!r} normalises maps pooled to one pixel over the batch, so it needs at least "
            f"{network.smallest_training_batch}, got {config.batch_size}",
            key="batch_size",
        )


def begin_epoch(network: SegmentationNetwork, config: RunConfig, epoch: int) -> None:
    """Puts a network into training mode for an epoch, counted from 0, with its encoder frozen or not.

    What is frozen keeps its running statistics and weights bit by bit.
    """
    network.train()
    if config.freeze.part == "none":
        return
    frozen = config.freeze.frozen_in(epoch)
    for module in network.encoder_modules():
        module.requires_grad_(not frozen)
        if frozen:
            module.eval()


def freeze_for_good(network: SegmentationNetwork, config: RunConfig) -> None:
    """Takes what never learns in this run out of the gradients, to be called before the optimiser is built."""
    if config.freeze.part == "encoder" and config.freeze.until_epoch is None:
        for module in network.encoder_modules():
            module.requires_grad_(False)
