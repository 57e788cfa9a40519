"""Scores a finished (or half-finished) run's best weights on one of its splits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from segbench.config.run import ScoresConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.cache import build_cache
from segbench.data.samples.loader import BatchLoader
from segbench.data.sources.load import load_sample
from segbench.errors import RunError
from segbench.files import write_json
from segbench.folders.mask_archive import MaskWriter, write_masks
from segbench.folders.run import RunFolder
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.definitions import OWN_SIZE, size_text
from segbench.metrics.scores import Scores
from segbench.models.weights import read_metadata
from segbench.predict.predictor import Predictor
from segbench.train.callback import Callback
from segbench.train.console import default_callback
from segbench.train.evaluator import Evaluation, Evaluator, collect_surfaces, evaluate_masks
from segbench.train.result import now
from segbench.train.score import score_split
from segbench.types import SPLITS, SplitName

Resolution = Literal["training", "original"]


def evaluate(
    run: str | Path,
    split: SplitName = "test",
    *,
    resolution: Resolution = "training",
    scores: ScoresConfig | None = None,
    device: str = "auto",
    watch: Callback | None = None,
) -> Scores:
    """Returns the scores of a run's best weights on a split, and writes them into the run folder.

    Args:
        run: folder that `segbench train` wrote.
        split: train, val or test; every scoring of test is noted in `test_log.csv`.
        resolution: `training` compares at the size the network saw, like the scores in `result.json`; `original`
            resizes the probabilities to each image's own size and compares there. Both compute in float32.
        scores: what to measure besides counts, and how; None takes the run's.
        device: `auto`, `cpu`, `cuda` or `mps`.
        watch: told about progress; None shows it where somebody looks on.
    Raises:
        RunError: no run folder, no finished epoch, an unknown split.
        DatasetError: the data changed since the run was started.

    Example:
        >>> import segbench
        >>> scores = segbench.evaluate("runs/ph2", "val", resolution="original")  # doctest: +SKIP
        >>> scores.summary()["iou_per_image"]  # doctest: +SKIP
    """
    folder = RunFolder(Path(run))
    if split not in SPLITS:
        raise RunError(f"expected split train, val or test, got {split!r}", run=folder.path)
    if resolution not in ("training", "original"):
        raise RunError(f"expected resolution training or original, got {resolution!r}", run=folder.path)
    watch = watch or default_callback()
    try:
        predictor = Predictor.from_run(folder.path, device=device)
        manifest = read_dataset(folder.manifest_file, progress=watch.progress)
        best_epoch = int(read_metadata(folder.best_file)["epoch"])
        times = folder.log_test_scoring(now(), best_epoch, f"evaluate at {resolution} size") if split == "test" else 0
        score_at = _at_training_size if resolution == "training" else _at_original_size
        name = split if resolution == "training" else f"{split}_original"
        with write_masks(folder.predicted_file(name)) as masks:
            wanted = scores or folder.read_config().scores
            evaluated = score_at(folder, predictor, manifest, split, wanted, masks, watch)
    finally:
        watch.close()
    evaluated.write(folder, name)
    summary = {
        "split": split,
        "scored_at": evaluated.resolution,
        "epoch": best_epoch,
        "threshold": predictor.threshold,
        "n": evaluated.scores.n_images,
        "scores": evaluated.summary(),
        "per_class": evaluated.per_class_table(),
        "definitions": {name: definition.sentence for name, definition in evaluated.definition_of.items()},
        "definition_of": {name: definition.to_dict() for name, definition in evaluated.definition_of.items()},
        "test_scored": times,
    }
    write_json(folder.path / f"evaluation_{name}.json", summary)
    return evaluated.scores


def _at_training_size(
    folder: RunFolder,
    predictor: Predictor,
    manifest: Manifest,
    split: SplitName,
    wanted: ScoresConfig,
    masks: MaskWriter,
    watch: Callback,
) -> Evaluation:
    config = folder.read_config()
    cache_dir = Path(config.data.cache_dir) if config.data.cache_dir else None
    cache = build_cache(manifest, config.data.size, folder=cache_dir, progress=watch.progress)
    loader = BatchLoader(
        cache,
        manifest.split(split),
        batch_size=config.batch_size,
        device=predictor.device,
        channels_last=config.channels_last,
    )
    evaluator = Evaluator(predictor.class_map, predictor.threshold, wanted, masks=masks)
    score_split(
        predictor.network,
        loader,
        None,
        evaluator,
        predictor.normalization,
        on_batch=lambda done, total: watch.progress(f"scoring the {split} part", done, total),
    )
    return evaluator.evaluation(size_text(config.data.size))


def _at_original_size(
    folder: RunFolder,
    predictor: Predictor,
    manifest: Manifest,
    split: SplitName,
    wanted: ScoresConfig,
    masks: MaskWriter,
    watch: Callback,
) -> Evaluation:
    samples = manifest.split(split)
    class_map = predictor.class_map
    surfaces = collect_surfaces(class_map, wanted)
    confusion: list[np.ndarray] = []
    ignored: list[int] = []
    for done, sample in enumerate(samples, start=1):
        image, target = load_sample(manifest, sample)
        mask, _ = predictor.pipeline(image)
        table, skipped = count_masks(
            mask,
            target,
            class_map.num_classes,
            ignore_index=class_map.ignore_index,
            task=class_map.task,
        )
        confusion.append(table)
        ignored.append(skipped)
        masks.add(sample.id, mask)
        if surfaces is not None:
            surfaces.add(sample.id, mask, target)
        watch.progress(f"scoring the {split} part", done, len(samples))
    counts = Counts(
        ids=tuple(sample.id for sample in samples),
        confusion=np.stack(confusion),
        ignored=np.array(ignored, dtype=np.int64),
        task=class_map.task,
    )
    return evaluate_masks(surfaces, counts, class_map, predictor.threshold, OWN_SIZE)
