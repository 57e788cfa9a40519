"""What the grid is filtered and sorted by, a column a property, so that 100,000 samples are searched at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.store import FactStore
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.presence import remembered_pixels
from segbench.errors import DatasetError

F32: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The samples of a data set, N of them, in its order; what is not known (yet) is NaN.

    Attributes:
        ids: in lower case.
        parts, groups: names in order; the number of each sample's in `part` and `group`, (N,) int32.
        side: (N,) square root of the pixels.
        foreground: (N,) share that is not background, 0-1.
        shares: (N, C) share of the image that each class has, 0-1.
        brightness: (N,) mean over the pixels and channels, 0-255.
        version: counts up when more is known.
    """

    ids: tuple[str, ...]
    parts: tuple[str, ...]
    part: NDArray[np.int32]
    groups: tuple[str, ...]
    group: NDArray[np.int32]
    side: F32
    foreground: F32
    shares: F32
    brightness: F32
    version: int = 0
    orders: dict[Any, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


def columns_of(manifest: Manifest) -> Columns:
    """Returns what the manifest itself says."""
    samples, number = manifest.samples, len(manifest)
    parts, part = _numbered([sample.split or "-" for sample in samples])
    groups, group = _numbered([sample.group or "" for sample in samples])
    sizes = np.array([(sample.height, sample.width) for sample in samples], dtype=np.float64).reshape(-1, 2)
    foreground = [np.nan if sample.foreground_frac is None else sample.foreground_frac for sample in samples]
    return Columns(
        ids=tuple(sample.id.lower() for sample in samples),
        parts=parts,
        part=part,
        groups=groups,
        group=group,
        side=np.sqrt(sizes.prod(axis=1)).astype(np.float32),
        foreground=np.array(foreground, dtype=np.float32),
        shares=np.full((number, manifest.class_map.num_classes), np.nan, dtype=np.float32, order="F"),
        brightness=np.full(number, np.nan, dtype=np.float32),
    )


def with_facts(columns: Columns, manifest: Manifest) -> Columns:
    """Returns the columns with what is remembered of the files: class pixels and brightness; images are decoded whose
    brightness nobody has seen."""
    counted = remembered_pixels(manifest, manifest.samples)
    shares = columns.shares.copy(order="F")
    for row, sample in enumerate(manifest.samples):
        pixels = counted.get(sample.id)
        if pixels is not None:
            area = sample.height * sample.width
            shares[row] = [pixels.get(index, 0) / area for index in range(shares.shape[1])]
    brightness = columns.brightness.copy()
    if manifest.bands is None:
        store = FactStore(manifest.root)
        paths = [manifest.image_path(sample) for sample in manifest.samples]
        facts, _ = store.images(set(paths), depth_range=manifest.depth_range, decode=True)
        store.save()
        for row, path in enumerate(paths):
            fact = facts.get(path)
            if fact is not None and fact.mean and manifest.samples[row].window is None:
                brightness[row] = np.mean(fact.mean)
    return replace(columns, shares=shares, brightness=brightness, version=columns.version + 1, orders={})


def _numbered(names: list[str]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    known = sorted(set(names))
    places = {name: place for place, name in enumerate(known)}
    return tuple(known), np.array([places[name] for name in names], dtype=np.int32)


class Table:
    """The columns of a data set: at once what its manifest says, and the rest when it has been read.

    Args:
        manifest: of the data set.
        facts: read the rest, in a thread of its own.

    Attributes:
        ready: whether that is done.
        trouble: why it could not be done; empty: it could.
    """

    def __init__(self, manifest: Manifest, *, facts: bool = True) -> None:
        self.manifest = manifest
        self.columns = columns_of(manifest)
        self.ready, self.trouble = not facts, ""
        self._thread = threading.Thread(target=self._read, name="columns", daemon=True)
        if facts:
            self._thread.start()

    def wait(self) -> None:
        """Returns when everything is known."""
        if self._thread.is_alive():
            self._thread.join()

    def _read(self) -> None:
        try:
            self.columns = with_facts(self.columns, self.manifest)
        except (DatasetError, OSError) as error:  # files that changed or have gone: the filters know less
            self.trouble = str(error)
        finally:
            self.ready = True
