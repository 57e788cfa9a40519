"""Scores a finished (or half-finished) run's best weights on one of its splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segbench.config.run import AugmentConfig, RunConfig, ScoresConfig, parse_config
from segbench.data.files.bands import Bands
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.decoded import decode_samples
from segbench.data.samples.loaders import whole_loader
from segbench.data.sources.load import load_sample
from segbench.errors import BundleError, ConfigError, DatasetError, RunError
from segbench.files import write_json
from segbench.folders.mask_archive import MaskWriter, write_masks
from segbench.folders.run import RunFolder
from segbench.folders.seal import KEY as SEAL
from segbench.folders.seal import seal
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.definitions import OWN_SIZE, footnote, size_text
from segbench.metrics.scores import Scores
from segbench.models.weights import read_metadata
from segbench.predict.bundle_file import ModelBundle
from segbench.predict.bundle_members import is_bundle
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.predictor import Predictor
from segbench.speech import argument, in_shell
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
    data: str | Path | None = None,
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
            `Predictor.load`; or a bundle, which needs `data` and `out`.
        split: train, val or test; every scoring of test is noted in `test_log.csv`.
        data: of a bundle: manifest (.json) that says which image belongs to which part, such as the one of its run, or
            a labelled data set, all of whose images are the test part. None takes the run's.
        resolution: `training` compares at the size the network saw, like the scores in `result.json`; `original`
            resizes the probabilities to each image's own size and compares there. Both compute in float32.
        scores: what to measure besides counts, and how; None takes the run's.
        tta: see `RunConfig`; None takes the run's. What is asked for is written under a
            name of its own (`counts_val_flips.csv`), so that the run's own scores stay.
        out: folder that the files are written into instead; an ensemble, which belongs to no run, needs one.
        device: `auto`, `cpu`, `cuda` or `mps`.
        watch: told about progress; None shows it where somebody looks on.
    Raises:
        RunError: no run folder, no finished epoch, an unknown split, an `out` that holds a run, or an ensemble of runs
            whose samples or parts differ.
        BundleError: a damaged bundle, data of other classes, or `data` missing.
        PredictionError: an ensemble of runs that differ in classes, size or bands.
        DatasetError: the data changed since the run was started.

    Example:
        >>> import segbench
        >>> scores = segbench.evaluate("runs/ph2", "val", resolution="original")  # doctest: +SKIP
        >>> scores.summary()["iou_per_image"]  # doctest: +SKIP
    """
    paths = [Path(each) for each in ([run] if isinstance(run, str | Path) else run)]
    if split not in SPLITS:
        raise RunError(f"expected split train, val or test, got {split!r}", run=paths[0])
    if resolution not in ("training", "original"):
        raise RunError(f"expected resolution training or original, got {resolution!r}", run=paths[0])
    bundled = is_bundle(paths[0])
    target = _target_of_bundles(paths, data, out) if bundled else _target(_run_folders(paths, data), out)
    watch = watch or default_callback()
    try:
        predictor = Predictor.load(paths, device=device, tta=tta)
        if not bundled:
            _require_same_parts([RunFolder(path) for path in paths])
        manifest = _read_data(paths[0], data, predictor, split, watch)
        about = _about(paths, target, split, resolution)
        config = config_of_model(paths[0])
        score_at = _at_training_size if resolution == "training" else _at_original_size
        name = evaluation_name(split, resolution, tta)
        with write_masks(target.predicted_file(name)) as masks:
            evaluated = score_at(config, predictor, manifest, split, scores or config.scores, masks, watch)
    finally:
        watch.close()
    evaluated.write(target, name)
    times = about.pop("test_scored")
    summary = {
        "split": split,
        "scored_at": evaluated.resolution,
        **about,
        "threshold": predictor.threshold,
        "tta": predictor.tta,
        "n": evaluated.scores.n_images,
        "scores": evaluated.summary(),
        "per_class": evaluated.per_class_table(),
        "definitions": {name: definition.sentence for name, definition in evaluated.definition_of.items()},
        "definition_of": {name: definition.to_dict() for name, definition in evaluated.definition_of.items()},
        "footnote": footnote(evaluated.definition_of.values()),
        "test_scored": times,
        "main": main_number(evaluated.scores, config.monitor, manifest.samples, split),
        SEAL: seal(target, [name], weights=RunFolder(paths[0]).best_file if "epoch" in about else None),
    }
    write_json(target.path / f"evaluation_{name}.json", summary)
    return evaluated.scores


def config_of_model(path: Path) -> RunConfig:
    """Returns the config that a run was started with, or that a bundle's card says.

    Raises:
        RunError: no run folder.
        BundleError: a damaged bundle, or one whose card says none that this version knows.
    """
    if not is_bundle(path):
        return RunFolder(path).read_config()
    card = ModelBundle.read(path).card
    try:
        return parse_config(card["config"])
    except (KeyError, ConfigError) as error:
        told = f"says no config that this segbench can read ({error}), so how it was scored is not known"
        raise BundleError(told, file=path, member="card.json") from error


