"""Samples whose masks are files: one a sample, or multilabel one a class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.counting import class_pixels, mask_pixels
from segbench.data.facts.store import FactStore, MaskFact
from segbench.data.files.hints import describe_value
from segbench.data.files.images import ImageFacts, image_facts, read_bytes, read_mask_values
from segbench.data.files.kept import KeptPixels
from segbench.data.files.masks import class_counts, encode_mask, encode_plane, has_colors
from segbench.data.files.resize import U8
from segbench.data.formats import Entry, Listing
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.sample import (
    CHANGED,
    LISTED,
    foreground_frac,
    relative_name,
    shared_groups,
    size_text,
)
from segbench.data.sources.image_file import ImageFileSource, ImageFileSurvey, checked_bytes
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, Progress, Sample, Task


class MaskFile(ImageFileSource):
    """One mask file."""

    def holds(self, manifest: Manifest, sample: Sample) -> bool:
        """Returns whether there is one mask file."""
        return isinstance(sample.mask, str)

    def survey(self, listing: Listing, root: Path, store: FactStore) -> MaskFileSurvey | None:
        """Returns how to read a listing of mask files."""
        listed = all(isinstance(entry.mask, Path) for entry in listing.entries)
        return MaskFileSurvey(listing, root, store) if listed else None

    def read_labels(self, manifest: Manifest, sample: Sample) -> U8:
        """Returns (H, W) class indices."""
        (path,) = manifest.mask_paths(sample)
        values = read_mask_values(
            path, colors=has_colors(manifest.class_map), data=checked_bytes(path, sample.mask_hash)
        )
        return encode_mask(values, manifest.class_map, path=path, tolerance=manifest.tolerance)

    def kept_labels(self, manifest: Manifest, sample: Sample, kept: KeptPixels) -> U8 | None:
        """Returns (H, W) class indices; see `ImageFileSource.kept_labels`."""
        (path,) = manifest.mask_paths(sample)
        sha256, values = kept.mask(path, colors=has_colors(manifest.class_map)) or ("", None)
        if values is None or sha256 != sample.mask_hash:
            return None
        return encode_mask(values, manifest.class_map, path=path, tolerance=manifest.tolerance)

    def changed_labels(self, manifest: Manifest, sample: Sample, store: FactStore) -> list[str]:
        """Returns the mask's name where it has changed."""
        return [str(sample.mask)] * (store.sha256(manifest.mask_paths(sample)[0]) != sample.mask_hash)

    def class_pixels(
        self, manifest: Manifest, samples: Sequence[Sample], store: FactStore, progress: Progress | None = None
    ) -> dict[str, dict[int, int]]:
        """Returns id -> pixels a class index of the samples whose masks can be read; see `Source.class_pixels`."""
        files = {sample.id: self.mask_files(manifest, sample) for sample in samples}
        facts, _ = store.masks(
            (path for paths in files.values() for path in paths if path is not None), progress=progress
        )
        counted: dict[str, dict[int, int]] = {}
        for name, paths in files.items():
            if all(path is None or path in facts for path in paths):
                found = [None if path is None else facts[path] for path in paths]
                pixels = class_pixels(found, manifest.class_map, tolerance=manifest.tolerance)
                counted |= {} if pixels is None else {name: pixels}
        return counted


