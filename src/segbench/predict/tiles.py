"""Whole images through a network in tiles: the only place for it, whether scoring or predicting.

Two ways, and a `Cut` says which. Where it is known how far a network looks (`segbench.predict.receptive_field`), each
tile brings that margin along and only its inside is kept: the result is that of the whole image, and nothing has to be
remembered. Where a network looks at everything, tiles overlap and are blended; then what one row of tiles shares with
the next is kept, never the whole image.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from segbench.locale import Message, message
from segbench.models.base import MIN_SIZE_PX, pad_to_stride

if TYPE_CHECKING:  # slow to import
    from segbench.predict.receptive_field import Reach

OVERLAP = 0.25  # of a tile with its neighbour, at least
_PIXELS_AT_ONCE = 1 << 19  # of the tiles that go through the network together; the same wherever an image is predicted
_TILES_MB = (128.0, 256.0, 600.0)  # of living tensors in an exact tile; more where margins are wide
_LONGEST_TILE_PX = 2048
_LITTLE_WORK = 2.0  # times the pixels of the image, for which no more memory is taken
_MOST_WORK = 4.0  # times the pixels of the image that exact tiles may compute; else they are blended

Network: TypeAlias = Callable[[Tensor], Tensor]
ReadRows: TypeAlias = Callable[[int, int], Tensor]  # rows [top, bottom) of an image -> (1, C, bottom - top, W)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How an image is cut into tiles.

    Attributes:
        tile: (h, w) in pixels, margins included.
        halo_px: the margin that each tile brings along and that is cut off again, a multiple of `stride_px`; None:
            tiles are blended where they overlap.
        stride_px: tiles with a margin begin at its multiples.
        pads: the network takes any size itself; without, exact tiles at the image's end are mirrored to whole strides.
        smallest_px: no exact tile of a larger image is shorter.
    """

    tile: tuple[int, int]
    halo_px: int | None = None
    stride_px: int = 1
    pads: bool = True
    smallest_px: int = 2 * MIN_SIZE_PX

    @property
    def is_exact(self) -> bool:
        """Whether tiles give what the whole image gives."""
        return self.halo_px is not None

    @property
    def work(self) -> float:
        """How many times the pixels of a large image go through the network."""
        height, width = self.tile
        if self.halo_px is None:
            return 1.0 / (1.0 - OVERLAP) ** 2
        return height * width / ((height - 2 * self.halo_px) * (width - 2 * self.halo_px))


class Block(NamedTuple):
    """A finished part of an image: `logits` (K, h, w) float32, whose first pixel lies at row `top`, column `left`."""

    top: int
    left: int
    logits: Tensor


class Seams:
    """How often neighbouring tiles decide differently along the line where one takes over from the other.

    Args:
        decide: logits (K, h, w) -> labels of any integer type, the same size.
    """

    def __init__(self, decide: Callable[[Tensor], Tensor]) -> None:
        self.decide = decide
        self.pixels = 0
        self.different = 0

    @property
    def share(self) -> float | None:
        """Share of the pixels on these lines, 0-1; None where there are none."""
        return self.different / self.pixels if self.pixels else None

    @property
    def note(self) -> Message | None:
        """What a person should know; None where no blended tiles meet."""
        if self.share is None:
            return None
        return message(
            "where tiles meet, neighbours decide differently on {percent:.2g} % of the pixels; they are blended there",
            percent=100 * self.share,
        )

    def add(self, other: Seams) -> None:
        """Counts what another one counted, too."""
        self.pixels += other.pixels
        self.different += other.different

    def compare(self, one: Tensor, other: Tensor) -> None:
        """Counts the logits (K, h, w) of two tiles for the same pixels."""
        differ = self.decide(one) != self.decide(other)
        self.pixels += differ.numel()
        self.different += int(differ.sum())


