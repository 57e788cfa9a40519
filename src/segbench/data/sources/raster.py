"""Samples of raster files: what their windows hold is found once and remembered; a window is loaded by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.store import FactStore, MaskFact, Problem
from segbench.data.files.masks import class_counts, count_values, encode_mask
from segbench.data.files.raster import Box, RasterReader, file_sha256, read_image
from segbench.data.formats.shared.listing import Entry
from segbench.data.formats.shared.rasters import RasterListing
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.sample import CHANGED, foreground_frac, raise_problems, relative_name
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, MaskValue, Progress, Sample

_HASHES = "file hashes"


def read_scenes(
    listing: RasterListing, root: Path, *, verify: bool, progress: Progress | None
) -> tuple[ClassMap, tuple[Sample, ...], list[str]]:
    """Returns classes, samples and notes of raster files; each is decoded window by window, and remembered.

    Args:
        verify: decode every image and mask; else only where samples or classes depend on it.
    Raises:
        DatasetError: files that cannot be used; all are counted, the first ones named.
    """
    scenes = _Scenes(listing, root, FactStore(root, lean=True))
    scenes.look(verify, progress)
    unsaved = scenes.store.save()
    class_map = scenes.class_map()
    if not verify:
        scenes.counts.clear()  # of some data sets they were needed for the classes; samples are the same for all
    samples = tuple(sample for entry in listing.entries if (sample := scenes.sample(entry, class_map)) is not None)
    raise_problems(scenes.problems, root, len(scenes.entries))
    if not samples:
        raise DatasetError("no file holds a pixel with data; check the files' nodata value, or nodata: keep", path=root)
    return class_map, samples, [*scenes.notes(), *([] if unsaved is None else [unsaved])]


def load_scene(manifest: Manifest, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns image (H, W, C) and labels (H, W) of a sample of raster files, as `load_sample` does."""
    bands, image_path = manifest.bands, manifest.image_path(sample)
    assert bands is not None, "a manifest of raster files has bands"
    mask_path = manifest.mask_paths(sample)[0]
    for path, expected in ((image_path, sample.image_hash), (mask_path, sample.mask_hash)):
        if _window_hash(_remembered_hash(manifest.root, path), sample.window) != expected:
            raise DatasetError(CHANGED.format("the file"), path=path)
    image, nodata = read_image(image_path, bands, sample.window)
    with RasterReader(mask_path) as reader:
        labels = encode_mask(reader.labels(sample.window), manifest.class_map, path=mask_path)
    if bands.ignore_nodata:
        labels[nodata] = manifest.class_map.ignore_index
    return image, labels


def changed_scenes(manifest: Manifest) -> list[str]:
    """Returns the raster files whose bytes are not those the manifest was made from."""
    expected = {
        (path, sample.window, known)
        for sample in manifest.samples
        for path, known in (
            (manifest.image_path(sample), sample.image_hash),
            (manifest.mask_paths(sample)[0], sample.mask_hash),
        )
    }
    store = FactStore(manifest.root)
    hashes, problems = store.other(_HASHES, {path for path, _, _ in expected}, file_sha256)
    store.save()
    changed = {path for path, window, known in expected if _window_hash(hashes.get(path, ""), window) != known}
    return sorted(relative_name(path, manifest.root) for path in changed | {path for path, _ in problems})


