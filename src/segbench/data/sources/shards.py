"""Shards: samples in tar files that are read from front to back. For data that is too large, or too far away, to cache.

A shard set is a folder. `samples/shard_writer.py` makes it, other tools read it (WebDataset, tar), and it holds::

    shards.json           classes, encoding, and for every shard its samples and where their bytes are
    manifest.json         the data set it was made from
    train-000000.tar      KEY.json, KEY.jpg|png|image.npy and KEY.mask.png|mask.npy of every sample, next to each other
    val-000000.tar ...    one series of shards for each part; `all-` where the data set has no parts

Labels in it are class indices and `ignore_index`, whatever the original mask files wrote; the class map is the one of
the original data, so that a run on shards has the same manifest hash as a run on the folder. Because the index knows
every offset, any sample is one reading of one range, and no process has to read past what is not its own.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image

from segbench.data.facts.store import FactStore
from segbench.data.files.images import read_image
from segbench.data.files.resize import U8, resize_image, resize_mask
from segbench.data.formats import Listing
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.source import Source, Survey
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, Sample, Task

Encoding: TypeAlias = Literal["raw", "png", "original"]

SHARDS = "shards"  # `Manifest.format` of a data set that is read from shards
INDEX, MANIFEST = "shards.json", "manifest.json"
VERSION = 1
AGAIN = "copy it again, or run `segbench data shard` with this folder once more: shards that are whole are kept"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One tar file.

    Attributes:
        file: its name in the folder.
        bytes, sha256: of the file.
        key: hash of what it was made from.
        ids: of its samples, in the order they lie in it.
        places: (N, 5) a sample: where its image begins, bytes of the image, where its mask begins after that, bytes of
            the mask, and the CRC-32 of image and mask.
    """

    file: str
    bytes: int
    sha256: str
    key: str
    ids: tuple[str, ...]
    places: tuple[tuple[int, int, int, int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {
            "file": self.file,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "key": self.key,
            "samples": len(self.ids),
            "ids": list(self.ids),
            "places": [list(place) for place in self.places],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Shard:
        """Returns the shard that `to_dict` wrote; ValueError where the numbers contradict each other."""
        shard = cls(
            file=str(plain["file"]),
            bytes=int(plain["bytes"]),
            sha256=str(plain["sha256"]),
            key=str(plain["key"]),
            ids=tuple(map(str, plain["ids"])),
            places=tuple((int(a), int(b), int(c), int(d), int(e)) for a, b, c, d, e in plain["places"]),
        )
        if len(shard.ids) != len(shard.places) or Path(shard.file).name != shard.file:
            raise ValueError(f"{len(shard.ids)} ids, {len(shard.places)} places in {shard.file!r}")
        return shard


@dataclass(frozen=True, kw_only=True)
class ShardSet:
    """A folder of shards.

    Attributes:
        folder: absolute.
        manifest: the samples, as a data set of the format `shards` whose root is the folder. Its heights and widths
            are those of the shards.
        encoding: raw (arrays) and png hold every sample at `size`; original holds the image files' own bytes where
            they are JPEG or PNG.
        size: (H, W) of every sample, None where each has its own.
        shards: in the order of the index.
        where: sample id -> (shard, place in it).
    """

    folder: Path
    manifest: Manifest
    encoding: Encoding
    size: tuple[int, int] | None
    shards: tuple[Shard, ...]
    where: Mapping[str, tuple[int, int]] = field(repr=False)

    def decode(self, sample_id: str, blob: memoryview, size: tuple[int, int] | None) -> tuple[U8, U8]:
        """Returns image and labels of a sample from its bytes, at `size`; None leaves them as they are."""
        number, position = self.where[sample_id]
        _, image_bytes, mask_start, mask_bytes, _ = self.shards[number].places[position]
        path = self.folder / self.shards[number].file
        try:
            mask = self.decode_mask(blob[mask_start : mask_start + mask_bytes])
            if self.encoding == "raw":
                image = _array(blob[:image_bytes])
            else:
                image = read_image(path, depth_range=self.manifest.depth_range, data=bytes(blob[:image_bytes]))
        except (ValueError, OSError, DatasetError) as error:
            raise DatasetError(f"cannot decode sample {sample_id!r} ({error}); {AGAIN}", path=path) from error
        if size is None or size == self.size:
            return image, mask
        return resize_image(image, size), resize_mask(mask, size)

    def decode_mask(self, data: memoryview) -> U8:
        """Returns the labels a mask's bytes hold."""
        if self.encoding == "raw":
            return _array(data)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as stored:
            mask = np.asarray(stored)
        class_map = self.manifest.class_map
        return mask.reshape(class_map.num_classes, -1, mask.shape[1]) if class_map.task is Task.MULTILABEL else mask


def _array(data: memoryview) -> U8:
    stream = io.BytesIO(data[:128])
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.uint8:
        raise ValueError(f"expected uint8, got {dtype}")
    return np.frombuffer(data, dtype=np.uint8, offset=stream.tell()).reshape(shape)


class ShardReader:
    """Reads samples' bytes, keeping the file of the last one open; for one thread. A context.

    Args:
        shards: to read from.
        checked: ids of samples whose checksum has been looked at already; new ones are added.
    """

    def __init__(self, shards: ShardSet, checked: set[str] | None = None) -> None:
        self._shards, self._checked = shards, checked
        self._number = -1
        self._stream: io.BufferedIOBase = io.BytesIO()

    def __enter__(self) -> ShardReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def blob(self, sample_id: str, room: bytearray | None = None) -> memoryview:
        """Returns everything from a sample's image to its mask.

        Args:
            room: to read into, where it suffices; fresh memory costs more time than reading.
        Raises:
            DatasetError: the shard is missing, cut off or changed.
        """
        number, position = self._shards.where[sample_id]
        start, image_bytes, mask_start, mask_bytes, crc = self._shards.shards[number].places[position]
        data = self._read(number, start, mask_start + mask_bytes, room)
        if self._checked is None or sample_id not in self._checked:
            if zlib.crc32(data[mask_start:], zlib.crc32(data[:image_bytes])) != crc:
                raise self._damaged(
                    number, f"the bytes of sample {sample_id!r} have another checksum than when written"
                )
            if self._checked is not None:
                self._checked.add(sample_id)
        return data

    def mask(self, sample_id: str) -> U8:
        """Returns the labels of a sample, reading nothing else; the checksum, which is of both, is not looked at."""
        number, position = self._shards.where[sample_id]
        start, _, mask_start, mask_bytes, _ = self._shards.shards[number].places[position]
        return self._shards.decode_mask(self._read(number, start + mask_start, mask_bytes))

    def _read(self, number: int, start: int, count: int, room: bytearray | None = None) -> memoryview:
        data = memoryview(room if room is not None and len(room) >= count else bytearray(count))[:count]
        path = self._shards.folder / self._shards.shards[number].file
        try:
            if number != self._number:
                self._stream.close()
                self._stream, self._number = path.open("rb"), number
            self._stream.seek(start)
            got = self._stream.readinto(data)
        except OSError as error:
            raise self._damaged(number, f"cannot read the shard: {error.strerror or error}") from error
        if got != count:
            raise self._damaged(number, f"the shard is cut off: it ends before byte {start + count}")
        return data

    def _damaged(self, number: int, what: str) -> DatasetError:
        return DatasetError(f"{what}; {AGAIN}", path=self._shards.folder / self._shards.shards[number].file)


class Shards(Source):
    """Samples ready in tar files, which were written by `segbench data shard`."""

    packed = True

    def holds(self, manifest: Manifest, sample: Sample) -> bool:
        """Returns whether the data set is read from shards."""
        return manifest.format == SHARDS

    def open(self, path: Path) -> Manifest | None:
        """Returns the samples of an index of shards; see `read_shards`."""
        return read_shards(path).manifest if is_shards(path) else None

    def survey(self, listing: Listing, root: Path, store: FactStore) -> Survey | None:
        """Returns None: their index says what they hold, so no reader lists them."""
        return None

    def read(self, manifest: Manifest, sample: Sample) -> tuple[U8, U8]:
        """Returns image and labels; see `Source.read`."""
        shards = read_shards(manifest.root)
        if sample.id not in shards.where:
            raise DatasetError(f"there is no sample {sample.id!r} in these shards", path=shards.folder)
        with ShardReader(shards) as reader:
            return shards.decode(sample.id, reader.blob(sample.id), None)

    def missing(self, manifest: Manifest, samples: Sequence[Sample]) -> list[str]:
        """Returns []: whole shards are missing, or hold other samples, which `open_shards` tells by a DatasetError."""
        open_shards(manifest)
        return []

    def changed(self, manifest: Manifest, samples: Sequence[Sample]) -> list[str]:
        """Returns []: the checksum of a sample is looked at when it is read."""
        return []


def is_shards(path: str | Path) -> bool:
    """Returns whether a path is the index of a shard set (`.../shards.json`)."""
    path = Path(path).expanduser()
    return path.name == INDEX and path.is_file()


def read_shards(path: str | Path) -> ShardSet:
    """Returns the shard set of an index, or of the folder it is in; sizes of files are looked at, nothing more.

    Raises:
        DatasetError: no index, a damaged one, one of another version, or shards that are missing or of another size.
    """
    path = Path(path).expanduser().absolute()
    path = path / INDEX if path.is_dir() else path
    try:
        facts = path.stat()
        return _read(path, facts.st_mtime_ns, facts.st_size)
    except OSError as error:
        raise DatasetError(f"cannot read the index of the shards: {error.strerror or error}", path=path) from error


def open_shards(manifest: Manifest) -> ShardSet:
    """Returns the shard set a manifest's samples are in.

    Raises:
        DatasetError: see `read_shards`; or it holds other samples.
    """
    shards = read_shards(manifest.root)
    _require_files(shards.folder / INDEX, shards.shards)  # the index may have been read before a shard went away
    there = {sample.id: (sample.image_hash, sample.mask_hash) for sample in shards.manifest.samples}
    other = [s.id for s in manifest.samples if there.get(s.id) != (s.image_hash, s.mask_hash)]
    if other:
        raise DatasetError(
            f"{len(other)} samples of the manifest are not, or not like that, in these shards: {shorten(other)}; were "
            "they written anew? Read them again",
            path=shards.folder,
        )
    return shards


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int, _size: int) -> ShardSet:
    with _explained(path):
        plain = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict) or "segbench_shards" not in plain:
            raise DatasetError("expected the index of shards written by segbench, got other JSON", path=path)
        if plain["segbench_shards"] != VERSION:
            raise DatasetError(
                f"these shards are of version {plain['segbench_shards']!r}, this segbench reads version {VERSION}; "
                "write them again with `segbench data shard`",
                path=path,
            )
        size = None if plain["size"] is None else (int(plain["size"][0]), int(plain["size"][1]))
        shards = tuple(Shard.from_dict(item) for item in plain["shards"])
        class_map, encoding, content = ClassMap.from_dict(plain["class_map"]), plain["encoding"], plain["manifest_hash"]
    original = Manifest.read(path.with_name(MANIFEST))
    where = {name: (number, place) for number, shard in enumerate(shards) for place, name in enumerate(shard.ids)}
    ids = {sample.id for sample in original.samples}
    if original.content_hash != content or class_map != original.class_map or ids != set(where):
        raise DatasetError(
            f"the index and {MANIFEST} beside it belong to different data; copy both again, or write the shards again",
            path=path,
        )
    _require_files(path, shards)
    return ShardSet(
        folder=path.parent,
        manifest=_relocated(original, path.parent, len(shards), size),
        encoding=encoding,
        size=size,
        shards=shards,
        where=where,
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"the index of the shards is damaged ({type(error).__name__}: {error}); {AGAIN}", path=path
        ) from error


def _require_files(path: Path, shards: Sequence[Shard]) -> None:
    wrong = []
    for shard in shards:
        file = path.with_name(shard.file)
        if not file.is_file():
            wrong.append(f"{shard.file} is missing")
        elif file.stat().st_size != shard.bytes:
            wrong.append(f"{shard.file} has {file.stat().st_size} bytes instead of {shard.bytes}")
    if wrong:
        raise DatasetError(f"{len(wrong)} of {len(shards)} shards: {shorten(wrong, 5)}; {AGAIN}", path=path.parent)


def _relocated(original: Manifest, folder: Path, count: int, size: tuple[int, int] | None) -> Manifest:
    note = f"read from {count} shard{'s' * (count != 1)}, made from {original.root}"
    samples = original.samples
    if size is not None:
        note += f"; all images have {size[0]} x {size[1]} pixels there, and that is called their original size"
        samples = tuple(replace(sample, height=size[0], width=size[1]) for sample in samples)
    notes = (*original.notes, note)
    return replace(original, root=folder, unpacked_from=None, format=SHARDS, options={}, samples=samples, notes=notes)
