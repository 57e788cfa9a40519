"""One linear layer on the features of all scales: what a pretrained encoder knows, with little left to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from segmentation_models_pytorch.encoders import get_encoder  # type: ignore[import-untyped]
from torch import Tensor, nn

from segbench.models.base import SegmentationNetwork
from segbench.models.options import InChannels
from segbench.models.smp import encoders
from segbench.models.smp.decoder import Encoder
from segbench.options import Count, checked
from segbench.types import WeightsOrigin


class Hypercolumn(SegmentationNetwork):
    """A 1x1 convolution on a pixel's hypercolumn: the image and every map of an encoder, enlarged to the image's size.

    A 1x1 convolution and a bilinear enlargement can change places, so each map has its part of the convolution at its
    own size and the parts are enlarged and added: the same logits without a map of hundreds of channels.

    With `freeze: encoder` the encoder stays as it is, and a logistic regression is left to learn: it needs few images.
    `segbench assist` fits that one without a training.

    Source: Hariharan et al. 2015; differs: linear, no boxes, one classifier for all places.

    Args:
        encoder: see `segbench list encoders`; any that `smp/unet` takes, whose maps get smaller from stage to stage.

    Example:
        >>> sum(parameter.numel() for parameter in Hypercolumn().heads.parameters())
        516
    """

    @checked
    def __init__(
        self,
        *,
        in_channels: InChannels = 3,
        out_channels: Count = 1,
        weights: str = "none",
        encoder: Encoder = "tu-tf_efficientnet_lite0",
    ) -> None:
        self.encoder_name = encoders.check_encoder(encoder)
        self.weights = encoders.check_weights(self.encoder_name, weights)
        self._encoder_options: dict[str, Any] = {
            "in_channels": in_channels,
            **encoders.library_options(self.encoder_name),
        }
        with encoders.quiet():
            built: Any = get_encoder(self.encoder_name, weights=None, **self._encoder_options)
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=int(built.output_stride),
            normalization=encoders.encoder_normalization(self.encoder_name, weights, in_channels),
        )
        self.encoder: nn.Module = built
        channels = [count for count in built.out_channels if count]  # some have an empty map at one scale
        self.heads = nn.ModuleList(
            nn.Conv2d(count, out_channels, 1, bias=place == 0) for place, count in enumerate(channels)
        )

    def compute_logits(self, image: Tensor) -> Tensor:
        """Returns logits of the size of `image`, whose H and W are multiples of `stride`."""
        return self.logits_of(self.features(image))

    def features(self, image: Tensor) -> list[Tensor]:
        """Returns the image itself and the encoder's maps, (B, C, h, w) each, from fine to coarse."""
        return [level for level in self.encoder(image) if level.shape[1]]

    def logits_of(self, features: Sequence[Tensor]) -> Tensor:
        """Returns the logits of what `features` gave, at the size of the first of them."""
        size = features[0].shape[-2:]
        first, *parts = (head(level) for head, level in zip(self.heads, features, strict=True))
        logits: Tensor = first
        for part in parts:
            logits = logits + F.interpolate(part, size, mode="bilinear", align_corners=False)
        return logits

    def load_pretrained(self) -> WeightsOrigin:
        """Loads the encoder's published weights through the library's loader; the 1x1 convolution stays random.

        Raises:
            WeightsError: they are not on this machine and cannot be fetched, or the file there is another network's.
        """
        return encoders.load_encoder(
            self.encoder,
            self.encoder_name,
            self.weights,
            lambda tensors: encoders.pretrained_encoder(self.encoder_name, tensors, self._encoder_options),
        )
