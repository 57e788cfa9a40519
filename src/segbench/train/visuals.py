"""What a run leaves for people to look at: a prediction sheet an epoch, TensorBoard scalars, learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import TracebackType

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from segbench.data.samples.sample_cache import SampleCache
from segbench.files import replacing
from segbench.folders.run import RunFolder
from segbench.metrics.families import label_of
from segbench.metrics.scores import score_counts
from segbench.plots.panels import prediction_sheet
from segbench.train.loop import Training
from segbench.train.score import SplitPass
from segbench.types import Sample


class EpochVisuals:
    """Writes the pictures and scalars of each epoch; a context, so that the event file is closed.

    Args:
        folder: of the run.
        training: whose class map and history are shown.
        cache: decoded images and masks.
        samples: the fixed validation samples on the sheets.
    """

    def __init__(self, folder: RunFolder, training: Training, cache: SampleCache, samples: tuple[Sample, ...]) -> None:
        self._folder = folder
        self._training = training
        self._ids = [sample.id for sample in samples]
        rows = cache.rows_of(samples)
        self._images = [np.array(cache.images[row]) for row in rows]
        self._truths = [np.array(cache.masks[row]) for row in rows]
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> EpochVisuals:
        # Scalars of an epoch that a killed run did not finish are purged.
        first = self._training.epochs_done + 1
        self._writer = SummaryWriter(str(self._folder.path / "tensorboard"), purge_step=first if first > 1 else None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def after_epoch(self, row: Mapping[str, float], val: SplitPass) -> None:
        """Writes the sheet `pictures/epoch_NNNN.png` and the row's scalars."""
        epoch = int(row["epoch"])
        predictions = [val.masks[name] for name in self._ids]
        class_map = self._training.class_map
        monitor = self._training.config.monitor
        scored = score_counts(val.counts, class_map)
        ious = dict(zip(scored.ids, scored.image_means("iou"), strict=True))
        titles = [f"{name}\nIoU {'–' if math.isnan(ious[name]) else f'{ious[name]:.3f}'}" for name in self._ids]
        score = f"validation {label_of(monitor)} {row[f'val_{monitor}']:.4f}"
        heading = f"epoch {epoch}, {score} over all {len(scored.ids)} images; {self._training.config.run_name}"
        sheet = prediction_sheet(self._images, self._truths, predictions, class_map, heading=heading, titles=titles)
        with replacing(self._folder.picture_file(epoch)) as temporary:
            sheet.save(temporary)
        if self._writer is not None:
            for key, value in row.items():
                if key != "epoch":
                    self._writer.add_scalar(key.replace("_", "/", 1), value, epoch)
