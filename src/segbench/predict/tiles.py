"""Whole images through a network in overlapping tiles: the only place for it, whether scoring or predicting."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

OVERLAP = 0.25  # of a tile with its neighbour, at least
_PIXELS_AT_ONCE = 1 << 19  # of the tiles that go through the network together; the same wherever an image is predicted


def tile_starts(side: int, tile: int) -> list[int]:
    """Returns where tiles begin along a side: from 0 to the end, evenly spread, overlapping by `OVERLAP` or more."""
    if side <= tile:
        return [0]
    count = 1 + -(-(side - tile) // max(1, round(tile * (1 - OVERLAP))))
    return [round(start) for start in np.linspace(0, side - tile, count)]


def tiled_logits(network: Callable[[Tensor], Tensor], images: Tensor, tile: tuple[int, int]) -> Tensor:
    """Returns the logits of whole images, blended from those of tiles.

    Where tiles overlap, logits are averaged; a tile's weight falls evenly from its middle to its border (the product of
    two triangles), so that no seam shows. Weights are whole numbers and sums have 53 bits: where all tiles agree, their
    value comes out exactly. What a tile needs beyond an image's edge is a mirror image. Beside the logits no more is
    kept than two rows of tiles.

    Args:
        network: normalised images (B, C, h, w) -> logits (B, K, h, w).
        images: (B, C, H, W) float, normalised; each goes by itself, so none depends on the others.
        tile: (h, w) in pixels.
    Returns:
        (B, K, H, W) float32.
    """
    return torch.cat([_one(network, image[None], tile) for image in images])


class Tiled(nn.Module):
    """A network that goes over every image in tiles, to be called like the network itself.

    Args:
        network: see `tiled_logits`.
        tile: (h, w) in pixels.
    """

    def __init__(self, network: nn.Module, tile: tuple[int, int]) -> None:
        super().__init__()
        self.network, self.tile = network, tile
        self.training = network.training

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits of whole images; see `tiled_logits`."""
        return tiled_logits(self.network, images, self.tile)


def in_tiles(network: nn.Module, tile: tuple[int, int] | None) -> nn.Module:
    """Returns the network going over images in tiles; as it is where there are none."""
    return network if tile is None else Tiled(network, tile)


def _one(network: Callable[[Tensor], Tensor], image: Tensor, tile: tuple[int, int]) -> Tensor:
    height, width = image.shape[2:]
    rows, columns = (
        mirrored(side, length).to(image.device) for side, length in zip((height, width), tile, strict=True)
    )
    tops, lefts = tile_starts(height, tile[0]), tile_starts(width, tile[1])
    down, across = (_ramp(length, image) for length in tile)
    logits = carried = weight = None
    for top, following in itertools.pairwise([*tops, max(height, tile[0])]):
        strip = _strip(network, image, rows[top : top + tile[0]], columns, lefts, tile, across)
        # Rows that earlier tiles cover too; what no later tile covers is finished.
        total, weights = strip * down[:, None], down.clone()
        if carried is not None and weight is not None:
            total[:, : carried.shape[1]] += carried
            weights[: len(weight)] += weight
        done = following - top
        finished = (total[:, :done] / weights[:done, None]).float()
        if logits is None:
            logits = finished.new_empty((len(strip), max(height, tile[0]), finished.shape[2]))
        logits[:, top:following] = finished
        carried, weight = total[:, done:], weights[done:]
    assert logits is not None
    return logits[None, :, :height, :width]


def _strip(
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    rows: Tensor,
    columns: Tensor,
    lefts: list[int],
    tile: tuple[int, int],
    across: Tensor,
) -> Tensor:
    """Returns (K, h, W), in the precision of `across`: the blended logits of a row of tiles."""
    band = image.index_select(2, rows)
    at_once = max(1, _PIXELS_AT_ONCE // (tile[0] * tile[1]))
    layout = torch.channels_last if image.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    total: Tensor | None = None
    weights = across.new_zeros(len(columns))
    for first in range(0, len(lefts), at_once):
        chosen = lefts[first : first + at_once]
        tiles = torch.cat([band.index_select(3, columns[left : left + tile[1]]) for left in chosen])
        for left, logits in zip(chosen, network(tiles.contiguous(memory_format=layout)), strict=True):
            if total is None:
                total = across.new_zeros((*logits.shape[:2], len(columns)))
            total[:, :, left : left + tile[1]] += logits.to(across.dtype) * across
            weights[left : left + tile[1]] += across
    assert total is not None
    return total / weights


def _ramp(length: int, like: Tensor) -> Tensor:
    """Returns (length,) float64 on a device: 1, 2, ... up to the middle and down to 1 again."""
    steps = torch.arange(1, length + 1, dtype=torch.float64)
    precision = torch.float32 if like.device.type == "mps" else torch.float64  # MPS has no float64
    return torch.minimum(steps, steps.flip(0)).to(precision).to(like.device)


def mirrored(side: int, length: int) -> Tensor:
    """Returns which pixels of a side lie under max(side, length) positions from 0 on, mirrored at its edges."""
    position = torch.arange(max(side, length)) % (2 * side)
    return torch.minimum(position, 2 * side - 1 - position)
