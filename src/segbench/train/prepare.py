"""The data of a training, a study or a search: read, divided, and what a person should know about it said. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from segbench.config.loss import LossTerm
from segbench.config.run import DataConfig, RunConfig
from segbench.data.files.kept import KeptPixels
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.cache import class_pixel_counts
from segbench.data.samples.sample_cache import SampleCache
from segbench.doctor.before_training import fast_warnings, require_learnable
from segbench.doctor.divide import divide
from segbench.errors import DatasetError
from segbench.losses.class_weights import balanced_class_weights, balanced_pos_weights
from segbench.speech import speaking_of_a_config
from segbench.train.callback import ProgressCallback
from segbench.train.check import check_task
from segbench.types import Task


def read_and_split(
    data: DataConfig, watch: ProgressCallback, *, tell_notes: bool = True, kept: KeptPixels | None = None
) -> Manifest:
    """Returns the manifest of the data, split, after its notes and what spoils a training were told.

    Args:
        data: of the config.
        watch: told about progress, notes and warnings.
        tell_notes: False where the caller shows the manifest's notes itself.
        kept: where decoded pixels are kept for the cache.
    Raises:
        DatasetError, ConfigError: see `read_dataset`, `split_manifest` and `require_learnable`.
    """
    with speaking_of_a_config():
        manifest = read_dataset(data.path, data.format, progress=watch.progress, kept=kept, **data.options)
    manifest = divide(manifest, data.split)
    for note in manifest.notes if tell_notes else ():
        watch.message(f"note: {note}")
    with speaking_of_a_config():
        warnings = fast_warnings(manifest)
    for warning in warnings:
        watch.message(warning)
    require_learnable(manifest, data.allow)
    return manifest


def reopen(file: Path, watch: ProgressCallback, advice: str) -> Manifest:
    """Returns the manifest that a run or a search was begun with, compared with the files as they are now.

    Args:
        file: that manifest.
        watch: told about progress.
        advice: what to do where the data changed, whole sentences.
    Raises:
        DatasetError: the data changed or is gone.
    """
    try:
        return read_dataset(file, progress=watch.progress)
    except DatasetError as error:
        raise DatasetError(f"{error.reason}. {advice}", path=error.path) from error


def resolve_loss(config: RunConfig, manifest: Manifest, cache: SampleCache) -> tuple[LossTerm, ...]:
    """Returns the loss terms, checked against the task, with inverse frequencies counted over the training part.

    Raises:
        ConfigError: see `check_task`.
    """
    task = manifest.class_map.task
    check_task(config, task)
    if not any("inverse_frequency" in term.options.values() for term in config.loss):
        return config.loss
    rows = cache.rows_of(manifest.split("train"))
    counts = class_pixel_counts(cache, rows).tolist()
    weights: Any = balanced_class_weights(counts)
    if task is Task.BINARY:
        weights = balanced_pos_weights([counts[1]], [counts[0]])[0]
    elif task is Task.MULTILABEL:
        negatives = sum((cache.masks[row] == 0).sum(axis=(1, 2)) for row in rows)  # ignored pixels are neither
        weights = balanced_pos_weights(counts, np.asarray(negatives).tolist())
    return tuple(
        term.model_copy(
            update={"options": {k: weights if v == "inverse_frequency" else v for k, v in term.options.items()}}
        )
        for term in config.loss
    )
