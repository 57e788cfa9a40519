"""The parity gate: an exported file beside the model it came from, on real images, before anybody trusts it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from segbench.compare.image_scores import pick
from segbench.export.full_form import Form
from segbench.export.images import U8, Images
from segbench.export.parity_result import SCORE, TIE, Parity, over_budget
from segbench.export.read import Run, open_exported
from segbench.export.write import Format, exported_policy, tile_of
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.scores import score_counts
from segbench.predict.decide import tempered
from segbench.predict.pipeline import Pipeline, enlarge
from segbench.predict.postprocess import Postprocess
from segbench.predict.predictor import Predictor
from segbench.statistics.correlation import mean_with_interval
from segbench.types import ORIGINAL, ClassMap, Normalization, SizePolicy, Task

_TIMED = 10  # images whose seconds are compared

# An image -> its mask, its probabilities at the image's size, and those that decide the mask, where they are known: the
# same without the temperature.
Found: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]
Masks: TypeAlias = Callable[[U8], Found]


def check_parity(
    predictor: Predictor, file: Path, kind: Format, images: Images, *, form: Form = "full", int8: bool = False
) -> Parity:
    """Returns how an exported file compares with its model on real images.

    Each image goes through by itself; three more are cut to odd sizes, and three go through as a batch. Without tiles,
    where the file holds a model for tiles: both see the same cut-outs of a tile's size.

    Raises:
        PredictionError: the runtime is not installed.
        DatasetError: an image cannot be read.
    """
    threads = torch.get_num_threads()
    run = open_exported(file, kind, threads)
    reference = _reference(predictor, form)
    ours = _as_masks(run, predictor, form)
    sums = _Sums(predictor.class_map)
    batch: list[U8] = []
    for position, (name, image, labels) in enumerate(_prepared(predictor, images)):
        expected, found = _timed(reference, image), _timed(ours, image)
        sums.add(name, expected, found, labels, predictor.threshold, timed=0 < position <= _TIMED)
        if position < 3:
            odd = _odd(image)
            sums.add(None, _timed(reference, odd), _timed(ours, odd), None, predictor.threshold, timed=False)
            batch.append(image)
    if not any(sums.seconds):  # one image alone; by now both are warm
        sums.seconds = [_timed(each, batch[0])[1] for each in (reference, ours)]
    together = _batched(sums, reference, run, batch, predictor.threshold) if form == "full" else 1
    return sums.parity(predictor, images, file, kind, form=form, int8=int8, batch=together, threads=threads)


def _reference(predictor: Predictor, form: Form) -> Masks:
    """Returns the model's masks and probabilities at the image's size, without what no file holds."""
    settings = replace(predictor.pipeline.settings, postprocess=Postprocess(), policy=_policy(predictor, form))
    if form == "qgis":
        settings = replace(settings, temperature=1.0)
    if settings.policy == "tiles":
        settings = replace(settings, policy="whole", size=ORIGINAL, patch=None)
    elif settings.policy == "resize":
        settings = replace(settings, patch=None)
    return _of_pipeline(Pipeline(predictor.network, settings, "cpu"))


def _policy(predictor: Predictor, form: Form) -> SizePolicy:
    return "tiles" if form == "qgis" else exported_policy(predictor.pipeline.settings)


def _of_pipeline(pipeline: Pipeline) -> Masks:
    settings = pipeline.settings

    def masks(image: U8) -> Found:
        mask, probs = pipeline(image)
        size = (image.shape[0], image.shape[1])
        given = tempered(probs, settings.temperature, settings.class_map.task)
        return mask, enlarge(given, size).numpy(), enlarge(probs, size).numpy()

    return masks


def _as_masks(run: Run, predictor: Predictor, form: Form) -> Masks:
    """Returns what a file says of one image; a file without the steps around the network gets the model's own."""
    if form == "full":

        def masks(image: U8) -> Found:
            mask, probs = run(image[None])
            return mask[0], probs[0], probs[0]

        return masks
    settings = replace(
        predictor.pipeline.settings, postprocess=Postprocess(), policy=_policy(predictor, form), tta="none", patch=None
    )
    if form == "plain":
        if settings.policy == "tiles":
            settings = replace(settings, policy="whole", size=ORIGINAL)
        return _of_pipeline(Pipeline(lambda images: torch.from_numpy(run(images.numpy())[0]), settings))
    settings = replace(
        settings,
        policy="whole",
        size=ORIGINAL,
        temperature=1.0,
        normalization=Normalization.identity(settings.channels),
    )
    task = settings.class_map.task

    def logits(images: torch.Tensor) -> torch.Tensor:
        probs = torch.from_numpy(run(images.numpy())[0])
        return probs.log() if task is Task.MULTICLASS else torch.logit(probs)

    return _of_pipeline(Pipeline(logits, settings))


