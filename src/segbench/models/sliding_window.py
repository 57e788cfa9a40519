"""A patch classifier run at every pixel, patch by patch: the baseline that shows what convolutions share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from segbench.errors import OptionError
from segbench.models.base import MIN_SIZE_PX, SegmentationNetwork
from segbench.models.layers import initialize_for_relu, input_normalization, is_traced, pad_reflect
from segbench.models.options import InChannels
from segbench.options import Count, checked

# 9 leaves one pixel behind the second convolution; the border is mirrored, so it is narrower than the smallest image.
PatchPx: TypeAlias = Annotated[int, Field(ge=9, le=63, description="odd (a centre pixel), from 9 to 63")]
CHUNK_VALUES = 2**24  # patches and feature maps held at a time: 64 MiB of float32


class SlidingWindow(SegmentationNetwork):
    """Baseline that classifies the patch around every pixel on its own (as Ciresan et al. 2012): correct and slow.

    The classifier: 3x3 convolution, ReLU, 3x3 max pooling of stride 2, 3x3 convolution, ReLU, a linear layer with ReLU,
    a linear layer to the logits of the centre pixel. Pixels beyond the image are mirrored. Neighbouring patches share
    nearly all their pixels, and nothing that is computed on them: 0.18 million multiply-adds a pixel with the defaults.
    That cost is what it is there to show beside `full_resolution_conv` and `simple_fcn`.

    Source: Ciresan et al. 2012, a lecture's first way to classify pixels; differs: one small network instead of four
    large ones, ReLU, and no foveation or voting. Initial weights: He et al. 2015.

    Args:
        patch_px: side of the patch, odd, 9 to 63: what a logit sees.
        width: channels of the first convolution; the second has twice as many.
        hidden: outputs of the first linear layer.
        center_input: take (image - 0.5) / 0.25 instead of the image from 0 to 1, see `input_normalization`.

    Attributes:
        receptive_field_px: side of the square of image pixels that one logit depends on, `patch_px`.
        classifier: (N, in_channels, patch_px, patch_px) -> logits (N, out_channels) of the centre pixels.
        chunk_patches: how many patches are classified at a time.

    Example:
        >>> sum(parameter.numel() for parameter in SlidingWindow().parameters())
        37985
    """

    @checked
    def __init__(
        self,
        *,
        in_channels: InChannels = 3,
        out_channels: Count = 1,
        patch_px: PatchPx = 15,
        width: Count = 16,
        hidden: Count = 64,
        center_input: bool = True,
    ) -> None:
        if patch_px % 2 == 0:
            raise OptionError(f"patch_px must be odd (a centre pixel), from 9 to 63, got {patch_px}", option="patch_px")
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=1,
            smallest_px=MIN_SIZE_PX,
            normalization=input_normalization(in_channels, center_input),
        )
        self.patch_px = self.receptive_field_px = patch_px
        pooled_px = (patch_px - 3) // 2
        side_px = pooled_px - 2
        head = nn.Linear(hidden, out_channels)
        self.classifier = nn.Sequential(
            nn.Conv2d(in_channels, width, 3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),  # an odd map has no centre under 2x2 windows; under these it keeps it
            nn.Conv2d(width, 2 * width, 3),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(2 * width * side_px**2, hidden),
            nn.ReLU(inplace=True),
            head,
        )
        initialize_for_relu(self, head)
        values = (
            in_channels * patch_px**2
            + width * ((patch_px - 2) ** 2 + pooled_px**2)
            + 2 * width * side_px**2
            + hidden
            + out_channels
        )
        self.chunk_patches = max(1, CHUNK_VALUES // values)

    def compute_logits(self, image: Tensor) -> Tensor:
        """Returns logits of the size of `image`, one patch a pixel.

        Patches are cut and classified in chunks, so that memory does not grow with the image. Gradients recompute
        each chunk instead of keeping its patches and maps. A graph that is traced, for export, has no loops over sizes:
        there the same numbers come from dilated convolutions, without the cost that the network is here to show.
        """
        batch, _, height, width = image.shape
        side = self.patch_px // 2
        bordered = pad_reflect(image, (side, side, side, side))
        if is_traced():
            return self._convolved(bordered)
        rows, columns = _block_size(height, width, max(1, self.chunk_patches // batch))
        # A graph that is compiled has no gradients, and no use for recomputing.
        recompute = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        bands: list[Tensor] = []
        for top in range(0, height, rows):
            band: list[Tensor] = []
            for left in range(0, width, columns):
                region = bordered[..., top : top + rows + 2 * side, left : left + columns + 2 * side]
                if recompute:
                    band.append(checkpoint(self.classify_region, region, use_reentrant=False))
                else:
                    band.append(self.classify_region(region))
            bands.append(torch.cat(band, dim=3))
        return torch.cat(bands, dim=2)

    def classify_region(self, region: Tensor) -> Tensor:
        """Returns logits (B, out_channels, h, w) of a region (B, in_channels, h + patch_px - 1, w + patch_px - 1)."""
        patches = region.unfold(2, self.patch_px, 1).unfold(3, self.patch_px, 1)  # (B, C, h, w, patch_px, patch_px)
        batch, _, height, width = patches.shape[:4]
        logits: Tensor = self.classifier(patches.permute(0, 2, 3, 1, 4, 5).flatten(0, 2))
        return logits.view(batch, height, width, -1).permute(0, 3, 1, 2)

    def _convolved(self, bordered: Tensor) -> Tensor:
        """Returns what the classifier gives for all patches: its pooling's stride becomes the dilation behind it."""
        first, second, hidden, head = (layer for layer in self.classifier if isinstance(layer, nn.Conv2d | nn.Linear))
        maps = F.max_pool2d(F.relu(F.conv2d(bordered, first.weight, first.bias)), 3, stride=1)
        maps = F.relu(F.conv2d(maps, second.weight, second.bias, dilation=2))
        side_px = (self.patch_px - 3) // 2 - 2
        kernels = hidden.weight.view(len(hidden.weight), -1, side_px, side_px)
        maps = F.relu(F.conv2d(maps, kernels, hidden.bias, dilation=2))
        return F.conv2d(maps, head.weight[..., None, None], head.bias)


def _block_size(height: int, width: int, patches: int) -> tuple[int, int]:
    """Returns rows and columns of the blocks to classify at a time: whole rows, or a piece of one."""
    if patches < width:
        return 1, patches
    return min(height, patches // width), width
