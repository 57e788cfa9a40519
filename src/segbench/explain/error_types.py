"""Wrong pixels, told apart by kind: along the border, objects missed or invented, classes swapped, parts of objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage  # type: ignore[import-untyped]

from segbench.compare.evidence import Entry, Evidence
from segbench.errors import RunError
from segbench.types import ClassMap, Progress, Task

ERROR_TYPES = ("missed_object", "false_object", "boundary", "class_swap", "missing_part", "extra_part")
ERROR_TYPE_SENTENCES: dict[str, str] = {
    "missed_object": "belongs to a true object (8-connected component) of which less than 10 % was found, and was "
    "called background",
    "false_object": "is background, and belongs to a predicted object that covers less than 10 % of every true object "
    "of its class and lies on that class with less than 10 % of itself",
    "boundary": "lies so near the true border between the two classes concerned that the class it was called truly "
    "begins within the band",
    "class_swap": "belongs to one foreground class and was called another, further from their border than the band, or "
    "as a whole object",
    "missing_part": "belongs to an object that was found, and was called background further inside than the band",
    "extra_part": "is background further outside than the band, and belongs to a predicted object that met a true one",
}
_CODE = {name: np.uint8(1 + position) for position, name in enumerate(ERROR_TYPES)}
_EIGHT = np.ones((3, 3), dtype=bool)

BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorTypes:
    """The wrong pixels of one image by type; multilabel counts every pair of pixel and class.

    Attributes:
        pixels: type -> wrong pixels, for every name in `ERROR_TYPES`; each wrong pixel is in exactly one.
        wrong: all of them.
        counted: pixels that are not ignored.
        true_objects: connected components of the truth, of every class but the background.
        missed_objects, false_objects: components, not pixels.
        class_pixels: (C, 6) int64, the wrong pixels by class and type: of the class that was truly there or, where that
            is the background, that was predicted; multilabel: of their plane.
        class_objects: (C, 3) int64, true, missed and false objects of every class.
        band_px: half width of the boundary band.
        types: (H, W) uint8, 0 where nothing is wrong or ignored, else 1 + position in `ERROR_TYPES`; multilabel
            (C, H, W).
    """

    pixels: Mapping[str, int]
    wrong: int
    counted: int
    true_objects: int
    missed_objects: int
    false_objects: int
    class_pixels: npt.NDArray[np.int64] = field(repr=False)
    class_objects: npt.NDArray[np.int64] = field(repr=False)
    band_px: int
    types: npt.NDArray[np.uint8] = field(repr=False)

    @property
    def shares(self) -> dict[str, float]:
        """Type -> share of the wrong pixels; NaN where nothing is wrong, else they sum to 1."""
        return {name: self.pixels[name] / self.wrong if self.wrong else math.nan for name in ERROR_TYPES}


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorTable:
    """The wrong pixels of an entry's predictions by type.

    Attributes:
        entry: its name.
        ids: N images.
        pixels: (N, 6) float64 wrong pixels of each image by type, in the order of `ERROR_TYPES`, mean over seeds.
        counted: (N,) int64 pixels that are not ignored.
        seed_shares: (S, 6) float64 share of each type in all wrong pixels, a row a seed; NaN where nothing is wrong.
        true_objects: in the truth of all images.
        missed_objects, false_objects: in all images, mean over seeds.
        class_pixels: (C, 6) float64 wrong pixels of all images by class (see `ErrorTypes`) and type, mean over seeds.
        class_objects: (C, 3) float64 true, missed and false objects of every class in all images, mean over seeds.
        band_frac: half width of the boundary band as a share of the image diagonal.
        multilabel: pixels are pairs of pixel and class.
    """

    entry: str
    ids: tuple[str, ...]
    pixels: npt.NDArray[np.float64] = field(repr=False)
    counted: npt.NDArray[np.int64] = field(repr=False)
    seed_shares: npt.NDArray[np.float64]
    true_objects: int
    missed_objects: float
    false_objects: float
    class_pixels: FloatArray = field(repr=False)
    class_objects: FloatArray = field(repr=False)
    band_frac: float
    multilabel: bool = False

    @property
    def wrong_frac(self) -> float:
        """Share of the counted pixels of all images that are wrong, mean over seeds; NaN where none counts."""
        total = int(self.counted.sum())
        return float(self.pixels.sum() / total) if total else math.nan

    @property
    def shares(self) -> dict[str, float]:
        """Type -> share of the wrong pixels of all images and seeds together; they sum to 1, or are NaN."""
        wrong = float(self.pixels.sum())
        totals = self.pixels.sum(axis=0)
        return {name: float(totals[k] / wrong) if wrong else math.nan for k, name in enumerate(ERROR_TYPES)}


def split_errors(
    truth: npt.NDArray[Any],
    prediction: npt.NDArray[Any],
    class_map: ClassMap,
    *,
    band_frac: float = 0.02,
    found_frac: float = 0.1,
) -> ErrorTypes:
    """Returns the wrong pixels of one image by type, each in exactly one: the first that fits.

    1. Pixels of whole mistaken objects, however small: `missed_object` and `false_object`, or `class_swap` where truth
       and prediction are both foreground.
    2. `boundary`: a pixel of class t called p, where p truly occurs within the band, by steps in 8 directions. The
       predicted border does not count: every large mistake has a rim, which is no border error.
    3. What is left: `class_swap` of two foreground classes, else `missing_part` or `extra_part`.

    Args:
        truth, prediction: (H, W) class indices; multilabel (C, H, W) of 0 and 1, where every plane is split as a binary
            task and there are no swaps. `ignore_index` in the truth counts nowhere, and cuts objects.
        class_map: names the background; without one every class is foreground, and nothing is missed or invented.
        band_frac: half width of the boundary band as a share of the image diagonal; rounded to whole pixels, at least
            1, as in boundary IoU.
        found_frac: an object is found when at least this share of it is.
    Raises:
        ValueError: shapes that differ or do not fit the task, or shares outside (0, 1].
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    multilabel = class_map.task is Task.MULTILABEL
    if truth.shape != prediction.shape or truth.ndim != (3 if multilabel else 2):
        wanted = "(C, H, W)" if multilabel else "(H, W)"
        raise ValueError(f"expected two masks {wanted} of one shape, got {truth.shape} and {prediction.shape}")
    for name, value in (("band_frac", band_frac), ("found_frac", found_frac)):
        if not 0.0 < value <= 1.0:
            raise ValueError(f"{name}: expected a share above 0 and at most 1, got {value}")
    counted = truth != class_map.ignore_index
    band_px = max(1, round(band_frac * math.hypot(*truth.shape[-2:])))
    num_classes = class_map.num_classes
    if multilabel:
        planes = [
            _split(plane, guess, where, 0, band_px, found_frac, 2)
            for plane, guess, where in zip(truth, prediction, counted, strict=True)
        ]
        types = np.stack([plane[0] for plane in planes])
        objects = np.stack([plane[1][1] for plane in planes])
        concerned = np.broadcast_to(np.arange(num_classes)[:, None, None], truth.shape)
    else:
        background = -1 if class_map.background is None else class_map.background
        types, objects = _split(truth, prediction, counted, background, band_px, found_frac, num_classes)
        concerned = np.where(truth == background, prediction, truth)
    wrong = types > 0
    cells = concerned[wrong].astype(np.int64) * len(ERROR_TYPES) + types[wrong] - 1
    class_pixels = np.bincount(cells, minlength=num_classes * len(ERROR_TYPES)).reshape(num_classes, -1)
    return ErrorTypes(
        pixels=dict(zip(ERROR_TYPES, class_pixels.sum(axis=0).tolist(), strict=True)),
        wrong=int(wrong.sum()),
        counted=int(counted.sum()),
        true_objects=int(objects[:, 0].sum()),
        missed_objects=int(objects[:, 1].sum()),
        false_objects=int(objects[:, 2].sum()),
        class_pixels=class_pixels,
        class_objects=objects,
        band_px=band_px,
        types=types,
    )


