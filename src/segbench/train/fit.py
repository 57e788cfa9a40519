"""From a run config to a finished run folder: prepare, train, score, write. Killed anywhere, it goes on from there."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segbench.config.length import RunPlan, plan_run
from segbench.config.loss import WeightSchedule
from segbench.config.run import RunConfig, load_config, parse_config
from segbench.data.files.kept import KeptPixels
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.decoded import DecodedSamples, decode_samples
from segbench.data.samples.loader import BatchLoader
from segbench.data.samples.loaders import learning_loader, whole_loader
from segbench.data.samples.sample_cache import SampleCache
from segbench.errors import ConfigError, DatasetError, RunError, shorten
from segbench.folders.run import RunFolder, different_settings
from segbench.losses import build_loss
from segbench.models.base import SegmentationNetwork
from segbench.models.configured import network_of
from segbench.models.weights import load_weights
from segbench.predict.device import pick_device
from segbench.speech import argument
from segbench.train.alerts import not_finite
from segbench.train.callback import Callback
from segbench.train.check import check_config
from segbench.train.checkpoint import Commits
from segbench.train.console import default_callback
from segbench.train.environment import cpu_settings, describe, deterministic
from segbench.train.freeze import check_network
from segbench.train.loop import Loaders, NotFiniteError, Training
from segbench.train.norm_statistics import is_recomputed
from segbench.train.precision import decide_precision, make_fabric
from segbench.train.prepare import read_and_split, reopen, resolve_loss
from segbench.train.result import score_and_write
from segbench.train.step_time import time_step, validation_passes
from segbench.train.visuals import EpochVisuals
from segbench.types import ORIGINAL, SPLITS, RunResult, Sample


def fit(
    config: RunConfig | Mapping[str, Any] | str | Path,
    *,
    watch: Callback | None = None,
    restart: bool = False,
    manifest: str | Path | None = None,
    score_test: bool = True,
) -> RunResult:
    """Trains, validates, scores and writes the run folder; an unfinished run is continued, a finished one returned.

    Args:
        config: a `RunConfig`, a mapping of its keys, or the path of its YAML file.
        watch: told about progress; None shows it where somebody looks on.
        restart: delete what a run left in the run folder, and begin again.
        manifest: a manifest whose samples are divided already, used instead of reading and splitting `data.path`; so
            many runs share their data. Nothing of `data.path`, `format`, `options` and `split` is looked at then, and a
            run goes on wherever the same samples lie now.
        score_test: False leaves the test part untouched, for a search that must not see it.
    Raises:
        ConfigError: a key, value or name is wrong, or the run folder holds a run with other settings.
        DatasetError: the data cannot be read, or changed since the run was started.
        RunError: the loss is not finite, memory or disk ran out, or another process trains into the folder.

    Example:
        >>> import segbench
        >>> result = segbench.fit({"data": {"path": "my_images"}, "epochs": 5, "output": "runs/mine"})  # doctest: +SKIP
        >>> result.scores["test"]["iou_per_image"]  # doctest: +SKIP
    """
    config = _as_config(config)
    folder = RunFolder(config.run_folder)
    check_config(config, weights_must_exist=restart or not folder.last_file.is_file())
    watch = watch or default_callback()
    try:
        with folder.locked(), _explain_disk(folder):
            if restart and folder.is_run:
                folder.clear()
            config = _claim(folder, config, same_samples=manifest is not None)
            if folder.is_finished:
                watch.message(folder.finished_text)
                return folder.read_result()
            result = _run(config, folder, watch, None if manifest is None else Path(manifest), score_test)
        watch.finished(result)
        return result
    finally:
        watch.close()


def _as_config(config: RunConfig | Mapping[str, Any] | str | Path) -> RunConfig:
    if isinstance(config, RunConfig):
        return config
    return parse_config(config) if isinstance(config, Mapping) else load_config(config)


def _claim(folder: RunFolder, config: RunConfig, *, same_samples: bool) -> RunConfig:
    """Makes sure that the folder is this run's or nobody's, and returns the config to go on with.

    That is the one the run was begun with, where the two differ in what decides nothing (see `different_settings`):
    the checkpoint is tied to it.

    Raises:
        ConfigError: it holds a run with other settings, or files of the same names that no run wrote.
    """
    if not folder.is_run:
        foreign = [path.name for path in folder.own_files()]
        if foreign:
            message = f"{folder.path} holds {shorten(foreign)}, which no run wrote; choose another output"
            raise ConfigError(message, key="output")
        return config
    folder.remove_leftovers()
    if not folder.config_file.is_file():
        return config  # the checkpoint knows its settings, too, and is compared with them
    there = folder.read_config()
    if there.fingerprint() == config.fingerprint():
        return config
    if not folder.last_file.is_file():  # not one epoch was finished: there is nothing to lose
        folder.clear()
        return config
    differs = different_settings(there, config, same_samples=same_samples)
    if not differs:
        places = {key: getattr(there.data, key) for key in ("path", "format", "options", "split")}
        return config.model_copy(update={"data": config.data.model_copy(update=places)})
    raise ConfigError(
        f"{folder.path} holds a run with other settings ({'; '.join(differs)}); choose another output, or begin again "
        f"with {argument('restart', True)}",
        key="output",
    )


@contextmanager
def _explain_disk(folder: RunFolder) -> Iterator[None]:
    """Turns a full or read-only disk into a RunError; what was finished stays."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        message = (
            f"cannot write ({error.strerror}: {error.filename or folder.path}); finished epochs are kept. "
            "Make room or allow writing, then run the same command again"
        )
        raise RunError(message, run=folder.path) from error


