"""What a run leaves for people to look at: prediction sheets of some epochs, and TensorBoard scalars of all."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Literal

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from segbench.data.samples.sample_cache import SampleCache
from segbench.files import replacing
from segbench.folders.run import RunFolder
from segbench.plots.panels import prediction_sheet
from segbench.train.loop import Training
from segbench.train.score import SplitPass
from segbench.types import Sample

_COMPRESSION = 2  # of PNG; the default, 6, takes most of a sheet's time


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
        self._waiting: dict[str, tuple[int, list[np.ndarray]]] = {}

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
            for epoch, predictions in self._waiting.values():
                self._draw(epoch, predictions)

    def after_epoch(self, row: Mapping[str, float], val: SplitPass, is_best: bool) -> None:
        """Writes the row's scalars and, where one is due, the sheet `pictures/epoch_NNNN.png`."""
        epoch = int(row["epoch"])
        predictions = [val.masks[name] for name in self._ids]
        self._waiting["last"] = epoch, predictions
        if is_best:
            self._waiting["best"] = epoch, predictions
        pictures, epochs = self._training.config.pictures, self._training.plan.epochs
        if is_pictured(pictures, epoch, epochs, is_best=is_best, before=max(self._drawn, default=0)):
            self._draw(epoch, predictions)
        if self._writer is not None:
            for key, value in row.items():
                if key != "epoch":
                    self._writer.add_scalar(key.replace("_", "/", 1), value, epoch)

    def _draw(self, epoch: int, predictions: list[np.ndarray]) -> None:
        if epoch in self._drawn:
            return
        class_map = self._training.class_map
        sheet = prediction_sheet(self._images, self._truths, predictions, class_map, titles=self._ids)
        with replacing(self._folder.picture_file(epoch)) as temporary:
            sheet.save(temporary, compress_level=_COMPRESSION)
        self._drawn.append(epoch)


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
