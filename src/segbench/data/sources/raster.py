"""Samples of raster files: what their windows hold is found once and remembered; a window is loaded by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from segbench.data.facts.store import FactStore, MaskFact
from segbench.data.files.masks import class_counts, count_values, encode_mask
from segbench.data.files.raster import Box, RasterReader, file_sha256, read_image
from segbench.data.files.resize import U8
from segbench.data.formats import Entry, Listing
from segbench.data.formats.geotiff import RasterListing
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.sample import CHANGED, foreground_frac, relative_name, shared_groups
from segbench.data.sources.source import Source, Survey
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, MaskValue, Progress, Sample

_HASHES = "file hashes"


class RasterWindow(Source):
    """A window of a raster file and of its mask, both read by GDAL; or the whole of both."""

    def holds(self, manifest: Manifest, sample: Sample) -> bool:
        """Returns whether the data set's files are read by windows."""
        return manifest.bands is not None

    def survey(self, listing: Listing, root: Path, store: FactStore) -> RasterSurvey | None:
        """Returns how to read a listing of raster files."""
        return RasterSurvey(listing, root, store) if isinstance(listing, RasterListing) else None

    def read(self, manifest: Manifest, sample: Sample) -> tuple[U8, U8]:
        """Returns image (H, W, C) and labels (H, W); see `Source.read`."""
        bands, image_path = manifest.bands, manifest.image_path(sample)
        assert bands is not None, "a manifest of raster files has bands"
        (mask_path,) = manifest.mask_paths(sample)
        for path, expected in ((image_path, sample.image_hash), (mask_path, sample.mask_hash)):
            if _window_hash(_remembered_hash(manifest.root, path), sample.window) != expected:
                raise DatasetError(CHANGED.format("the file"), path=path)
        image, nodata = read_image(image_path, bands, sample.window)
        with RasterReader(mask_path) as reader:
            labels = encode_mask(reader.labels(sample.window), manifest.class_map, path=mask_path)
        if bands.ignore_nodata:
            labels[nodata] = manifest.class_map.ignore_index
        return image, labels

    def changed(self, manifest: Manifest, samples: Sequence[Sample]) -> list[str]:
        """Returns the raster files whose bytes are not those the manifest was made from."""
        expected = {
            (path, sample.window, known)
            for sample in samples
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


class RasterSurvey(Survey):
    """A listing of raster files; each is decoded window by window, and what was found is remembered.

    Attributes:
        entries: of each image file, in the order of the listing.
        hashes: of each file.
        nodata: of each image file that was decoded the pixels without data of each window.
        counts: of each mask file that was decoded the pixels a value of each window.
        empty: ids of windows without any data, which are left out.
    """

    of_files = False
    listing: RasterListing
    masks: dict[Path, MaskFact]

    def __init__(self, listing: RasterListing, root: Path, store: FactStore) -> None:
        super().__init__(listing, root, store)
        self.entries: dict[Path, list[Entry]] = {}
        self.hashes: dict[Path, str] = {}
        self.nodata: dict[Path, dict[str, int]] = {}
        self.counts: dict[Path, dict[str, dict[MaskValue, int]]] = {}
        self.empty: list[str] = []
        self.counted = False
        self._ignored_px = self._counted_px = 0

    @property
    def total(self) -> int:
        """How many pairs of files there are."""
        return len(self.entries)

    def look(self, *, images: bool, masks: bool, progress: Progress | None) -> None:
        """Finds the files' hashes and what their windows hold; see `Survey.look`."""
        listing, problems = self.listing, dict[Path, str]()
        for entry in listing.entries:
            self.entries.setdefault(entry.image, []).append(entry)
        pairs = {entry.masks[0]: entry.image for entry in listing.entries}
        hashes, found = self.store.other(_HASHES, [*self.entries, *pairs], file_sha256, progress=progress)
        self.hashes = dict(hashes)
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

        nodata_px, found = self.store.other(
            kind,
            self.entries if images else partly,
            nodata,
            doing="looking for places without data in",
            progress=progress,
        )
        self.nodata = dict(nodata_px)
        problems.update(found)

        def values(path: Path) -> dict[str, list[tuple[MaskValue, int]]]:
            with RasterReader(path) as reader:
                entries = self.entries[pairs[path]]
                return {str(entry.window): [*count_values(reader.labels(entry.window))[0].items()] for entry in entries}

        if masks or not isinstance(listing.class_map, ClassMap):
            plain, found = self.store.other(
                f"masks ({listing.layout})", pairs, values, doing="reading masks in", progress=progress
            )
            problems.update(found)
            self.counts = {
                path: {name: dict(counts) for name, counts in windows.items()} for path, windows in plain.items()
            }
        if not isinstance(listing.class_map, ClassMap):
            self.masks = {path: self._fact(path) for path in self.counts}
        self.counted = masks  # masks read for the classes alone are not: samples are the same for every data set
        self.problems = list(problems.items())

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
        """Returns an entry as a sample; None where it cannot be used, see `Survey.sample`, or holds no data."""
        mask, look = entry.masks[0], self.listing.looks[entry.image]
        if any(path in (entry.image, mask) for path, _ in self.problems):
            return None
        _, _, height, width = entry.window or (0, 0, look.height, look.width)
        nodata = self.nodata.get(entry.image, {}).get(str(entry.window), 0) if self.listing.bands.ignore_nodata else 0
        if nodata == height * width:
            self.empty.append(entry.id)
            return None
        counted: Mapping[int, int] = {}
        if self.counted and mask in self.counts:
            found = class_counts(self._counts(entry, nodata), class_map)
            if found is None:
                self.problems.append((mask, self._why(entry, class_map)))
                return None
            counted = found[0]
        self._counted_px += height * width
        self._ignored_px += counted.get(class_map.ignore_index, 0) + nodata
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

    def notes(self, class_map: ClassMap) -> list[str]:
        """Returns notes on groups, on what counts nowhere and on what was left out; see `Survey.notes`."""
        if len(self.empty) == len(self.listing.entries):
            raise DatasetError(
                "no file holds a pixel with data; check the files' nodata value, or nodata: keep", path=self.root
            )
        notes = shared_groups(self.listing.entries)
        if self._ignored_px:
            share = 100 * self._ignored_px / self._counted_px
            notes.append(f"{self._ignored_px} pixels ({share:.3g} %) have no data or are ignored: they count nowhere")
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
