"""DICOM files: what their headers say, their pixels, and what is missing to decode them."""

from __future__ import annotations

import hashlib
import importlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.errors import DatasetError, shorten
from segbench.locale import message, quoted

_MAGIC = (128, b"DICM")
_TAGS = [
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "PatientID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "WindowCenter",
    "WindowWidth",
    "PhotometricInterpretation",
]


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of its pixels.

    Attributes:
        path: of the file.
        modality: as `CT`, `SEG`, `RTSTRUCT`.
        uid: of this file, by which others refer to it.
        group: a name for the patient, or the series where no patient is named; made from it, so that it tells nobody.
        series: of the slices that were taken together.
        place: along the series, in mm or as a number; for sorting.
        height, width, frames: 0 where it holds no pictures.
        spacing: (height, width) of a pixel in mm; () where it is not told.
        window: grey values that are to be black and white; None where the file does not tell.
        inverted: high values are black.
        syntax: how the pixels are compressed.
    """

    path: Path
    modality: str
    uid: str
    group: str
    series: str
    place: float
    height: int
    width: int
    frames: int
    spacing: tuple[float, ...]
    window: tuple[float, float] | None
    inverted: bool
    syntax: str


def is_dicom(path: Path) -> bool:
    """Returns whether a file without suffix begins as DICOM files do."""
    try:
        with path.open("rb") as stream:
            stream.seek(_MAGIC[0])
            return stream.read(4) == _MAGIC[1]
    except OSError:
        return False


def read_header(path: Path) -> Header:
    """Returns what a file says of itself; DatasetError where it is no DICOM file."""
    with _told(path):
        found = _pydicom().dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        meta = getattr(found, "file_meta", {})
        series = str(found.get("SeriesInstanceUID", "") or path.parent)
        patient = str(found.get("PatientID", "") or "")
        kind = f"patient-{_short(patient)}" if patient else f"series-{_short(series)}"
        return Header(
            path=path,
            modality=str(found.get("Modality", "") or ""),
            uid=str(found.get("SOPInstanceUID", "") or ""),
            group=kind,
            series=series,
            place=_place(found),
            height=int(found.get("Rows", 0) or 0),
            width=int(found.get("Columns", 0) or 0),
            frames=int(found.get("NumberOfFrames", 1) or 1) if found.get("Rows") else 0,
            spacing=tuple(float(side) for side in found.get("PixelSpacing") or ()),
            window=_window(found),
            inverted=found.get("PhotometricInterpretation") == "MONOCHROME1",
            syntax=str(meta.get("TransferSyntaxUID", "") or ""),
        )


def check_decoders(headers: Sequence[Header], root: Path) -> None:
    """Raises DatasetError where files are compressed in a way for which no decoder is installed."""
    pixels = importlib.import_module("pydicom.pixels")
    uid = importlib.import_module("pydicom.uid").UID
    missing: dict[str, list[Path]] = {}
    for header in headers:
        syntax = uid(header.syntax) if header.syntax else None
        if syntax is None or not syntax.is_compressed or syntax.is_private:
            continue
        try:
            available = pixels.get_decoder(syntax).is_available
        except NotImplementedError:
            available = syntax.name.startswith("Deflated")  # that is no picture format: pydicom inflates it on its own
        if not available:
            missing.setdefault(syntax.name, []).append(header.path)
    if missing:
        files = [path for paths in missing.values() for path in paths]
        raise DatasetError(
            message(
                "{n} of {total} files are compressed as {names}, for which no decoder is installed (such as {file}): "
                "pip install 'pylibjpeg[all]'",
                n=len(files),
                total=len(headers),
                names=shorten(missing, 3),
                file=files[0].relative_to(root).as_posix(),
            ),
            path=root,
        )


def read_frames(path: Path) -> Iterator[NDArray[Any]]:
    """Yields the pictures of a file: (H, W) grey values in its unit (CT: Hounsfield), or (H, W, 3) colours."""
    pixels = importlib.import_module("pydicom.pixels")
    with _told(path):
        found = _pydicom().dcmread(path)
        values = np.asarray(found.pixel_array)
        colored = int(found.get("SamplesPerPixel", 1)) == 3
        if found.get("PhotometricInterpretation") == "PALETTE COLOR":
            values, colored = np.asarray(pixels.apply_color_lut(values, found)), True
        elif not colored:
            values = np.asarray(pixels.apply_modality_lut(values, found))
        if colored and values.dtype != np.uint8:
            values = (values >> (8 * (values.dtype.itemsize - 1))).astype(np.uint8)
        yield from values if values.ndim > (3 if colored else 2) else [values]


def read_labels(path: Path) -> Iterator[NDArray[Any]]:
    """Yields the stored values of each frame, as labels."""
    with _told(path):
        values = np.asarray(_pydicom().dcmread(path).pixel_array)
        yield from values if values.ndim > 2 else [values]


def _pydicom() -> Any:
    """Returns the package, which is optional; the reader has looked whether it is there."""
    return importlib.import_module("pydicom")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _place(found: Any) -> float:
    """Returns where a slice is along its series: across the slice in mm, else its number."""
    position, across = found.get("ImagePositionPatient"), found.get("ImageOrientationPatient")
    if position and across and len(position) == 3 and len(across) == 6:
        normal = np.cross(np.array(across[:3], float), np.array(across[3:], float))
        return float(normal @ np.array(position, float))
    return float(found.get("InstanceNumber") or 0)


def _window(found: Any) -> tuple[float, float] | None:
    """Returns the grey values that the file's first window makes black and white (PS3.3 C.11.2.1.2); None without."""
    centre, width = (_first(found.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width <= 1:
        return None
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    return float(value if isinstance(value, int | float | str) else value[0])


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says of a file that cannot be read in the block, as a DatasetError, what is the matter with it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DatasetError:
        raise
    except Exception as error:  # pydicom raises whatever a broken element makes of it
        raise DatasetError(
            message("not a DICOM file that can be read ({reason})", reason=quoted(shorten([error], 1))), path=path
        ) from error