def error_table(
    evidence: Evidence, entry: Entry, *, band_frac: float = 0.02, progress: Progress | None = None
) -> ErrorTable:
    """Returns the wrong pixels of an entry by type, see `error_tables`."""
    return error_tables(evidence, [entry], band_frac=band_frac, progress=progress)[0]


def error_tables(
    evidence: Evidence, entries: Sequence[Entry], *, band_frac: float = 0.02, progress: Progress | None = None
) -> list[ErrorTable]:
    """Returns the wrong pixels of entries by type, image by image, at the size that was compared.

    Every true mask is read once, for all entries.

    Raises:
        RunError: an entry keeps no masks.
        ValueError: a mask does not fit its image (names the image).
    """
    for entry in entries:
        if not entry.masks:
            message = f"the entry {entry.name!r} keeps no predicted masks, so its errors cannot be told apart by type"
            raise RunError(f"{message}; score its runs again with `segbench evaluate`")
    sums = [_Sums(entry, evidence, band_frac) for entry in entries]
    for number, image_id in enumerate(evidence.ids):
        _, target = evidence.load(image_id)
        for each in sums:
            each.add(number, image_id, target)
        if progress is not None:
            progress("kinds of error", number + 1, len(evidence.ids))
    return [each.table() for each in sums]


class _Sums:
    """What is known of an entry's errors after some of the images."""

    def __init__(self, entry: Entry, evidence: Evidence, band_frac: float) -> None:
        classes, images = evidence.class_map.num_classes, len(evidence.ids)
        self._entry, self._evidence, self._band_frac = entry, evidence, band_frac
        self._pixels = np.zeros((len(entry.masks), images, len(ERROR_TYPES)))
        self._class_pixels, self._class_objects = np.zeros((classes, len(ERROR_TYPES))), np.zeros((classes, 3))
        self._counted = np.zeros(images, dtype=np.int64)

    def add(self, number: int, image_id: str, target: npt.NDArray[Any]) -> None:
        """Adds the image at a place."""
        for seed, masks in enumerate(self._entry.masks):
            try:
                found = split_errors(target, masks.read(image_id), self._evidence.class_map, band_frac=self._band_frac)
            except ValueError as error:
                raise ValueError(f"image {image_id!r} of the entry {self._entry.name!r}: {error}") from error
            self._pixels[seed, number] = [found.pixels[name] for name in ERROR_TYPES]
            self._class_pixels += found.class_pixels
            self._class_objects += found.class_objects
            self._counted[number] = found.counted

    def table(self) -> ErrorTable:
        """Returns the means over seeds."""
        totals = self._pixels.sum(axis=1)
        wrong = totals.sum(axis=1, keepdims=True)
        objects = self._class_objects / len(self._entry.masks)
        true, missed, false = objects.sum(axis=0).tolist()
        return ErrorTable(
            entry=self._entry.name,
            ids=self._evidence.ids,
            pixels=self._pixels.mean(axis=0),
            counted=self._counted,
            seed_shares=np.divide(totals, wrong, out=np.full_like(totals, np.nan), where=wrong > 0),
            true_objects=round(true),
            missed_objects=missed,
            false_objects=false,
            class_pixels=self._class_pixels / len(self._entry.masks),
            class_objects=objects,
            band_frac=self._band_frac,
            multilabel=self._evidence.class_map.task is Task.MULTILABEL,
        )


