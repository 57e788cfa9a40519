"""The slices of NIfTI volumes, written into the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.formats.nifti.grid import Header, read_array, slices_of
from segbench.data.formats.shared.unpacked import Unpacked, unpack_once
from segbench.data.formats.shared.volumes import OVERLAP, Grey, as_bytes, as_labels, put_plane, slice_name, write_slice
from segbench.types import SplitName

_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Channel:
    """Where a channel's values are: a file, and a place on its fourth axis where it has one."""

    header: Header
    place: int | None


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A case whose headers were read: one channel for grey, three for red, green and blue; labels, or one a class."""

    id: str
    split: SplitName | None
    channels: tuple[Channel, ...]
    labels: Header
    planes: Mapping[str, Header] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """What its slices belong to: the volume."""
        return self.id


def class_values(volumes: Sequence[Volume]) -> dict[str, int]:
    """Returns the label value of each class that has files of its own, in the order of their names."""
    names = sorted({name for volume in volumes for name in volume.planes})
    return {name: value for value, name in enumerate(names, 1)}


class _Unpacking:
    """Writes one volume after the other; the range of the whole set is measured before the first one."""

    def __init__(self, volumes: Sequence[Volume], grey: Grey, axis: int, grid: str | None) -> None:
        self._volumes, self._grey, self._axis, self._grid = volumes, grey, axis, grid
        self._names = class_values(volumes)

    @cached_property
    def limits(self) -> list[tuple[float, float]] | None:
        """The range of each channel, over all volumes; None where each volume has its own."""
        places = range(len(self._volumes[0].channels))
        found = [self._grey.measured(_values(volume.channels[place]) for volume in self._volumes) for place in places]
        return [item for item in found if item is not None] or None

    def write(self, folder: Path, volume: Volume) -> dict[str, Any]:
        """Writes the slices of a volume; returns its facts."""
        limits, used = self.limits, []
        planes: list[Sequence[NDArray[Any]]] = []
        for place, channel in enumerate(volume.channels):
            values = _values(channel)
            low_high = limits[place] if limits is not None else self._grey.own_range(values)
            used.append(low_high)
            planes.append([as_bytes(plane, low_high) for plane in slices_of(values, self._axis)])
        labels, overlaps = self._labels(volume)
        masks = slices_of(labels, self._axis)
        slices = []
        for number, mask in enumerate(masks):
            image = planes[0][number] if len(planes) == 1 else np.stack([plane[number] for plane in planes], axis=2)
            slices.append(write_slice(folder, slice_name(volume.id, number, len(masks)), image, mask))
        zooms = volume.channels[0].header.turned[2]
        across = zooms[self._axis]
        rest = [zoom for place, zoom in enumerate(zooms) if place != self._axis]
        return {
            "id": volume.id,
            "slices": slices,
            "grey_range": used,
            "mm_a_pixel": [rest[1], rest[0]],  # rows run along the later axis
            "mm_a_slice": across,
            "overlaps": overlaps,
        }

    def _labels(self, volume: Volume) -> tuple[NDArray[Any], int]:
        """Returns (X, Y, Z) labels, and how many voxels several classes claim."""
        believed = volume.channels[0].header.affine if self._grid == "voxels" else None
        if not volume.planes:
            return as_labels(read_array(volume.labels, channel=None, affine=believed), volume.labels.path), 0
        joined: NDArray[np.uint16] | None = None
        for name, header in volume.planes.items():
            held = as_labels(read_array(header, channel=None, affine=believed), header.path) != 0
            joined = np.zeros(held.shape, dtype=np.uint16) if joined is None else joined
            put_plane(joined, held, self._names[name])
        assert joined is not None, "there are planes"
        return as_labels(joined, volume.labels.path), int((joined == OVERLAP).sum())


def _values(channel: Channel) -> NDArray[Any]:
    return read_array(channel.header, channel=channel.place)


def unpack(root: Path, volumes: Sequence[Volume], grey: Grey, axis: int, grid: str | None) -> Unpacked:
    """Returns the volumes' slices in the cache, written there where that was not done before."""
    writing = _Unpacking(volumes, grey, axis, grid)
    sources = {channel.header.path for volume in volumes for channel in volume.channels}
    chosen = [
        [volume.id, *([channel.header.path.relative_to(root).as_posix(), channel.place] for channel in volume.channels)]
        for volume in volumes
    ]
    write: Callable[[Path, Volume], Any] = writing.write
    return unpack_once(
        root,
        volumes,
        write,
        sources=[*sources, *(head.path for volume in volumes for head in (volume.labels, *volume.planes.values()))],
        recipe={"nifti": _VERSION, "axis": axis, "grey": grey.recipe, "grid": grid == "voxels", "volumes": chosen},
    )