class MaskPlanes(MaskFile):
    """One mask file a class, in class order; a class without a file is absent."""

    def holds(self, manifest: Manifest, sample: Sample) -> bool:
        """Returns whether there is one mask file a class."""
        return isinstance(sample.mask, tuple)

    def survey(self, listing: Listing, root: Path, store: FactStore) -> MaskFileSurvey | None:
        """Returns how to read a listing of mask files of which some are one a class."""
        listed = all(isinstance(entry.mask, Path | tuple) for entry in listing.entries)
        return MaskFileSurvey(listing, root, store) if listed else None

    def read_labels(self, manifest: Manifest, sample: Sample) -> U8:
        """Returns (C, H, W) planes of 0 and 1."""
        paths, colors = self.mask_files(manifest, sample), has_colors(manifest.class_map)
        files = [None if path is None else read_bytes(path) for path in paths]
        if joined(None if file is None else hashlib.sha256(file).hexdigest() for file in files) != sample.mask_hash:
            raise DatasetError(CHANGED.format(f"a file of {shorten(filter(None, sample.mask))}"), path=manifest.root)
        pairs = zip(paths, files, strict=True)
        values = {path: read_mask_values(path, colors=colors, data=file) for path, file in pairs if path is not None}
        return _planes(paths, values, manifest, (sample.height, sample.width))

    def kept_labels(self, manifest: Manifest, sample: Sample, kept: KeptPixels) -> U8 | None:
        """Returns (C, H, W) planes of 0 and 1; see `ImageFileSource.kept_labels`."""
        paths, colors = self.mask_files(manifest, sample), has_colors(manifest.class_map)
        found = {path: item for path in paths if path is not None and (item := kept.mask(path, colors=colors))}
        if joined(None if path is None else found.get(path, [""])[0] for path in paths) != sample.mask_hash:
            return None
        return _planes(paths, {path: values for path, (_, values) in found.items()}, manifest, kept.size)

    def changed_labels(self, manifest: Manifest, sample: Sample, store: FactStore) -> list[str]:
        """Returns the masks' names where one of them has changed."""
        paths = self.mask_files(manifest, sample)
        now = joined(None if path is None else store.sha256(path) for path in paths)
        return [" or ".join(name for name in sample.mask if name)] * (now != sample.mask_hash)

    def mask_files(self, manifest: Manifest, sample: Sample) -> tuple[Path | None, ...]:
        """Returns a path a class, None where a class has no file."""
        return tuple(manifest.root / name if name else None for name in sample.mask)