@dataclass
class _Scenes:
    """The raster files of a listing, and what is found in them.

    Attributes:
        entries: of each image file, in the order of the listing.
        hashes: of each file.
        nodata: of each image file that was decoded the pixels without data of each window.
        counts: of each mask file that was decoded the pixels a value of each window.
        problems: files that cannot be used, and why.
    """

    listing: RasterListing
    root: Path
    store: FactStore
    entries: dict[Path, list[Entry]] = field(default_factory=dict)
    hashes: dict[Path, str] = field(default_factory=dict)
    nodata: dict[Path, dict[str, int]] = field(default_factory=dict)
    counts: dict[Path, dict[str, dict[MaskValue, int]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    ignored_px: int = 0
    counted_px: int = 0

    def look(self, verify: bool, progress: Progress | None) -> None:
        """Finds the files' hashes and what their windows hold."""
        listing, problems = self.listing, dict[Path, str]()
        for entry in listing.entries:
            self.entries.setdefault(entry.image, []).append(entry)
        images = {entry.masks[0]: entry.image for entry in listing.entries}
        self.hashes, found = self.store.other(_HASHES, [*self.entries, *images], file_sha256, progress=progress)
        problems.update(found)
        partly = [path for path in self.entries if listing.bands.ignore_nodata and not listing.looks[path].complete]
        numbers = listing.bands.numbers
        kind = f"images ({listing.layout}, bands {', '.join(map(str, numbers))})"

        def nodata(path: Path) -> dict[str, int]:
            with RasterReader(path) as reader:
                return {
                    str(entry.window): int(reader.values(numbers, entry.window)[1].sum())
                    for entry in self.entries[path]
                }

        self.nodata, found = self.store.other(kind, self.entries if verify else partly, nodata, progress=progress)
        problems.update(found)

        def values(path: Path) -> dict[str, list[tuple[MaskValue, int]]]:
            with RasterReader(path) as reader:
                entries = self.entries[images[path]]
                return {str(entry.window): [*count_values(reader.labels(entry.window))[0].items()] for entry in entries}

        if verify or not isinstance(listing.class_map, ClassMap):
            plain, found = self.store.other(f"masks ({listing.layout})", images, values, progress=progress)
            problems.update(found)
            self.counts = {
                path: {name: dict(pairs) for name, pairs in windows.items()} for path, windows in plain.items()
            }
        self.problems = list(problems.items())

    def class_map(self) -> ClassMap:
        """Returns the classes; where the mask files decide them, from all values they hold."""
        rule = self.listing.class_map
        if isinstance(rule, ClassMap):
            return rule
        masks = {entry.masks[0] for entry in self.listing.entries}
        if not masks <= self.counts.keys():
            raise_problems(self.problems, self.root, len(self.entries))
        return rule({path: self._fact(path) for path in masks})

    def _fact(self, path: Path) -> MaskFact:
        """Returns what a mask file holds; pixels in several windows count several times."""
        counts: dict[MaskValue, int] = {}
        for window in self.counts[path].values():
            for value, pixels in window.items():
                counts[value] = counts.get(value, 0) + pixels
        status = path.stat()
        return MaskFact(
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            sha256=self.hashes[path],
            height=sum(counts.values()),
            width=1,
            counts=counts,
            distinct=len(counts),
        )

    def sample(self, entry: Entry, class_map: ClassMap) -> Sample | None:
        """Returns an entry as a sample; None where it cannot be used (the reason was told), or holds no data."""
        mask, look = entry.masks[0], self.listing.looks[entry.image]
        if any(path in (entry.image, mask) for path, _ in self.problems):
            return None
        _, _, height, width = entry.window or (0, 0, look.height, look.width)
        nodata = self.nodata.get(entry.image, {}).get(str(entry.window), 0) if self.listing.bands.ignore_nodata else 0
        if nodata == height * width:
            self.empty.append(entry.id)
            return None
        counted: Mapping[int, int] = {}
        if mask in self.counts:
            found = class_counts(self._counts(entry, nodata), class_map)
            if found is None:
                self.problems.append((mask, self._why(entry, class_map)))
                return None
            counted = found[0]
        self.counted_px += height * width
        self.ignored_px += counted.get(class_map.ignore_index, 0) + nodata
        return Sample(
            id=entry.id,
            image=relative_name(entry.image, self.root),
            mask=relative_name(mask, self.root),
            height=height,
            width=width,
            image_hash=_window_hash(self.hashes[entry.image], entry.window),
            mask_hash=_window_hash(self.hashes[mask], entry.window),
            group=entry.group,
            split=entry.split,
            foreground_frac=foreground_frac(counted, class_map) if counted else None,
            window=entry.window,
        )

    def _counts(self, entry: Entry, nodata: int) -> Mapping[MaskValue, int]:
        """Returns pixels a mask value where the image has data."""
        if not nodata:
            return self.counts[entry.masks[0]][str(entry.window)]
        with RasterReader(entry.image) as image, RasterReader(entry.masks[0]) as mask:
            holds = ~image.values(self.listing.bands.numbers, entry.window)[1]
            return count_values(mask.labels(entry.window)[holds][:, None])[0]

    def _why(self, entry: Entry, class_map: ClassMap) -> str:
        with RasterReader(entry.masks[0]) as reader:
            try:
                encode_mask(reader.labels(entry.window), class_map)
            except DatasetError as error:
                where = f"window {entry.window} (top, left, height, width): " if entry.window is not None else ""
                return f"{where}{error.reason}"
        return "the mask holds values outside the class map"

    def notes(self) -> list[str]:
        """Returns notes on what counts nowhere and what was left out."""
        notes = []
        if self.ignored_px:
            share = 100 * self.ignored_px / self.counted_px
            notes.append(f"{self.ignored_px} pixels ({share:.3g} %) have no data or are ignored: they count nowhere")
        if self.empty:
            notes.append(f"{len(self.empty)} windows without any data were left out: {shorten(self.empty)}")
        return notes


def _window_hash(sha256: str, window: Box | None) -> str:
    """Returns the hash of a part of a file."""
    return sha256 if window is None else hashlib.sha256(f"{sha256} {window}".encode()).hexdigest()


def _remembered_hash(root: Path, path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise DatasetError(f"cannot read the file: {error.strerror or error}", path=path) from error
    return _hash_of(root, path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash_of(root: Path, path: Path, size: int, mtime_ns: int) -> str:
    """Returns a file's hash, which is found again only when size or modification time differ."""
    hashes, problems = FactStore(root).other(_HASHES, [path], file_sha256)
    for _, reason in problems:
        raise DatasetError(reason, path=path)
    return str(hashes[path])
