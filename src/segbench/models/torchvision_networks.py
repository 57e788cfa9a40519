"""torchvision's segmentation networks: FCN and DeepLabV3 on a dilated ResNet-50, LR-ASPP on MobileNetV3-Large.

Sources: Long et al. 2015 (FCN), Chen et al. 2017 (DeepLabV3), Howard et al. 2019 (LR-ASPP, MobileNetV3), as torchvision
builds them: state dicts and logits are torchvision's, at any size. They differ from the papers as torchvision does: the
FCN has no skips and a backbone dilated to stride 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch.nn.functional as F
import torchvision  # type: ignore[import-untyped]  # has no type information
from timm.models import adapt_input_conv
from torch import Tensor, nn
from torchvision.models import (  # type: ignore[import-untyped]
    MobileNet_V3_Large_Weights,
    ResNet50_Weights,
    WeightsEnum,
    segmentation,
)
from torchvision.models.segmentation import (  # type: ignore[import-untyped]
    DeepLabV3_ResNet50_Weights,
    FCN_ResNet50_Weights,
    LRASPP_MobileNet_V3_Large_Weights,
)

from segbench.errors import WeightsError, shorten
from segbench.models.base import SegmentationNetwork
from segbench.models.options import InChannels
from segbench.models.pretrained import IMAGENET_MEAN, IMAGENET_STD, adapt_normalization, fetch_torchvision, sha256_of
from segbench.options import Count, checked
from segbench.types import WeightsOrigin

Weights: TypeAlias = Literal["none", "imagenet", "coco_voc"]
AUXILIARY_WEIGHT = 0.5  # torchvision's reference training

VOC_CLASSES: tuple[str, ...] = tuple(FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.meta["categories"])
"""The 21 classes of `coco_voc`, in the order of the outputs; the first is the background."""


@dataclass(frozen=True)
class _Kind:
    """What one of torchvision's networks is made of, and where its weights are published."""

    build: Any
    coco_voc: WeightsEnum
    imagenet: WeightsEnum
    imagenet_prefix: str = ""  # of the backbone's tensors in the classifier's file
    pools_to_one_px: bool = False


_KINDS = {
    "fcn_resnet50": _Kind(
        segmentation.fcn_resnet50, FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1, ResNet50_Weights.IMAGENET1K_V1
    ),
    "deeplabv3_resnet50": _Kind(
        segmentation.deeplabv3_resnet50,
        DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1,
        ResNet50_Weights.IMAGENET1K_V1,
        pools_to_one_px=True,
    ),
    "lraspp_mobilenet_v3": _Kind(
        segmentation.lraspp_mobilenet_v3_large,
        LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1,
        MobileNet_V3_Large_Weights.IMAGENET1K_V1,
        imagenet_prefix="features.",
    ),
}


