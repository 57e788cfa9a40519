"""Batches of windows: of images that are larger than what the network sees, and of larger versions for zooming in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segbench.config.augment import AugmentConfig
from segbench.data.augment.mixing import Mix, apply_mix, draw_mix
from segbench.data.augment.parameters import Flags
from segbench.data.augment.transforms import AugmentParameters, apply_augmentation, draw_augmentation
from segbench.data.augment.views import View, apply_views, plan_view
from segbench.data.augment.windows import Pixels, centred, draw_windows, rare_pixels
from segbench.data.samples.loader import Batch, BatchLoader, Indices
from segbench.data.samples.sample_cache import SampleCache, plane_axis
from segbench.types import Sample

_NOTHING = AugmentConfig(hflip=0.0)


@dataclass(frozen=True)
class _Cuts:
    """What was read of some samples: the parts that their views need, and whole images for those that have none.

    Attributes:
        parameters: of the samples.
        viewed: (K,) which of them are seen through a view; the others are read whole.
        views: of those K.
        parts: bytes of image and mask of each view, end to end.
        whole: images and masks of the others; None where there are none.
    """

    parameters: AugmentParameters
    viewed: Indices
    views: tuple[View, ...]
    parts: Tensor
    whole: tuple[Tensor, Tensor] | None


@dataclass(frozen=True)
class _Seen:
    indices: Indices
    own: _Cuts
    mix: Mix
    partners: _Cuts | None


class WindowLoader(BatchLoader):
    """A `BatchLoader` that reads parts of images.

    With a `patch`, every sample is a random window of its image, see `draw_windows`; turned and scaled, it is read from
    the image around it. With a `larger` version of the images, samples that are enlarged are read from it, so that
    zooming in shows more; without a `patch`, all others are exactly those of a `BatchLoader`. What a sample becomes
    depends on seed, epoch and sample alone, as there.

    Args:
        cache, samples: see `BatchLoader`, as `options`.
        patch: (H, W) in pixels of the image as it is in the cache.
        larger: the same samples, no smaller than in `cache`.
    """

    def __init__(
        self,
        cache: SampleCache,
        samples: Sequence[Sample],
        *,
        patch: tuple[int, int] | None = None,
        larger: SampleCache | None = None,
        **options: Any,
    ) -> None:
        super().__init__(cache, samples, **options)
        self.patch, self.larger = patch, larger
        self._changes = self.augment or _NOTHING
        if patch is not None:
            self._changes = centred(self._changes)
        self._larger_rows = None if larger is None else larger.rows_of(self.samples)
        self._pixels: dict[int, Pixels] = {}  # row -> pixels of its rare classes; found once a process

    def _read(self, indices: Indices, epoch: int) -> Any:
        own = self._cut(indices, indices, epoch)
        mix = draw_mix(self._changes, self.seed, epoch, indices, len(self.samples), own.parameters.size)
        owners = indices[mix.rows]  # a partner's numbers are drawn from the sample that it is mixed into
        partners = self._cut(mix.partners, owners, epoch, partner=True) if len(mix.rows) else None
        return _Seen(indices, own, mix, partners)

    def _finish(self, ready: Any, epoch: int) -> Batch:
        floats, masks = self._changed_cuts(ready.own)
        if ready.partners is not None:
            apply_mix(floats, masks, *self._changed_cuts(ready.partners), ready.mix, self._pasted)
        return self._batch(ready.indices, floats, masks)

    def _cut(self, indices: Indices, owners: Indices, epoch: int, *, partner: bool = False) -> _Cuts:
        """Returns what has to be read of these samples, whose numbers are drawn from their `owners`."""
        rows = self._rows[indices]
        frame = self.patch or self.cache.size
        parameters = draw_augmentation(self._changes, self.seed, epoch, owners, frame, partner=partner)
        origins = np.zeros((len(rows), 2), dtype=np.int64)
        if self.patch is not None:
            origins = draw_windows(
                self._changes,
                self.seed,
                epoch,
                owners,
                [self.cache.size_of(row) for row in rows],
                lambda position: self._rare(int(rows[position])),
                parameters,
                partner=partner,
            )
        zoomed = self._zoomed(indices, parameters)
        viewed = np.flatnonzero(zoomed | (self.patch is not None))
        views, parts = {}, {}
        for position in viewed[np.argsort(rows[viewed])]:  # in the order they lie on the disk
            source, row, version = self.cache, int(rows[position]), None
            size = source.size_of(row)
            if zoomed[position] and self.larger is not None and self._larger_rows is not None:
                source, row = self.larger, int(self._larger_rows[indices[position]])
                version = source.size_of(row)
            one = parameters.take(np.array([position]))
            view = views[position] = plan_view(one, frame, origins[position], size, version)
            (top, left), (height, width) = view.corner, view.part
            window = (slice(top, top + height), slice(left, left + width))
            parts[position] = [source.images[row][window].ravel(), source.masks[row][(..., *window)].ravel()]
        others = np.setdiff1d(np.arange(len(rows)), viewed)
        return _Cuts(
            parameters=parameters,
            viewed=viewed,
            views=tuple(views[position] for position in viewed),
            parts=self._joined([part for position in viewed for part in parts[position]]),
            whole=self._gather(indices[others]) if len(others) else None,
        )

    def _zoomed(self, indices: Indices, parameters: AugmentParameters) -> Flags:
        """Returns (B,) bool: which samples are enlarged and have a larger version."""
        if self.larger is None or self._larger_rows is None:
            return np.zeros(len(indices), dtype=bool)
        has_more = [
            self.larger.size_of(int(more)) != self.cache.size_of(int(row))
            for more, row in zip(self._larger_rows[indices], self._rows[indices], strict=True)
        ]
        return np.asarray((parameters.scale > 1.0) & has_more)

    def _rare(self, row: int) -> Pixels:
        if row not in self._pixels:
            self._pixels[row] = rare_pixels(self.cache.masks[row], self.cache.class_map)
        return self._pixels[row]

    def _joined(self, parts: Sequence[np.ndarray]) -> Tensor:
        joined = torch.empty(sum(part.size for part in parts), dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        if parts:
            np.concatenate(parts, out=joined.numpy())
        return joined

    def _changed_cuts(self, cuts: _Cuts) -> tuple[Tensor, Tensor]:
        """Returns changed images (B, C, h, w) float and masks (B, [P,] h, w), on the device."""
        parameters, has_planes = cuts.parameters, self.cache.masks[0].ndim == 3
        results = []
        if len(cuts.viewed):
            images, planes = apply_views(self._parts(cuts), cuts.views, parameters.take(cuts.viewed))
            results.append((cuts.viewed, images, planes if has_planes else planes[:, 0]))
        if cuts.whole is not None:
            others = np.setdiff1d(np.arange(len(parameters.hflip)), cuts.viewed)
            results.append((others, *apply_augmentation(*self._placed(*cuts.whole), parameters.take(others))))
        if len(results) == 1:
            [(_, floats, masks)] = results
            return floats, masks
        places = torch.from_numpy(np.argsort(np.concatenate([rows for rows, _, _ in results]))).to(self.device)
        floats = torch.cat([images for _, images, _ in results])[places]
        return floats, torch.cat([labels for _, _, labels in results])[places]

    def _parts(self, cuts: _Cuts) -> list[tuple[Tensor, Tensor]]:
        """Returns image (h, w, C) and mask (P, h, w) of each view, on the device."""
        data = cuts.parts.to(self.device, non_blocking=True)
        channels = self.cache.images[0].shape[2]
        planes = math.prod(plane_axis(self.cache.class_map))
        found, start = [], 0
        for view in cuts.views:
            height, width = view.part
            middle = start + height * width * channels
            end = middle + height * width * planes
            found.append(
                (data[start:middle].view(height, width, channels), data[middle:end].view(planes, height, width))
            )
            start = end
        return found
