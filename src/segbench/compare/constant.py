"""What an entry would reach that learns nothing: the most frequent class of the training part, everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from segbench.compare.image_scores import ImageScores, needs_outlines, pick
from segbench.compare.outside import score_outside
from segbench.compare.verify import ScoredRun
from segbench.data.manifest.manifest import Manifest
from segbench.folders.run import RunFolder
from segbench.metrics.counts import Counts, IntArray
from segbench.metrics.scores import score_counts
from segbench.metrics.surface import SurfaceSettings
from segbench.types import ClassMap, Task


@dataclass(frozen=True, eq=False)
class ConstantMasks:
    """Masks that hold one answer everywhere, of the sizes at which runs were scored.

    Attributes:
        labels: (C,) bool of a multilabel task: whether a class is present everywhere; else one int64, the class index.
        sizes: image id -> (H, W).
    """

    labels: npt.NDArray[np.int64]
    sizes: dict[str, tuple[int, int]] = field(repr=False)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.sizes

    def read(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Returns (H, W) uint8 of one class index; multilabel (C, H, W) of 0 and 1."""
        size = self.sizes[image_id]
        if self.labels.ndim == 0:
            return np.full(size, self.labels, dtype=np.uint8)
        return np.broadcast_to(self.labels.astype(np.uint8)[:, None, None], (len(self.labels), *size)).copy()


def frequent_labels(run: RunFolder, class_map: ClassMap, scored: ImageScores) -> npt.NDArray[np.int64]:
    """Returns the most frequent class of the training part, as in `ConstantMasks`.

    It is read off the run's counts of its training part; where there are none, off those of the validation part, else
    off the test images themselves.
    """
    counts = scored.counts
    for part in ("train", "val"):
        file = run.table_file("counts", part)
        if file.is_file():
            counts = Counts.read_csv(file, class_map)
            break
    true = np.stack([counts.tn + counts.fp, counts.tp + counts.fn]).sum(axis=1)  # (absent or present, C)
    if class_map.task is Task.MULTILABEL:
        return np.asarray(true[1] > true[0], dtype=np.int64)
    return np.asarray(true[1].argmax(), dtype=np.int64)


def constant_counts(scored: ImageScores, labels: npt.NDArray[np.int64]) -> Counts:
    """Returns the counts of a constant answer: every true pixel is predicted as it. No file is read."""
    confusion = scored.counts.confusion
    true: IntArray = confusion.sum(axis=-1)  # (N, C), multilabel (N, C, 2)
    table = np.zeros_like(confusion)
    if labels.ndim == 0:
        table[:, :, int(labels)] = true
    else:
        for index, present in enumerate(labels.tolist()):
            table[:, index, :, present] = true[:, index]
    return Counts(ids=scored.ids, confusion=table, ignored=scored.counts.ignored, task=scored.counts.task)


def constant_scores(
    first: ScoredRun, manifest: Manifest, score: str, size: tuple[int, int] | None, settings: SurfaceSettings
) -> ImageScores:
    """Returns the score of every test image if the most frequent class were predicted everywhere.

    Args:
        first: a run, whose counts hold what the true masks do.
        manifest: of the data, which is read where the score is measured between outlines.
        score: see `check_score`.
        size: (H, W) at which predictions are compared; None: each image's own.
        settings: of outlines.
    Raises:
        DatasetError: the data is needed and cannot be read.
    """
    class_map, samples = manifest.class_map, manifest.split("test")
    labels = frequent_labels(first.run, class_map, first.scores)
    if needs_outlines(score):
        masks = ConstantMasks(labels, {sample.id: size or (sample.height, sample.width) for sample in samples})
        return score_outside(masks, manifest, samples, score, size, settings)
    return pick(score, score_counts(constant_counts(first.scores, labels), class_map), None)
