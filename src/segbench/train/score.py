"""One pass over a split without gradients: confusion counts of every image, the loss, and a few predicted masks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from segbench.data.samples.loader import BatchLoader
from segbench.metrics.confusion import confusion_from_logits
from segbench.metrics.counts import Counts
from segbench.predict.decide import decide, normalize
from segbench.types import Normalization, Task


class CountsCollector:
    """Gathers the confusion counts of batches and turns them into `Counts` once, so that a GPU never waits.

    Args:
        task: see `segbench.types`.
        threshold: of the probability.
    """

    def __init__(self, task: Task, threshold: float) -> None:
        self.task = task
        self.threshold = threshold
        self._ids: list[str] = []
        self._confusion: list[Tensor] = []
        self._ignored: list[Tensor] = []

    def add(self, ids: Collection[str], logits: Tensor, target: Tensor) -> None:
        """Counts one batch; shapes as in `segbench.types`."""
        confusion, ignored = confusion_from_logits(logits, target, self.task, threshold=self.threshold)
        self._ids.extend(ids)
        self._confusion.append(confusion)
        self._ignored.append(ignored)

    def counts(self) -> Counts:
        """Returns the counts of every image added so far."""
        return Counts(
            ids=tuple(self._ids),
            confusion=torch.cat(self._confusion).cpu().numpy(),
            ignored=torch.cat(self._ignored).cpu().numpy(),
            task=self.task,
        )


@dataclass(frozen=True, kw_only=True)
class SplitPass:
    """What one pass over a split gave.

    Attributes:
        counts: of every image.
        loss: mean over the images.
        seconds: of the whole pass; network_seconds: of the forward passes alone.
        masks: predicted masks of the samples asked for: id -> (H, W) uint8, multilabel (C, H, W).
    """

    counts: Counts
    loss: float
    seconds: float
    network_seconds: float
    masks: dict[str, np.ndarray] = field(default_factory=dict)


@torch.inference_mode()
def score_split(
    network: nn.Module,
    loader: BatchLoader,
    loss: Callable[[Tensor, Tensor], Tensor] | None,
    collector: CountsCollector,
    normalization: Normalization,
    *,
    keep_masks_of: Collection[str] = (),
    on_batch: Callable[[int, int], None] | None = None,
) -> SplitPass:
    """Returns counts and loss of a split; the network is in evaluation mode during the pass and restored after.

    Args:
        network: logits from normalised images; may wrap mixed precision.
        loader: un-augmented, unshuffled.
        loss: logits, target -> scalar; None leaves it out, and the pass's is NaN.
        collector: an empty one.
        normalization: of the network.
        keep_masks_of: ids whose predicted masks are returned.
        on_batch: told (images done, images in all).
    """
    was_training = network.training
    network.eval()
    started = time.perf_counter()
    network_seconds = 0.0
    weighted_loss: list[Tensor] = []
    masks: dict[str, np.ndarray] = {}
    images_done = 0
    try:
        for batch in loader.epoch(0):
            before = time.perf_counter()
            logits = network(normalize(batch.images, normalization)).float()
            if logits.device.type == "cuda":
                torch.cuda.synchronize(logits.device)
            network_seconds += time.perf_counter() - before
            if loss is not None:
                weighted_loss.append(loss(logits, batch.targets).detach().double() * len(batch.ids))
            collector.add(batch.ids, logits, batch.targets)
            wanted = [position for position, name in enumerate(batch.ids) if name in keep_masks_of]
            if wanted:
                chosen = decide(logits[wanted], collector.task, collector.threshold).cpu().numpy()
                masks.update({batch.ids[position]: mask for position, mask in zip(wanted, chosen, strict=True)})
            images_done += len(batch.ids)
            if on_batch is not None:
                on_batch(images_done, loader.num_samples)
    finally:
        network.train(was_training)
    return SplitPass(
        counts=collector.counts(),
        loss=float(torch.stack(weighted_loss).sum().cpu()) / images_done if weighted_loss else math.nan,
        seconds=time.perf_counter() - started,
        network_seconds=network_seconds,
        masks=masks,
    )
