"""From blocks of probabilities, as tiles give them, to rows of labels at the image's own size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segbench.predict.pipeline import PipelineSettings
from segbench.predict.tiles import Block
from segbench.types import Task

_ROWS_PX = 1 << 22  # of labels that are enlarged at a time


class LabelRows:
    """Decides labels row by row; probabilities are enlarged first, bilinearly, as `Pipeline.decide` does.

    Args:
        settings: task and threshold.
        network_size: (h, w) of the probabilities of the whole image.
        size: (H, W) of the image.
        first_row: rows of the image above it are left out.
    """

    def __init__(
        self, settings: PipelineSettings, network_size: tuple[int, int], size: tuple[int, int], first_row: int = 0
    ) -> None:
        self._task, self._threshold = settings.class_map.task, settings.threshold
        self._network_size, self._size = network_size, size
        self._done = first_row  # rows of the image

    def of(self, blocks: Iterable[Block]) -> Iterator[NDArray[np.uint8]]:
        """Yields labels (rows, planes, W), from top to bottom; planes are 1, multilabel one a class.

        Args:
            blocks: of probabilities (K, h, w), from top to bottom, in rows from left to right. For exclusive classes at
                the image's own size logits do, too.
        """
        same = self._network_size == self._size
        waiting: Tensor | None = None  # (planes or K, rows, w)
        first = 0  # row of the network that `waiting` begins with
        for top, left, probs in blocks:
            part = self._decided(probs) if same else probs
            if left == 0:
                first, waiting = self._room(waiting, first, top, part)
            assert waiting is not None
            waiting[:, top - first : top - first + part.shape[1], left : left + part.shape[2]] = part
            if left + part.shape[2] < self._network_size[1]:
                continue
            last = top + part.shape[1]
            if same:
                yield from self._given(waiting[:, max(self._done, first) - first :], last)
            else:
                yield from self._enlarged(waiting, first, last)

    def _room(self, waiting: Tensor | None, first: int, top: int, part: Tensor) -> tuple[int, Tensor]:
        """Returns room for a row of blocks, behind the last row of the one before, which is enlarged with it."""
        fresh = part.new_zeros((len(part), part.shape[1], self._network_size[1]))
        if waiting is None or self._network_size == self._size:
            return top, fresh
        kept = min(2, waiting.shape[1])
        return top - kept, torch.cat([waiting[:, -kept:], fresh], dim=1)

    def _given(self, labels: Tensor, last: int) -> Iterator[NDArray[np.uint8]]:
        if last > self._done:
            self._done = last
            yield labels.transpose(0, 1).numpy()

    def _decided(self, probs: Tensor) -> Tensor:
        """Returns labels (planes, h, w) uint8."""
        if self._task is Task.MULTICLASS:
            best, labels = probs[0].clone(), torch.zeros((1, *probs.shape[1:]), dtype=torch.uint8)
            for index in range(1, len(probs)):  # four times as fast as torch.argmax over the first axis
                labels[0].masked_fill_(probs[index] > best, index)
                torch.maximum(best, probs[index], out=best)
            return labels
        return (probs > self._threshold).to(torch.uint8)

    def _enlarged(self, probs: Tensor, first: int, last: int) -> Iterator[NDArray[np.uint8]]:
        """Yields all rows of the image that the network's rows below `last` decide.

        Args:
            probs: (K, rows, w), whose first row is row `first` of the network.
        """
        (low, _), (high, wide) = self._network_size, self._size
        end = high if last == low else min(high, int((last - 0.5) * high / low - 0.5) + 1)
        step = max(1, _ROWS_PX // wide)
        for top in range(self._done, end, step):
            bottom = min(end, top + step)
            at = ((torch.arange(top, bottom, dtype=torch.float64) + 0.5) * low / high - 0.5).clamp(0, low - 1)
            above = at.floor().long()
            below = (above + 1).clamp(max=last - 1)
            share = (at - above).float()[:, None]
            best = labels = None
            for index, plane in enumerate(probs):
                rows = plane[above - first] * (1 - share) + plane[below - first] * share
                rows = F.interpolate(rows[None, None], (len(rows), wide), mode="bilinear", align_corners=False)[0, 0]
                if self._task is not Task.MULTICLASS:
                    chosen = (rows > self._threshold).to(torch.uint8)[None]
                    labels = chosen if labels is None else torch.cat([labels, chosen])
                elif best is None or labels is None:
                    best, labels = rows, torch.zeros((1, *rows.shape), dtype=torch.uint8)
                else:
                    labels[0][rows > best] = index
                    best = torch.maximum(best, rows)
            assert labels is not None
            self._done = bottom
            yield labels.transpose(0, 1).numpy()
