"""The network that a run config asks for."""

from __future__ import annotations

from segbench.config.run import RunConfig
from segbench.models import build_network
from segbench.models.base import SegmentationNetwork


def network_of(config: RunConfig, in_channels: int, out_channels: int, *, load_weights: bool) -> SegmentationNetwork:
    """Returns the config's network; its starting weights are loaded unless the caller brings others.

    Raises:
        ConfigError, WeightsError: see `build_network`.
    """
    return build_network(
        config.network.name,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=config.weights,
        load_weights=load_weights,
        **config.network.options,
    )