def exact_cut(reach: Reach, size: tuple[int, int] | None = None, *, smallest_px: int = 0) -> Cut | None:
    """Returns the exact tiles that a stated memory holds; None where margins would cost too much, or none help.

    An image that the memory holds whole is one tile.

    Args:
        reach: of the network.
        size: (H, W) of the image as the network sees it; None: larger than any tile.
        smallest_px: that the network takes without padding.
    """
    if reach.halo_px is None:
        return None
    stride = reach.stride_px
    halo = -(-reach.halo_px // stride) * stride
    smallest = max(smallest_px, 2 * stride, 2 * MIN_SIZE_PX)
    if size is not None and size[0] * size[1] / 1e6 * reach.mb_per_megapixel <= _TILES_MB[-1]:
        return Cut(tile=size, halo_px=halo, stride_px=stride, pads=True, smallest_px=smallest)
    for most, mb in itertools.product((_LITTLE_WORK, _MOST_WORK), _TILES_MB):
        side = min(_LONGEST_TILE_PX, int((mb / max(reach.mb_per_megapixel, 1.0) * 1e6) ** 0.5))
        core = (side - 2 * halo) // stride * stride
        if core > 0:
            tile = (core + 2 * halo, core + 2 * halo)
            cut = Cut(tile=tile, halo_px=halo, stride_px=stride, pads=reach.pads, smallest_px=smallest)
            if cut.work <= most:
                return cut
    return None


def tile_starts(side: int, tile: int) -> list[int]:
    """Returns where tiles begin along a side: from 0 to the end, evenly spread, overlapping by `OVERLAP` or more."""
    if side <= tile:
        return [0]
    count = 1 + -(-(side - tile) // max(1, round(tile * (1 - OVERLAP))))
    return [round(start) for start in np.linspace(0, side - tile, count)]


def tiled_logits(network: Network, images: Tensor, cut: Cut | tuple[int, int], seams: Seams | None = None) -> Tensor:
    """Returns the logits of whole images, put together from those of tiles.

    Args:
        network: normalised images (B, C, h, w) -> logits (B, K, h, w).
        images: (B, C, H, W) float, normalised; each goes by itself, so none depends on the others.
        cut: how; (h, w) alone means blended tiles of this size.
        seams: told where blended tiles meet.
    Returns:
        (B, K, H, W) float32.
    """
    chosen = cut if isinstance(cut, Cut) else Cut(tile=cut)
    return torch.stack([_tiled(network, image, chosen, seams) for image in images])


def _tiled(network: Network, image: Tensor, cut: Cut, seams: Seams | None) -> Tensor:
    """Returns the logits (K, H, W) of an image (C, H, W)."""

    def rows(top: int, bottom: int) -> Tensor:
        return image[None, :, top:bottom]

    height, width = image.shape[1:]
    whole: Tensor | None = None
    for top, left, logits in tile_blocks(network, rows, (height, width), cut, seams=seams):
        if whole is None:
            whole = logits.new_empty((len(logits), height, width))
        whole[:, top : top + logits.shape[1], left : left + logits.shape[2]] = logits
    assert whole is not None
    return whole


def tile_blocks(
    network: Network,
    read: ReadRows,
    size: tuple[int, int],
    cut: Cut,
    *,
    first_row: int = 0,
    seams: Seams | None = None,
) -> Iterator[Block]:
    """Yields the logits of an image of any size, part by part: from top to bottom, in rows from left to right.

    Args:
        network: tiles as `read` gives them, (B, C, h, w) -> logits (B, K, h, w).
        read: gives rows of the image; asked for ranges whose beginnings and ends only grow.
        size: (H, W) of the image.
        cut: how.
        first_row: parts that end above it are left out; all others are as without it.
        seams: told where blended tiles meet.
    """
    parts = _exact if cut.is_exact else _blended
    return parts(network, read, size, cut, first_row, seams)


def row_starts(height: int, cut: Cut) -> list[int]:
    """Returns the first row of every row of parts that `tile_blocks` yields of an image so high."""
    if cut.is_exact:
        return [span.start for span in _spans(height, cut.tile[0], cut)]
    return tile_starts(height, cut.tile[0])


class Tiled(nn.Module):
    """A network that goes over every image in tiles, to be called like the network itself.

    Args:
        network: see `tiled_logits`.
        tile: (h, w) in pixels; blended.
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


class _Span(NamedTuple):
    """Pixels [first, last) of a side that a tile is cut from, of which [start, stop) are kept."""

    first: int
    last: int
    start: int
    stop: int


def _spans(side: int, tile: int, cut: Cut) -> list[_Span]:
    """Returns the exact tiles along a side."""
    assert cut.halo_px is not None
    halo, stride = cut.halo_px, cut.stride_px
    if side <= tile:
        return [_Span(0, side, 0, side)]
    spans = []
    core = tile - 2 * halo
    for start in range(0, side, core):
        last = min(side, start + core + halo)
        enough = max(0, last - cut.smallest_px) // stride * stride  # so that the network need not pad a short last one
        spans.append(_Span(min(max(0, start - halo), enough), last, start, min(side, start + core)))
    return spans


def _exact(
    network: Network, read: ReadRows, size: tuple[int, int], cut: Cut, first_row: int, seams: Seams | None
) -> Iterator[Block]:
    height, width = size
    for row in _spans(height, cut.tile[0], cut):
        if row.stop <= first_row:
            continue
        band = read(row.first, row.last)
        for column in _spans(width, cut.tile[1], cut):
            tile = band[..., column.first : column.last]
            if not cut.pads:
                tile = pad_to_stride(tile, cut.stride_px, smallest_px=cut.stride_px)
            logits = network(tile)[0].float()
            top, left = row.start - row.first, column.start - column.first
            kept = logits[:, top : top + row.stop - row.start, left : left + column.stop - column.start]
            yield Block(row.start, column.start, kept)


def _blended(
    network: Network, read: ReadRows, size: tuple[int, int], cut: Cut, first_row: int, seams: Seams | None
) -> Iterator[Block]:
    """Averages logits where tiles overlap; a tile's weight falls evenly from its middle to its border (the product of
    two triangles), so that no seam shows.

    Weights are whole numbers and sums have 53 bits: where all tiles agree, their value comes out exactly. What a tile
    needs beyond an image's edge is a mirror image. Beside one tile, what the row above shares with this one is kept.
    """
    (height, width), (tall, wide) = size, cut.tile
    tops, lefts = tile_starts(height, tall), tile_starts(width, wide)
    followings = [*tops[1:], max(height, tall)]
    first = next(index for index, following in enumerate(followings) if following > first_row or following >= height)
    begin = next(index for index, top in enumerate(tops) if top + tall > tops[first])  # it reaches into the first one
    above = _Above(tall - min(b - a for a, b in zip(tops, followings, strict=True)), max(width, wide))
    rows, columns = mirrored(height, tall), mirrored(width, wide)
    for index in range(begin, len(tops)):
        top, done = tops[index], followings[index] - tops[index]
        chosen = rows[top : top + tall]
        low, high = int(chosen.min()), int(chosen.max()) + 1
        band = read(low, high)
        band = band.index_select(2, (chosen - low).to(band.device))
        for piece in _row_of_tiles(network, band, columns, lefts, cut.tile, seams):
            total, weights = above.joined(piece, done, seams)
            if index >= first:
                yield Block(top, piece.left, (total / weights).float()[:, : height - top, : width - piece.left])
        above.next_row()


class _Piece(NamedTuple):
    """Part of a row of tiles: weighted sum (K, h, w), weights (h, w), and the logits (K, h, w) of its own tile."""

    left: int
    total: Tensor
    weights: Tensor
    logits: Tensor


def _row_of_tiles(
    network: Network,
    band: Tensor,
    columns: Tensor,
    lefts: Sequence[int],
    tile: tuple[int, int],
    seams: Seams | None,
) -> Iterator[_Piece]:
    """Yields a row of tiles in pieces that no later tile of the row touches."""
    tall, wide = tile
    at_once = max(1, _PIXELS_AT_ONCE // (tall * wide))
    layout = torch.channels_last if band.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    weight = _ramp(tall, band)[:, None] * _ramp(wide, band)
    columns = columns.to(band.device)
    followings = [*lefts[1:], len(columns)]
    carried = carried_weight = before = None
    for number in range(0, len(lefts), at_once):
        batch = list(zip(lefts, followings, strict=True))[number : number + at_once]
        tiles = torch.cat([band.index_select(3, columns[left : left + wide]) for left, _ in batch])
        for (left, following), logits in zip(batch, network(tiles.contiguous(memory_format=layout)), strict=True):
            total, weights = logits.to(weight.dtype) * weight, weight.clone()
            if carried is not None and carried_weight is not None:
                shared = carried.shape[2]
                total[..., :shared] += carried
                weights[:, :shared] += carried_weight
                if seams is not None and before is not None:
                    middle = shared // 2
                    seams.compare(before[..., middle - shared, None], logits[..., middle, None])
            done, before = following - left, logits
            carried, carried_weight = total[..., done:], weights[:, done:]
            yield _Piece(left, total[..., :done], weights[:, :done], logits[..., :done])


class _Above:
    """What a row of tiles shares with the rows above it: weighted sums and weights, and nothing else of the image."""

    def __init__(self, shared: int, width: int) -> None:
        self._shared, self._width = shared, width
        self._sums: Tensor | None = None
        self._weights: Tensor | None = None
        self._line: Tensor | None = None  # logits in the middle of what is shared
        self._rows = self._left_over = 0  # what the row above left, what this one leaves

    def joined(self, piece: _Piece, done: int, seams: Seams | None) -> tuple[Tensor, Tensor]:
        """Returns the sums and weights of a piece's first `done` rows, with what the row above left for them.

        The rest is kept for the next row, in the place of what was taken.
        """
        left, total, weights, logits = piece
        if self._sums is None or self._weights is None or self._line is None:
            self._sums = total.new_zeros((len(total), self._shared, self._width))
            self._weights = weights.new_zeros((self._shared, self._width))
            self._line = logits.new_zeros((len(total), 1, self._width))
        columns, taken = slice(left, left + total.shape[2]), self._rows
        total[:, :taken] += self._sums[:, :taken, columns]
        weights[:taken] += self._weights[:taken, columns]
        if taken and seams is not None:
            seams.compare(self._line[..., columns], logits[:, taken // 2, None])
        kept = self._left_over = total.shape[1] - done
        if kept:
            self._sums[:, :kept, columns] = total[:, done:]
            self._weights[:kept, columns] = weights[done:]
            self._line[..., columns] = logits[:, done + kept // 2, None]
        return total[:, :done], weights[:done]

    def next_row(self) -> None:
        """Begins the next row of tiles."""
        self._rows = self._left_over


def _ramp(length: int, like: Tensor) -> Tensor:
    """Returns (length,) float64 on a device: 1, 2, ... up to the middle and down to 1 again."""
    steps = torch.arange(1, length + 1, dtype=torch.float64)
    precision = torch.float32 if like.device.type == "mps" else torch.float64  # MPS has no float64
    return torch.minimum(steps, steps.flip(0)).to(precision).to(like.device)


def mirrored(side: int, length: int) -> Tensor:
    """Returns which pixels of a side lie under max(side, length) positions from 0 on, mirrored at its edges."""
    position = torch.arange(max(side, length)) % (2 * side)
    return torch.minimum(position, 2 * side - 1 - position)
