"""Samples decoded and resized once, kept as memory-mapped arrays: an epoch reads, it does not decode.

A cache folder belongs to one data set folder, one way of decoding its masks and one size. It holds::

    cache.json    what it was made from, for people
    images.npy    (N, H, W, C) uint8, C = 3 for ordinary images
    masks.npy     (N, H, W) uint8, or (N, C, H, W) multilabel
    rows.jsonl    one line a finished row: sample id, row, hashes of its files
    lock          held by the one process that writes

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
from segbench.data.samples.sample_cache import U8, SampleCache
from segbench.data.samples.shard_cache import ShardCache
from segbench.data.sources.load import load_resized
from segbench.data.sources.table import is_packed
from segbench.errors import DatasetError, shorten
from segbench.files import cache_folder, locked, write_json
from segbench.types import Progress, Sample, Task

_VERSION = 1  # of the layout and of the resampling; caches of another version are not looked at
_RECORD_EVERY_S = 2.0
_COUNT_BYTES = 1 << 26  # of masks counted at once
_SPARE_BYTES = 1 << 24  # free space asked for beyond the arrays


def build_cache(
    manifest: Manifest,
    size: tuple[int, int],
    *,
    folder: Path | None = None,
    workers: int | None = None,
    kept: KeptPixels | None = None,
    progress: Progress | None = None,
) -> SampleCache:
    """Returns the cache of a manifest's samples; only what is missing is decoded.

    Memory stays bounded by a few samples a worker. Two processes may build the same cache: one waits for the other.

    Args:
        size: (H, W) in pixels of every cached sample; sides change independently.
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
        return ShardCache.of(manifest, size)
    if min(size) < 1 or (workers is not None and workers < 1):
        raise ValueError(f"expected size and workers of at least 1, got size {size}, workers {workers}")
    if not manifest.samples:
        raise ValueError(f"expected at least one sample to cache, got none in {manifest.root}")
    store = _Store(manifest, size, Path(folder) if folder is not None else cache_folder(), kept)
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
        masks = cache.masks[np.sort(rows[start : start + chunk])]
        if multilabel:
            total += np.count_nonzero(masks == 1, axis=(0, 2, 3))
        else:
            total += np.bincount(masks.ravel(), minlength=256)[: len(total)]
    return total


_Row: TypeAlias = tuple[int, str, str]  # row, image_hash, mask_hash


