"""An image that a client sent: judged by its first bytes, then decoded in memory. Nothing is written to disk.

What is accepted, and what is said of what is not, is as for files on the command line, since the same functions read
them; beside that, sizes are judged before anything is decoded, and files that are small but take long are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from segbench.data.files import raster
from segbench.errors import DatasetError, PredictionError
from segbench.predict.inputs import input_size
from segbench.predict.predictor import Predictor
from segbench.serve.answers import ServeError, in_addresses
from segbench.serve.settings import ServeSettings

_JPEG, _SCAN = b"\xff\xd8", b"\xff\xda"
_MOST_SCANS = 50  # of a JPEG; progressive ones have about 10, and each costs a pass over all pixels
_RASTERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG", _JPEG)  # which GDAL reads without other files
_BYTES_PX = 16  # of a raster for each pixel that an image may have
_IN_MEMORY = re.compile(r"'?/vsimem/\S+")
_NO_IMAGE = "expected an image file (PNG, JPEG, BMP, TIFF, WebP, GIF or HEIC), got"


@dataclass(frozen=True)
class Upload:
    """An image that was judged, and is not decoded. Attributes: data, of the file; pixels, that it has."""

    data: bytes
    pixels: int


def judge_upload(data: bytes, predictor: Predictor, settings: ServeSettings) -> Upload:
    """Returns an image whose size was judged by its head.

    Raises:
        ServeError: nothing, too many bytes or pixels, no image, a damaged head, several frames or pages.
    """
    if not data:
        raise ServeError(400, f"{_NO_IMAGE} an empty body", code="no_image")
    if len(data) > settings.most_bytes:
        raise ServeError(413, f"expected at most {settings.most_bytes:,} bytes, got {len(data):,}", code="too_large")
    if data[:2] == _JPEG and (scans := data.count(_SCAN)) > _MOST_SCANS:
        told = f"a JPEG file of {scans} scans takes too long to decode; save it again"
        raise ServeError(422, told, code="unreadable_image")
    try:
        height, width = input_size(data) if predictor.bands is None else _raster_size(data, settings)
    except DatasetError as error:
        raise _said(error, settings) from error
    if height * width > settings.most_px:
        told = f"expected at most {settings.most_px:,} pixels, got {width:,} x {height:,} (width x height)"
        raise ServeError(413, f"{told}; send it as a job, or a smaller one", code="too_many_pixels")
    return Upload(data, height * width)


def read_upload(upload: Upload, predictor: Predictor) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns (H, W, C) uint8 and the (H, W) pixels without data, None where all have some.

    Raises:
        ServeError: damaged or cut off, or not as this network needs it.
    """
    try:
        return predictor.pipeline.read(upload.data)
    except (DatasetError, PredictionError) as error:
        raise _said(error) from error


def _raster_size(data: bytes, settings: ServeSettings) -> tuple[int, int]:
    """Returns (height, width) of what GDAL reads; only formats that cannot name other files, as some of its do."""
    if not data.startswith(_RASTERS):
        told = f"expected a GeoTIFF (or PNG, JPEG), as this network learnt from, got {data[:8]!r}"
        raise ServeError(415, told, code="no_image")
    with raster.in_memory(data) as path:
        look = raster.raster_look(path)
    value = max(np.dtype(each).itemsize for each in look.dtypes)
    needs = max(look.height * look.width, look.block[0] * look.block[1]) * look.count * value
    if needs > _BYTES_PX * settings.most_px:
        told = f"{look.count} bands of {look.height} x {look.width} pixels need {needs / 1e6:,.0f} MB of memory"
        raise ServeError(413, f"{told}; send it as a job, or fewer bands", code="too_many_pixels")
    return look.height, look.width


def _said(error: DatasetError | PredictionError, settings: ServeSettings | None = None) -> ServeError:
    reason = in_addresses(_IN_MEMORY.sub("the image", error.reason))
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if settings is not None and isinstance(cause, Image.DecompressionBombWarning | Image.DecompressionBombError):
        most = min(settings.most_px, raster.LARGEST_PX)
        told = f"expected at most {most:,} pixels, got more; send it as a job, or a smaller one"
        return ServeError(413, told, code="too_many_pixels")
    if isinstance(cause, UnidentifiedImageError):
        return ServeError(415, reason, code="no_image")
    return ServeError(422, reason, code="unreadable_image")
