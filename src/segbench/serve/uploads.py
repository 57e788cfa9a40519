"""An image that a client sent: judged by its first bytes, then decoded in memory. Nothing is written to disk."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from segbench.errors import DatasetError, PredictionError
from segbench.predict.predictor import Predictor
from segbench.serve.answers import ServeError
from segbench.serve.settings import ServeSettings


def read_upload(data: bytes, predictor: Predictor, settings: ServeSettings) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns (H, W, C) uint8 and the (H, W) pixels without data, None where all have some.

    Raises:
        ServeError: no image, a damaged or a too large one, or none that this network reads.
    """
    if not data:
        raise ServeError(400, "expected an image, got an empty body", code="no_image")
    if len(data) > settings.most_bytes:
        raise ServeError(413, f"expected at most {settings.most_bytes:,} bytes, got {len(data):,}", code="too_large")
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = image.width * image.height
            if pixels > settings.most_px:
                told = f"expected at most {settings.most_px:,} pixels, got {image.width} x {image.height}"
                raise ServeError(413, f"{told}; send it as a job", code="too_many_pixels")
            return predictor.pipeline.read(image)
    except (DatasetError, PredictionError) as error:
        raise ServeError(422, error.reason, code="unreadable_image") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ServeError(
            415, "expected an image file (PNG, JPEG, TIFF, WebP, BMP), got other bytes", code="no_image"
        ) from error
