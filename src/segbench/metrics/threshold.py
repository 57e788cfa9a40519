"""Which threshold scores best: counts of every image at many thresholds, from one pass over the logits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segbench.metrics.confusion import check_batch, logit_of
from segbench.metrics.counts import Counts
from segbench.metrics.families import COUNT_SCORES, label_of
from segbench.metrics.scores import score_counts
from segbench.types import DEFAULT_THRESHOLD, IGNORE_INDEX, ClassMap, Task

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))  # 0.05 to 0.95


@dataclass(frozen=True, kw_only=True)
class ThresholdChoice:
    """The threshold that scored best on the images it was chosen on.

    Attributes:
        threshold: of the probability.
        value: the score there; default_value: the score at 0.5.
        score: its name.
        n_images: how many the choice rests on.
    """

    threshold: float
    value: float
    default_value: float
    score: str
    n_images: int

    @property
    def gain(self) -> float:
        """How far the score moved from its value at 0.5, on the images the threshold was chosen on: an upper bound."""
        return self.value - self.default_value

    @property
    def sentence(self) -> str:
        """Returns the choice in one sentence, for people."""
        return (
            f"threshold {self.threshold:g} chosen for {label_of(self.score)} on {self.n_images} images: "
            f"{self.value:.4f} there, {self.default_value:.4f} at {DEFAULT_THRESHOLD:g} ({self.gain:+.4f}, on the "
            "images it was chosen on)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**asdict(self), "gain": self.gain}


class ThresholdSweep:
    """Counts every image of a binary or multilabel task at T thresholds at once.

    For every image and class it keeps how many true and how many other pixels lie between two neighbouring
    thresholds, so counts at each of them are exact: the same integers as `confusion_from_logits` gives there. That is
    16 (T + 1) bytes an image and class, 320 MB for a million images of a binary task.

    Args:
        task: binary or multilabel.
        thresholds: of the probability, rising, in (0, 1); 0.5 must be among them, because gains are stated from there.
        ignore_index: label of pixels in the target that do not count.
    Raises:
        ValueError: a multiclass task, where the most probable class is taken without a threshold; wrong thresholds.
    """

    def __init__(
        self, task: Task, *, thresholds: Sequence[float] = THRESHOLDS, ignore_index: int = IGNORE_INDEX
    ) -> None:
        if task is Task.MULTICLASS:
            raise ValueError("thresholds: a multiclass task takes the most probable class and has no threshold")
        if any(later <= earlier for earlier, later in pairwise(thresholds)):
            raise ValueError(f"thresholds: expected rising numbers, got {list(thresholds)}")
        if DEFAULT_THRESHOLD not in thresholds:
            raise ValueError(f"thresholds: {DEFAULT_THRESHOLD:g} must be among them, got {list(thresholds)}")
        self.task = task
        self.thresholds = tuple(thresholds)
        self.ignore_index = ignore_index
        self._cuts = [logit_of(threshold) for threshold in thresholds]
        self._ids: list[str] = []
        self._between: list[Tensor] = []
        self._ignored: list[Tensor] = []
        self._joined: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    def add(self, ids: Collection[str], logits: Tensor, target: Tensor) -> None:
        """Counts one batch.

        Args:
            ids: B image ids.
            logits, target: as in `segbench.metrics.confusion_from_logits`.
        Raises:
            ValueError: shapes or labels that do not fit.
        """
        target = check_batch(logits, target, self.task).long()
        if len(ids) != len(logits):
            raise ValueError(f"ids: expected one for each of {len(logits)} images, got {len(ids)}")
        values = (logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits).reshape(target.shape)
        counted = target != self.ignore_index
        if bool((counted & ((target < 0) | (target > 1))).any()):
            raise ValueError(f"the target holds labels other than 0, 1 and the ignored {self.ignore_index}")
        # Bin k: above k of the thresholds, and not above the next one.
        cuts = torch.tensor(self._cuts, dtype=values.dtype, device=values.device)
        cell = 2 * torch.bucketize(values.contiguous(), cuts) + target
        bins = 2 * (len(self.thresholds) + 1)
        planes = target.flatten(-2).shape[:-1].numel()  # tables: (B,), multilabel (B, C)
        start = torch.arange(planes, device=values.device) * (bins + 1)
        cell = torch.where(counted, cell, bins).view(planes, -1) + start[:, None]
        counts = torch.bincount(cell.flatten(), minlength=planes * (bins + 1)).view(len(logits), -1, bins + 1)
        self._ids.extend(ids)
        self._between.append(counts[..., :bins].reshape(*counts.shape[:2], -1, 2))  # (B, C, T + 1, 2)
        self._ignored.append(counts[..., bins].sum(dim=1))
        self._joined = None

    def counts(self, threshold: float) -> Counts:
        """Returns the counts of every image at one of the thresholds.

        Raises:
            ValueError: another threshold, or no batch was added.
        """
        if threshold not in self.thresholds:
            raise ValueError(f"threshold: expected one of {list(self.thresholds)}, got {threshold!r}")
        between, ignored = self._join()
        above = self.thresholds.index(threshold) + 1
        # [image, class, true, predicted]
        table = np.stack([between[:, :, :above].sum(axis=2), between[:, :, above:].sum(axis=2)], axis=-1)
        return Counts(
            ids=tuple(self._ids),
            confusion=table if self.task is Task.MULTILABEL else table[:, 0],
            ignored=ignored,
            task=self.task,
        )

    def curve(self, score: str, class_map: ClassMap) -> list[tuple[float, float]]:
        """Returns (threshold, value) for every threshold.

        Args:
            score: one of those from counts, see `segbench.metrics.SCORES`.
            class_map: of the task.
        Raises:
            ValueError: an unknown score, or a class map that does not fit.
        """
        return [(threshold, self._value(score, class_map, threshold)) for threshold in self.thresholds]

    def best(self, score: str, class_map: ClassMap) -> ThresholdChoice:
        """Returns the threshold with the best score; of equally good ones the one nearest 0.5, then the lower one.

        Choose on validation images only. One threshold serves all classes of a multilabel task.

        Raises:
            ValueError: as `curve`; or the score has no value at any threshold.
        """
        curve = self.curve(score, class_map)
        default = self._value(score, class_map, DEFAULT_THRESHOLD)
        merit = COUNT_SCORES[score].merit
        valued = [
            (-merit(value), round(abs(t - DEFAULT_THRESHOLD), 9), t, value) for t, value in curve if value == value
        ]
        if not valued:
            raise ValueError(f"{score} has no value at any threshold: nothing to choose by")
        _, _, threshold, value = min(valued)
        return ThresholdChoice(
            threshold=threshold, value=value, default_value=default, score=score, n_images=len(self._ids)
        )

    def _value(self, score: str, class_map: ClassMap, threshold: float) -> float:
        summary = score_counts(self.counts(threshold), class_map, threshold=threshold).summary()
        if score not in summary:
            raise ValueError(f"score: expected one of {', '.join(summary)}, got {score!r}")
        return summary[score]

    def _join(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if not self._between:
            raise ValueError("there is nothing to choose from: no batch was added")
        if self._joined is None:
            # One copy: the parts give way to what they were joined into.
            self._between, self._ignored = [torch.cat(self._between)], [torch.cat(self._ignored)]
            self._joined = (self._between[0].cpu().numpy(), self._ignored[0].cpu().numpy())
        return self._joined
