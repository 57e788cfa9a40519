"""One vector an image, by which images are alike or not: a frozen encoder's, or plain numbers without one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from segbench.assist.features import packaged_network
from segbench.data.files.resize import resize_image
from segbench.models.smp.packaged import PackagedEncoder, installed
from segbench.predict.decide import normalize, to_batch
from segbench.predict.unlike import image_features

_SIDE_PX = 192  # the longer side, as the encoder sees it
_MAPS = 2  # of the encoder, the coarsest: what they say is about things, not about edges

Vectors = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class EncoderVectors:
    """Images as a frozen encoder sees them: the mean over the pixels of its two coarsest maps, each of length 1.

    Args:
        row: the encoder; its package has to be installed.
    """

    def __init__(self, row: PackagedEncoder) -> None:
        self._network = packaged_network(encoder=row.name)

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns (D,) float32 of (H, W, 3) uint8."""
        stride = self._network.stride
        scale = _SIDE_PX / max(image.shape[:2])
        height, width = (max(1, round(side * scale / stride)) * stride for side in image.shape[:2])
        batch = to_batch(resize_image(image, (height, width)), torch.device("cpu"))
        maps = self._network.features(normalize(batch, self._network.normalization))[-_MAPS:]
        means = [each[0].mean(dim=(1, 2)) for each in maps]
        return torch.cat([each / each.norm().clamp(min=1e-6) for each in means]).numpy()


def plain_vector(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns (D,) float32 of (H, W, 3) uint8: brightness, colours, contrast, sharpness; see `image_features`."""
    features = image_features(image)
    return np.array([value for name, value in features.items() if name != "size"], dtype=np.float32)


def usual_vectors() -> tuple[str, Callable[[], Vectors]]:
    """Returns a name of what is installed for it, and what makes it."""
    rows = installed()
    return (rows[0].package, lambda: EncoderVectors(rows[0])) if rows else ("plain", lambda: plain_vector)


def comparable(vectors: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Returns (N, D) vectors whose distances mean something: plain numbers are of different units, so each column is
    divided by its SD."""
    if name != "plain":
        return vectors
    scaled: NDArray[np.float32] = vectors / np.maximum(vectors.std(axis=0), 1e-6)
    return scaled
