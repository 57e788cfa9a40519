"""Networks by name. Importing this package does not import torch; building a network does.

Every network takes images (B, in_channels, H, W) float with H, W >= 16 and returns logits (B, out_channels, H, W),
without an activation at the end, and has four attributes: `in_channels`, `out_channels`, `stride` (what H and W are
padded to a multiple of, inside) and `normalization` (how it wants its input, see `segbench.types.Normalization`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from segbench.errors import ConfigError
from segbench.registry import Registry

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS", "build_network"]

MODELS = Registry(
    "network",
    {
        "segnet": "segbench.models.unet:segnet",
        "unet_nearest": "segbench.models.unet:unet_nearest",
        "unet_strided": "segbench.models.unet:unet_strided",
        "unet_unpool": "segbench.models.unet:unet_unpool",
    },
)


def build_network(name: str, *, in_channels: int = 3, out_channels: int = 1, **options: Any) -> nn.Module:
    """Returns a freshly initialised network; `torch.manual_seed` decides its weights.

    Args:
        name: one of `MODELS.names()`.
        in_channels: channels of the image.
        out_channels: logits a pixel: 1 for a binary task, else one a class (`ClassMap.out_channels`).
        options: keyword options of the builder, `MODELS.options(name)`.
    Raises:
        ConfigError: unknown name or option (with close names), or a value the builder refuses.
    """
    MODELS.check(name, options, reserved=("in_channels", "out_channels"))
    try:
        network: nn.Module = MODELS.get(name)(in_channels=in_channels, out_channels=out_channels, **options)
    except (ValueError, TypeError) as error:
        raise ConfigError(str(error), key=_key_of(str(error), [*options, "in_channels", "out_channels"])) from error
    return network


def _key_of(message: str, options: Iterable[str]) -> str:
    """Returns the config key a builder's message is about: builders begin theirs with the option's name."""
    first = message.split(maxsplit=1)[0].rstrip(":") if message.strip() else ""
    return f"network.{first}" if first in set(options) else "network"