class MaskFileSurvey(ImageFileSurvey):
    """A listing of mask files."""

    masks: Mapping[Path, MaskFact]
    counted = False

    def look(self, *, images: bool, masks: bool, progress: Progress | None) -> None:
        """Finds what images and masks hold; see `Survey.look`."""
        super().look(images=images, masks=masks, progress=progress)
        if masks or not isinstance(self.listing.class_map, ClassMap):
            paths = (path for entry in self.listing.entries for path in entry.masks)
            self.masks, problems = self.store.masks(paths, progress=progress)
            self.problems += problems
        self.counted = masks  # masks read for the classes alone are not: samples are the same for every data set

    def sample(self, entry: Entry, class_map: ClassMap) -> Sample | None:
        """Returns an entry as a sample; see `Survey.sample`."""
        image = self.images.get(entry.image)
        facts: Mapping[Path, MaskFact | ImageFacts] = self.masks if self.counted else self._headers(entry)
        if image is None or any(path not in facts for path in entry.masks):
            return None  # the reason is among the problems already
        for path in entry.masks:
            if (facts[path].height, facts[path].width) != (image.height, image.width):
                text = size_text(image.height, image.width, facts[path].height, facts[path].width)
                self.problems.append((path, text))
                return None
        counted = self._count(entry, class_map) if self.counted else {}
        if counted is None:
            return None
        names = tuple("" if path is None else relative_name(path, self.root) for path in entry.planes)
        hashes = [None if path is None else facts[path].sha256 for path in entry.planes]
        single = isinstance(entry.mask, Path)
        return Sample(
            id=entry.id,
            image=relative_name(entry.image, self.root),
            mask=names[0] if single else names,
            height=image.height,
            width=image.width,
            image_hash=image.sha256,
            mask_hash=str(hashes[0]) if single else joined(hashes),
            group=entry.group,
            split=entry.split,
            foreground_frac=foreground_frac(counted, class_map),
        )

    def _headers(self, entry: Entry) -> dict[Path, ImageFacts]:
        headers: dict[Path, ImageFacts] = {}
        for path in entry.masks:
            try:
                headers[path] = image_facts(path)
            except DatasetError as error:
                self.problems.append((path, error.reason))
        return headers

    def _count(self, entry: Entry, class_map: ClassMap) -> dict[int, int] | None:
        """Returns pixels a class index; None, and a problem, where the mask holds values that mean nothing."""
        tolerance = self.listing.tolerance
        facts = [None if path is None else self.masks[path] for path in entry.planes]
        counted = class_pixels(facts, class_map, tolerance=tolerance)
        if counted is not None:
            return counted
        for position, path in enumerate(entry.planes):
            index = position if class_map.task is Task.MULTILABEL else None
            if path is None or mask_pixels(self.masks[path], class_map, tolerance=tolerance, index=index) is not None:
                continue
            reason = None
            if len(self.problems) < LISTED:  # finding the pixels means decoding again
                reason = _why(path, class_map, index, tolerance)
            self.problems.append((path, reason or "the mask holds values outside the class map"))
            break
        return None

    def notes(self, class_map: ClassMap) -> list[str]:
        """Returns notes on images, groups, ignored pixels and those that were taken for the nearest class."""
        return [
            *self.image_notes(),
            *shared_groups(self.listing.entries),
            *self._ignored(class_map),
            *self._moved(class_map),
        ]

    def _moved(self, class_map: ClassMap) -> list[str]:
        tolerance, index = self.listing.tolerance, 0 if class_map.task is Task.MULTILABEL else None
        if not tolerance:
            return []
        moved = pixels = files = 0
        for fact in self.masks.values():
            counted = class_counts(fact.counts, class_map, tolerance=tolerance, index=index)
            moved += counted[1] if counted is not None else 0
            files += counted is not None and counted[1] > 0
            pixels += fact.height * fact.width
        if not moved:
            return []
        return [
            f"tolerance {tolerance}: {moved} mask pixels ({moved / pixels:.2%}) in {files} files were taken as the "
            "nearest class value"
        ]

    def _ignored(self, class_map: ClassMap) -> list[str]:
        """Returns a note on the pixels whose value means that they count nowhere."""
        if not class_map.ignore_values:
            return []
        pixels = ignored = 0
        for entry in self.listing.entries:
            for position, path in enumerate(entry.planes):
                fact = None if path is None else self.masks.get(path)
                if fact is None:
                    continue
                index = position if class_map.task is Task.MULTILABEL else None
                counted = mask_pixels(fact, class_map, tolerance=self.listing.tolerance, index=index) or {}
                pixels += fact.height * fact.width
                ignored += counted.get(class_map.ignore_index, 0)
        if not ignored:
            return []
        values = ", ".join(describe_value(value) for value in class_map.ignore_values)
        subject = f"value {values} is" if len(class_map.ignore_values) == 1 else f"values {values} are"
        return [f"{subject} ignored: {ignored} pixel{'s' * (ignored != 1)} ({100 * ignored / pixels:.3g} %)"]


def _planes(
    paths: Sequence[Path | None], values: Mapping[Path, NDArray[Any]], manifest: Manifest, size: tuple[int, int]
) -> U8:
    """Returns (C, H, W) planes of 0 and 1; a class without a file has none."""
    planes = np.zeros((len(paths), *size), dtype=np.uint8)
    for index, path in enumerate(paths):
        if path is not None:
            planes[index] = encode_plane(
                values[path], manifest.class_map, index, path=path, tolerance=manifest.tolerance
            )
    return planes


def joined(hashes: Iterable[str | None]) -> str:
    """Returns one hash over a multilabel sample's masks; a class without a file (None) counts as such."""
    return hashlib.sha256(" ".join("-" if item is None else item for item in hashes).encode()).hexdigest()


def _why(path: Path, class_map: ClassMap, index: int | None, tolerance: int) -> str | None:
    try:
        values = read_mask_values(path, colors=has_colors(class_map))
        if index is None:
            encode_mask(values, class_map, tolerance=tolerance)
        else:
            encode_plane(values, class_map, index, tolerance=tolerance)
    except DatasetError as error:
        return error.reason
    return None
