"""How decoded samples lie in the files of a cache: all of one size in two arrays, or each at its own, end to end."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import numpy as np

from segbench.data.manifest.manifest import Manifest
from segbench.data.samples.sample_cache import U8, RaggedCache, RaggedColumn, SampleCache, plane_axis
from segbench.types import Sample

Place: TypeAlias = Any  # what a line of `rows.jsonl` says about where a sample lies; plain JSON
NAMES = ("images", "masks")


class Layout(ABC):
    """Where the pixels of each sample lie in the two files of a cache folder.

    Args:
        folder: of the cache.
        manifest: of the samples.
    """

    suffix: str

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.plane_axis = plane_axis(manifest.class_map)
        self.planes = math.prod(self.plane_axis)

    def path(self, name: str) -> Path:
        """Returns the file of the images or of the masks."""
        return self.folder / f"{name}{self.suffix}"

    @abstractmethod
    def shape_of(self, sample: Sample) -> tuple[int, int]:
        """Returns (H, W) of a sample in the cache."""

    @abstractmethod
    def describe(self) -> str:
        """Returns the size in words, for messages."""

    @abstractmethod
    def last(self) -> int:
        """Returns how far the files reach; OSError or ValueError where they are not what they should be."""

    @abstractmethod
    def end_of(self, place: Place) -> int:
        """Returns how far the files have to reach for a place; ValueError where it is none."""

    @abstractmethod
    def places_of(self, samples: Sequence[Sample], start: int) -> list[Place]:
        """Returns new places behind `start`, one a sample."""

    @abstractmethod
    def grow(self, end: int) -> None:
        """Gives the files room up to `end`."""

    @abstractmethod
    def start(self, name: str, stream: IO[bytes], place: Place) -> int:
        """Returns where the bytes of a sample begin."""

    @abstractmethod
    def open(self, places: Mapping[str, Place]) -> SampleCache:
        """Returns the finished cache of samples (id -> place)."""

    def bytes_of(self, samples: Sequence[Sample]) -> int:
        """Returns how much space samples need."""
        each = self.manifest.channels + self.planes
        return sum(height * width * each for height, width in map(self.shape_of, samples))


class Dense(Layout):
    """All samples at one size: `.npy` arrays, images (N, H, W, C) and masks (N, H, W), multilabel (N, P, H, W)."""

    suffix = ".npy"

    def __init__(self, folder: Path, manifest: Manifest, size: tuple[int, int]) -> None:
        super().__init__(folder, manifest)
        self.size = size
        self.shapes = {"images": (*size, manifest.channels), "masks": (*self.plane_axis, *size)}

    def shape_of(self, sample: Sample) -> tuple[int, int]:
        """Returns (H, W) of a sample."""
        return self.size

    def describe(self) -> str:
        """Returns the size in words."""
        return f"{self.size[0]} x {self.size[1]} pixels"

    def last(self) -> int:
        """Returns how far both files reach; see `Layout`."""
        return min(self._capacity(name) for name in NAMES)

    def _capacity(self, name: str) -> int:
        """Returns the rows an array file has room for; ValueError when it is not the array it should be."""
        array = np.load(self.path(name), mmap_mode="r", allow_pickle=False)
        if array.dtype != np.uint8 or array.shape[1:] != self.shapes[name]:
            raise ValueError(f"{self.path(name)} holds {array.dtype} {array.shape}, expected uint8 {self.shapes[name]}")
        return int(array.shape[0])

    def end_of(self, place: Place) -> int:
        """Returns how far a place reaches."""
        if not isinstance(place, int) or place < 0:
            raise ValueError(f"expected a row, got {place!r}")
        return place + 1

    def places_of(self, samples: Sequence[Sample], start: int) -> list[Place]:
        """Returns new places."""
        return list(range(start, start + len(samples)))

    def grow(self, end: int) -> None:
        """Makes room; what is there stays."""
        for name, shape in self.shapes.items():
            path = self.path(name)
            if path.exists() and self._capacity(name) >= end:
                continue
            with path.open("r+b" if path.exists() else "w+b") as stream:  # first the room, then what promises it
                stream.truncate(_data_start(stream, shape) + end * int(np.prod(shape)))
                stream.seek(0)
                _write_header(stream, (end, *shape))

    def start(self, name: str, stream: IO[bytes], place: Place) -> int:
        """Returns where the bytes of a sample begin."""
        return _data_start(stream, self.shapes[name]) + int(place) * int(np.prod(self.shapes[name]))

    def open(self, places: Mapping[str, Place]) -> SampleCache:
        """Returns the finished cache."""
        arrays = {name: np.load(self.path(name), mmap_mode="r", allow_pickle=False) for name in NAMES}
        return SampleCache(
            images=arrays["images"],
            masks=arrays["masks"],
            rows=dict(places),
            class_map=self.manifest.class_map,
            display=self.manifest.display,
        )


class Ragged(Layout):
    """Every sample at a size of its own: bytes end to end.

    A place is [pixels before it, height, width].

    Args:
        folder, manifest: see `Layout`.
        sizes: sample id -> (H, W).
        words: the size in words, for messages.
    """

    suffix = ".bin"

    def __init__(self, folder: Path, manifest: Manifest, sizes: Mapping[str, tuple[int, int]], words: str) -> None:
        super().__init__(folder, manifest)
        self.sizes, self.words = sizes, words
        self.depths = {"images": manifest.channels, "masks": self.planes}

    def shape_of(self, sample: Sample) -> tuple[int, int]:
        """Returns (H, W) of a sample."""
        return self.sizes[sample.id]

    def describe(self) -> str:
        """Returns the size in words."""
        return self.words

    def last(self) -> int:
        """Returns how far both files reach; see `Layout`."""
        return min(self.path(name).stat().st_size // depth for name, depth in self.depths.items())

    def end_of(self, place: Place) -> int:
        """Returns how far a place reaches."""
        before, height, width = place
        if not all(isinstance(number, int) and number >= 0 for number in place):
            raise ValueError(f"expected three numbers, got {place!r}")
        return int(before + height * width)

    def places_of(self, samples: Sequence[Sample], start: int) -> list[Place]:
        """Returns new places."""
        places = []
        for height, width in map(self.shape_of, samples):
            places.append([start, height, width])
            start += height * width
        return places

    def grow(self, end: int) -> None:
        """Makes room; what is there stays."""
        for name, depth in self.depths.items():
            with self.path(name).open("ab") as stream:
                if stream.tell() < end * depth:
                    stream.truncate(end * depth)

    def start(self, name: str, stream: IO[bytes], place: Place) -> int:
        """Returns where the bytes of a sample begin."""
        return int(place[0]) * self.depths[name]

    def open(self, places: Mapping[str, Place]) -> SampleCache:
        """Returns the finished cache."""
        numbers = np.array(list(places.values()), dtype=np.int64).reshape(-1, 3)
        columns = {
            name: RaggedColumn(
                np.memmap(self.path(name), dtype=np.uint8, mode="r"),
                numbers,
                channels=self.manifest.channels if name == "images" else None,
                planes=self.plane_axis,
            )
            for name in NAMES
        }
        return RaggedCache(
            images=cast(U8, columns["images"]),
            masks=cast(U8, columns["masks"]),
            rows={name: row for row, name in enumerate(places)},
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
