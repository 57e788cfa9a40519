"""A data set -> the same data set in another format, read back and compared pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segbench.data.formats.shared.listing import HEIC_SUFFIXES, IMAGE_SUFFIXES
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.sources.table import is_packed, source_of
from segbench.data.writers import (
    MIN_IOU,
    Labelled,
    WriteOptions,
    Written,
    check_names,
    check_writer,
    write_dataset,
)
from segbench.data.writers.common import Images
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import plural
from segbench.speech import argument
from segbench.types import IGNORE_INDEX, ClassMap, Progress, Sample, Simplify, Task

_IGNORED = "(counts nowhere)"


@dataclass(frozen=True, kw_only=True)
class ClassChange:
    """What became of one class.

    Attributes:
        name: of the class.
        pixels: of it before, in all samples.
        changed: pixels that are of it before or after, not both.
        lowest_iou, mean_iou: over the samples that have it before or after; NaN where none has.
    """

    name: str
    pixels: int
    changed: int
    lowest_iou: float
    mean_iou: float


@dataclass(frozen=True, kw_only=True)
class ConvertReport:
    """What was written, and how true it is.

    Attributes:
        written: folder, format and options to read it, notes.
        changes: a row a class, ignored pixels last; empty where it was not read back.
        worst: sample id -> lowest IoU of its classes, for samples below `MIN_IOU`, the worst first; ignored pixels are
            not looked at.
        verified: whether it was read back.
    """

    written: Written
    changes: tuple[ClassChange, ...] = ()
    worst: Mapping[str, float]
    verified: bool

    @property
    def identical(self) -> bool:
        """Whether it was read back and every pixel is as it was."""
        return self.verified and not any(change.changed for change in self.changes)


def convert_dataset(
    data: Manifest | str | Path,
    to: str,
    out: str | Path,
    format: str | None = None,  # noqa: A002  # the config's word
    *,
    images: Images = "copy",
    rle: bool = False,
    simplify: Simplify = 0.0,
    split: Literal["keep", "drop"] = "keep",
    verify: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> ConvertReport:
    """Writes a data set in another format, reads that back, and says what changed.

    Args:
        data: a manifest that was read already, or what `read_dataset` takes.
        to: coco, cvat, folder, labelme, via, voc or yolo.
        out: folder; made if missing.
        format: name of the reader; None recognises it.
        images: `copy`, `link` (hard links) or `none` (the annotations alone).
        rle: run lengths instead of polygons, in formats that have both.
        simplify: pixels that corners lost from polygons may lie beside them; 0 keeps them exact, `auto` keeps an IoU of
            0.99 in each class of each image.
        split: `keep` writes the parts, and leaves out samples of no part where others have one; `drop` writes all
            samples into no part.
        verify: read back and compare every pixel; not possible where images are left out.
        overwrite: replace a folder that was written so before.
        progress: called after every sample.
        options: of the reader.
    Raises:
        ConfigError: an unknown format or option, or a format that cannot hold these classes.
        DatasetError: the data cannot be read, the folder is not empty or holds the data set itself, an image has a name
            that the format cannot hold, or a format without losses gave other pixels back.

    Example:
        >>> import segbench
        >>> report = segbench.convert_dataset("my_images", "coco", "as_coco")  # doctest: +SKIP
        >>> report.identical  # doctest: +SKIP
        True
    """
    if images not in get_args(Images):
        raise ConfigError(f"expected {', '.join(get_args(Images))}, got {images!r}", key=argument("images"))
    if simplify != "auto" and not (isinstance(simplify, int | float) and 0 <= simplify < float("inf")):
        raise ConfigError(f"expected auto or a number of pixels, 0 or more, got {simplify!r}", key=argument("simplify"))
    manifest = data if isinstance(data, Manifest) else read_dataset(data, format, progress=progress, **options)
    wanted = WriteOptions(images=images, rle=rle, simplify=simplify)
    return convert(
        manifest, to, out, options=wanted, split=split, verify=verify, overwrite=overwrite, progress=progress
    )


def convert(
    manifest: Manifest,
    to: str,
    target: str | Path,
    *,
    options: WriteOptions | None = None,
    split: Literal["keep", "drop"] = "keep",
    verify: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ConvertReport:
    """Does what `convert_dataset` says with a data set that has been read; `options` say how it is written."""
    options = options or WriteOptions()
    target = Path(target).expanduser().absolute()
    check_writer(to, manifest.class_map, options)
    for place in {manifest.root, manifest.folder}:
        _check_apart(place, target)
    if manifest.channels != 3:
        raise DatasetError(
            f"these images have {manifest.channels} channels, and what can be written holds 3; choose three with the "
            "option bands",
            path=manifest.root,
        )
    chosen, notes = _chosen(manifest, split)
    check_names(to, ((sample.id, sample.split) for sample in chosen), target)
    packed = is_packed(manifest)
    deep = manifest.depth_range is not None and (packed or to != "folder")
    if packed:
        notes.append("images were written as PNG, with the pixels that the shards hold")
    elif deep:
        notes.append(f"{to} has no depth_range: images were written as PNG of 8 bit, as they are shown to a network")
    samples = _labelled(manifest, chosen, deep, progress)
    extra = {"depth_range": list(manifest.depth_range)} if manifest.depth_range is not None and not deep else {}
    written = write_dataset(to, target, samples, manifest.class_map, options, overwrite=overwrite, extra=extra)
    if options.images == "none":
        notes.append("images were left out, so what was written was not read back")
        verify = False
    written = replace(written, notes=(*written.notes, *notes))
    if not verify:
        return ConvertReport(written=written, worst={}, verified=False)
    return _verified(manifest, chosen, written, progress)


def _check_apart(root: Path, target: Path) -> None:
    if target.resolve().is_relative_to(root.resolve()) or root.resolve().is_relative_to(target.resolve()):
        raise DatasetError("the new folder must lie neither in the data set's own nor around it", path=target)


def _chosen(manifest: Manifest, split: str) -> tuple[list[Sample], list[str]]:
    if split not in ("keep", "drop"):
        raise ConfigError(f"expected keep or drop, got {split!r}", key=argument("split"))
    if split == "drop":
        return [replace(sample, split=None) for sample in manifest.samples], []
    placed = [sample for sample in manifest.samples if sample.split is not None]
    if not placed or len(placed) == len(manifest):
        return list(manifest.samples), []
    left = [sample.id for sample in manifest.samples if sample.split is None]
    text = plural(
        "{n} sample belongs to no part and was left out ({names}); {split} writes all",
        "{n} samples belong to no part and were left out ({names}); {split} writes all",
        n=len(left),
        names=shorten(left, 4),
        split=argument("split", "drop"),
    )
    return placed, [text]


def _labelled(manifest: Manifest, samples: list[Sample], deep: bool, progress: Progress | None) -> Iterator[Labelled]:
    for done, sample in enumerate(samples, 1):
        image, labels = load_sample(manifest, sample)
        path, own = manifest.image_path(sample), source_of(manifest, sample).image_file(manifest, sample)
        as_file = own is not None and not deep and path.suffix.lower() in IMAGE_SUFFIXES - HEIC_SUFFIXES
        yield Labelled(id=sample.id, image=path, labels=labels, split=sample.split, pixels=None if as_file else image)
        if progress is not None:
            progress("writing", done, len(samples))


def _verified(manifest: Manifest, samples: list[Sample], written: Written, progress: Progress | None) -> ConvertReport:
    again = read_dataset(written.root, written.format, progress=progress, **written.options)
    names = written.names or manifest.class_map.names
    if again.class_map.names != names:
        raise DatasetError(
            f"the classes {', '.join(names)} were read back as {', '.join(again.class_map.names)}; do not use what was "
            "written",
            path=written.root,
        )
    by_image = {sample.image: sample for sample in again.samples}
    lost = [sample.id for sample in samples if written.images[sample.id] not in by_image]
    if lost:
        raise DatasetError(f"{len(lost)} samples were not read back: {shorten(lost)}", path=written.root)
    tally = _Tally(manifest.class_map)
    for done, sample in enumerate(samples, 1):
        before = load_sample(manifest, sample)[1]
        after = load_sample(again, by_image[written.images[sample.id]])[1]
        tally.add(sample.id, before, after)
        if progress is not None:
            progress("comparing", done, len(samples))
    report = ConvertReport(written=written, changes=tally.changes(), worst=tally.worst(), verified=True)
    if written.exact and not report.identical:
        wrong = [change.name for change in report.changes if change.changed]
        raise DatasetError(
            f"{written.format} should give every pixel back, but {shorten(wrong)} changed in {shorten(tally.altered)}; "
            "do not use what was written",
            path=written.root,
        )
    return report


class _Tally:
    """Pixels before and after, class by class and sample by sample."""

    def __init__(self, class_map: ClassMap) -> None:
        self.names = (*class_map.names, _IGNORED)
        self.multilabel = class_map.task is Task.MULTILABEL
        self.altered: list[str] = []
        self._pixels = np.zeros(len(self.names), dtype=np.int64)
        self._changed = np.zeros(len(self.names), dtype=np.int64)
        self._lowest = np.full(len(self.names), math.inf)
        self._sums = np.zeros(len(self.names))
        self._seen = np.zeros(len(self.names), dtype=np.int64)
        self._samples: dict[str, float] = {}

    def add(self, name: str, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> None:
        """Counts one sample."""
        if before.shape != after.shape:
            raise DatasetError(f"the sample {name} was {before.shape} pixels and was read back as {after.shape}")
        number = len(self.names)
        count = _plane_overlaps if self.multilabel else _overlaps
        both, first, second = count(before, after, number)
        union = first + second - both
        self._pixels += first
        self._changed += union - both
        if (union > both).any():
            self.altered.append(name)
        here = union > 0
        ious = both[here] / union[here]
        self._lowest[here] = np.minimum(self._lowest[here], ious)
        self._sums[here] += ious
        self._seen += here
        self._samples[name] = float(np.min(ious[: np.count_nonzero(here[:-1])], initial=1.0))

    def changes(self) -> tuple[ClassChange, ...]:
        """Returns a row a class; ignored pixels only where there are any."""
        return tuple(
            ClassChange(
                name=name,
                pixels=int(self._pixels[index]),
                changed=int(self._changed[index]),
                lowest_iou=float(self._lowest[index]) if self._seen[index] else math.nan,
                mean_iou=float(self._sums[index] / self._seen[index]) if self._seen[index] else math.nan,
            )
            for index, name in enumerate(self.names)
            if name != _IGNORED or self._seen[index]
        )

    def worst(self) -> dict[str, float]:
        """Returns the samples below `MIN_IOU`, the worst first."""
        low = {name: iou for name, iou in self._samples.items() if iou < MIN_IOU}
        return dict(sorted(low.items(), key=lambda item: item[1]))


_Counts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _overlaps(before: NDArray[np.uint8], after: NDArray[np.uint8], number: int) -> _Counts:
    """Returns pixels a class in both, before, and after; ignored ones last."""
    one = np.where(before == IGNORE_INDEX, number - 1, before).astype(np.int64)
    other = np.where(after == IGNORE_INDEX, number - 1, after).astype(np.int64)
    table = np.bincount((one * number + other).ravel(), minlength=number * number).reshape(number, number)
    return table.diagonal(), table.sum(axis=1), table.sum(axis=0)


def _plane_overlaps(before: NDArray[np.uint8], after: NDArray[np.uint8], number: int) -> _Counts:
    """Returns the same for a plane a class; ignored pixels are counted once a plane."""
    planes = zip(before, after, strict=True)
    pairs = [*((one == 1, other == 1) for one, other in planes), (before == IGNORE_INDEX, after == IGNORE_INDEX)]
    assert len(pairs) == number, "a row a class, and one for what counts nowhere"
    both = np.array([np.count_nonzero(one & other) for one, other in pairs])
    first = np.array([np.count_nonzero(one) for one, _ in pairs])
    return both, first, np.array([np.count_nonzero(other) for _, other in pairs])
