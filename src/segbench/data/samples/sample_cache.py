"""What a training reads from: a data set's samples by row, at one size or each at its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from segbench.data.files.bands import RGB_DISPLAY, Display, shown
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, Sample, Task

U8: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class SampleCache:
    """A data set's decoded samples at one size.

    Attributes:
        images: (N, H, W, C) uint8, read-only memory map. N may exceed the number of samples.
        masks: (N, H, W) uint8 class indices, or (N, C, H, W) planes of 0 and 1, with `ignore_index`; read-only.
        rows: sample id -> row.
        class_map: what the labels mean.
        display: positions in the channels that are shown as red, green and blue.
    """

    images: U8
    masks: U8
    rows: Mapping[str, int]
    class_map: ClassMap
    display: Display = RGB_DISPLAY

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.images.shape[1]), int(self.images.shape[2])

    def size_of(self, row: int) -> tuple[int, int]:
        """Returns (H, W) of a row, in pixels."""
        return self.size

    def rows_of(self, samples: Sequence[Sample]) -> npt.NDArray[np.int64]:
        """Returns the row of each sample.

        Raises:
            DatasetError: samples this cache was not built for.
        """
        unknown = [sample.id for sample in samples if sample.id not in self.rows]
        if unknown:
            raise DatasetError(
                f"{len(unknown)} samples are not in this cache: {shorten(unknown)}; build it from their manifest"
            )
        return np.array([self.rows[sample.id] for sample in samples], dtype=np.int64)

    def excerpt(self, samples: Sequence[Sample]) -> SampleCache:
        """Returns a few samples in memory, as people see them: (K, H, W, 3) images."""
        rows = self.rows_of(samples)
        return SampleCache(
            images=self._together([shown(self.images[row], self.display) for row in rows]),
            masks=self._together([np.array(self.masks[row]) for row in rows]),
            rows={sample.id: row for row, sample in enumerate(samples)},
            class_map=self.class_map,
        )

    def _together(self, arrays: list[U8]) -> U8:
        return np.stack(arrays)


class RaggedColumn:
    """Images or masks of different sizes that lie end to end, looking like the array a cache of one size has.

    Args:
        pixels: all bytes.
        places: (N, 3) pixels before each sample, and its height and width.
        channels: of an image; None for masks.
        planes: () or (P,), the axis before H and W of a mask.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, pixels: U8, places: npt.NDArray[np.int64], *, channels: int | None, planes: tuple[int, ...]
    ) -> None:
        self.pixels, self.places, self.channels, self.planes = pixels, places, channels, planes
        self.shape = (len(places),)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: int | npt.NDArray[np.integer]) -> U8 | list[U8]:
        """Returns a sample, nothing of which is read before it is looked at; several as a list."""
        return self._one(int(rows)) if np.ndim(rows) == 0 else [self._one(int(row)) for row in np.asarray(rows)]

    def _one(self, row: int) -> U8:
        before, height, width = self.places[row].tolist()
        depth = math.prod(self.planes) if self.channels is None else self.channels
        data = self.pixels[before * depth : (before + height * width) * depth]
        shape = (*self.planes, height, width) if self.channels is None else (height, width, self.channels)
        return data.reshape(shape)


@dataclass(frozen=True, kw_only=True)
class RaggedCache(SampleCache):
    """A data set's decoded samples, each at a size of its own; `images` and `masks` are read by row."""

    @property
    def size(self) -> tuple[int, int]:
        """There is none."""
        raise TypeError("the samples of this cache have no common size; ask size_of a row")

    def size_of(self, row: int) -> tuple[int, int]:
        """Returns (H, W) of a row, in pixels."""
        height, width = self.masks[row].shape[-2:]
        return int(height), int(width)

    def _together(self, arrays: list[U8]) -> U8:
        return cast(U8, arrays)


def plane_axis(class_map: ClassMap) -> tuple[int, ...]:
    """Returns what a mask has before (H, W): (P,) planes where the task is multilabel, else nothing."""
    return (class_map.num_classes,) if class_map.task is Task.MULTILABEL else ()
