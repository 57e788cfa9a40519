"""What a person hands to a prediction: a path, an image of Pillow, an array; as the pixels that a network was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from segbench.data.files import raster
from segbench.data.files.bands import Bands
from segbench.data.files.hints import needs_a_reader
from segbench.data.files.images import deep_ranges, image_size, over_black, pillow_pixels, read_image
from segbench.errors import DatasetError, PredictionError
from segbench.locale import Message, message

ImageInput: TypeAlias = str | Path | Image.Image | np.ndarray


def read_input(
    image: str | Path | Image.Image | bytes, bands: Bands | None, depth_range: tuple[float, float] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns (H, W, C) uint8, and the (H, W) pixels without data, None where all have some.

    Args:
        image: path of an image file, its bytes, or an image of Pillow of any mode. They are turned as their EXIF
            orientation says, and what is transparent is laid over black.
        bands, depth_range: see `segbench.predict.pipeline.PipelineSettings`.
    Raises:
        DatasetError: it cannot be read, or not as this network needs it.
        PredictionError: an image of Pillow for a network of other bands than RGB.
    """
    if bands is not None:
        if isinstance(image, Image.Image):
            text = f"this network reads {bands.channels} bands of files; give a path, or an array"
            raise PredictionError(f"{text} of shape (H, W, {bands.channels})")
        if isinstance(image, bytes):
            with raster.in_memory(image) as path:
                return raster.read_image(path, bands)
        return raster.read_image(Path(image), bands)
    with _no_reader():
        if isinstance(image, bytes):
            return read_image("image", depth_range=depth_range, data=image), None
        if isinstance(image, Image.Image):
            return pillow_pixels(image, depth_range=depth_range), None
        return read_image(image, depth_range=depth_range), None


def input_size(data: bytes) -> tuple[int, int]:
    """Returns (height, width) in pixels of an image file's bytes, for a network of RGB; reads the header only.

    Raises:
        DatasetError: as `read_input`.
    """
    with _no_reader():
        return image_size(data)


@contextmanager
def _no_reader() -> Iterator[None]:
    """Says of errors that tell to set an option of a data set's reader, which a prediction has not, what to do here."""
    try:
        yield
    except DatasetError as error:
        if not needs_a_reader(error.reason):
            raise
        raise DatasetError(_without_options(error), path=error.path) from error


def _without_options(error: DatasetError) -> Message:
    """Returns what to do about an image that a data set's reader needs an option for, which a prediction does not have.

    A network has a range of grey values where it learnt from images of more than 8 bit.
    """
    ranges = deep_ranges([error.reason])
    if ranges:
        low, high, _, _ = ranges[0]
        return message(
            "the image has more than 8 bit (values {low:g} to {high:g}), and this network learnt from images of 8 bit; "
            "save it with 8 bit, with the same values as black and white in all images",
            low=low,
            high=high,
        )
    if isinstance(error.__cause__, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return message("the image is too large to be opened whole; cut it into tiles, or shrink it")
    return message("bands or depth of this TIFF are none that this network learnt from; save it as RGB of 8 bit")


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Returns an array as (H, W, 3) uint8.

    Args:
        image: uint8: (H, W, 3) RGB; (H, W) or (H, W, 1) grey; (H, W, 4) RGBA, laid over black as files are.
    Raises:
        PredictionError: another shape, dtype or type.
    """
    expected = (
        "expected a path, an image of Pillow, or an array of shape (H, W, 3), (H, W) or (H, W, 4) and dtype uint8"
    )
    if not isinstance(image, np.ndarray):
        raise PredictionError(f"{expected}, got {type(image).__name__}")
    if image.dtype != np.uint8:
        raise PredictionError(f"{expected}, got dtype {image.dtype}; scale it to 0-255 and convert")
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in image.shape:
        first = image.ndim == 3 and image.shape[0] in (1, 3, 4)
        hint = "; channels come last: numpy.moveaxis(image, 0, -1)" if first and 0 not in image.shape else ""
        raise PredictionError(f"{expected}, got shape {image.shape}{hint}")
    if channels == 4:
        return over_black(image)
    return image if channels == 3 else np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Returns an array of shape (H, W, channels) and dtype uint8 as it is.

    Raises:
        PredictionError: another shape, dtype or type.
    """
    expected = f"expected an image of shape (H, W, {channels}) and dtype uint8, as the network was trained on"
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise PredictionError(f"{expected}, got {getattr(image, 'dtype', type(image).__name__)}")
    if image.ndim != 3 or image.shape[2] != channels or 0 in image.shape:
        raise PredictionError(f"{expected}, got shape {image.shape}")
    return image
