"""Objects (connected regions of one class): how many, how large, and which are too small for the training size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.counting import mask_pixels
from segbench.data.facts.store import Also, FactStore, MaskFact
from segbench.data.files.hints import yaml_value
from segbench.data.files.images import DecodedMask, read_mask_values
from segbench.data.files.masks import encode_mask, encode_plane, has_colors
from segbench.data.formats import Listing
from segbench.data.shapes.drawing import paint
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading, percent
from segbench.doctor.recipe import size_lines
from segbench.doctor.regions import SIZES, ClassObjects, Objects, region_rows
from segbench.doctor.scale import facts_of, training_scale
from segbench.errors import ConfigError, DatasetError
from segbench.locale import Message, listed, message, plural
from segbench.types import ClassMap, Progress, Task

_SOME_MASKS = 96  # as many as a guess of the classes looks at, which are remembered then
_FIRST_MASKS = 8  # of those, by which the classes are guessed before the others are decoded
_VANISHING = 0.05  # of a class's objects, from which on a warning is due


VANISHING_OBJECTS = Code(
    "vanishing_objects",
    Severity.WARNING,
    Title("at {height} x {width} pixels {share} of the {name!r} objects vanish"),
    means=message("Connected regions of 4 pixels and more that keep no pixel when masks are resized for training."),
    advice=message("train on crops of large images"),
    otherwise=Severity.INFO,
    when=message("where it is less than 5 % of the objects of every class"),
)
SPECKS = Code(
    "specks",
    Severity.INFO,
    Title("{n} region of fewer than 4 pixels in {masks}", "{n} regions of fewer than 4 pixels in {masks}"),
    means=message("Usually slips of the brush, or traces of resizing."),
    advice=message(
        "they hardly matter for training, but they count as objects where objects are counted; delete them if so"
    ),
)
THIN_OBJECTS = Code(
    "thin_objects",
    Severity.WARNING,
    Title("at {height} x {width} pixels thin objects break into pieces: {names}"),
    means=message(
        "Lines narrower than about 1.5 pixels fall apart when masks are resized: a network learns fragments, and it is "
        "scored on them."
    ),
    advice=message("train at a larger size, or on windows of large images"),
)
CODES = (VANISHING_OBJECTS, THIN_OBJECTS, SPECKS)


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """How the objects of a mask file are measured.

    Attributes:
        classes, tolerance: as the masks are encoded.
        planes: mask file -> class index, of multilabel sets.
        sizes: (H, W) of training that are tried.
    """

    classes: ClassMap
    tolerance: int
    planes: Mapping[Path, int]
    sizes: tuple[tuple[int, int], ...]

    @property
    def kind(self) -> str:
        """The name under which it is remembered."""
        known = self.classes
        settings = [known.to_dict()["classes"], known.background, known.ignore_values, self.sizes, "widths"]
        return f"objects-{hashlib.sha256(json.dumps([*settings, self.tolerance]).encode()).hexdigest()[:16]}"

    def read(self, path: Path) -> list[list[Any]]:
        """Returns the objects of a mask file."""
        return self._rows(path, read_mask_values(path, colors=has_colors(self.classes)))

    def find(self, path: Path, fact: MaskFact, mask: DecodedMask) -> list[list[Any]] | None:
        """Returns the objects of a mask that is decoded already; None where it holds values without a meaning."""
        if mask_pixels(fact, self.classes, tolerance=self.tolerance, index=self.planes.get(path)) is None:
            return None
        return self._rows(path, mask.values(colors=has_colors(self.classes)))

    def _rows(self, path: Path, values: NDArray[Any]) -> list[list[Any]]:
        if path in self.planes:
            index = self.planes[path]
            plane = encode_plane(values, self.classes, index, path=path, tolerance=self.tolerance)
            return _renumbered(region_rows(plane, (1,), self.sizes), index)
        labels = encode_mask(values, self.classes, path=path, tolerance=self.tolerance)
        return region_rows(labels, _counted(self.classes), self.sizes)


def while_decoding(
    listing: Listing, store: FactStore, image_size: tuple[int, int] | None, *, some: int = _SOME_MASKS
) -> Also | None:
    """Returns how to measure objects while masks are decoded; None where that has to wait for the class map.

    Where the reader derives the classes from the masks, those of some masks are taken: what is measured with a class
    map that turns out to be another one is not asked for later.

    Args:
        some: masks that are looked at for the classes.
    """
    masks = {path: place for entry in listing.entries for place, path in enumerate(entry.planes) if path is not None}
    facts: Mapping[Path, MaskFact] = {}
    if not isinstance(listing.class_map, ClassMap):
        facts, _ = store.masks(list(masks)[:: max(1, len(masks) // some)])
    try:
        classes = listing.classes_of(facts)
    except (DatasetError, ConfigError):
        return None  # the reading says why
    planes = masks if classes.task is Task.MULTILABEL else {}
    measure = _Measure(classes=classes, tolerance=listing.tolerance, planes=planes, sizes=_sizes(image_size))
    return Also(measure.kind, measure.find)


def while_detecting(listing: Listing, store: FactStore, image_size: tuple[int, int] | None) -> Also | None:
    """Returns how to measure objects while the masks are decoded that `detect` looks at; see `while_decoding`."""
    return while_decoding(listing, store, image_size, some=_FIRST_MASKS)


def _sizes(image_size: tuple[int, int] | None) -> tuple[tuple[int, int], ...]:
    return (image_size or (SIZES[4], SIZES[4]), *((side, side) for side in SIZES))


def measure_objects(reading: Reading, progress: Progress | None = None) -> Objects | None:
    """Returns the objects of all masks, remembered a file; None where the masks have no class map."""
    class_map = reading.class_map
    if class_map is None or not reading.decoded.any():
        return None
    sizes, planes = _sizes(reading.image_size), _planes(reading, class_map)
    measure = _Measure(classes=class_map, tolerance=reading.tolerance, planes=planes, sizes=sizes)
    known = [
        path
        for row in np.flatnonzero(reading.decoded)
        for path in reading.cases[row].mask_files
        if path in reading.masks
    ]
    files, _ = reading.store.other(measure.kind, known, measure.read, doing="measuring objects in", progress=progress)
    result = Objects(sizes=sizes, classes={}, specks={}, lost={}, broken={})
    added: set[Path] = set()
    for case in reading.cases:
        for path in case.mask_files:
            if path in files and path not in added:  # once, also where several cases are windows of one file
                _add(result, case, files[path])
                added.add(path)
        if case.id in reading.paintings and case.id in reading.drawn:
            _add(result, case, _drawn_objects(reading, case, class_map, sizes))
    return result


def _drawn_objects(
    reading: Reading, case: Case, class_map: ClassMap, sizes: Sequence[tuple[int, int]]
) -> list[list[Any]]:
    try:
        labels, _ = paint(reading.paintings[case.id], reading.root)
    except DatasetError:
        return []  # what it holds was told before; a file that changed since is not
    if labels.ndim == 2:
        return region_rows(labels, _counted(class_map), sizes)
    return [row for index, plane in enumerate(labels) for row in _renumbered(region_rows(plane, (1,), sizes), index)]


def _planes(reading: Reading, class_map: ClassMap) -> dict[Path, int]:
    """Returns mask file -> class index, of multilabel sets."""
    if class_map.task is not Task.MULTILABEL:
        return {}
    return {path: place for case in reading.cases for place, path in enumerate(case.masks) if path is not None}


def _counted(class_map: ClassMap) -> tuple[int, ...]:
    return tuple(index for index in range(class_map.num_classes) if index != class_map.background)


def _renumbered(rows: list[list[Any]], index: int) -> list[list[Any]]:
    return [[index, *row[1:]] for row in rows]


def _add(result: Objects, case: Case, rows: Sequence[Sequence[Any]]) -> None:
    for index, count, specks, areas, gone, pieces, widths, small_widths in rows:
        found = result.classes.setdefault(index, ClassObjects(gone=np.zeros(len(result.sizes), dtype=np.int64)))
        found.number += count
        found.images += count > 0
        found.specks += specks
        found.areas.update(dict(areas))
        found.gone += np.asarray(gone)
        found.pieces += pieces
        found.widths.update(dict(widths))
        found.small_widths.update(dict(small_widths))
        if pieces > count:
            result.broken[case.id] = result.broken.get(case.id, 0) + pieces - count
        if specks:
            result.specks[case.id] = result.specks.get(case.id, 0) + specks
        if gone[0]:
            result.lost[case.id] = result.lost.get(case.id, 0) + gone[0]


def check(reading: Reading) -> list[Finding]:
    """Returns which objects training would not see, and which are too small to be meant, where they were measured."""
    objects = reading.objects
    if objects is None:
        return []
    return [*_vanishing(reading, objects), *_thin(reading, objects), *_specks(reading, objects)]


def _vanishing(reading: Reading, objects: Objects) -> Iterator[Finding]:
    class_map = reading.known_map
    lost = {index: 1 - objects.kept(index, 0) for index in objects.classes if not objects.keeps(index, 0)}
    if not lost:
        return
    height, width = objects.sizes[0]
    worst = max(lost, key=lambda index: lost[index])
    cases = sorted((case for case in reading.cases if case.id in objects.lost), key=lambda case: -objects.lost[case.id])
    shares = [
        message(
            "{name} {share} of {total}",
            name=class_map.names[index],
            share=percent(share),
            total=objects.classes[index].number,
        )
        for index, share in sorted(lost.items(), key=lambda item: -item[1])
    ]
    yield VANISHING_OBJECTS.about_cases(
        reading,
        cases,
        count=sum(objects.lost.values()),
        height=height,
        width=width,
        share=percent(lost[worst]),
        name=class_map.names[worst],
        otherwise=lost[worst] < _VANISHING,
        detail=message("By class: {shares}.", shares=listed(shares, 12)),
        advice=_at_what_size(reading, objects) if lost[worst] >= _VANISHING else None,
    )


def _thin(reading: Reading, objects: Objects) -> Iterator[Finding]:
    class_map = reading.known_map
    thin = [index for index in objects.classes if objects.is_thin(index)]
    if not thin:
        return
    height, width = objects.sizes[0]
    cases = [case for case in reading.cases if case.id in objects.broken]
    told = []
    for index in thin:
        found = objects.classes[index]
        told.append(
            message(
                "{name}: {before} connected pieces an image become {after}, {width} pixels wide becomes {small}",
                name=class_map.names[index],
                before=f"{found.number / found.images:.1f}",
                after=f"{found.pieces / found.images:.1f}",
                width=f"{found.width():.1f}",
                small=f"{found.width(small=True):.1f}",
            )
        )
    yield THIN_OBJECTS.about_cases(
        reading,
        sorted(cases, key=lambda case: -objects.broken[case.id]),
        count=len(thin),
        height=height,
        width=width,
        names=listed([class_map.names[index] for index in thin], 8),
        detail=message("{classes} (half of the pixels lie in objects no wider).", classes=listed(told, 12)),
        advice=_at_what_size(reading, objects),
    )


def _at_what_size(reading: Reading, objects: Objects) -> Message:
    """Returns the size that `segbench config new` would write."""
    lines = size_lines(training_scale(facts_of(reading, objects)))
    size, *windows = (f"{key}: {yaml_value(value)}" for key, value, _ in lines)
    if not windows:
        return message("{size} keeps them whole", size=size)
    return message(
        "train on windows of images that are hardly shrunk: {size} and {window}", size=size, window=windows[0]
    )


def _specks(reading: Reading, objects: Objects) -> Iterator[Finding]:
    class_map = reading.known_map
    total = sum(objects.specks.values())
    if not total:
        return
    cases = sorted(
        (case for case in reading.cases if case.id in objects.specks), key=lambda case: -objects.specks[case.id]
    )
    counts = [
        plural(
            "{name} {specks} beside {n} object",
            "{name} {specks} beside {n} objects",
            name=class_map.names[index],
            specks=found.specks,
            n=found.number,
        )
        for index, found in sorted(objects.classes.items(), key=lambda item: -item[1].specks)
        if found.specks
    ]
    yield SPECKS.about_cases(
        reading,
        cases,
        count=total,
        masks=plural("{n:,} mask", "{n:,} masks", n=len(cases)),
        detail=message(
            "{counts}. Most in {names}.",
            counts=listed(counts, 12),
            names=listed([f"{case.id} ({objects.specks[case.id]})" for case in cases], 4),
        ),
    )