def _run(config: RunConfig, folder: RunFolder, watch: Callback, prepared: Path | None, score_test: bool) -> RunResult:
    device = pick_device(config.device)
    precision = decide_precision(config, device, folder, watch)
    fresh = not folder.last_file.is_file()
    # Wrong options, and weights that are not there, are told before any data is read.
    check_network(network_of(config, 3, 1, load_weights=fresh), config)
    build_loss(config.loss)
    threads = config.threads or _recorded_threads(folder) or torch.get_num_threads()
    with _kept_pixels(config) as kept:
        manifest = _prepare_data(config, folder, watch, prepared, kept)
        decoded = decode_samples(config.data, manifest, kept=kept, progress=watch.progress)
    with cpu_settings(threads, device), deterministic(config.deterministic):
        fabric = make_fabric(device, precision)
        torch.manual_seed(config.seed)
        network = network_of(config, manifest.channels, manifest.class_map.out_channels, load_weights=fresh)
        if not fresh:
            network.normalization = folder.normalization()  # what its weights know; a network's default may have moved
        if fresh and config.weights != "none":
            watch.message(network.weights_origin.sentence)
        _require_training_images(network, config, manifest)
        terms = resolve_loss(config, manifest, decoded.cache)
        loss = build_loss(terms)
        loaders = _build_loaders(config, manifest, decoded, fabric.device)
        parts = (config, network, loss, loaders, manifest.class_map, fabric)
        plan = _recorded_plan(folder)
        if plan is None:
            step_s = time_step(*parts) if config.seconds is not None else math.nan
            plan = plan_run(config, len(loaders.learn), step_s, validation_passes(config.data, manifest))
        _tell_what_is_odd(config, plan, watch)
        # What a run was begun with, also where that was before there was a choice.
        recomputed = (
            is_recomputed(config, plan) if fresh else folder.read_facts().get("norm_statistics") == "recomputed"
        )
        training = Training(*parts, watch, plan, recomputed)
        state = Commits(folder, manifest.content_hash, config.fingerprint())
        if fresh:
            facts = {
                **_identity(config),
                "class_map": manifest.class_map.to_dict(),
                **manifest.bands_dict,
                "normalization": {"mean": training.normalization.mean, "std": training.normalization.std},
                "manifest_hash": manifest.content_hash,
                "loss": [term.model_dump() for term in terms],
                "weights": network.weights_origin.to_dict(),
                "plan": plan.to_dict(),
                "norm_statistics": "recomputed" if recomputed else "running",
                "environment": describe(config, device, threads, precision),
            }
            folder.write_facts(facts)
        else:
            state.load(training)
            folder.write_config(config)
            folder.write_history(training.history)
        pictured = _picture_samples(manifest)
        _train(training, state, watch, pictured, decoded.cache.excerpt(pictured))
        load_weights(folder.best_file, training.scored_network)
        return score_and_write(training, folder, manifest, SPLITS if score_test else ("train", "val"))


