"""Samples decoded and resized once, kept as memory-mapped arrays: an epoch reads, it does not decode.

A cache folder belongs to one data set folder, one way of decoding its masks and one size. It holds::

    cache.json    what it was made from, for people
    images.npy    (N, H, W, C) uint8, C = 3 for ordinary images
    masks.npy     (N, H, W) uint8, or (N, C, H, W) multilabel
    rows.jsonl    one line a finished row: sample id, row, hashes of its files
    lock          held by the one process that writes

Where every sample has a size of its own, `images.bin` and `masks.bin` hold them end to end, and a row is [pixels before
it, height, width].

Rows are only ever appended, and a line is appended to `rows.jsonl` only when the pixels of its row are on the disk. So
a killed build goes on where it was, a changed file costs one new row, and a run that reads an old row goes on reading
it. Rows of files that changed since stay behind; deleting the folder frees them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from segbench.data.files.kept import KeptPixels
from segbench.data.files.threads import usual_workers
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.sample import raise_undecodable
from segbench.data.samples.layout import NAMES, Dense, Layout, Place, Ragged
from segbench.data.samples.sample_cache import U8, SampleCache
from segbench.data.samples.shard_cache import ShardCache
from segbench.data.sources.load import load_resized
from segbench.data.sources.table import is_packed
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.files import cache_folder, locked, write_json
from segbench.types import ORIGINAL, Progress, Sample, Size, Task

_VERSION = 1  # of the layout and of the resampling; caches of another version are not looked at
_RECORD_EVERY_S = 2.0
_COUNT_BYTES = 1 << 26  # of masks counted at once
_SPARE_BYTES = 1 << 24  # free space asked for beyond the arrays


def build_cache(
    manifest: Manifest,
    size: Size,
    *,
    zoom: float = 1.0,
    folder: Path | None = None,
    workers: int | None = None,
    kept: KeptPixels | None = None,
    progress: Progress | None = None,
) -> SampleCache:
    """Returns the cache of a manifest's samples; only what is missing is decoded.

    Memory stays bounded by a few samples a worker. Two processes may build the same cache: one waits for the other.

    Args:
        size: (H, W) in pixels of every cached sample; sides change independently. `original` keeps its own.
        zoom: above 1, each sample is so many times as large as `size`, as far as its own pixels go: each side at least
            `size`'s, and else at most the file's.
        folder: of all caches; None means `$SEGBENCH_CACHE` or the user's cache folder.
        workers: decoding threads; None means one a CPU, at most 8.
        kept: what `read_dataset` has decoded already.
        progress: called after every decoded sample.
    Raises:
        DatasetError: files that cannot be decoded (all are tried, up to 10 named, the good ones kept), too little
            free space, or a folder that cannot be written.
        ValueError: no samples, a size or a number of workers below 1.
    """
    if is_packed(manifest):
        if size == ORIGINAL or zoom > 1.0:
            raise ConfigError(
                "packed data (shards) hold images of one size, and patches or larger versions of an image are read "
                "from the files; give the data set itself, or leave data.patch and data.augment.detail out",
                key="data.path",
            )
        return ShardCache.of(manifest, size)
    if (size != ORIGINAL and min(size) < 1) or zoom < 1.0 or (workers is not None and workers < 1):
        raise ValueError(
            f"expected size, zoom and workers of at least 1, got size {size}, zoom {zoom}, workers {workers}"
        )
    if not manifest.samples:
        raise ValueError(f"expected at least one sample to cache, got none in {manifest.root}")
    store = _Store(manifest, size, zoom, Path(folder) if folder is not None else cache_folder(), kept)
    if store.missing(store.read_rows()):  # else nothing is written, so a finished cache may lie on a read-only disk
        try:
            store.folder.mkdir(parents=True, exist_ok=True)
            with locked(store.folder / "lock", _waiting(progress, len(manifest.samples))):
                store.fill(workers or usual_workers(), progress)
        except OSError as error:
            raise DatasetError(
                f"cannot write the cache of decoded samples ({error}); set data.cache_dir or the environment variable "
                "SEGBENCH_CACHE to a folder with space that you can write",
                path=store.folder,
            ) from error
    return store.open()


def class_pixel_counts(cache: SampleCache, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Returns (C,) int64: how many pixels of these rows have each class (multilabel: contain it); ignored ones do not.

    Args:
        rows: (K,) rows of the cache; a row given twice counts twice.
    """
    multilabel = cache.class_map.task is Task.MULTILABEL
    total = np.zeros(cache.class_map.num_classes, dtype=np.int64)
    chunk = max(1, _COUNT_BYTES // max(cache.masks[0].nbytes, 1))
    for start in range(0, len(rows), chunk):
        for mask in cache.masks[np.sort(rows[start : start + chunk])]:
            if multilabel:
                total += np.count_nonzero(mask == 1, axis=(1, 2))
            else:
                total += np.bincount(mask.ravel(), minlength=256)[: len(total)]
    return total


def larger_sizes(manifest: Manifest, size: Size, zoom: float) -> dict[str, tuple[int, int]]:
    """Returns sample id -> (H, W) of a version that is larger than `size` by up to `zoom`, see `build_cache`."""

    def side(wanted: int, own: int) -> int:
        return max(wanted, min(own, round(wanted * zoom)))

    if size == ORIGINAL:
        return {sample.id: (sample.height, sample.width) for sample in manifest.samples}
    return {sample.id: (side(size[0], sample.height), side(size[1], sample.width)) for sample in manifest.samples}


_Row: TypeAlias = tuple[Place, str, str]  # where, image_hash, mask_hash


class _Store:
    """The files of one cache."""

    def __init__(self, manifest: Manifest, size: Size, zoom: float, base: Path, kept: KeptPixels | None) -> None:
        self.manifest, self.kept = manifest, kept
        classes = manifest.class_map
        decoding = {
            "task": str(classes.task),
            "values": [entry["values"] for entry in classes.to_dict()["classes"]],
            "ignore_values": classes.to_dict()["ignore_values"],
            "ignore_index": classes.ignore_index,
            **manifest.decoding,
        }
        root = str(manifest.root.resolve())
        words = size if size == ORIGINAL else f"{size[0]}x{size[1]}"
        plain = size if size == ORIGINAL else [int(size[0]), int(size[1])]
        self.recipe = {"version": _VERSION, "root": root, "size": plain, "decoding": decoding}
        if zoom > 1.0:
            self.recipe["zoom"] = zoom
            words = f"{words}-zoom{zoom:g}"
        key = hashlib.sha256(json.dumps(self.recipe, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = base / "samples" / f"{manifest.root.name}-{words}-{key}"
        self.layout: Layout
        if size == ORIGINAL:
            self.layout = Ragged(self.folder, manifest, larger_sizes(manifest, size, zoom), "their own size")
        elif zoom > 1.0:
            told = f"up to {zoom:g} times {size[0]} x {size[1]} pixels"
            self.layout = Ragged(self.folder, manifest, larger_sizes(manifest, size, zoom), told)
        else:
            self.layout = Dense(self.folder, manifest, (int(size[0]), int(size[1])))

    def read_rows(self) -> dict[str, _Row]:
        """Returns sample id -> finished row; nothing where the arrays are missing, foreign or too short for a row."""
        try:
            last = self.layout.last()
            lines = (self.folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return {}
        rows: dict[str, _Row] = {}
        for line in lines:
            try:
                name, place, image_hash, mask_hash = json.loads(line)
                if self.layout.end_of(place) <= last:
                    rows[name] = (place, image_hash, mask_hash)
            except (ValueError, TypeError):
                continue  # cut short when its writer was killed; that row is simply done again
        return rows

    def missing(self, rows: Mapping[str, _Row]) -> list[Sample]:
        return [
            sample
            for sample in self.manifest.samples
            if rows.get(sample.id, (0, "", ""))[1:] != (sample.image_hash, sample.mask_hash)
        ]

    def fill(self, workers: int, progress: Progress | None) -> None:
        """Decodes what is missing; the lock is held."""
        rows = self.read_rows()
        missing = self.missing(rows)
        if not missing:
            return  # another process built it while this one waited
        if not rows:
            (self.folder / "rows.jsonl").unlink(missing_ok=True)
            for name in NAMES:
                self.layout.path(name).unlink(missing_ok=True)
        self._check_space(missing)
        write_json(self.folder / "cache.json", self.recipe)
        places = self.layout.places_of(missing, max((self.layout.end_of(row[0]) for row in rows.values()), default=0))
        self.layout.grow(self.layout.end_of(places[-1]))
        problems = self._decode(missing, places, workers, progress)
        raise_undecodable(problems, self.manifest, "the other samples are kept")

    def _check_space(self, samples: Sequence[Sample]) -> None:
        needed = self.layout.bytes_of(samples) + _SPARE_BYTES
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise DatasetError(
                f"the cache of {len(samples)} decoded samples at {self.layout.describe()} needs "
                f"{needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free; free some space, lower data.size, or set "
                "data.cache_dir or SEGBENCH_CACHE to a folder on another disk",
                path=self.folder,
            )

    def _decode(
        self, missing: Sequence[Sample], places: Sequence[Place], workers: int, progress: Progress | None
    ) -> list[str]:
        """Writes the missing samples to their places, and returns what went wrong, a line a sample."""
        problems: dict[int, str] = {}
        finished: list[str] = []  # lines of rows written but not yet recorded
        recorded = time.monotonic()
        with (
            ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool,
            self.layout.path("images").open("r+b") as images,
            self.layout.path("masks").open("r+b") as masks,
        ):
            streams = {"images": images, "masks": masks}
            try:
                for done, (index, future) in enumerate(_completed(pool, self._prepare, missing, 2 * workers), 1):
                    sample, place = missing[index], places[index]
                    try:
                        arrays = future.result()
                    except (DatasetError, OSError) as error:
                        problems[index] = str(error)
                    else:
                        for name, array in arrays.items():
                            streams[name].seek(self.layout.start(name, streams[name], place))
                            streams[name].write(array.tobytes())
                        finished.append(json.dumps([sample.id, place, sample.image_hash, sample.mask_hash]))
                    if time.monotonic() - recorded > _RECORD_EVERY_S:
                        self._record(finished, images, masks)
                        recorded = time.monotonic()
                    if progress is not None:
                        progress("decoding samples", done, len(missing))
            finally:  # also when interrupted: what is done is done
                self._record(finished, images, masks)
        return [problems[index] for index in sorted(problems)]

    def _prepare(self, sample: Sample) -> dict[str, U8]:
        image, mask = load_resized(self.manifest, sample, self.layout.shape_of(sample), self.kept)
        return {"images": image, "masks": mask}

    def _record(self, finished: list[str], *streams: IO[bytes]) -> None:
        """Appends the lines of rows whose pixels are on the disk from now on, and empties the list."""
        if not finished:
            return
        for stream in streams:
            stream.flush()
            os.fsync(stream.fileno())
        path = self.folder / "rows.jsonl"
        with path.open("ab+") as table:
            if table.tell():
                table.seek(-1, os.SEEK_END)
                if table.read(1) != b"\n":  # a killed writer's last line; it must not swallow ours
                    table.write(b"\n")
            table.write("".join(f"{line}\n" for line in finished).encode())
            table.flush()
            os.fsync(table.fileno())
        finished.clear()

    def open(self) -> SampleCache:
        rows = self.read_rows()
        lost = self.missing(rows)
        if lost:
            raise DatasetError(
                f"{len(lost)} samples went missing from the cache while it was opened: "
                f"{shorten(sample.id for sample in lost)}; did somebody delete or change it? Run again",
                path=self.folder,
            )
        return self.layout.open({sample.id: rows[sample.id][0] for sample in self.manifest.samples})


def _completed(
    pool: ThreadPoolExecutor, work: Any, items: Sequence[Sample], in_flight: int
) -> Iterator[tuple[int, Future[dict[str, U8]]]]:
    """Yields (position, finished future) in order of completion, with at most `in_flight` started and not yielded."""
    todo = enumerate(items)
    running = {pool.submit(work, item): position for position, item in islice(todo, in_flight)}
    try:
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future
                for position, item in islice(todo, 1):
                    running[pool.submit(work, item)] = position
    finally:
        for future in running:
            future.cancel()


def _waiting(progress: Progress | None, total: int) -> Any:
    if progress is None:
        return None
    return lambda: progress("waiting for another process that builds this cache", 0, total)
