"""What a run leaves for people to look at: prediction sheets of some epochs, and TensorBoard scalars of all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

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

_COMPRESSION = 2  # of PNG; the default, 6, takes most of a sheet's time


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """What is written on an epoch's sheet, and the masks (H, W) it shows."""

    epoch: int
    heading: str
    titles: list[str]
    predictions: list[np.ndarray]


class EpochVisuals:
    """Writes the sheets of some epochs and the scalars of each; a context, so that the event file is closed.

    The sheets of the last and of the best epoch, known only then, are drawn at the end where they were not due before.

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
        self._drawn = [epoch for epoch in range(1, training.epochs_done + 1) if folder.picture_file(epoch).is_file()]
        self._waiting: dict[str, _Sheet] = {}

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
        if kind is None and self._training.config.pictures == "auto":
            for sheet in self._waiting.values():
                self._draw(sheet)

    def after_epoch(self, row: Mapping[str, float], val: SplitPass, is_best: bool) -> None:
        """Writes the row's scalars and, where one is due, the sheet `pictures/epoch_NNNN.png`."""
        epoch = int(row["epoch"])
        sheet = self._sheet(row, val)
        self._waiting["last"] = sheet
        if is_best:
            self._waiting["best"] = sheet
        pictures, epochs = self._training.config.pictures, self._training.plan.epochs
        if is_pictured(pictures, epoch, epochs, is_best=is_best, before=max(self._drawn, default=0)):
            self._draw(sheet)
        if self._writer is not None:
            for key, value in row.items():
                if key != "epoch":
                    self._writer.add_scalar(key.replace("_", "/", 1), value, epoch)

    def _sheet(self, row: Mapping[str, float], val: SplitPass) -> _Sheet:
        """Returns what an epoch's sheet shows; so little that it can wait until the run knows its best epoch."""
        monitor = self._training.config.monitor
        scored = score_counts(val.counts, self._training.class_map)
        ious = dict(zip(scored.ids, scored.image_means("iou"), strict=True))
        score = f"validation {label_of(monitor)} {row[f'val_{monitor}']:.4f}"
        return _Sheet(
            epoch=int(row["epoch"]),
            heading=f"epoch {row['epoch']:.0f}, {score} over all {len(scored.ids)} images; "
            f"{self._training.config.run_name}",
            titles=[f"{name}\nIoU {'–' if math.isnan(ious[name]) else f'{ious[name]:.3f}'}" for name in self._ids],
            predictions=[val.masks[name] for name in self._ids],
        )

    def _draw(self, sheet: _Sheet) -> None:
        if sheet.epoch in self._drawn:
            return
        picture = prediction_sheet(
            self._images,
            self._truths,
            sheet.predictions,
            self._training.class_map,
            heading=sheet.heading,
            titles=sheet.titles,
        )
        with replacing(self._folder.picture_file(sheet.epoch)) as temporary:
            picture.save(temporary, compress_level=_COMPRESSION)
        self._drawn.append(sheet.epoch)


def is_pictured(pictures: int | Literal["auto"], epoch: int, epochs: int, *, is_best: bool, before: int) -> bool:
    """Tells whether a sheet is drawn after an epoch, at about fifty of them at most by `auto`.

    Args:
        pictures: see `RunConfig`.
        epoch: from 1, of `epochs`.
        is_best: it is the best so far.
        before: the last epoch that has a sheet; 0: none has.
    """
    if pictures != "auto":
        return pictures > 0 and epoch % pictures == 0
    regular = epoch == 1 or epoch % max(1, epochs // 10) == 0
    return regular or (is_best and epoch - before >= max(1, epochs // 40))