def _prepared(predictor: Predictor, images: Images) -> Iterator[tuple[str, U8, U8 | None]]:
    """Yields the images; cut to a tile from the middle where the file is for tiles."""
    tiles = exported_policy(predictor.pipeline.settings) == "tiles"
    height, width = tile_of(predictor.pipeline.settings)
    for name, image, labels in images.read(predictor.pipeline):
        if tiles:
            top, left = (
                max(0, (side - tile) // 2) for side, tile in zip(image.shape[:2], (height, width), strict=True)
            )
            image = np.ascontiguousarray(image[top : top + height, left : left + width])
            labels = None if labels is None else labels[..., top : top + height, left : left + width]
        yield name, image, labels


def _odd(image: U8) -> U8:
    """Returns a part of an image whose sides are odd, four fifths and three fifths of it."""
    height, width = image.shape[0] * 4 // 5 | 1, image.shape[1] * 3 // 5 | 1
    return np.ascontiguousarray(image[:height, :width])


def _timed(masks: Masks, image: U8) -> tuple[Found, float]:
    started = time.perf_counter()
    found = masks(image)
    return found, time.perf_counter() - started


def _batched(sums: _Sums, reference: Masks, run: Run, images: list[U8], threshold: float) -> int:
    """Compares several images that go through together, cut to one size; returns how many."""
    height, width = (min(image.shape[axis] for image in images) for axis in (0, 1))
    cut = [np.ascontiguousarray(image[:height, :width]) for image in images]
    for image, mask, probs in zip(cut, *run(np.stack(cut)), strict=True):
        sums.add(None, _timed(reference, image), ((mask, probs, probs), 0.0), None, threshold, timed=False)
    return len(cut)


class _Sums:
    """What is added up over the images."""

    def __init__(self, class_map: ClassMap) -> None:
        self.class_map = class_map
        self.sizes: list[tuple[int, int]] = []
        self.names: list[str] = []
        self.pixels = self.changed = self.ties = 0
        self.largest = 0.0
        self.seconds = [0.0, 0.0]
        self.between: list[NDArray[np.int64]] = []  # of the two masks
        self.against: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])  # of each mask with the labels
        self.ignored: list[int] = []

    def add(
        self,
        name: str | None,
        reference: tuple[Found, float],
        exported: tuple[Found, float],
        labels: U8 | None,
        threshold: float,
        *,
        timed: bool,
    ) -> None:
        """Adds one image; a `name` of None adds to pixels and differences alone."""
        classes = self.class_map
        expected, found = reference[0], exported[0]
        changed = expected[0] != found[0]
        near = margin(expected[2], classes.task, threshold) <= TIE
        self.sizes.append((int(changed.shape[-2]), int(changed.shape[-1])))
        self.pixels += changed.size
        self.changed += int(changed.sum())
        self.ties += int((changed & near).sum())
        self.largest = max(self.largest, float(np.abs(expected[1] - found[1]).max()))
        if timed:
            self.seconds[0] += reference[1]
            self.seconds[1] += exported[1]
        if name is None:
            return
        self.names.append(name)
        self.between.append(count_masks(found[0], expected[0], classes.num_classes, task=classes.task)[0])
        if labels is not None:
            for counted, mask in zip(self.against, (expected[0], found[0]), strict=True):
                table, ignored = count_masks(
                    mask, labels, classes.num_classes, ignore_index=classes.ignore_index, task=classes.task
                )
                counted.append(table)
            self.ignored.append(ignored)

    def parity(
        self,
        predictor: Predictor,
        images: Images,
        file: Path,
        kind: Format,
        *,
        form: Form,
        int8: bool,
        batch: int,
        threads: int,
    ) -> Parity:
        """Returns the result, judged."""
        between = self._scores(self.between)
        agreement, agreement_low, _ = mean_with_interval(between[~np.isnan(between)], None, 0.95)
        score: dict[str, Any] = dict.fromkeys(("model", "exported", "difference", "low", "high"))
        if self.against[0]:
            model, exported = (self._scores(counted) for counted in self.against)
            valued = ~(np.isnan(model) | np.isnan(exported))
            difference, low, high = mean_with_interval((exported - model)[valued], None, 0.95)
            score = {
                "model": float(np.nanmean(model)),
                "exported": float(np.nanmean(exported)),
                "difference": difference,
                "low": None if math.isnan(low) else low,
                "high": None if math.isnan(high) else high,
            }
        if score["difference"] is None:
            lost, lost_most = 1.0 - agreement, 1.0 - agreement_low
        else:
            lost, lost_most = -score["difference"], math.nan if score["low"] is None else -score["low"]
        reason = over_budget(int8, lost, agreement, self.changed - self.ties)
        in_tiles = exported_policy(predictor.pipeline.settings) == "tiles"
        beside = [file, file.with_suffix(".bin")] if kind == "openvino" else [file]
        return Parity(
            format=kind,
            form=form,
            int8=int8,
            images=str(images.told),
            n_images=len(self.names),
            n_pixels=self.pixels,
            sizes=(min(self.sizes), max(self.sizes)),
            batch=batch,
            largest_difference=self.largest,
            changed_px=self.changed,
            ties_px=self.ties,
            agreement=agreement,
            score=SCORE if self.against[0] else None,
            **score,
            speed=self.seconds[0] / self.seconds[1] if self.seconds[1] else math.nan,
            threads=threads,
            size_bytes=sum(each.stat().st_size for each in beside),
            passed=reason is None,
            reason="" if reason is None else str(reason),
            lost_most=lost_most if int8 and not math.isnan(lost_most) else None,
            tile=tile_of(predictor.pipeline.settings) if in_tiles else None,
        )

    def _scores(self, tables: list[NDArray[np.int64]]) -> NDArray[np.float64]:
        ignored = np.array(self.ignored or [0] * len(tables), dtype=np.int64)
        counts = Counts(ids=tuple(self.names), confusion=np.stack(tables), ignored=ignored, task=self.class_map.task)
        return pick(SCORE, score_counts(counts, self.class_map), None).values


def margin(probs: NDArray[np.float32], task: Task, threshold: float) -> NDArray[np.float32]:
    """Returns how far a pixel is from another class: (H, W), multilabel (C, H, W), of probabilities (C, H, W)."""
    if task is Task.MULTICLASS:
        if len(probs) < 2:
            return np.ones(probs.shape[1:], np.float32)
        first, second = np.partition(probs, -2, axis=0)[[-1, -2]]
        return np.asarray(first - second)
    away = np.abs(probs - threshold)
    return np.asarray(away[0] if task is Task.BINARY else away)