def _kept_pixels(config: RunConfig) -> AbstractContextManager[KeptPixels | None]:
    """Returns where decoded pixels wait for the cache; whole images of any size would take its space on the disk."""
    if config.data.size == ORIGINAL:
        return nullcontext(None)
    return KeptPixels(config.data.size, Path(config.data.cache_dir) if config.data.cache_dir else None)


def _recorded_threads(folder: RunFolder) -> int | None:
    """Returns the threads a run was started with: another number would add up in another order."""
    if not folder.last_file.is_file():
        return None
    threads: int = folder.read_facts()["environment"]["threads"]
    return threads


def _recorded_plan(folder: RunFolder) -> RunPlan | None:
    """Returns how long a begun run is, so that one of so many seconds is not timed again; None where nothing says."""
    plain = folder.read_facts().get("plan") if folder.last_file.is_file() else None
    return None if plain is None else RunPlan.from_dict(plain)


def _prepare_data(
    config: RunConfig, folder: RunFolder, watch: Callback, prepared: Path | None, kept: KeptPixels | None
) -> Manifest:
    """Returns the run's manifest, split: the one in the folder where there is one, so that a run never changes data."""
    if folder.manifest_file.is_file():
        if prepared is not None:
            _take_over(prepared, folder)
        undo = f"undo the change, or begin again with {argument('restart', True)}"
        begun = f"The run in {folder.path} was started with other data: {undo}"
        return reopen(folder.manifest_file, watch, begun)
    if prepared is None:
        manifest = read_and_split(config.data, watch, kept=kept)
    else:
        manifest = read_dataset(prepared, progress=watch.progress)
        if any(not manifest.split(name) for name in SPLITS):
            raise DatasetError("expected a manifest with train, val and test samples", path=prepared)
    folder.write_facts(_identity(config))
    folder.write_config(config)  # before the manifest, which is taken over only for the config it was made for
    manifest.write(folder.manifest_file)
    return manifest


def _take_over(prepared: Path, folder: RunFolder) -> None:
    """Puts the given manifest into the folder of a begun run, where it has the same samples in another place.

    Raises:
        DatasetError: it has other samples, classes or parts.
    """
    given, there = Manifest.read(prepared), Manifest.read(folder.manifest_file)
    if given.content_hash != there.content_hash:
        raise DatasetError(
            f"the run was begun with {folder.manifest_file}, which has other samples, classes or parts; give that "
            f"one, or begin again with {argument('restart', True)}",
            path=prepared,
        )
    if given.root != there.root:
        given.write(folder.manifest_file)


def _identity(config: RunConfig) -> dict[str, Any]:
    return {"segbench": version("segbench"), "fingerprint": config.fingerprint()}


def _require_training_images(network: SegmentationNetwork, config: RunConfig, manifest: Manifest) -> None:
    found, needed = len(manifest.split("train")), network.smallest_training_batch
    if found < needed:
        message = f"{config.network.name!r} needs {needed} training images or more to train at all, got {found}"
        raise DatasetError(f"{message}; give the training part more, or take another network", path=config.data.path)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _tell_what_is_odd(config: RunConfig, plan: RunPlan, watch: Callback) -> None:
    """Says what is allowed but hardly meant: a frozen random encoder, and a comparison of different sums of losses."""
    if config.epochs is None:
        each = f", each {plan.passes_per_epoch} passes over the training part" if plan.passes_per_epoch > 1 else ""
        timed = "" if config.seconds is None else f"{config.length_text} are about "
        watch.message(f"{timed}{_counted(plan.steps, 'step')}, told in {_counted(plan.epochs, 'epoch')}{each}")
    if config.freeze.part == "encoder":
        until = config.freeze.until_epoch or plan.epochs
        if config.weights == "none":
            watch.message("note: freeze keeps a random encoder as it is; `weights` says what it should start from")
        if until >= plan.epochs and config.optimizer.encoder_lr is not None:
            watch.message("note: the encoder is frozen in every epoch, so optimizer.encoder_lr has no effect")
        if until >= plan.epochs and config.freeze.until_epoch is not None:
            watch.message(f"note: freeze until_epoch {until} is the whole run of {plan.epochs} epochs")
    moving = [term.name for term in config.loss if isinstance(term.weight, WeightSchedule)]
    asked = {"monitor: loss": config.monitor == "loss", "schedule: plateau": config.schedule.name == "plateau"}
    deciding = [what for what, is_so in asked.items() if is_so]
    if moving and deciding:
        watch.message(
            f"note: {' and '.join(deciding)} compares validation losses of epochs, but the weight of "
            f"{' and '.join(moving)} moves, so they are different sums; another monitor or schedule is safer"
        )


