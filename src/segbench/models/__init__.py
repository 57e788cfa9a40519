"""Networks by name. Importing this package does not import torch; building a network does.

Every network takes images (B, in_channels, H, W) float with 1 to 16 channels and H, W >= 32 and returns logits
(B, out_channels, H, W), without an activation at the end; see `SegmentationNetwork` (`segbench.models.base`) for the
attributes it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import ConfigError, OptionError
from segbench.models.smp.decoders import DECODERS
from segbench.options import check_options
from segbench.registry import Registry

if TYPE_CHECKING:
    from segbench.models.base import SegmentationNetwork

__all__ = ["MODELS", "RESERVED", "build_network", "check_weights", "is_weights_file"]

MODELS = Registry(
    "network",
    {
        "aspp_net": "segbench.models.aspp_net:ASPPNet",
        "deeplabv3_resnet50": "segbench.models.torchvision_networks:deeplabv3_resnet50",
        "fcn_resnet50": "segbench.models.torchvision_networks:fcn_resnet50",
        "full_resolution_conv": "segbench.models.full_resolution_conv:FullResolutionConv",
        "hypercolumn": "segbench.models.hypercolumn:Hypercolumn",
        "lraspp_mobilenet_v3": "segbench.models.torchvision_networks:lraspp_mobilenet_v3",
        "mobilenet_v2_unet": "segbench.models.mobilenet_v2_unet:MobileNetV2UNet",
        "segnet": "segbench.models.unet:segnet",
        "simple_fcn": "segbench.models.simple_fcn:SimpleFCN",
        "sliding_window": "segbench.models.sliding_window:SlidingWindow",
        **{f"smp/{name}": decoder for name, decoder in DECODERS.items()},
        "trans_unet": "segbench.models.trans_unet:TransUNet",
        "unet": "segbench.models.unet:unet",
        "unet_nearest": "segbench.models.unet:unet_nearest",
        "unet_strided": "segbench.models.unet:unet_strided",
        "unet_unpool": "segbench.models.unet:unet_unpool",
    },
)

RESERVED = ("in_channels", "out_channels", "weights")  # what `build_network` gives the builders; no options of a config
_FILE_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def build_network(
    name: str,
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    weights: str | None = "none",
    load_weights: bool = True,
    **options: Any,
) -> SegmentationNetwork:
    """Returns a network; `torch.manual_seed` decides the weights that are not loaded.

    Args:
        name: one of `MODELS.names()`.
        in_channels: channels of the image, 1 to 16.
        out_channels: logits a pixel: 1 for a binary task, else one a class (`ClassMap.out_channels`).
        weights: `none` or None (random), the name of published weights this network has (`imagenet`, `coco_voc`), or
            the path of a safetensors or state-dict file of the same network or of its encoder. The network's attribute
            `weights_origin` says what was loaded.
        load_weights: False builds the same network without loading, for callers that bring their own state dict.
        options: keyword options of the builder, `MODELS.options(name)`.
    Raises:
        ConfigError: unknown name, weights or option (with close names), or a value the builder refuses.
        WeightsError: the weights are not on this machine and cannot be fetched, or do not fit.

    Example:
        >>> import torch
        >>> import segbench
        >>> network = segbench.build_network("unet_nearest", widths=[8, 16], out_channels=3)
        >>> network(torch.rand(1, 3, 64, 96)).shape
        torch.Size([1, 3, 64, 96])
    """
    weights = "none" if weights is None else weights  # smp and timm call random weights None
    MODELS.check(name, options, reserved=RESERVED)
    check_weights(name, weights)
    named = not is_weights_file(weights) and "weights" in MODELS.options(name)
    chosen = {"weights": weights} if named else {}
    builder = MODELS.get(name)
    try:
        network: SegmentationNetwork = builder(in_channels=in_channels, out_channels=out_channels, **chosen, **options)
    except (ValueError, TypeError) as error:
        option = getattr(error, "option", "")
        if option == "weights":
            raise ConfigError(f"{error}{_file_hint(weights)}", key="weights") from error
        raise ConfigError(str(error), key=MODELS.key_of(name, option)) from error
    _require_network(name, network)
    if load_weights and weights != "none":
        if named:
            network.weights_origin = network.load_pretrained()
        else:
            from segbench.models.pretrained import load_file  # imports torch

            network.weights_origin = load_file(
                network,
                Path(weights),
                lambda: builder(in_channels=in_channels, out_channels=out_channels + 1, **options),
            )
    return network


def is_weights_file(weights: str) -> bool:
    """Tells whether `weights` means a file: it has a suffix or separator of one. Names of published weights do not."""
    return weights.lower().endswith(_FILE_SUFFIXES) or "/" in weights or "\\" in weights


def check_weights(name: str, weights: str) -> None:
    """Raises ConfigError for a folder, or where a network has no published weights of this name; imports no torch."""
    if not isinstance(weights, str):
        raise ConfigError(f"expected none, the name of published weights or a file, got {weights!r}", key="weights")
    if is_weights_file(weights) and Path(weights).is_dir():
        raise ConfigError(f"weights must be a file, but {weights} is a folder{_file_hint(weights)}", key="weights")
    if weights == "none" or is_weights_file(weights):
        return
    if "weights" not in MODELS.options(name):
        raise ConfigError(
            f"there are no published weights of {name!r}, so it cannot start from {weights!r}; use none, or the path "
            f"of a file ({', '.join(_FILE_SUFFIXES)}) of the same network{_file_hint(weights)}",
            key="weights",
        )
    try:
        check_options(MODELS.option_types(name), {"weights": weights})
    except OptionError as error:
        raise ConfigError(f"{error}{_file_hint(weights)}", key="weights") from error


def _file_hint(weights: str) -> str:
    """Returns how to name the file that `weights` seems to mean, to end a sentence with; empty where it means none."""
    path = Path(weights)
    if path.is_dir():
        best = path / "best.safetensors"
        return f"; write {best}, its best weights" if best.is_file() else "; name the file of weights in it"
    if path.suffix or path.is_file():
        return f"; the name of a file ends in {', '.join(_FILE_SUFFIXES)}, or has a folder in it (./{path.name})"
    return ""


def _require_network(name: str, network: object) -> None:
    """Raises ConfigError where a builder that a user registered returns something else than a network of segbench."""
    from segbench.models.base import SegmentationNetwork  # imports torch

    if not isinstance(network, SegmentationNetwork):
        raise ConfigError(
            f"the builder of {name!r} must return a segbench.SegmentationNetwork, got "
            f"{type(network).__name__}; derive from it and write compute_logits",
            key="network",
        )