def _split(
    truth: npt.NDArray[Any],
    prediction: npt.NDArray[Any],
    counted: BoolArray,
    background: int,
    band_px: int,
    found_frac: float,
    num_classes: int,
) -> tuple[npt.NDArray[np.uint8], IntArray]:
    """Returns the map of types, and (C, 3): how many objects of every class are true, missed and false."""
    wrong = (truth != prediction) & counted
    types = np.zeros(truth.shape, dtype=np.uint8)
    whole = np.zeros(truth.shape, dtype=bool)
    near = np.zeros(truth.shape, dtype=bool)
    objects = np.zeros((num_classes, 3), dtype=np.int64)
    for label in np.unique(np.concatenate([truth[counted], prediction[counted]])).tolist():
        true_plane, plane = (truth == label) & counted, (prediction == label) & counted
        if label != background:
            lost, true_count, lost_count = _lost(true_plane, plane, found_frac)
            invented, invented_count = _invented(true_plane, plane, found_frac)
            whole |= (lost | invented) & wrong
            objects[label] = true_count, lost_count, invented_count
        errors = plane & wrong
        if errors.any() and true_plane.any():
            near |= errors & (ndimage.maximum_filter(true_plane, 2 * band_px + 1, mode="constant") > 0)
    foreground, called = truth != background, prediction != background
    types[wrong & foreground & ~called] = _CODE["missing_part"]
    types[wrong & ~foreground & called] = _CODE["extra_part"]
    types[wrong & foreground & called] = _CODE["class_swap"]
    types[near] = _CODE["boundary"]
    types[whole & foreground & ~called] = _CODE["missed_object"]
    types[whole & ~foreground & called] = _CODE["false_object"]
    types[whole & foreground & called] = _CODE["class_swap"]
    return types, objects


def _lost(true_plane: BoolArray, plane: BoolArray, found_frac: float) -> tuple[BoolArray, int, int]:
    """Returns where true objects are that were not found, how many there are at all, and how many are lost."""
    labels, count = ndimage.label(true_plane, structure=_EIGHT)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    hits = np.bincount(labels[plane], minlength=count + 1)
    lost = hits < found_frac * sizes
    lost[0] = False
    return lost[labels], count, int(lost.sum())


def _invented(true_plane: BoolArray, plane: BoolArray, found_frac: float) -> tuple[BoolArray, int]:
    """Returns where predicted objects are that meet no true one to speak of, and how many they are."""
    labels, count = ndimage.label(plane, structure=_EIGHT)
    true_labels, true_count = ndimage.label(true_plane, structure=_EIGHT)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    true_sizes = np.bincount(true_labels.ravel(), minlength=true_count + 1)
    both = true_plane & plane
    own = np.bincount(labels[both], minlength=count + 1)
    false = own < found_frac * sizes
    # A large prediction on a small object found that object, however much it also spilled.
    pairs, overlap = np.unique(labels[both].astype(np.int64) * (true_count + 1) + true_labels[both], return_counts=True)
    guessed, met = np.divmod(pairs, true_count + 1)
    false[guessed[overlap >= found_frac * true_sizes[met]]] = False
    false[0] = False
    return false[labels], int(false.sum())