def _build_loaders(config: RunConfig, manifest: Manifest, decoded: DecodedSamples, device: torch.device) -> Loaders:
    def plain(samples: tuple[Sample, ...]) -> BatchLoader:
        return whole_loader(
            decoded, samples, batch_size=config.batch_size, device=device, channels_last=config.channels_last
        )

    learn = learning_loader(
        decoded,
        manifest.split("train"),
        batch_size=config.batch_size,
        seed=config.seed,
        shuffle=True,
        augment=config.data.augment,
        device=device,
        channels_last=config.channels_last,
        merge_single=True,
    )
    # In a random order: neighbours of a list resemble each other, and a batch's variance would come out too small.
    statistics = learning_loader(
        decoded,
        manifest.split("train"),
        batch_size=config.batch_size,
        seed=config.seed,
        shuffle=True,
        augment=None,
        device=device,
        channels_last=config.channels_last,
        merge_single=True,
    )
    return Loaders(
        learn=learn,
        statistics=statistics,
        train=plain(manifest.split("train")),
        val=plain(manifest.split("val")),
        test=plain(manifest.split("test")),
    )


def _picture_samples(manifest: Manifest, count: int = 6) -> tuple[Sample, ...]:
    """Returns a few validation samples, spread over the list, the same ones in every epoch."""
    samples = manifest.split("val")
    chosen = sorted({round(position) for position in np.linspace(0, len(samples) - 1, min(count, len(samples)))})
    return tuple(samples[index] for index in chosen)


def _train(
    training: Training, state: Commits, watch: Callback, pictured: tuple[Sample, ...], cache: SampleCache
) -> None:
    """Runs the epochs that are left. `last.pt` commits an epoch: what is written before it is written again alike."""
    config, folder = training.config, state.folder
    folder.write_alerts([alert.to_dict() for alert in training.alerts])
    watch.started(config, folder, training.epochs_done + 1)
    with EpochVisuals(folder, training, cache, pictured) as visuals:
        while training.epochs_done < training.plan.epochs:
            if training.has_stalled():
                watch.message(
                    f"stopped early: {_counted(config.early_stopping or 0, 'epoch')} without a better {config.monitor}"
                )
                break
            started = time.perf_counter()
            with _noted_end(training, folder, watch):
                row, val = training.run_epoch([sample.id for sample in pictured])
            is_best = training.best_epoch() == training.epochs_done - 1
            about = {"epoch": str(training.epochs_done), config.monitor: repr(row[f"val_{config.monitor}"])}
            visuals.after_epoch(row, val, is_best)
            row["seconds"] = time.perf_counter() - started
            state.save(training, about if is_best else None)
            folder.write_history(training.history)
            folder.write_alerts([alert.to_dict() for alert in training.alerts])
            watch.epoch(row, is_best)
            for alert in training.alerts:
                if alert.epoch == training.epochs_done:
                    watch.alert(alert)


@contextmanager
def _noted_end(training: Training, folder: RunFolder, watch: Callback) -> Iterator[None]:
    """Leaves a word in the folder where the loss is not finite, which ends the run."""
    try:
        yield
    except NotFiniteError as error:
        alert = not_finite(training.config, error.epoch, error.what)
        folder.write_alerts([each.to_dict() for each in (*training.alerts, alert)])
        watch.alert(alert)
        raise
