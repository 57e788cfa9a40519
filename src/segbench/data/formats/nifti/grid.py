"""Arrays of NIfTI files in one orientation, and whether a label volume lies on its image, by the headers."""

from __future__ import annotations

import importlib
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.images import told_errors
from segbench.errors import DatasetError
from segbench.locale import message, quoted

AXES = ("sagittal", "coronal", "axial")  # slices across the first, second, third axis: to right, to front, to head
_DAMAGED = (OSError, EOFError, zlib.error, ValueError)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a NIfTI file says of its array.

    Attributes:
        path: of the file.
        shape: of the array, as stored; three axes at least.
        affine: (4, 4) from stored voxel to mm, towards right, front and head.
        zooms: mm a voxel along the three axes, as stored.
    """

    path: Path
    shape: tuple[int, ...]
    affine: NDArray[Any]
    zooms: tuple[float, float, float]

    @property
    def turned(self) -> tuple[tuple[int, ...], NDArray[Any], tuple[float, ...]]:
        """(shape, affine, mm a voxel) once the axes run to right, front and head."""
        orientations = _nibabel().orientations
        turn = orientations.io_orientation(self.affine)
        order = [int(np.flatnonzero(turn[:, 0] == axis)[0]) for axis in range(3)]
        affine = self.affine @ orientations.inv_ornt_aff(turn, self.shape[:3])
        return (
            tuple(self.shape[place] for place in order),
            affine,
            tuple(self.zooms[place] for place in order),
        )

    @property
    def axes(self) -> str:
        """Where the stored axes run to, as `RAS`."""
        return "".join(code or "?" for code in _nibabel().aff2axcodes(self.affine))


def read_header(path: Path) -> Header:
    """Returns what a file's header says; DatasetError where it is none, or of something else than a picture."""
    image = _load(path)
    shape = tuple(int(side) for side in image.shape)
    if not 2 <= len(shape) <= 5 or 0 in shape or not hasattr(image, "affine") or image.affine is None:
        raise DatasetError(
            message("expected a NIfTI volume of 2 to 4 axes, got an array of shape {shape}", shape=shape), path=path
        )
    zooms = [float(zoom) for zoom in image.header.get_zooms()[:3]]
    padded = (*shape, *[1] * (3 - len(shape)))
    while len(padded) > 4 and padded[-1] == 1:
        padded = padded[:-1]
    if len(padded) == 5 and padded[3] == 1:
        padded = (*padded[:3], padded[4])  # vectors: x, y, z, time, component
    if len(padded) == 5:
        raise DatasetError(message("expected at most 4 axes, got an array of shape {shape}", shape=shape), path=path)
    if len(padded) == 4 and padded[3] == 1:
        padded = padded[:3]
    sides = (*zooms, *[1.0] * (3 - len(zooms)))
    return Header(path=path, shape=padded, affine=np.asarray(image.affine, float), zooms=(sides[0], sides[1], sides[2]))


def read_array(header: Header, *, channel: int | None, affine: NDArray[Any] | None = None) -> NDArray[Any]:
    """Returns (X, Y, Z) values with axes to right, front and head: the file's numbers, scaled as its header says.

    Args:
        channel: of the fourth axis, where there is one.
        affine: orientation that is believed instead of the file's own.
    Raises:
        DatasetError: the file is damaged.
    """
    image = _load(header.path)
    try:
        if len(header.shape) == 4 and len(image.shape) == 4:
            values = np.asanyarray(image.dataobj[..., channel or 0])
        else:
            values = np.asanyarray(image.dataobj).reshape(header.shape)
            values = values[..., channel or 0] if values.ndim == 4 else values
    except _DAMAGED as error:
        raise DatasetError(
            message("the volume is damaged or cut off ({reason}); copy it again", reason=quoted(str(error))),
            path=header.path,
        ) from error
    if values.dtype.names:
        raise DatasetError(
            message("it holds colours; save red, green and blue as channels on the fourth axis"), path=header.path
        )
    orientations = _nibabel().orientations
    turn = orientations.io_orientation(header.affine if affine is None else affine)
    turned: NDArray[Any] = orientations.apply_orientation(values, turn)
    return turned


def lies_elsewhere(image: Header, labels: Header) -> bool:
    """Returns whether labels of an image's size lie more than half a voxel off, or turned, by the headers."""
    shape, affine, zooms = image.turned
    other_shape, other, _ = labels.turned
    if shape != other_shape:
        return True
    corners = np.array([(x, y, z, 1) for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    corners[:, :3] *= np.array(shape, float) - 1
    distance = np.abs((corners @ affine.T - corners @ other.T)[:, :3]).max()
    return bool(distance > 0.5 * min(zooms))


def slices_of(values: NDArray[Any], axis: int) -> Sequence[NDArray[Any]]:
    """Returns the slices across an axis as radiologists look at them: (H, W), head or front up.

    Axial slices are seen from the feet and coronal ones from the front, so the patient's right is on the left;
    sagittal ones look to the left.
    """
    turned = np.flip(values, tuple(other for other in range(3) if other != axis))
    front = np.moveaxis(turned, axis, 0)  # a view: `take` would copy the volume for each slice
    return [plane.T for plane in front]


def _nibabel() -> Any:
    """Returns the package, which is optional; the reader has looked whether it is there."""
    return importlib.import_module("nibabel")


def _load(path: Path) -> Any:
    nibabel = _nibabel()
    with told_errors(path):
        empty = path.stat().st_size == 0
    if empty:
        raise DatasetError(message("the file is empty (0 bytes); copy it again"), path=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nibabel.load(path)
    except (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError, *_DAMAGED) as error:
        raise DatasetError(
            message("not a NIfTI file that can be read ({reason}); copy it again", reason=quoted(str(error))), path=path
        ) from error