def _run_folders(paths: Sequence[Path], data: str | Path | None) -> list[RunFolder]:
    for path in paths:
        if is_bundle(path):
            raise RunError("is a bundle, and no run; put runs together with `segbench bundle` first", run=path)
    if data is not None:
        told = f"a run is scored on its own data; bundle it first, then {argument('data')} says another set"
        raise RunError(told, run=paths[0])
    return [RunFolder(path) for path in paths]


def _target_of_bundles(paths: Sequence[Path], data: str | Path | None, out: str | Path | None) -> RunFolder:
    if len(paths) > 1:
        raise BundleError("is scored alone; bundle several runs as one first", file=paths[0])
    if data is None or out is None:
        what = argument("data") if data is None else argument("out")
        told = "holds no images" if data is None else "is not changed when it is scored"
        raise BundleError(
            f"{told}; say with {what} {'which are scored' if data is None else 'where to'}", file=paths[0]
        )
    if is_bundle(Path(out)):
        raise BundleError(f"there is a bundle; choose another folder with {argument('out')}", file=out)
    return _target([RunFolder(paths[0])], out)


def _read_data(
    path: Path, data: str | Path | None, predictor: Predictor, split: SplitName, watch: Callback
) -> Manifest:
    """Returns the run's manifest, or the one that a bundle is scored on.

    A data set that is not divided is a test part as a whole.

    Raises:
        DatasetError: the data cannot be read.
        BundleError: its classes, channels or depth are others than the bundle's, or the part is empty.
    """
    if data is None:
        return read_dataset(RunFolder(path).manifest_file, progress=watch.progress)
    index = f"`segbench data index {in_shell(data)} {{}} -o set.json`, and score on set.json"
    try:
        manifest = read_dataset(data, progress=watch.progress)
    except DatasetError as error:
        if not Path(data).is_dir():
            raise
        told = f"{error.reason}\nwhere it needs options, give them once, with {index.format('...')}"
        raise DatasetError(told, path=error.path) from error
    ours, theirs = predictor.class_map, manifest.class_map
    if (ours.names, ours.task) != (theirs.names, theirs.task):
        told = f"has the classes {', '.join(ours.names)}, and {data} has {', '.join(theirs.names)}"
        wanted = in_shell(f"classes=[{', '.join(ours.names)}]")
        raise BundleError(
            f"{told}; name the data's classes alike, for example with {index.format(f'--option {wanted}')}", file=path
        )
    manifest = _decoded_alike(manifest, predictor.pipeline.settings, path, data)
    if all(sample.split is None for sample in manifest.samples):
        manifest = manifest.with_splits({sample.id: "test" for sample in manifest.samples})
    if not manifest.split(split):
        raise BundleError(f"was to be scored on the {split} part, which {data} does not have", file=path)
    return manifest


def _decoded_alike(manifest: Manifest, settings: PipelineSettings, path: Path, data: str | Path) -> Manifest:
    """Returns a manifest whose values become 0-255 as the network learnt them, not by the range of these files."""
    ours, theirs = settings.bands or Bands(numbers=(1, 2, 3)), manifest.bands or Bands(numbers=(1, 2, 3))
    if ours.numbers != theirs.numbers:
        told = f"sees the bands {', '.join(map(str, ours.numbers))}, and {data} has"
        raise BundleError(f"{told} {', '.join(map(str, theirs.numbers))}; read the data with the same ones", file=path)
    deep = manifest.depth_range is not None or theirs.ranges is not None
    if deep and settings.depth_range is None and ours.ranges is None:
        raise BundleError(f"learnt from images of 8 bit, and {data} has deeper ones; save them so", file=path)
    bands = None if manifest.bands is None else replace(theirs, ranges=ours.ranges)
    return replace(manifest, bands=bands, depth_range=settings.depth_range)


def _about(paths: Sequence[Path], target: RunFolder, split: SplitName, resolution: Resolution) -> dict[str, Any]:
    """Returns whose scores these are, and how often the test part was scored; notes this time where it is that part."""
    if is_bundle(paths[0]):
        bundle = ModelBundle.read(paths[0])
        times = 0
        if split == "test":
            reason = f"evaluate the bundle {bundle.id[:16]} at {resolution} size"
            times = target.log_test_scoring(now(), 0, reason) + int(bundle.card.get("test_uses", 0))
        return {"bundle": bundle.id, "test_scored": times}
    folders = [RunFolder(path) for path in paths]
    epochs = {str(each.path): int(read_metadata(each.best_file)["epoch"]) for each in folders}
    times = _log_test(folders, epochs, resolution) if split == "test" else 0
    whose = {"epoch": epochs[str(paths[0])]} if len(paths) == 1 else {"ensemble": epochs}
    return {**whose, "test_scored": times}


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
    config: RunConfig,
    predictor: Predictor,
    manifest: Manifest,
    split: SplitName,
    wanted: ScoresConfig,
    masks: MaskWriter,
    watch: Callback,
) -> Evaluation:
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
    config: RunConfig,
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
