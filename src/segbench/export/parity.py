"""The parity gate: an exported file beside the model it came from, on real images, before anybody trusts it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from segbench.compare.image_scores import pick
from segbench.errors import shorten
from segbench.export.full_form import Form
from segbench.export.images import U8, Images
from segbench.export.read import Run, open_exported
from segbench.export.write import Format, exported_policy, tile_of
from segbench.locale import Message, message
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.scores import score_counts
from segbench.predict.decide import tempered
from segbench.predict.pipeline import Pipeline, enlarge
from segbench.predict.postprocess import Postprocess
from segbench.predict.predictor import Predictor
from segbench.statistics.correlation import mean_with_interval
from segbench.types import ORIGINAL, ClassMap, Normalization, SizePolicy, Task

TIE = 1e-4  # probabilities closer to the threshold, or to each other, decide a pixel by rounding alone
INT8_LOSS = 0.005  # of IoU: half a point
SCORE = "iou_per_image"
_TIMED = 10  # images whose seconds are compared

# An image -> its mask, its probabilities at the image's size, and those that decide the mask, where they are known: the
# same without the temperature.
Found: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]
Masks: TypeAlias = Callable[[U8], Found]


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What the comparison found.

    Attributes:
        format, form, int8: of the file.
        images: what was compared, in words; n_images, n_pixels: how many.
        sizes: smallest and largest (H, W), odd ones among them; batch: how many images went through together.
        largest_difference: of a probability.
        changed_px: pixels of another class than the model's; ties_px: of them, those that rounding decides (`TIE`).
        agreement: mean IoU of the two masks.
        score, model, exported: name and mean of the score against the labels, None without labels.
        difference, low, high: exported minus model, with its 95 % interval over images (Student's t).
        speed: seconds of the model in PyTorch over seconds of the file, the same threads; above 1 the file is quicker.
        size_bytes: of the file or files.
        passed, reason: whether it keeps to its budget, and what is over.
        first_layer: where the two part, for a file that failed, where that was found.
        left_float: layers that int8 left alone, by rule.
    """

    format: Format
    form: Form
    int8: bool
    images: str
    n_images: int
    n_pixels: int
    sizes: tuple[tuple[int, int], tuple[int, int]]
    batch: int
    largest_difference: float
    changed_px: int
    ties_px: int
    agreement: float
    score: str | None
    model: float | None
    exported: float | None
    difference: float | None
    low: float | None
    high: float | None
    speed: float
    threads: int
    size_bytes: int
    passed: bool
    reason: str = ""
    first_layer: str | None = None
    left_float: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, with the budget that was held against them."""
        budget = {"iou_loss": INT8_LOSS} if self.int8 else {"changed_px_beyond_ties": 0, "tie": TIE}
        return {**asdict(self), "budget": budget}


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
        agreement = float(np.nanmean(self._scores(self.between)))
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
        lost = 1.0 - agreement if score["difference"] is None else -score["difference"]
        reason = _over_budget(int8, lost, self.changed - self.ties)
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


def _over_budget(int8: bool, lost: float, changed: int) -> Message | None:
    if int8:
        if lost <= INT8_LOSS:
            return None
        return message(
            "it loses {lost:.2f} points of IoU, and {most:.1f} are allowed", lost=100 * lost, most=100 * INT8_LOSS
        )
    if not changed:
        return None
    return message("{changed} pixels change their class beyond ties, and none may", changed=changed)


def parity_table(parity: Parity) -> list[tuple[str, str]]:
    """Returns (what, value) rows for people."""
    smallest, largest = ("{} x {}".format(*size) for size in parity.sizes)
    rows = [
        ("compared on", f"{parity.images}, {smallest} to {largest} pixels, odd sizes, a batch of {parity.batch}"),
        ("largest difference of a probability", f"{parity.largest_difference:.2g}"),
        ("pixels of another class", f"{parity.changed_px} of {parity.n_pixels}, {parity.ties_px} of them ties"),
        ("IoU of the two masks", f"{parity.agreement:.5f}"),
    ]
    if parity.difference is not None:
        assert parity.model is not None
        assert parity.exported is not None
        interval = "" if parity.low is None else f", 95 % interval {parity.low:+.4f} to {parity.high:+.4f}"
        rows.append(
            (
                f"{SCORE} against the labels",
                f"{parity.exported:.4f}, the model {parity.model:.4f}: {parity.difference:+.4f}{interval}",
            )
        )
    rows += [
        ("speed beside PyTorch", f"{parity.speed:.2f} times, {parity.threads} thread(s)"),
        ("size", f"{parity.size_bytes / 1e6:.2f} MB"),
    ]
    if parity.left_float:
        rows.append(("layers left in float32", shorten(parity.left_float, 4)))
    if parity.first_layer:
        rows.append(("first layer that differs", parity.first_layer))
    return [*rows, ("result", "equal within its budget" if parity.passed else f"FAILED: {parity.reason}")]