class _Store:
    """The files of one cache."""

    def __init__(self, manifest: Manifest, size: tuple[int, int], base: Path, kept: KeptPixels | None) -> None:
        self.manifest, self.size, self.kept = manifest, (int(size[0]), int(size[1])), kept
        classes = manifest.class_map
        decoding = {
            "task": str(classes.task),
            "values": [entry["values"] for entry in classes.to_dict()["classes"]],
            "ignore_values": classes.to_dict()["ignore_values"],
            "ignore_index": classes.ignore_index,
            **manifest.decoding,
        }
        root = str(manifest.root.resolve())
        self.recipe = {"version": _VERSION, "root": root, "size": list(self.size), "decoding": decoding}
        key = hashlib.sha256(json.dumps(self.recipe, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = base / "samples" / f"{manifest.root.name}-{size[0]}x{size[1]}-{key}"
        planes = (classes.num_classes,) if classes.task is Task.MULTILABEL else ()
        self.shapes = {"images": (*self.size, manifest.channels), "masks": (*planes, *self.size)}

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def read_rows(self) -> dict[str, _Row]:
        """Returns sample id -> finished row; nothing where the arrays are missing, foreign or too short for a row."""
        try:
            capacity = min(self._capacity(name) for name in self.shapes)
            lines = (self.folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return {}
        rows: dict[str, _Row] = {}
        for line in lines:
            try:
                name, row, image_hash, mask_hash = json.loads(line)
            except ValueError:
                continue  # cut short when its writer was killed; that row is simply done again
            if isinstance(row, int) and 0 <= row < capacity:
                rows[name] = (row, image_hash, mask_hash)
        return rows

    def _capacity(self, name: str) -> int:
        """Returns the rows an array file has room for; ValueError when it is not the array it should be."""
        array = np.load(self.path(name), mmap_mode="r", allow_pickle=False)
        if array.dtype != np.uint8 or array.shape[1:] != self.shapes[name]:
            raise ValueError(f"{self.path(name)} holds {array.dtype} {array.shape}, expected uint8 {self.shapes[name]}")
        return int(array.shape[0])

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
            for name in self.shapes:
                self.path(name).unlink(missing_ok=True)
        self._check_space(len(missing))
        write_json(self.folder / "cache.json", self.recipe)
        first = 1 + max((row for row, _, _ in rows.values()), default=-1)
        for name in self.shapes:
            self._grow(name, first + len(missing))
        problems = self._decode(missing, first, workers, progress)
        raise_undecodable(problems, self.manifest, "the other samples are kept")

    def _check_space(self, samples: int) -> None:
        needed = samples * sum(int(np.prod(shape)) for shape in self.shapes.values()) + _SPARE_BYTES
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise DatasetError(
                f"the cache of {samples} decoded samples at {self.size[0]} x {self.size[1]} pixels needs "
                f"{needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free; free some space, lower data.size, or set "
                "data.cache_dir or SEGBENCH_CACHE to a folder on another disk",
                path=self.folder,
            )

    def _grow(self, name: str, rows: int) -> None:
        """Gives an array file room for `rows`. First the room, then the header that promises it."""
        path, shape = self.path(name), self.shapes[name]
        if path.exists() and self._capacity(name) >= rows:
            return
        with path.open("r+b" if path.exists() else "w+b") as stream:
            start = _data_start(stream, shape)
            stream.truncate(start + rows * int(np.prod(shape)))
            stream.seek(0)
            _write_header(stream, (rows, *shape))

    def _decode(self, missing: Sequence[Sample], first: int, workers: int, progress: Progress | None) -> list[str]:
        """Writes the missing samples from row `first` on, and returns what went wrong, a line a sample."""
        problems: dict[int, str] = {}
        finished: list[str] = []  # lines of rows written but not yet recorded
        recorded = time.monotonic()
        with (
            ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool,
            self.path("images").open("r+b") as images,
            self.path("masks").open("r+b") as masks,
        ):
            streams = {"images": images, "masks": masks}
            starts = {name: _data_start(stream, self.shapes[name]) for name, stream in streams.items()}
            try:
                for done, (index, future) in enumerate(_completed(pool, self._prepare, missing, 2 * workers), 1):
                    sample = missing[index]
                    try:
                        arrays = future.result()
                    except (DatasetError, OSError) as error:
                        problems[index] = str(error)
                    else:
                        row = first + index
                        for name, array in arrays.items():
                            streams[name].seek(starts[name] + row * array.nbytes)
                            streams[name].write(array.tobytes())
                        finished.append(json.dumps([sample.id, row, sample.image_hash, sample.mask_hash]))
                    if time.monotonic() - recorded > _RECORD_EVERY_S:
                        self._record(finished, images, masks)
                        recorded = time.monotonic()
                    if progress is not None:
                        progress("decoding samples", done, len(missing))
            finally:  # also when interrupted: what is done is done
                self._record(finished, images, masks)
        return [problems[index] for index in sorted(problems)]

    def _prepare(self, sample: Sample) -> dict[str, U8]:
        image, mask = load_resized(self.manifest, sample, self.size, self.kept)
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
        arrays = {name: np.load(self.path(name), mmap_mode="r", allow_pickle=False) for name in self.shapes}
        ids = {sample.id: rows[sample.id][0] for sample in self.manifest.samples}
        return SampleCache(
            images=arrays["images"],
            masks=arrays["masks"],
            rows=ids,
            class_map=self.manifest.class_map,
            display=self.manifest.display,
        )


def _write_header(stream: IO[bytes], shape: tuple[int, ...]) -> None:
    header: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _data_start(stream: IO[bytes], shape: tuple[int, ...]) -> int:
    """Returns where the data begins; numpy leaves room in the header for the first axis to grow, so it never moves."""
    if not stream.seek(0, os.SEEK_END):
        _write_header(stream, (0, *shape))
        return stream.tell()
    stream.seek(0)
    np.lib.format.read_magic(stream)
    np.lib.format.read_array_header_1_0(stream)
    return stream.tell()


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
