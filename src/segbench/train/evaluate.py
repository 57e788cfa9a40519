"""Scores a finished (or half-finished) run's best weights on one of its splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from segbench.config.run import AugmentConfig, ScoresConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.decoded import decode_samples
from segbench.data.samples.loaders import whole_loader
from segbench.data.sources.load import load_sample
from segbench.errors import RunError
from segbench.files import write_json
from segbench.folders.mask_archive import MaskWriter, write_masks
from segbench.folders.run import RunFolder
from segbench.folders.seal import KEY as SEAL
from segbench.folders.seal import seal
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.definitions import OWN_SIZE, footnote, size_text
from segbench.metrics.scores import Scores
from segbench.models.weights import read_metadata
from segbench.predict.predictor import Predictor
from segbench.train.callback import Callback
from segbench.train.console import default_callback
from segbench.train.evaluator import Evaluation, Evaluator, collect_surfaces, evaluate_masks
from segbench.train.main_number import main_number
from segbench.train.result import now
from segbench.train.score import score_split
from segbench.types import SPLITS, SplitName, Tta

Resolution = Literal["training", "original"]


def evaluate(
    run: str | Path | Sequence[str | Path],
    split: SplitName = "test",
    *,
    resolution: Resolution = "training",
    scores: ScoresConfig | None = None,
    tta: Tta | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    watch: Callback | None = None,
) -> Scores:
    """Returns the scores of a run's best weights on a split, and writes them into the run folder.

    Args:
        run: folder that `segbench train` wrote; or several, which are scored as one: an ensemble, see
            `Predictor.from_runs`.
        split: train, val or test; every scoring of test is noted in `test_log.csv`.
        resolution: `training` compares at the size the network saw, like the scores in `result.json`; `original`
            resizes the probabilities to each image's own size and compares there. Both compute in float32.
        scores: what to measure besides counts, and how; None takes the run's.
        tta: `none`, `hflip` or `flips`, see `RunConfig`; None takes the run's. What is asked for is written under a
            name of its own (`counts_val_flips.csv`), so that the run's own scores stay.
        out: folder that the files are written into instead; an ensemble, which belongs to no run, needs one.
        device: `auto`, `cpu`, `cuda` or `mps`.
        watch: told about progress; None shows it where somebody looks on.
    Raises:
        RunError: no run folder, no finished epoch, an unknown split, an `out` that holds a run, or an ensemble of runs
            whose samples or parts differ.
        PredictionError: an ensemble of runs that differ in classes, size or bands.
        DatasetError: the data changed since the run was started.

    Example:
        >>> import segbench
        >>> scores = segbench.evaluate("runs/ph2", "val", resolution="original")  # doctest: +SKIP
        >>> scores.summary()["iou_per_image"]  # doctest: +SKIP
    """
    folders = [RunFolder(Path(each)) for each in ([run] if isinstance(run, str | Path) else run)]
    folder = folders[0]
    if split not in SPLITS:
        raise RunError(f"expected split train, val or test, got {split!r}", run=folder.path)
    if resolution not in ("training", "original"):
        raise RunError(f"expected resolution training or original, got {resolution!r}", run=folder.path)
    target = _target(folders, out)
    watch = watch or default_callback()
    try:
        predictor = Predictor.from_runs([each.path for each in folders], device=device, tta=tta)
        _require_same_parts(folders)
        manifest = read_dataset(folder.manifest_file, progress=watch.progress)
        epochs = {str(each.path): int(read_metadata(each.best_file)["epoch"]) for each in folders}
        times = _log_test(folders, epochs, resolution) if split == "test" else 0
        score_at = _at_training_size if resolution == "training" else _at_original_size
        name = evaluation_name(split, resolution, tta)
        with write_masks(target.predicted_file(name)) as masks:
            wanted = scores or folder.read_config().scores
            evaluated = score_at(folder, predictor, manifest, split, wanted, masks, watch)
    finally:
        watch.close()
    evaluated.write(target, name)
    summary = {
        "split": split,
        "scored_at": evaluated.resolution,
        **({"epoch": epochs[str(folder.path)]} if len(folders) == 1 else {"ensemble": epochs}),
        "threshold": predictor.threshold,
        "tta": predictor.tta,
        "n": evaluated.scores.n_images,
        "scores": evaluated.summary(),
        "per_class": evaluated.per_class_table(),
        "definitions": {name: definition.sentence for name, definition in evaluated.definition_of.items()},
        "definition_of": {name: definition.to_dict() for name, definition in evaluated.definition_of.items()},
        "footnote": footnote(evaluated.definition_of.values()),
        "test_scored": times,
        "main": main_number(evaluated.scores, folder.read_config().monitor, manifest.samples, split),
        SEAL: seal(target, [name], weights=folder.best_file if len(folders) == 1 else None),
    }
    write_json(target.path / f"evaluation_{name}.json", summary)
    return evaluated.scores


def _target(folders: Sequence[RunFolder], out: str | Path | None) -> RunFolder:
    """Returns where the files go.

    Raises:
        RunError: an ensemble without `out`, or an `out` in which a run lies.
    """
    if out is None:
        if len(folders) > 1:
            raise RunError(f"an ensemble of {len(folders)} runs belongs to none of them; say with out where to write")
        return folders[0]
    target = RunFolder(Path(out))
    if target.is_run:
        raise RunError("out is a run folder, whose own scores would be overwritten; choose another", run=target.path)
    target.path.mkdir(parents=True, exist_ok=True)
    return target


def _require_same_parts(folders: Sequence[RunFolder]) -> None:
    """Raises RunError unless all runs have the same samples in the same parts: a test image of one is unseen by all."""
    hashes = {folder.path: folder.read_facts()["manifest_hash"] for folder in folders}
    for path, found in hashes.items():
        if found != hashes[folders[0].path]:
            message = f"saw other samples or parts than {folders[0].path}, so an image held back from one may have been"
            raise RunError(
                f"{message} learnt by the other; an ensemble is scored on runs that share their data", run=path
            )


def _log_test(folders: Sequence[RunFolder], epochs: Mapping[str, int], resolution: Resolution) -> int:
    """Notes in every run that its test part is scored; returns how often that has happened now."""
    what = "evaluate" if len(folders) == 1 else f"evaluate an ensemble of {len(folders)} runs"
    reason = f"{what} at {resolution} size"
    return max(folder.log_test_scoring(now(), epochs[str(folder.path)], reason) for folder in folders)


def evaluation_name(split: str, resolution: str, tta: str | None) -> str:
    """Returns what the files of an evaluation are called; `tta` as it was asked for, None for the run's."""
    return "_".join([split, *(["original"] if resolution == "original" else []), *([tta] if tta else [])])


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
    # Learning's larger versions of the images are not needed here.
    data = config.data.model_copy(update={"augment": AugmentConfig()})
    loader = whole_loader(
        decode_samples(data, manifest, progress=watch.progress),
        manifest.split(split),
        batch_size=config.batch_size,
        device=predictor.device,
        channels_last=config.channels_last,
    )
    evaluator = Evaluator(predictor.class_map, predictor.threshold, wanted, masks=masks)
    score_split(
        predictor.pipeline.network,
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