class TorchvisionNetwork(SegmentationNetwork):
    """A backbone, a classifier on its maps, and bilinear resizing to the input; the image is not padded.

    Args:
        name: key of the table above.
        in_channels: channels of the image. Other than 3: the first convolution is replaced; published weights are
            adapted to it (one channel: summed, more: repeated and scaled), and the normalisation likewise.
        out_channels: logits a pixel.
        weights: `none`, `imagenet` (backbone) or `coco_voc` (everything; see `VOC_CLASSES`). With other than 21 outputs
            the layers that depend on their number stay random.
        auxiliary: with a second classifier on the third stage, whose logits training mode returns as well.
    """

    def __init__(
        self, name: str, *, in_channels: int, out_channels: int, weights: str = "none", auxiliary: bool = False
    ) -> None:
        kind = _KINDS[name]
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=1,
            smallest_training_batch=2 if kind.pools_to_one_px else 1,
            normalization=adapt_normalization(IMAGENET_MEAN, IMAGENET_STD, in_channels),
            auxiliary_weights=(AUXILIARY_WEIGHT,) if auxiliary else (),
        )
        self.name = name
        self.weights = weights
        options: dict[str, Any] = {"aux_loss": True} if auxiliary else {}
        network = kind.build(weights=None, weights_backbone=None, num_classes=out_channels, progress=False, **options)
        self.backbone: nn.Module = network.backbone
        self.classifier: nn.Module = network.classifier
        self.aux_classifier: nn.Module | None = network.aux_classifier if auxiliary else None
        self.unused_prefixes = () if auxiliary else ("aux_classifier.",)  # in the published files of two of the three
        if in_channels != 3:
            _replace_first_convolution(self.backbone, in_channels)

    def encoder_modules(self) -> tuple[nn.Module, ...]:
        """Returns the backbone."""
        return (self.backbone,)

    def compute_logits(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns logits of the size of `image`; in training mode, with `auxiliary`, a pair."""
        size = image.shape[-2:]
        features: dict[str, Tensor] = self.backbone(image)
        coarse = self.classifier(features if "low" in features else features["out"])
        logits = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        if self.aux_classifier is None or not self.training:
            return logits
        second = F.interpolate(self.aux_classifier(features["aux"]), size=size, mode="bilinear", align_corners=False)
        return logits, second

    def load_pretrained(self) -> WeightsOrigin:
        """Loads torchvision's weights: of the backbone (`imagenet`), or of everything (`coco_voc`).

        Raises:
            WeightsError: they are not in torch's cache and cannot be fetched, or the file there is another network's.
        """
        kind = _KINDS[self.name]
        whole = self.weights == "coco_voc"
        published = kind.coco_voc if whole else kind.imagenet
        tensors, cached = fetch_torchvision(published, what=f"torchvision's weights {published} of {self.name}")
        in_file = len(tensors)
        if not whole:
            tensors = {
                f"backbone.{name.removeprefix(kind.imagenet_prefix)}": tensor
                for name, tensor in tensors.items()
                if name.startswith(kind.imagenet_prefix)
            }
        loaded, random = self._copy(tensors, whole=whole, file=cached)
        return WeightsOrigin(
            source=self.weights,
            part="network" if whole else "encoder",
            provider=f"torchvision {torchvision.__version__}: {published}",
            file=cached.name,
            sha256=sha256_of(cached) if cached.is_file() else "",
            tensors=loaded,
            left_random=random,
            left_out=in_file - loaded,
        )

    def _copy(self, tensors: Mapping[str, Tensor], *, whole: bool, file: Path) -> tuple[int, tuple[str, ...]]:
        """Copies what fits; returns how many tensors, and the names of those of the outputs that do not."""
        wanted = {name: tensor for name, tensor in self.state_dict().items() if whole or name.startswith("backbone.")}
        fitting = {name: tensor for name, tensor in tensors.items() if name in wanted}
        first = next(name for name, tensor in wanted.items() if tensor.ndim == 4)
        if first in fitting:
            fitting[first] = adapt_input_conv(self.in_channels, fitting[first])
        fitting = {name: tensor for name, tensor in fitting.items() if tensor.shape == wanted[name].shape}
        random = tuple(sorted(wanted.keys() - fitting.keys()))
        outputs = {f"{part}.{suffix}" for part in _output_layers(self) for suffix in ("weight", "bias")}
        strange = [name for name in random if name not in outputs]
        if strange:
            raise WeightsError(
                f"does not hold the weights of {self.name}: {len(strange)} tensors are missing or of another shape, "
                f"{shorten(strange, 3)}; remove the file, so that it is fetched again",
                file=file,
            )
        self.load_state_dict(fitting, strict=False)
        return len(fitting), random


@checked
def fcn_resnet50(
    *, in_channels: InChannels = 3, out_channels: Count = 1, weights: Weights = "none", auxiliary: bool = False
) -> TorchvisionNetwork:
    """FCN on a ResNet-50 dilated to stride 8, from torchvision (Long et al. 2015).

    Returns logits (B, out_channels, H, W); see `TorchvisionNetwork` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in fcn_resnet50(out_channels=21).parameters())
        32957013
    """
    return TorchvisionNetwork(
        "fcn_resnet50", in_channels=in_channels, out_channels=out_channels, weights=weights, auxiliary=auxiliary
    )


@checked
def deeplabv3_resnet50(
    *, in_channels: InChannels = 3, out_channels: Count = 1, weights: Weights = "none", auxiliary: bool = False
) -> TorchvisionNetwork:
    """DeepLabV3 on a ResNet-50 dilated to stride 8, from torchvision (Chen et al. 2017).

    Returns logits (B, out_channels, H, W); training batches have 2 images or more, since image pooling normalises one
    pixel over the batch. See `TorchvisionNetwork` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in deeplabv3_resnet50(out_channels=21).parameters())
        39638869
    """
    return TorchvisionNetwork(
        "deeplabv3_resnet50", in_channels=in_channels, out_channels=out_channels, weights=weights, auxiliary=auxiliary
    )


@checked
def lraspp_mobilenet_v3(
    *, in_channels: InChannels = 3, out_channels: Count = 1, weights: Weights = "none"
) -> TorchvisionNetwork:
    """LR-ASPP on MobileNetV3-Large, small and fast, from torchvision (Howard et al. 2019).

    Returns logits (B, out_channels, H, W); see `TorchvisionNetwork` for the options.

    Example:
        >>> sum(parameter.numel() for parameter in lraspp_mobilenet_v3(out_channels=21).parameters())
        3221538
    """
    return TorchvisionNetwork(
        "lraspp_mobilenet_v3", in_channels=in_channels, out_channels=out_channels, weights=weights
    )


def _output_layers(network: TorchvisionNetwork) -> list[str]:
    """Returns the names of the layers whose shape depends on the number of outputs."""
    if network.name == "lraspp_mobilenet_v3":
        return ["classifier.low_classifier", "classifier.high_classifier"]
    return ["classifier.4", "aux_classifier.4"]


def _replace_first_convolution(backbone: nn.Module, in_channels: int) -> None:
    """Gives the convolution that sees the image another number of channels, initialised as the one it replaces."""
    name, first = next((name, module) for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d))
    replacement = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    nn.init.kaiming_normal_(replacement.weight, mode="fan_out", nonlinearity="relu")
    parent, _, child = name.rpartition(".")
    setattr(backbone.get_submodule(parent) if parent else backbone, child, replacement)
