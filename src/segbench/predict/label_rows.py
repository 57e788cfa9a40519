"""From blocks of probabilities, as tiles give them, to rows of labels at the image's own size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segbench.predict.decide import tempered
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.tiles import Block
from segbench.types import ClassMap, Task

_ROWS_PX = 1 << 22  # of labels that are enlarged at a time
_PROBS_PX = 1 << 24  # of all planes of probabilities that are given out at a time


def row_layout(class_map: ClassMap, width: int, *, with_probs: bool) -> tuple[int, int]:
    """Returns how many bytes labels, and probabilities behind them, have in a row of an image."""
    labels = class_map.num_classes if class_map.task is Task.MULTILABEL else 1
    return labels * width, class_map.out_channels * width * np.dtype(np.float16).itemsize if with_probs else 0


class LabelRows:
    """Decides labels row by row; probabilities are enlarged first, bilinearly, as `Pipeline.decide` does.

    Args:
        settings: task, threshold, and temperature of probabilities that are given out.
        network_size: (h, w) of the probabilities of the whole image.
        size: (H, W) of the image.
        first_row: rows of the image above it are left out.
        with_probs: probabilities are given out, too, those of `Prediction.probs`.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        network_size: tuple[int, int],
        size: tuple[int, int],
        first_row: int = 0,
        *,
        with_probs: bool = False,
    ) -> None:
        self._task, self._threshold = settings.class_map.task, settings.threshold
        self._temperature, self._with_probs = settings.temperature, with_probs
        self._network_size, self._size = network_size, size
        self._done = first_row  # rows of the image

    def of(self, blocks: Iterable[Block]) -> Iterator[NDArray[np.uint8]]:
        """Yields rows from top to bottom, (rows, bytes): labels (planes, W), then probabilities (C, W) in float16.

        Planes are 1, multilabel one a class.

        Args:
            blocks: of probabilities (K, h, w), from top to bottom, in rows from left to right. For exclusive classes at
                the image's own size logits do, too, unless probabilities are given out.
        """
        same = self._network_size == self._size
        waiting: list[Tensor] = []  # (planes or K, rows, w) each
        first = 0  # row of the network that they begin with
        for top, left, probs in blocks:
            parts = self._finished(probs) if same else self._to_enlarge(probs)
            if left == 0:
                first, waiting = self._room(waiting, first, top, parts)
            for room, part in zip(waiting, parts, strict=True):
                room[:, top - first : top - first + part.shape[1], left : left + part.shape[2]] = part
            if left + probs.shape[2] < self._network_size[1]:
                continue
            last = top + probs.shape[1]
            if same:
                yield from self._given([each[:, max(self._done, first) - first :] for each in waiting], last)
            else:
                yield from self._enlarged(waiting, first, last)

    def _finished(self, probs: Tensor) -> list[Tensor]:
        """Returns labels (planes, h, w) uint8, and probabilities (K, h, w) float16 where they are given out."""
        labels = self._decided(probs)
        return [labels, tempered(probs, self._temperature, self._task).half()] if self._with_probs else [labels]

    def _to_enlarge(self, probs: Tensor) -> list[Tensor]:
        """Returns probabilities (K, h, w) by which labels are decided, and others that are given out."""
        others = self._with_probs and self._temperature != 1.0
        return [probs, tempered(probs, self._temperature, self._task)] if others else [probs]

    def _room(self, waiting: list[Tensor], first: int, top: int, parts: list[Tensor]) -> tuple[int, list[Tensor]]:
        """Returns room for a row of blocks, behind the last row of the one before, which is enlarged with it."""
        fresh = [part.new_zeros((len(part), part.shape[1], self._network_size[1])) for part in parts]
        if not waiting or self._network_size == self._size:
            return top, fresh
        kept = min(2, waiting[0].shape[1])
        return top - kept, [torch.cat([old[:, -kept:], new], dim=1) for old, new in zip(waiting, fresh, strict=True)]

    def _given(self, finished: list[Tensor], last: int) -> Iterator[NDArray[np.uint8]]:
        if last <= self._done:
            return
        labels, probs = finished[0], finished[1] if self._with_probs else None
        step = labels.shape[1] if probs is None else max(1, _PROBS_PX // (len(probs) * probs.shape[2]))
        for top in range(0, labels.shape[1], step):
            bottom = min(labels.shape[1], top + step)
            self._done += bottom - top
            yield _as_rows(labels[:, top:bottom], None if probs is None else probs[:, top:bottom])

    def _decided(self, probs: Tensor) -> Tensor:
        """Returns labels (planes, h, w) uint8."""
        if self._task is Task.MULTICLASS:
            best, labels = probs[0].clone(), torch.zeros((1, *probs.shape[1:]), dtype=torch.uint8)
            for index in range(1, len(probs)):  # four times as fast as torch.argmax over the first axis
                labels[0].masked_fill_(probs[index] > best, index)
                torch.maximum(best, probs[index], out=best)
            return labels
        return (probs > self._threshold).to(torch.uint8)

    def _enlarged(self, waiting: list[Tensor], first: int, last: int) -> Iterator[NDArray[np.uint8]]:
        """Yields all rows of the image that the network's rows below `last` decide.

        Args:
            waiting: (K, rows, w) each, see `_to_enlarge`, whose first row is row `first` of the network.
        """
        (low, _), (high, wide) = self._network_size, self._size
        end = high if last == low else min(high, int((last - 0.5) * high / low - 0.5) + 1)
        step = max(1, min(_ROWS_PX, _PROBS_PX // len(waiting[0]) if self._with_probs else _ROWS_PX) // wide)
        for top in range(self._done, end, step):
            bottom = min(end, top + step)
            at = ((torch.arange(top, bottom, dtype=torch.float64) + 0.5) * low / high - 0.5).clamp(0, low - 1)
            above = at.floor().long()
            below = (above + 1).clamp(max=last - 1)
            share = (at - above).float()[:, None]

            def larger(plane: Tensor, above: Tensor = above, below: Tensor = below, share: Tensor = share) -> Tensor:
                rows = plane[above - first] * (1 - share) + plane[below - first] * share
                return F.interpolate(rows[None, None], (len(rows), wide), mode="bilinear", align_corners=False)[0, 0]

            labels, probs = self._decided_planes(map(larger, waiting[0]))
            if probs is not None and len(waiting) > 1:
                probs = torch.stack([larger(plane).half() for plane in waiting[1]])
            self._done = bottom
            yield _as_rows(labels, probs)

    def _decided_planes(self, planes: Iterable[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Returns labels (planes, h, W), and probabilities (K, h, W) float16 where they are given out, from planes of
        probabilities (h, W), of which one is in memory at a time."""
        best = labels = None
        kept: list[Tensor] = []
        for index, rows in enumerate(planes):
            if self._with_probs:
                kept.append(rows.half())
            if self._task is not Task.MULTICLASS:
                chosen = (rows > self._threshold).to(torch.uint8)[None]
                labels = chosen if labels is None else torch.cat([labels, chosen])
            elif best is None or labels is None:
                best, labels = rows, torch.zeros((1, *rows.shape), dtype=torch.uint8)
            else:
                labels[0][rows > best] = index
                best = torch.maximum(best, rows)
        assert labels is not None
        return labels, torch.stack(kept) if kept else None


def _as_rows(labels: Tensor, probs: Tensor | None) -> NDArray[np.uint8]:
    """Returns (rows, bytes) from labels (planes, rows, W) and probabilities (C, rows, W) float16."""
    rows = labels.shape[1]
    found: NDArray[np.uint8] = labels.transpose(0, 1).numpy().reshape(rows, -1)
    if probs is None:
        return found
    values = np.ascontiguousarray(probs.transpose(0, 1).numpy()).view(np.uint8).reshape(rows, -1)
    return np.concatenate([found, values], axis=1)
