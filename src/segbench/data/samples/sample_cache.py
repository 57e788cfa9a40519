"""What a training reads from: a data set's samples at one size, by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from segbench.data.files.bands import RGB_DISPLAY, Display, shown
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, Sample

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
            images=np.stack([shown(self.images[row], self.display) for row in rows]),
            masks=np.stack([self.masks[row] for row in rows]),
            rows={sample.id: row for row, sample in enumerate(samples)},
            class_map=self.class_map,
        )
