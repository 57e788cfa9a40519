"""DICOM segmentation objects (SEG): planes of bits that name the slices they lie on."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.formats.dicom.files import Header
from segbench.data.formats.shared.volumes import put_plane
from segbench.errors import DatasetError
from segbench.locale import message, quoted


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A frame of a SEG file: the class it shows, and the slice it lies on."""

    path: Path
    frame: int
    label: str
    slice_uid: str


def read_planes(header: Header) -> list[Plane]:
    """Returns the frames of a SEG file; DatasetError where one does not name its slice or is no plane of bits."""
    found = importlib.import_module("pydicom").dcmread(header.path, stop_before_pixels=True)
    if str(found.get("SegmentationType", "BINARY")) != "BINARY":
        raise DatasetError(
            message("a segmentation of fractions, not of classes; save it as binary segments"), path=header.path
        )
    try:
        names = {
            int(item.SegmentNumber): str(item.get("SegmentLabel") or item.SegmentNumber)
            for item in found.SegmentSequence
        }
        shared = found.get("SharedFunctionalGroupsSequence")
        planes = []
        for number, frame in enumerate(found.PerFrameFunctionalGroupsSequence):
            place = frame.get("SegmentIdentificationSequence") or shared[0].SegmentIdentificationSequence
            source = frame.DerivationImageSequence[0].SourceImageSequence[0]
            planes.append(
                Plane(
                    path=header.path,
                    frame=number,
                    label=names[int(place[0].ReferencedSegmentNumber)],
                    slice_uid=str(source.ReferencedSOPInstanceUID),
                )
            )
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise DatasetError(
            message(
                "a segmentation whose frames do not name the slices they lie on ({reason}); export it again with "
                "references to the images, or as NIfTI",
                reason=quoted(str(error)),
            ),
            path=header.path,
        ) from error
    return planes


def drawn(planes: Sequence[Plane], values: Mapping[str, int], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Returns (H, W) labels of a slice's planes: a class's value, 0 where there is none, `OVERLAP` where several are.

    Raises:
        DatasetError: a plane has another size than the slice.
    """
    labels = np.zeros(size, dtype=np.uint16)
    for plane, bits in zip(planes, _bits(planes), strict=True):
        if bits.shape != size:
            raise DatasetError(
                message(
                    "its planes have {height} x {width} pixels, the slices {other_height} x {other_width}",
                    height=bits.shape[0],
                    width=bits.shape[1],
                    other_height=size[0],
                    other_width=size[1],
                ),
                path=plane.path,
            )
        put_plane(labels, bits, values[plane.label])
    return labels


def _bits(planes: Sequence[Plane]) -> Iterator[NDArray[np.bool_]]:
    pixels: Any = importlib.import_module("pydicom.pixels")
    for plane in planes:
        yield np.asarray(pixels.pixel_array(plane.path, index=plane.frame)) != 0
