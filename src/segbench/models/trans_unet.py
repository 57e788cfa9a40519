"""TransUNet: a ResNet, a vision transformer on its coarsest map, and a U-Net decoder with the ResNet's skips.

Source: Chen et al. 2021 (TransUNet), variant R50-ViT-B/16, built from timm's hybrid of that name. It differs from the
paper's code in this: the batch may have any image size (padded to 16, position embeddings interpolated bilinearly from
their grid of 14 x 14), and convolutions with stride pad as TensorFlow does, which the published weights were made with.
The number of parameters is the paper's code's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

import timm
import torch
import torch.nn.functional as F
from huggingface_hub import constants as hub
from pydantic import Field
from timm.layers.std_conv import StdConv2dSame
from timm.models import adapt_input_conv
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from segbench.errors import OptionError, WeightsError, shorten
from segbench.models.base import SegmentationNetwork
from segbench.models.options import EncoderWeights, InChannels
from segbench.models.pretrained import (
    adapt_normalization,
    fetch,
    find_hub_file,
    from_hub,
    read_hub_file,
    sha256_of,
)
from segbench.models.weights import misfits
from segbench.options import Count, Probability, checked
from segbench.types import WeightsOrigin

TIMM_NAME = "vit_base_r50_s16_224.orig_in21k"
FIRST_CONVOLUTION = "backbone.stem.conv.weight"
STRIDE = 16
GRID = 14  # tokens a side that the position embeddings are made for: 224 px
Layers: TypeAlias = Annotated[
    Sequence[Count], Field(min_length=3, max_length=3, description="a list of 3 integers above 0")
]
DecoderChannels: TypeAlias = Annotated[
    Sequence[Count], Field(min_length=4, max_length=4, description="a list of 4 integers above 0")
]
BRIDGE_CHANNELS = 512  # between transformer and decoder
GROUPS = 32  # of the ResNet's group normalisations


class HybridEncoder(nn.Module):
    """ResNet-50 without its last stage, then a vision transformer on its map; parameters as timm's hybrid has them.

    Args:
        in_channels: channels of the image.
        layers: bottlenecks in the stages of stride 4, 8 and 16.
        width: channels of the first convolution; the stages have 4, 8 and 16 times as many.
        embed_dim: channels of a token.
        depth: transformer blocks.
        heads: of the attention.
        dropout: of the embedded tokens and inside the transformer's linear layers.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        layers: tuple[int, ...],
        width: int,
        embed_dim: int,
        depth: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.skip_channels = (width, 4 * width, 8 * width)
        self.backbone = ResNetV2(
            layers=list(layers),
            channels=(4 * width, 8 * width, 16 * width),
            stem_chs=width,
            num_classes=0,
            global_pool="",
            in_chans=in_channels,
            preact=False,
            stem_type="same",
            conv_layer=partial(StdConv2dSame, eps=1e-8),
        )
        self.proj = nn.Conv2d(16 * width, embed_dim, 1)
        self.pos_embed = nn.Parameter(torch.zeros(1, GRID * GRID, embed_dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.pos_drop = nn.Dropout(dropout)
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.Sequential(
            *(
                Block(embed_dim, heads, mlp_ratio=4.0, qkv_bias=True, proj_drop=dropout, norm_layer=norm)
                for _ in range(depth)
            )
        )
        self.norm = norm(embed_dim)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Returns the map of tokens (B, embed_dim, H / 16, W / 16), and the ResNet's at 1/2, 1/4 and 1/8.

        Args:
            image: (B, in_channels, H, W), H and W multiples of 16.
        """
        stem: Any = self.backbone.stem
        skips = [stem.norm(stem.conv(image))]
        x = stem.pool(skips[0])
        *stages, last = self.backbone.stages
        for stage in stages:
            x = stage(x)
            skips.append(x)
        x = self.proj(last(x))
        height, width = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2) + self._positions(height, width)
        tokens = self.norm(self.blocks(self.pos_drop(tokens)))
        return tokens.transpose(1, 2).reshape(-1, tokens.shape[-1], height, width), skips

    def _positions(self, height: int, width: int) -> Tensor:
        """Returns the position embeddings (1, height * width, embed_dim) of a grid of tokens."""
        if (height, width) == (GRID, GRID):
            return self.pos_embed
        grid = self.pos_embed.transpose(1, 2).reshape(1, -1, GRID, GRID)
        # Bilinear, since the gradient of bicubic is refused where CUDA must be deterministic.
        grid = F.interpolate(grid, size=(height, width), mode="bilinear", align_corners=False)
        return grid.flatten(2).transpose(1, 2)


class TransUNet(SegmentationNetwork):
    """TransUNet: CNN encoder, vision transformer at its bottom, U-Net decoder (Chen et al. 2021, R50-ViT-B/16).

    Hybrid encoder, then four times 2x up, each with the skip of that size (the last without) and two convolutions.
    Returns logits (B, out_channels, H, W). A small one for a CPU:
    `{layers: [1, 1, 1], width: 32, embed_dim: 192, depth: 4, heads: 3}`, 6.4 million parameters.

    Args:
        in_channels: channels of the image.
        out_channels: logits a pixel.
        weights: `none`, or `imagenet`: timm's of the encoder, trained on ImageNet-21k; only for the default encoder.
        layers: bottlenecks in the three stages of the ResNet.
        width: channels of the ResNet's first convolution, a multiple of 32.
        embed_dim: channels of a token, a multiple of `heads`.
        depth: transformer blocks.
        heads: of the attention.
        decoder_channels: of the four decoder blocks, from coarse to fine.
        dropout: in the transformer.
    Raises:
        OptionError: an option out of its range.
    Example:
        >>> sum(parameter.numel() for parameter in TransUNet(out_channels=9).parameters())
        105277081
    """

    @checked
    def __init__(
        self,
        *,
        in_channels: InChannels = 3,
        out_channels: Count = 1,
        weights: EncoderWeights = "none",
        layers: Layers = (3, 4, 9),
        width: Count = 64,
        embed_dim: Count = 768,
        depth: Count = 12,
        heads: Count = 12,
        decoder_channels: DecoderChannels = (256, 128, 64, 16),
        dropout: Probability = 0.1,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=STRIDE,
            normalization=adapt_normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), in_channels),
        )
        self.weights = weights
        encoder: dict[str, Any] = {
            "layers": tuple(layers),
            "width": width,
            "embed_dim": embed_dim,
            "depth": depth,
            "heads": heads,
        }
        if width % GROUPS:
            message = f"width must be a multiple of {GROUPS}, the groups of its normalisations, got {width}"
            raise OptionError(message, option="width")
        if embed_dim % heads:
            raise OptionError(f"embed_dim must be a multiple of heads, {heads}, got {embed_dim}", option="embed_dim")
        published = {"layers": (3, 4, 9), "width": 64, "embed_dim": 768, "depth": 12, "heads": 12}
        if weights != "none" and encoder != published:
            message = f"weights {weights!r} are published for {published} alone, got {encoder}; use none"
            raise OptionError(message, option="weights")
        channels = tuple(decoder_channels)
        self.encoder = HybridEncoder(in_channels=in_channels, dropout=dropout, **encoder)
        self.bridge = _conv_norm_relu(embed_dim, BRIDGE_CHANNELS)
        skips = (*reversed(self.encoder.skip_channels), 0)
        self.decoder = nn.ModuleList(
            nn.Sequential(_conv_norm_relu(coarse + skip, fine), _conv_norm_relu(fine, fine))
            for (coarse, fine), skip in zip(pairwise((BRIDGE_CHANNELS, *channels)), skips, strict=True)
        )
        self.head = nn.Conv2d(channels[-1], out_channels, 3, padding=1)

    def compute_logits(self, image: Tensor) -> Tensor:
        """Returns logits of the size of `image`, whose H and W are multiples of 16."""
        tokens, skips = self.encoder(image)
        x = self.bridge(tokens)
        for block in self.decoder:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            x = block(torch.cat([x, skips.pop()], dim=1) if skips else x)
        logits: Tensor = self.head(x)
        return logits

    def load_pretrained(self) -> WeightsOrigin:
        """Loads timm's ImageNet-21k weights into the encoder; the decoder stays random.

        Raises:
            WeightsError: they are not on this machine and cannot be fetched, or the file there is another network's.
        """
        repository = f"timm/{TIMM_NAME}"
        file = "model.safetensors"
        hybrid, path = fetch(
            lambda: from_hub(lambda: read_hub_file(repository, file, "main")),
            what=f"ImageNet-21k weights of trans_unet's encoder, {repository}",
            file=file,
            get_from=f"{hub.ENDPOINT}/{repository}/tree/main",
            cached=lambda: find_hub_file(repository, file, "main"),
        )
        tensors = self.rename_published(hybrid)
        if FIRST_CONVOLUTION in tensors:
            tensors[FIRST_CONVOLUTION] = adapt_input_conv(self.in_channels, tensors[FIRST_CONVOLUTION])
        wrong = misfits(tensors, self.encoder.state_dict())
        if wrong:
            raise WeightsError(
                f"does not hold timm's {TIMM_NAME}: {len(wrong)} tensors differ, {shorten(wrong, 3)}; remove the file, "
                "so that it is fetched again",
                file=path.resolve(),
            )
        self.encoder.load_state_dict(tensors)
        return WeightsOrigin(
            source=self.weights,
            part="encoder",
            provider=f"timm {timm.__version__}: {repository}",
            file=file,
            sha256=sha256_of(path),
            tensors=len(tensors),
            left_out=len(hybrid) - len(tensors),
        )

    def rename_published(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the tensors under the names of the encoder if they are those of timm's hybrid."""
        is_hybrid = "pos_embed" in tensors and any(name.startswith("patch_embed.") for name in tensors)
        return encoder_tensors(tensors) if is_hybrid else dict(tensors)


def encoder_tensors(hybrid: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors of timm's hybrid under the names of `HybridEncoder`, without the class token."""
    tensors = {key.removeprefix("patch_embed."): tensor for key, tensor in hybrid.items()}
    # The first position is the class token's, which segmentation does not use.
    tensors["pos_embed"] = tensors["pos_embed"][:, 1:]
    return {key: tensor for key, tensor in tensors.items() if not key.startswith(("cls_token", "head."))}


def _conv_norm_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """Returns the decoder's 3x3 convolution without bias, zero-padded, with batch normalisation and ReLU."""
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
