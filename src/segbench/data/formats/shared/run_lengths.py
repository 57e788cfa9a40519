"""Run lengths in the ways that tools write them -> COCO's: lengths column by column, background first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MOST_PIXELS = 2**30


def counts_of(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Returns COCO's run lengths of a (H, W) mask."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate(([0], edges, [flat.size]))
    lengths = [int(length) for length in np.diff(bounds)]
    return (0, *lengths) if flat.size and flat[0] else tuple(lengths)


def mask_of_rows(lengths: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns the (H, W) mask of run lengths row by row, background first; ValueError where they do not add up."""
    height, width = size
    if height * width > _MOST_PIXELS:
        raise ValueError(f"a mask of {height} x {width} pixels is larger than any image that can be read")
    if any(length < 0 for length in lengths) or sum(lengths) != height * width:
        raise ValueError(f"run lengths add up to {sum(lengths)} pixels, expected {height} x {width} = {height * width}")
    flags = np.arange(len(lengths)) % 2 == 1
    return np.repeat(flags, lengths).reshape(size)


def lengths_of_pairs(numbers: Sequence[int], total: int) -> tuple[int, ...]:
    """Returns alternating run lengths, background first, of pairs START LENGTH in which the first pixel is 1.

    Raises:
        ValueError: an odd number of numbers, runs that overlap, or one that does not lie in the `total` pixels.
    """
    if len(numbers) % 2:
        raise ValueError(f"expected pairs START LENGTH, got {len(numbers)} numbers")
    lengths: list[int] = []
    end = 0
    for start, length in sorted(zip(numbers[0::2], numbers[1::2], strict=True)):
        if start < 1:
            raise ValueError(f"a run begins at {start}; the first pixel is 1")
        if length < 1:
            raise ValueError(f"the run at {start} has the length {length}")
        if start - 1 < end:
            raise ValueError(
                f"the run at {start} begins before the one in front of it ends (at {end}); starts count from the first "
                "pixel, not from the run before"
            )
        if start - 1 + length > total:
            raise ValueError(f"the run at {start} ends at {start - 1 + length}; the image has {total} pixels")
        lengths += [start - 1 - end, length]
        end = start - 1 + length
    return (*lengths, total - end)
